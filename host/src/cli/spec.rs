//! `crashproof spec list|show`.

use crashproof_spec::clause::Catalogue;
use crashproof_spec::clause::Clause;

use crate::cli::Failure;
use crate::cli::args::SpecCommand;
use crate::cli::exit;

/// Shows clauses.
pub(super) fn spec(command: &SpecCommand) -> Result<u8, Failure> {
    let catalogue = Catalogue::embedded();
    match command {
        SpecCommand::List => {
            for clause in catalogue.iter() {
                let enforced = if clause.enforced { "enforced" } else { "-" };
                println!(
                    "{:<15} {:<8} {enforced:<9} {}",
                    clause.id,
                    clause.level.name(),
                    clause.statement
                );
            }
        }
        SpecCommand::Show { id } => {
            let clause = catalogue.get(id).ok_or_else(|| {
                Failure(format!("there is no clause {id} (`crashproof spec list` has them all)"))
            })?;
            print!("{}", show(clause));
        }
    }
    Ok(exit::ACCEPTED)
}

fn show(clause: &Clause) -> String {
    let enforced = if clause.enforced { "yes" } else { "no: nothing may be reported as held" };
    let mut lines = vec![
        format!("{}  {}", clause.id, clause.statement),
        String::new(),
        format!("  level         {}", clause.level.name()),
        format!("  enforced      {enforced}"),
        format!("  sources       {}", clause.sources.join("; ")),
        format!("  applies to    {}", clause.applies_to.join(", ")),
        format!(
            "  decided from  {}",
            clause.decided_from.iter().map(|e| e.name()).collect::<Vec<_>>().join(", ")
        ),
    ];
    if clause.guard {
        lines.push("  guard         yes: this says what is not promised".to_owned());
    }
    if !clause.violated_by.is_empty() {
        lines.push(format!("  violated by   {}", clause.violated_by.join("; ")));
    }
    lines.push(String::new());
    lines.join("\n")
}
