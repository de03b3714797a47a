//! Seam 3: who answers what is left to chance.
//!
//! Answer 0 is calm at every site, so a log of zeros is a healthy run and a log is simplified by
//! turning answers into zeros. Every chooser is a value; one program is random, exhaustive,
//! replayed or fuzzed by exchanging it.

use std::num::NonZeroU32;

use crate::sim::Site;

/// Answers every question that the program leaves to chance.
pub trait Chooser: Send {
    /// Returns an index below `arity`. Zero is the calm answer at every site.
    fn choose(&mut self, site: Site, arity: NonZeroU32) -> u32;

    /// Will it answer every question with zero? Then it need not be asked.
    fn is_calm(&self) -> bool {
        false
    }
}

/// Always calm: no fault, program order, no delay.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calm;

impl Chooser for Calm {
    fn choose(&mut self, _site: Site, _arity: NonZeroU32) -> u32 {
        0
    }

    fn is_calm(&self) -> bool {
        true
    }
}

/// How often a seeded chooser is not calm, as a ratio of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unrest {
    /// Unusual answers ...
    pub numerator: u32,
    /// ... out of so many questions.
    pub denominator: NonZeroU32,
}

impl Unrest {
    /// One unusual answer in `denominator` questions.
    ///
    /// # Panics
    /// If `denominator` is zero.
    #[must_use]
    pub const fn one_in(denominator: u32) -> Self {
        Self {
            numerator: 1,
            denominator: NonZeroU32::new(denominator).expect("a ratio has a denominator above 0"),
        }
    }
}

/// Pseudo-random answers; each site has its own stream, so that one question more at one site
/// does not change the answers at another.
#[derive(Debug, Clone)]
pub struct Seeded {
    streams: [u64; Site::ALL.len()],
    unrest: [Unrest; Site::ALL.len()],
}

impl Seeded {
    /// A chooser whose answers are fixed by `seed`; sites in `unrest` are unusual that often, all
    /// others stay calm.
    #[must_use]
    pub fn new(seed: u64, unrest: &[(Site, Unrest)]) -> Self {
        let mut streams = [0; Site::ALL.len()];
        for (number, stream) in streams.iter_mut().enumerate() {
            *stream = mix(seed ^ mix(number as u64 + 1));
        }
        let mut odds = [Unrest { numerator: 0, denominator: NonZeroU32::MIN }; Site::ALL.len()];
        for (site, ratio) in unrest {
            odds[*site as usize] = *ratio;
        }
        Self { streams, unrest: odds }
    }
}

impl Chooser for Seeded {
    fn choose(&mut self, site: Site, arity: NonZeroU32) -> u32 {
        let odds = self.unrest[site as usize];
        if odds.numerator == 0 || arity.get() == 1 {
            return 0;
        }
        let stream = &mut self.streams[site as usize];
        *stream = stream.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let random = mix(*stream);
        let [coin, pick] = [(random >> 32) as u32, random as u32];
        if coin % odds.denominator >= odds.numerator {
            return 0;
        }
        1 + pick % (arity.get() - 1)
    }
}

/// One round of splitmix64's output function (Steele, Lea, Flood 2014).
#[must_use]
pub fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The remainder, modulo 4, of a byte that stands for an unusual answer.
const UNUSUAL: u8 = 3;

/// Answers taken from a fuzzer's bytes: one byte in four is unusual. Calm when they run out.
#[derive(Debug, Clone)]
pub struct FromBytes {
    bytes: std::vec::IntoIter<u8>,
}

impl FromBytes {
    /// A chooser that consumes one byte a question, more only where there are many answers.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into_iter() }
    }
}

impl Chooser for FromBytes {
    fn choose(&mut self, _site: Site, arity: NonZeroU32) -> u32 {
        if arity.get() == 1 {
            return 0;
        }
        // Most questions are calm: where every call is interrupted and every write fails, no
        // history gets far enough to break a promise.
        let first = self.bytes.next().unwrap_or(0);
        if first % 4 != UNUSUAL {
            return 0;
        }
        let unusual = arity.get() - 1;
        let mut answer = u32::from(first / 4);
        let mut seen = 64;
        while seen < unusual {
            answer = (answer << 8) | u32::from(self.bytes.next().unwrap_or(0));
            seen <<= 8;
        }
        1 + answer % unusual
    }
}

/// Walks every combination of answers, one run after the other, in lexicographic order.
///
/// Each run replays the prefix of answers that the walk stands at and is calm beyond it; after
/// the run, [`Exhaustive::advance`] moves to the next combination.
#[derive(Debug, Clone, Default)]
pub struct Exhaustive {
    path: Vec<(u32, u32)>,
    depth: usize,
}

impl Exhaustive {
    /// Moves to the next combination; `false` when all have been walked.
    pub fn advance(&mut self) -> bool {
        self.depth = 0;
        while let Some((answer, arity)) = self.path.pop() {
            if answer + 1 < arity {
                self.path.push((answer + 1, arity));
                return true;
            }
        }
        false
    }
}

impl Chooser for Exhaustive {
    fn choose(&mut self, _site: Site, arity: NonZeroU32) -> u32 {
        if self.depth == self.path.len() {
            self.path.push((0, arity.get()));
        }
        let (answer, known) = self.path[self.depth];
        assert_eq!(known, arity.get(), "S-1: a replay asks the same questions");
        self.depth += 1;
        answer
    }
}

impl<C: Chooser + ?Sized> Chooser for Box<C> {
    fn choose(&mut self, site: Site, arity: NonZeroU32) -> u32 {
        (**self).choose(site, arity)
    }

    fn is_calm(&self) -> bool {
        (**self).is_calm()
    }
}

impl<C: Chooser + ?Sized> Chooser for &mut C {
    fn choose(&mut self, site: Site, arity: NonZeroU32) -> u32 {
        (**self).choose(site, arity)
    }

    fn is_calm(&self) -> bool {
        (**self).is_calm()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhaustive_walks_every_combination_once() {
        let mut walk = Exhaustive::default();
        let mut seen = Vec::new();
        loop {
            let mut ask = |arity| {
                walk.choose(Site::Schedule, NonZeroU32::new(arity).expect("a literal above 0"))
            };
            let first = ask(2);
            let second = if first == 0 { ask(3) } else { ask(2) };
            seen.push((first, second));
            if !walk.advance() {
                break;
            }
        }
        assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]);
    }

    #[test]
    fn bytes_reach_every_answer_and_most_are_calm() {
        let few = NonZeroU32::new(3).expect("a literal above 0");
        let many = NonZeroU32::new(1000).expect("a literal above 0");
        let answers: Vec<u32> =
            (0..=255).map(|byte| FromBytes::new(vec![byte]).choose(Site::ShortRead, few)).collect();
        assert_eq!(answers.iter().filter(|answer| **answer == 0).count(), 192);
        assert!(answers.contains(&1) && answers.contains(&2));
        let ask = |[first, second]: [u8; 2]| {
            FromBytes::new(vec![first, second]).choose(Site::PowerLoss, many)
        };
        let reached: std::collections::BTreeSet<u32> =
            (0..=u16::MAX).map(|pair| ask(pair.to_le_bytes())).collect();
        assert_eq!(reached.len(), 1000);
        assert_eq!(FromBytes::new(Vec::new()).choose(Site::ShortRead, few), 0);
    }

    #[test]
    fn a_question_more_at_one_site_leaves_the_others_alone() {
        let unrest = [(Site::ShortRead, Unrest::one_in(2)), (Site::Preempt, Unrest::one_in(2))];
        let three = NonZeroU32::new(3).expect("a literal above 0");
        let (mut plain, mut more) = (Seeded::new(7, &unrest), Seeded::new(7, &unrest));
        for _ in 0..64 {
            more.choose(Site::Preempt, three);
            assert_eq!(plain.choose(Site::ShortRead, three), more.choose(Site::ShortRead, three));
        }
    }
}
