//! A guest that is compiled once and run in many worlds, each on a stack of another profile.

use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use clap::Parser;
use crashproof_spec::oracle::Oracle;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::trace::Event;
use crashproof_spec::violation::Verdict;
use crashproof_spec::words::FoundKind;
use crashproof_spec::words::Testimony;

use crate::check::judge::TraceStream;
use crate::check::run::Recorded;
use crate::check::run::RunPlan;
use crate::check::run::SubjectPlan;
use crate::check::run::Watching;
use crate::check::run::run as run_plan;
use crate::check::tape::Tapes;
use crate::check::verifier::Verifier;
use crate::check::world::Chance;
use crate::cli::Failure;
use crate::cli::args::Arguments;
use crate::cli::args::Command;
use crate::cli::plan;
use crate::cli::plan::Planned;
use crate::cli::profile;
use crate::cli::run;
use crate::guest::GuestRun;

/// What a run left.
pub(super) struct Finding {
    /// The lines that the guest printed.
    pub(super) lines: Vec<String>,
    /// Why the guest did not end by itself, if it did not.
    pub(super) cut: Option<String>,
    events: Vec<Event>,
}

impl Finding {
    /// What the guest printed after `key: `.
    pub(super) fn said(&self, key: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }

    /// Was some of a file lost?
    pub(super) fn has_lost(&self) -> bool {
        let is_lost = |event: &Event| matches!(event, Event::Testified(Testimony::Lost { .. }));
        self.events.iter().any(is_lost)
    }

    /// A file as the survey after the crash found it: its bytes, zeros where it has none.
    pub(super) fn recovered(&self, path: &str) -> Option<Vec<u8>> {
        let surveys = self.events.iter().filter_map(|event| match event {
            Event::Surveyed(Ok(survey)) => Some(survey),
            Event::Surveyed(Err(_))
            | Event::Called { .. }
            | Event::Answered { .. }
            | Event::Exited { .. }
            | Event::Testified(_)
            | Event::Crashed(_) => None,
        });
        let found = surveys.last()?.names.get(path.as_bytes())?;
        let FoundKind::Regular { size_bytes, content: Ok(content) } = &found.kind else {
            return None;
        };
        let mut bytes = vec![0; usize::try_from(*size_bytes).ok()?];
        for (at, piece) in &content.pieces {
            let at = usize::try_from(*at).ok()?;
            bytes.get_mut(at..at + piece.len())?.copy_from_slice(piece);
        }
        Some(bytes)
    }

    /// What an expectation says of it.
    pub(super) fn judged_by(&self, promises: &Promises) -> Verdict {
        let mut oracle = Oracle::new(Arc::new(promises.clone()), Level::Strict);
        self.events.iter().for_each(|event| oracle.event(event));
        oracle.verdict()
    }
}

/// The clauses of a verdict, in the order in which they were found; what is undecided is a hole.
pub(super) fn clauses(verdict: &Verdict) -> Vec<&'static str> {
    let mut found = Vec::new();
    match verdict {
        Verdict::Accepted => {}
        Verdict::Rejected(violations) => {
            for clause in violations.iter().flat_map(|violation| violation.clauses()) {
                if !found.contains(&clause) {
                    found.push(clause);
                }
            }
        }
        Verdict::Undecided(reasons) => found.extend(reasons.iter().map(|reason| reason.what)),
    }
    found
}

/// A guest, ready to be run.
pub(super) struct Laboratory {
    planned: Planned,
}

impl Laboratory {
    /// Compiles a built-in guest.
    pub(super) fn new(guest: &str) -> Result<Self, Failure> {
        let parsed = Arguments::try_parse_from(["crashproof", "run", guest]);
        let parsed = parsed.map_err(|error| Failure(error.to_string()))?;
        let Command::Run(arguments) = parsed.command else {
            return Err(Failure("run was asked for".to_owned()));
        };
        Ok(Self { planned: plan::plan(&arguments.world, Chance::Calm)? })
    }

    /// Runs it with arguments, split at blanks, on the stack of a profile.
    pub(super) fn run(
        &self,
        profile: &str,
        arguments: &str,
        crash: Option<CrashKind>,
    ) -> Result<Finding, Failure> {
        let plan = self.plan(profile, arguments)?;
        Ok(recorded(&plan, crash)?.1)
    }

    /// Runs it, cuts the power at its end, and runs it again with other arguments on what is left,
    /// on a device that is well.
    pub(super) fn run_and_look(
        &self,
        profile: &str,
        arguments: &str,
        look: &str,
    ) -> Result<(Finding, Finding), Failure> {
        let plan = self.plan(profile, arguments)?;
        let (recorded, finding) = recorded(&plan, None)?;
        let again = self.plan(profile, look)?;
        let (Some(stack), SubjectPlan::Reference(of)) = (recorded.stack, &again.subject) else {
            return Err(Failure("there is no device".to_owned()));
        };
        let Some(process) = again.processes.first() else {
            return Err(Failure("there is no guest".to_owned()));
        };
        let verifier = Verifier {
            process: process.clone(),
            stack: of.as_ref().clone(),
            directories: again.directories.clone(),
            limits: again.limits.clone(),
            expectation: again.expectation.clone(),
            tapes: Tapes::default(),
        };
        let run = verifier.look(&stack.disk.durable_image()).map_err(Failure)?;
        Ok((finding, seen([&run].into_iter(), Vec::new())))
    }

    fn plan(&self, profile: &str, arguments: &str) -> Result<RunPlan, Failure> {
        let profile = profile::find(profile)?;
        let mut plan: RunPlan = self.planned.run.clone();
        if let SubjectPlan::Reference(stack) = &mut plan.subject {
            stack.policies = profile.policies()?;
        }
        plan.expectation.promises = Arc::new(profile.promises()?);
        let words: Vec<String> = arguments.split_whitespace().map(ToOwned::to_owned).collect();
        plan.processes.iter_mut().for_each(|one| one.arguments = words.clone());
        Ok(plan)
    }
}

fn recorded(plan: &RunPlan, crash: Option<CrashKind>) -> Result<(Recorded, Finding), Failure> {
    let kept = Kept::default();
    let stream = TraceStream::new(Box::new(kept.clone()));
    let watching = Watching { trace: Some(stream), crash, ..Watching::default() };
    let recorded = run_plan(plan, watching).map_err(Failure)?;
    let text = String::from_utf8_lossy(&kept.lock()).into_owned();
    let events = trace::parse(&text).map_err(|error| Failure(error.to_string()))?;
    let finding = seen(recorded.ends.iter().map(|(_, run)| run), events);
    Ok((recorded, finding))
}

fn seen<'a>(runs: impl Iterator<Item = &'a GuestRun>, events: Vec<Event>) -> Finding {
    let (mut lines, mut cut) = (Vec::new(), None);
    for run in runs {
        let stdout = String::from_utf8_lossy(&run.stdout).into_owned();
        lines.extend(stdout.lines().map(ToOwned::to_owned));
        let (word, is_doubt) = run::end_word(run);
        if is_doubt {
            cut = Some(word);
        }
    }
    Finding { lines, cut, events }
}

/// A trace in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
