//! One bounded workload, straight on the stack: done, recorded, judged, and crashed everywhere.

use crashproof_spec::trace::CrashKind;
use crashproof_spec::violation::Violation;

use crate::call::Halt;
use crate::check::ace::Workload;
use crate::check::ace::actor::Actor;
use crate::check::explore::Exploration;
use crate::check::explore::ExplorePlan;
use crate::check::explore::Explorer;
use crate::check::judge::Judged;
use crate::check::tally::Tally;
use crate::check::world::Chance;
use crate::check::world::Expectation;
use crate::check::world::World;
use crate::device::History;
use crate::device::Image;
use crate::device::StateBounds;
use crate::subject::StackPlan;

/// Where workloads are done: an empty file system, and how it is judged.
#[derive(Clone)]
pub struct Bench {
    plan: ExplorePlan,
    blank: Image,
    expectation: Expectation,
}

/// What came of a workload.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was wrong while it was done.
    pub violations: Vec<Violation>,
    /// What could not be told then.
    pub undecided: Vec<String>,
    /// Calls that were answered with an error.
    pub errors: u64,
    /// What was counted while it was done; the exploration has its own.
    pub tally: Tally,
    /// What its crashes showed.
    pub exploration: Exploration,
}

/// A workload that was done, before it is crashed.
pub(in crate::check) struct Recorded {
    pub(in crate::check) judged: Judged,
    pub(in crate::check) history: History,
    errors: u64,
    halt: Option<Halt>,
}

impl Bench {
    /// A bench for workloads on an empty file system of this stack, crashed within these bounds,
    /// so many times in a row, with so many flushes lost at most.
    ///
    /// # Errors
    /// If no file system can be made on it.
    pub fn new(
        stack: StackPlan,
        bounds: StateBounds,
        (depth, lost_flushes): (u32, u32),
        expectation: Expectation,
    ) -> Result<Self, String> {
        let blank = World::blank(&stack).map_err(|error| error.to_string())?;
        let audited = expectation.audited;
        let (crash, lost_legs) = (CrashKind::Power, Vec::new());
        let plan = ExplorePlan {
            crash,
            bounds,
            stack,
            audited,
            depth,
            lost_legs,
            lost_flushes,
            prunes: true,
        };
        Ok(Self { plan, blank, expectation })
    }

    /// The same, leaving no state out that differs from another one only where nothing looks.
    #[must_use]
    pub fn without_pruning(mut self) -> Self {
        self.plan.prunes = false;
        self
    }

    /// Does a workload, and explores every crash.
    ///
    /// # Errors
    /// If it could not be begun.
    pub fn run(&self, workload: &Workload) -> Result<Outcome, String> {
        let Recorded { judged, history, errors, halt } = self.record(workload)?;
        let doubts = judged.oracle.undecided().map(|reason| reason.what.to_owned());
        // What is left of the workload was not done.
        let halted = halt.map(|halt| format!("the stack halted: {halt:?}"));
        let explorer = Explorer::new(&self.plan, &judged.moments, &judged.lines, None);
        let exploration = explorer.explore(&history, &|_| ());
        Ok(Outcome {
            violations: judged.oracle.violations().cloned().collect(),
            undecided: doubts.chain(halted).collect(),
            errors,
            tally: Tally::of(&judged.oracle),
            exploration,
        })
    }

    /// What is explored of each workload.
    #[cfg(test)]
    pub(in crate::check) fn plan(&self) -> &ExplorePlan {
        &self.plan
    }

    /// Does a workload, and crashes nothing.
    pub(in crate::check) fn record(&self, workload: &Workload) -> Result<Recorded, String> {
        let (blank, stack) = (self.blank.clone(), &self.plan.stack);
        let world = World::mounted(blank, stack, &Chance::Calm, &self.expectation);
        let world = world.map_err(|error| error.to_string())?;
        let Some(disk) = world.stack.as_ref().map(|stack| stack.disk.clone()) else {
            return Err("a world without a device has no crashes".to_owned());
        };
        world.watch();
        let mut actor = Actor::new(&world.recorder, stack.geometry.block_size_bytes);
        let halt = world.sim.block_on(actor.run(workload)).err();
        let errors = actor.errors();
        world.audit_space();
        Ok(Recorded { judged: world.finish(), history: disk.history(), errors, halt })
    }
}
