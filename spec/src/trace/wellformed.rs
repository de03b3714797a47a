//! O-1: each call has one outcome, or the halt that cut it; testimony about a call comes while
//! it is under way.
//!
//! Steps are dense by construction: an event's step is its place.

use std::collections::BTreeMap;
use std::fmt;

use crate::trace::CrashKind;
use crate::trace::Event;
use crate::words::Pid;
use crate::words::Step;
use crate::words::Testimony;

/// How an event breaks O-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The event.
    pub step: Step,
    /// What is wrong with it.
    pub problem: Disorder,
}

/// What is wrong with an event at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disorder {
    /// It answers a step at which no call began, or whose call is over.
    NoSuchCall {
        /// The step it names.
        call: Step,
    },
    /// It says of a call that is not under way, or said so before, that it took effect.
    NotUnderWay {
        /// The step it names.
        call: Step,
    },
}

/// Watches a trace go by.
#[derive(Debug, Clone, Default)]
pub struct Wellformed {
    /// The number of events so far.
    last: u64,
    /// The calls without an outcome: whose, and did they take effect?
    under_way: BTreeMap<Step, (Pid, bool)>,
}

impl Wellformed {
    /// Checks the next event and tells its step.
    pub fn event(&mut self, event: &Event) -> Result<Step, Malformed> {
        self.last = self.last.saturating_add(1);
        let step = Step(self.last);
        let malformed = |problem| Malformed { step, problem };
        match event {
            Event::Called { process, .. } => {
                self.under_way.insert(step, (*process, false));
            }
            Event::Answered { call, .. } => {
                let known = self.under_way.remove(call);
                known.ok_or_else(|| malformed(Disorder::NoSuchCall { call: *call }))?;
            }
            Event::Testified(Testimony::Committed { call }) => match self.under_way.get_mut(call) {
                Some((_, has_effect @ false)) => *has_effect = true,
                Some((_, true)) | None => {
                    return Err(malformed(Disorder::NotUnderWay { call: *call }));
                }
            },
            Event::Testified(
                Testimony::Lost { .. }
                | Testimony::Resolved { .. }
                | Testimony::Failed { .. }
                | Testimony::Evicted { .. }
                | Testimony::Lied
                | Testimony::Audit { .. },
            )
            | Event::Surveyed(_) => {}
            Event::Exited { process } | Event::Crashed(CrashKind::Process(process)) => {
                self.under_way.retain(|_, (owner, _)| owner != process);
            }
            Event::Crashed(CrashKind::Kernel | CrashKind::Power) => self.under_way.clear(),
        }
        Ok(step)
    }
}

/// Checks a whole trace.
pub fn check<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<(), Malformed> {
    let mut watch = Wellformed::default();
    events.into_iter().try_for_each(|event| watch.event(event).map(|_| ()))
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step.0;
        match self.problem {
            Disorder::NoSuchCall { call } => {
                write!(out, "O-1: step {step} answers step {}, which awaits no answer", call.0)
            }
            Disorder::NotUnderWay { call } => {
                write!(out, "O-1: step {step} commits step {}, which is not under way", call.0)
            }
        }
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Call;
    use crate::words::Value;

    fn called(process: u32) -> Event {
        Event::Called { process: Pid(process), call: Call::SyncAll }
    }

    fn answered(call: u64) -> Event {
        Event::Answered { call: Step(call), outcome: Ok(Value::Done) }
    }

    fn committed(call: u64) -> Event {
        Event::Testified(Testimony::Committed { call: Step(call) })
    }

    #[test]
    fn overlapping_calls_with_one_answer_each_are_well_formed() {
        let events = [called(1), called(2), committed(2), answered(1), answered(2)];
        assert_eq!(check(&events), Ok(()));
    }

    #[test]
    fn a_second_answer_is_malformed() {
        let malformed =
            Malformed { step: Step(3), problem: Disorder::NoSuchCall { call: Step(1) } };
        assert_eq!(check(&[called(1), answered(1), answered(1)]), Err(malformed));
    }

    #[test]
    fn an_answer_to_no_call_is_malformed() {
        assert!(check(&[answered(1)]).is_err());
        assert!(check(&[called(1), answered(2)]).is_err());
    }

    #[test]
    fn an_answer_after_power_loss_is_malformed() {
        let power = Event::Crashed(CrashKind::Power);
        assert!(check(&[called(1), power.clone()]).is_ok());
        assert!(check(&[called(1), power, answered(1)]).is_err());
    }

    #[test]
    fn the_death_of_one_process_cuts_only_its_own_calls() {
        let death = Event::Crashed(CrashKind::Process(Pid(1)));
        assert!(check(&[called(1), called(2), death.clone(), answered(2)]).is_ok());
        assert!(check(&[called(1), called(2), death, answered(1)]).is_err());
    }

    #[test]
    fn an_effect_before_the_call_twice_or_after_the_answer_is_malformed() {
        assert!(check(&[committed(2), called(1)]).is_err());
        assert!(check(&[called(1), committed(1), committed(1)]).is_err());
        assert!(check(&[called(1), answered(1), committed(1)]).is_err());
    }
}
