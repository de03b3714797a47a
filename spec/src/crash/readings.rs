//! Which directory a name was found to mean, where it meant several, and nothing but the rest of
//! what was found tells them apart.
//!
//! Each such name is a choice; the choices are counted through like the digits of a number, the
//! one that what was found suggests first.

/// More readings are not tried.
const READING_COUNT_MAX: usize = 64;

/// The choices of one reading.
#[derive(Debug, Clone, Default)]
pub(super) struct Readings {
    /// What is chosen, and of how many, in the order in which it is asked.
    choices: Vec<(usize, usize)>,
    asked: usize,
    tried: usize,
}

/// What there is after a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one.
    Reading,
    /// No other one.
    Nothing,
    /// More than are tried.
    TooMany,
}

impl Readings {
    /// Which of so many is chosen here.
    pub(super) fn choose(&mut self, count: usize) -> usize {
        if self.asked == self.choices.len() {
            self.choices.push((0, count));
        }
        let (chosen, _) = self.choices[self.asked];
        self.asked += 1;
        chosen
    }

    /// Goes on to the next reading: the last choice that has another way takes it.
    pub(super) fn next(&mut self) -> Next {
        self.asked = 0;
        self.tried += 1;
        while let Some((chosen, count)) = self.choices.pop() {
            if chosen + 1 < count {
                self.choices.push((chosen + 1, count));
                return if self.tried < READING_COUNT_MAX { Next::Reading } else { Next::TooMany };
            }
        }
        Next::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reading_comes_once_and_the_first_is_the_one_suggested() {
        let mut readings = Readings::default();
        let mut seen = Vec::new();
        loop {
            // The second choice is there after the first way alone.
            let first = readings.choose(2);
            let second = if first == 0 { readings.choose(3) } else { 0 };
            seen.push((first, second));
            if readings.next() != Next::Reading {
                break;
            }
        }
        assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (1, 0)]);
    }

    #[test]
    fn readings_are_bounded() {
        let mut readings = Readings::default();
        let mut count = 0;
        loop {
            (0..40).for_each(|_| {
                readings.choose(2);
            });
            count += 1;
            match readings.next() {
                Next::Reading => {}
                Next::TooMany => break,
                Next::Nothing => panic!("there are more"),
            }
        }
        assert_eq!(count, READING_COUNT_MAX);
    }
}
