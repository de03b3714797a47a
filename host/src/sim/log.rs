//! The decision log: every answer that was not calm, and how many questions were asked.
//!
//! Its text form is one word, so that it fits on a command line: `0*11,1,0*3,2` says eleven calm
//! answers, then answer 1, three calm ones, then answer 2; whatever follows is calm.
//!
//! S-1: a replay asks the same questions, with the same number of answers, in the same order.
//! S-2: a decision is in the log before its effect is in the world.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::sim::Chooser;
use crate::sim::Site;

/// The answers of one run, as runs of equal answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionLog {
    runs: Vec<(u64, u32)>,
}

/// Why a decision log could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedLog {
    /// The part that is not `ANSWER` or `ANSWER*COUNT`.
    pub part: String,
}

impl fmt::Display for MalformedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is neither an answer nor `ANSWER*COUNT`", self.part)
    }
}

impl std::error::Error for MalformedLog {}

impl DecisionLog {
    /// Appends one answer.
    pub fn push(&mut self, answer: u32) {
        match self.runs.last_mut() {
            Some((count, last)) if *last == answer => *count += 1,
            _ => self.runs.push((1, answer)),
        }
    }

    /// The number of questions asked.
    #[must_use]
    pub fn question_count(&self) -> u64 {
        self.runs.iter().map(|(count, _)| count).sum()
    }

    /// A chooser that gives these answers again, and is calm after them.
    #[must_use]
    pub fn replay(&self) -> Replay {
        Replay { runs: self.runs.clone().into_iter(), current: (0, 0) }
    }
}

impl fmt::Display for DecisionLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match self.runs.split_last() {
            Some(((_, 0), head)) => head,
            _ => &self.runs,
        };
        if shown.is_empty() {
            return f.write_str("0");
        }
        for (number, (count, answer)) in shown.iter().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            match count {
                1 => write!(f, "{answer}")?,
                _ => write!(f, "{answer}*{count}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for DecisionLog {
    type Err = MalformedLog;

    fn from_str(text: &str) -> Result<Self, MalformedLog> {
        let mut runs: Vec<(u64, u32)> = Vec::new();
        for part in text.split(',') {
            let malformed = || MalformedLog { part: part.to_owned() };
            let (answer, count) = part.split_once('*').unwrap_or((part, "1"));
            let answer = answer.parse().map_err(|_| malformed())?;
            let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(malformed)?;
            runs.push((count, answer));
        }
        Ok(Self { runs })
    }
}

/// Gives the answers of a [`DecisionLog`] again.
#[derive(Debug, Clone)]
pub struct Replay {
    runs: std::vec::IntoIter<(u64, u32)>,
    current: (u64, u32),
}

impl Chooser for Replay {
    fn choose(&mut self, _site: Site, arity: NonZeroU32) -> u32 {
        while self.current.0 == 0 {
            match self.runs.next() {
                Some(run) => self.current = run,
                None => return 0,
            }
        }
        self.current.0 -= 1;
        // A log may be older than the program or typed by hand: an answer that does not exist
        // here is the last one that does.
        self.current.1.min(arity.get() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_reads_back_as_itself_without_its_calm_end() {
        let mut log = DecisionLog::default();
        for answer in [0, 0, 0, 2, 1, 1, 0, 0] {
            log.push(answer);
        }
        assert_eq!(log.to_string(), "0*3,2,1*2");
        let read: DecisionLog = log.to_string().parse().expect("printed by ourselves");
        assert_eq!(read.to_string(), log.to_string());
        assert_eq!(log.question_count(), 8);
        assert_eq!(DecisionLog::default().to_string(), "0");
    }

    #[test]
    fn a_malformed_log_is_refused_with_its_part() {
        let refused = "0*3,x".parse::<DecisionLog>().expect_err("x is no answer");
        assert_eq!(refused.part, "x");
        assert!("".parse::<DecisionLog>().is_err());
        assert!("1*0".parse::<DecisionLog>().is_err());
    }
}
