//! The litmus histories under every profile: each is run once, and judged as often as is asked.

use rayon::prelude::*;

use crate::cli::Failure;
use crate::cli::table::laboratory::Finding;
use crate::cli::table::laboratory::Laboratory;
use crate::subject::profile_names;

/// How many histories there are.
pub(super) const COUNT: usize = 18;

const GUEST: &str = "litmus_sync_errors";

/// The histories of one profile, L1 first.
pub(super) struct Histories {
    pub(super) profile: &'static str,
    pub(super) findings: Vec<Finding>,
}

impl Histories {
    /// What the calls of a history were told; or why it came to no end.
    pub(super) fn told(&self, number: usize) -> String {
        let finding = &self.findings[number - 1];
        match (&finding.cut, finding.said(&format!("L{number}"))) {
            (Some(_), _) => "blocks".to_owned(),
            (None, Some(told)) => told.to_owned(),
            (None, None) => "nothing".to_owned(),
        }
    }
}

/// Runs every history under every profile.
pub(super) fn all() -> Result<Vec<Histories>, Failure> {
    let laboratory = Laboratory::new(GUEST)?;
    let names: Vec<&'static str> = profile_names().collect();
    let of = |profile: &'static str| {
        let numbers = 1..=COUNT;
        let run = |number| laboratory.run(profile, &format!("L{number}"), None);
        let findings = numbers.map(run).collect::<Result<Vec<Finding>, Failure>>()?;
        Ok(Histories { profile, findings })
    };
    names.into_par_iter().map(of).collect()
}
