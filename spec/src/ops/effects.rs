//! When calls took effect, among the changes.

use imbl::OrdMap;

use crate::words::Step;

/// Runs of calls that are remembered: a loss is told of soon after its capture.
const RUNS_MAX: usize = 1024;

/// Calls that followed each other, while nothing changed.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: Step,
    last: Step,
    /// The order that the changes had reached.
    order: u64,
}

/// The order that the changes had reached when each of the last calls took effect.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effects {
    /// By their first calls; none overlaps another.
    runs: OrdMap<Step, Run>,
    /// The last one, if no call of it overlapped another.
    alone: Option<Run>,
}

impl Effects {
    /// A call took effect, among others.
    pub(crate) fn add(&mut self, call: Step, order: u64) {
        self.end_run();
        self.remember(Run { first: call, last: call, order });
    }

    /// A call took effect after all that began before it, and before all that begin after it.
    pub(crate) fn add_alone(&mut self, call: Step, order: u64) {
        match &mut self.alone {
            Some(run) if run.order == order => run.last = call,
            Some(_) | None => {
                self.end_run();
                self.alone = Some(Run { first: call, last: call, order });
            }
        }
    }

    fn end_run(&mut self) {
        if let Some(run) = self.alone.take() {
            self.remember(run);
        }
    }

    fn remember(&mut self, run: Run) {
        self.runs.insert(run.first, run);
        if self.runs.len() > RUNS_MAX
            && let Some((oldest, _)) = self.runs.get_min().copied()
        {
            self.runs.remove(&oldest);
        }
    }

    /// The order at a call's effect, if it is known.
    pub(crate) fn order_at(&self, call: Step) -> Option<u64> {
        let before = || self.runs.get_prev(&call).map(|(_, run)| *run);
        let run = self.alone.filter(|run| run.first <= call).or_else(before)?;
        (call <= run.last).then_some(run.order)
    }
}

#[cfg(test)]
mod tests {
    use super::Effects;
    use super::RUNS_MAX;
    use crate::words::Step;

    #[test]
    fn calls_between_changes_are_one_run_and_unknown_ones_are_of_none() {
        let mut effects = Effects::default();
        for (call, order) in [(1, 0), (3, 0), (5, 1), (7, 1)] {
            effects.add_alone(Step(call), order);
        }
        let at = |effects: &Effects, call| effects.order_at(Step(call));
        let known = |effects: &Effects| [1, 3, 5, 7, 9].map(|call| at(effects, call));
        assert_eq!(known(&effects), [Some(0), Some(0), Some(1), Some(1), None]);
        assert_eq!(effects.runs.len(), 1);
        // Of calls that overlap, the first may be the last to take effect.
        for (call, order) in [(11, 4), (9, 5), (10, 6)] {
            effects.add(Step(call), order);
        }
        effects.add_alone(Step(14), 6);
        assert_eq!(known(&effects), [Some(0), Some(0), Some(1), Some(1), Some(5)]);
        assert_eq!(
            [10, 11, 12, 14, 16].map(|call| at(&effects, call)),
            [Some(6), Some(4), None, Some(6), None]
        );
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut effects = Effects::default();
        for call in 0..2 * RUNS_MAX as u64 {
            effects.add_alone(Step(call), call);
        }
        assert_eq!(effects.runs.len(), RUNS_MAX);
        assert_eq!((effects.order_at(Step(3)), effects.order_at(Step(2000))), (None, Some(2000)));
    }
}
