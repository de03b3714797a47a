//! Shards: what is to be done, split so that each part is done by one of several machines.

use std::fmt;
use std::str::FromStr;

/// More shards are refused.
pub const SHARD_COUNT_MAX: u32 = 65_536;

/// One of several shards, which together are the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// From 0.
    index: u32,
    count: u32,
}

impl Shard {
    /// The only one.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The shard of that number, from 1, of so many; `None` if there is none.
    #[must_use]
    pub fn new(number: u32, count: u32) -> Option<Self> {
        let is_possible = (1..=count).contains(&number) && count <= SHARD_COUNT_MAX;
        is_possible.then(|| Self { index: number - 1, count })
    }

    /// Its number, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.index + 1
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// How many things of a numbered row come before its first one.
    #[must_use]
    pub fn skipped(self) -> usize {
        self.index as usize
    }

    /// Is the thing of that number, or hash, its own? Exactly one of all shards says so.
    #[must_use]
    pub fn has(self, number: u128) -> bool {
        number % u128::from(self.count) == u128::from(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number(), self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let numbers =
            parts.and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
        numbers.and_then(|(number, count)| Self::new(number, count)).ok_or_else(|| {
            format!(
                "a shard is NUMBER/COUNT, such as 2/3, with a count of at most {SHARD_COUNT_MAX}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_belongs_to_one_shard() {
        for count in 1..6 {
            let shards: Vec<Shard> = (1..=count).filter_map(|n| Shard::new(n, count)).collect();
            assert_eq!(shards.len(), count as usize);
            for number in 0..20 {
                assert_eq!(shards.iter().filter(|shard| shard.has(number)).count(), 1);
            }
        }
    }

    #[test]
    fn a_shard_reads_back_as_itself_and_nonsense_is_refused() {
        assert_eq!("2/3".parse::<Shard>().map(|shard| shard.to_string()), Ok("2/3".to_owned()));
        for nonsense in ["", "1", "0/3", "4/3", "1/0", "/", "1/2/3", "-1/2", "1/4294967296"] {
            assert!(nonsense.parse::<Shard>().is_err(), "{nonsense}");
        }
    }
}
