//! The bytes that a file should have. Where a call failed half way, a byte may be one of several,
//! until a read tells which. Where lost bytes are forgotten, a page may be what it was earlier at
//! any time: a byte is then whatever a read tells, and only sizes are known.

use std::collections::BTreeMap;
use std::ops::Range;

/// What a byte may be, besides what the model has.
#[derive(Debug, Clone)]
enum Doubt {
    Among(Vec<u8>),
    Any,
}

/// Bytes, and what is not sure of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    bytes: Vec<u8>,
    doubts: BTreeMap<usize, Doubt>,
    /// A range around all that was changed since the last sync that succeeded.
    unsynced: Option<Range<usize>>,
    /// May it be earlier bytes at any time?
    does_revert: bool,
}

impl Content {
    /// That of a new file.
    pub(super) fn empty(does_revert: bool) -> Self {
        Self { does_revert, ..Self::default() }
    }

    /// As a read of the whole file returned it.
    pub(super) fn read(bytes: Vec<u8>, does_revert: bool) -> Self {
        let unsynced = Some(0..bytes.len());
        Self { bytes, doubts: BTreeMap::new(), unsynced, does_revert }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Is it known of each byte what it is?
    pub(super) fn is_sure(&self) -> bool {
        self.doubts.is_empty() && !self.does_revert
    }

    /// May every byte of a range be zero?
    pub(super) fn may_be_zero(&self, range: Range<usize>) -> bool {
        let is_zero = |(at, &byte): (usize, &u8)| {
            byte == 0 || self.does_revert || self.doubts.contains_key(&at)
        };
        (range.start..).zip(&self.bytes[range]).all(is_zero)
    }

    /// A range of it, with what is not sure.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        let doubts = self.doubts.range(range.clone());
        Self {
            bytes: self.bytes[range.clone()].to_vec(),
            doubts: doubts.map(|(at, doubt)| (at - range.start, doubt.clone())).collect(),
            unsynced: None,
            does_revert: self.does_revert,
        }
    }

    /// Puts another's bytes into it.
    pub(super) fn put(&mut self, at: usize, part: &Self) {
        self.write(at, &part.bytes);
        self.doubts.extend(part.doubts.iter().map(|(&place, doubt)| (at + place, doubt.clone())));
    }

    /// Takes a range out; what comes after it moves down.
    pub(super) fn collapse(&mut self, range: Range<usize>) {
        let rest = self.part(range.end..self.len());
        self.resize(self.len() - range.len());
        self.put(range.start, &rest);
    }

    /// Puts zeros in; what comes after them moves up.
    pub(super) fn insert(&mut self, range: Range<usize>) {
        let rest = self.part(range.start..self.len());
        self.put(range.end, &rest);
        self.write(range.start, &vec![0; range.len()]);
    }

    fn changed(&mut self, range: Range<usize>) {
        let old = self.unsynced.take().unwrap_or(range.clone());
        self.unsynced = Some(old.start.min(range.start)..old.end.max(range.end));
    }

    fn forget_doubts(&mut self, range: Range<usize>) {
        let settled: Vec<usize> = self.doubts.range(range).map(|(&at, _)| at).collect();
        for at in settled {
            self.doubts.remove(&at);
        }
    }

    /// A write, or a store, that was done.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        let range = at..at + bytes.len();
        if self.len() < range.end {
            self.resize(range.end);
        }
        self.bytes[range.clone()].copy_from_slice(bytes);
        self.forget_doubts(range.clone());
        self.changed(range);
    }

    /// A write that failed: of its range, up to where the file ends now, each byte is old or new.
    pub(super) fn may_have_written(&mut self, at: usize, bytes: &[u8], size_now: usize) {
        self.resize(size_now);
        for (place, &new) in (at..size_now).zip(bytes) {
            if self.bytes[place] != new {
                self.doubt(place, new);
            }
        }
        self.changed(at.min(size_now)..size_now.min(at + bytes.len()));
    }

    fn doubt(&mut self, at: usize, other: u8) {
        match self.doubts.entry(at).or_insert_with(|| Doubt::Among(Vec::new())) {
            Doubt::Among(others) => others.push(other),
            Doubt::Any => {}
        }
    }

    /// A truncation, either way.
    pub(super) fn resize(&mut self, size: usize) {
        let old = self.len();
        if size != old {
            self.bytes.resize(size, 0);
            self.forget_doubts(size..usize::MAX);
            self.changed(old.min(size)..old.max(size));
        }
    }

    /// A sync failed: what no other covered may be as it was before.
    pub(super) fn sync_failed(&mut self) {
        let range = self.unsynced.clone().unwrap_or(0..0);
        for at in range.start..range.end.min(self.len()) {
            self.doubts.insert(at, Doubt::Any);
        }
    }

    /// A sync succeeded.
    pub(super) fn synced(&mut self) {
        self.unsynced = None;
    }

    /// Compares what some view of the file shows from `at` on, and learns from it.
    ///
    /// # Panics
    /// If it shows what the file cannot have.
    pub(super) fn compare(&mut self, view: &str, at: usize, found: &[u8]) {
        if self.doubts.is_empty() && self.bytes.get(at..at + found.len()) == Some(found) {
            return;
        }
        for (place, &byte) in (at..).zip(found) {
            let expected = self.bytes.get(place).copied();
            let is_possible = expected == Some(byte)
                || expected.is_some() && self.does_revert
                || match self.doubts.get(&place) {
                    Some(Doubt::Among(others)) => others.contains(&byte),
                    Some(Doubt::Any) => true,
                    None => false,
                };
            assert!(is_possible, "{view} has {byte} at {place}, and not {expected:?}");
            self.bytes[place] = byte;
            self.doubts.remove(&place);
        }
    }

    /// As [`Content::compare`], of all that is left of the file from `at` on, at most `limit`.
    pub(super) fn compare_to_end(&mut self, view: &str, at: usize, found: &[u8], limit: usize) {
        let expected = self.len().saturating_sub(at).min(limit);
        assert!(found.len() == expected, "{view} of {} bytes, and not {expected}", found.len());
        self.compare(view, at, found);
    }
}
