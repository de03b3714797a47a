//! The fallback where nothing is rewritten: what changed since the last look was stored.
//!
//! Neither the order of stores nor a store of what was there already can be seen so.

use std::ops::Range;

use crate::mapping::ATOM_BYTES;

/// Where two stretches of equal length differ, in order. A difference stays within one atom.
pub(crate) fn differences(was: &[u8], is: &[u8]) -> Vec<Range<usize>> {
    let atom = ATOM_BYTES as usize;
    let mut found = Vec::new();
    for (number, (was, is)) in was.chunks(atom).zip(is.chunks(atom)).enumerate() {
        if was == is {
            continue;
        }
        let mut open = None;
        for at in 0..=is.len() {
            let differs = at < is.len() && was[at] != is[at];
            match (open, differs) {
                (None, true) => open = Some(at),
                (Some(start), false) => {
                    found.push(number * atom + start..number * atom + at);
                    open = None;
                }
                (None, false) | (Some(_), true) => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_found_exactly_and_within_atoms() {
        let was = vec![0; 200];
        let mut is = was.clone();
        is[0] = 1;
        is[2..5].fill(7);
        is[60..70].fill(9);
        is[199] = 3;
        assert_eq!(differences(&was, &is), [0..1, 2..5, 60..64, 64..70, 199..200]);
        assert!(differences(&is, &is).is_empty());
    }
}
