//! Mapped memory of a process, between its linear memory and the file system.
//!
//! Linear memory is a copy of what is mapped. Its stores go to the file system as requests, atom
//! by atom, in order; what others changed comes back as loads, before the process goes on. Results
//! of calls that the host leaves in mapped memory are stores too.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime::Global;

use crate::call::Memory;
use crate::call::Request;
use crate::call::Signal;
use crate::call::Value;
use crate::mapping::ACCESS_BYTES_MAX;
use crate::mapping::ATOM_BYTES;
use crate::mapping::Barred;
use crate::mapping::MappingMode;
use crate::mapping::PAGE_BYTES;
use crate::mapping::Piece;
use crate::mapping::Regions;
use crate::mapping::differences;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::process::End;
use crate::wasi::process::Killed;

/// At most so much is loaded by one request.
const LOAD_BYTES_MAX: u64 = 64 << 10;

/// The smallest page that a file system has: all of one can be had, or none of it.
const FILE_PAGE_BYTES_MIN: u64 = 512;

/// What of a process's memory is mapped, and what is not yet told of it.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) regions: Regions,
    /// What of it the process cannot load from.
    pub(super) barred: Barred,
    /// What the call under way left in memory.
    pub(super) written: Vec<Range<u64>>,
    /// Where mapped memory begins and how far it goes, and the same of what is barred, for the code
    /// that the rewriter added.
    pub(super) globals: Option<[Global; 4]>,
    /// What each page held when it was last looked at, where nothing is rewritten.
    twins: Option<BTreeMap<u64, Box<[u8]>>>,
}

impl Mapped {
    pub(super) fn new(mode: MappingMode) -> Self {
        let twins = match mode {
            MappingMode::Stores => None,
            MappingMode::Twin => Some(BTreeMap::new()),
        };
        Self {
            regions: Regions::default(),
            barred: Barred::default(),
            written: Vec::new(),
            globals: None,
            twins,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }
}

/// The parts of a piece that lie within one atom each.
fn atoms(piece: &Piece) -> impl Iterator<Item = Range<u64>> {
    let end = piece.at.end;
    let mut at = piece.at.start;
    std::iter::from_fn(move || {
        let start = at;
        at = end.min((start / ATOM_BYTES + 1) * ATOM_BYTES);
        (start < end).then_some(start..at)
    })
}

fn in_memory(range: &Range<u64>) -> Range<usize> {
    // Pieces lie in memory, which is at most as long as an address space.
    range.start as usize..range.end as usize
}

/// Where an access may begin that reaches into a range: its first address, and how many there are.
fn reach(hull: &Range<u64>) -> (u32, u32) {
    if hull.is_empty() {
        return (0, 0);
    }
    let margin = ACCESS_BYTES_MAX - 1;
    let len = hull.end - hull.start + u64::from(margin);
    ((hull.start as u32).wrapping_sub(margin), u32::try_from(len).unwrap_or(u32::MAX))
}

impl Frame<'_> {
    /// Tells the code that the rewriter added where mapped memory is, and what of it is barred.
    pub(super) fn set_hulls(&mut self) {
        let mapped = &mut self.process().mapped;
        mapped.barred.locate(&mapped.regions);
        let (hull, barred) = (mapped.regions.hull(), mapped.barred.hull());
        let Some(globals) = mapped.globals else { return };
        let [(start, len), (barred_start, barred_len)] = [reach(&hull), reach(&barred)];
        for (global, value) in globals.into_iter().zip([start, len, barred_start, barred_len]) {
            self.set_global(global, value);
        }
    }

    /// Begins to watch pages for what is stored to them, where nothing is rewritten.
    pub(super) fn watch(&mut self, range: &Range<u64>) {
        let (memory, process) = self.bytes_mut();
        let Some(twins) = &mut process.mapped.twins else { return };
        for page in range.clone().step_by(PAGE_BYTES as usize) {
            twins.insert(page, memory[in_memory(&(page..page + PAGE_BYTES))].into());
        }
    }

    /// Ends watching pages.
    pub(super) fn forget(&mut self, range: &Range<u64>) {
        let Some(twins) = &mut self.process().mapped.twins else { return };
        let gone: Vec<u64> = twins.range(range.clone()).map(|(page, _)| *page).collect();
        for page in gone {
            twins.remove(&page);
        }
    }

    /// Puts bytes that came from the file system into memory.
    fn place_loaded(&mut self, at: u64, data: &[u8]) {
        let (memory, process) = self.bytes_mut();
        let range = at..at + data.len() as u64;
        memory[in_memory(&range)].copy_from_slice(data);
        let Some(twins) = &mut process.mapped.twins else { return };
        let first = range.start - range.start % PAGE_BYTES;
        for (page, twin) in twins.range_mut(first..range.end) {
            let (from, to) = (range.start.max(*page), range.end.min(page + PAGE_BYTES));
            twin[(from - page) as usize..(to - page) as usize]
                .copy_from_slice(&memory[in_memory(&(from..to))]);
        }
    }

    /// Tells the file system of a store, atom by atom.
    pub(super) async fn announce_store(&mut self, range: Range<u64>) -> Outcome {
        let pieces = self.looked_at().mapped.regions.pieces(&range);
        // As it is now: what is loaded meanwhile is no part of this store.
        let Some(first) = pieces.first() else { return Ok(()) };
        let end = pieces.last().map_or(first.at.end, |last| last.at.end);
        let stored = Bytes::copy_from_slice(&self.bytes()[in_memory(&(first.at.start..end))]);
        for piece in &pieces {
            for atom in atoms(piece) {
                let from = (atom.start - first.at.start) as usize;
                let data = stored.slice(from..from + (atom.end - atom.start) as usize);
                self.keep_twin(atom.start, &data);
                let offset = piece.offset_of(atom.start);
                let store = Memory::Store { mapping: piece.mapping, offset, data };
                match self.touch(store).await? {
                    Ok(Value::Done) => {}
                    Ok(_) => unexpected(),
                    Err(signal) => return Err(killed(signal, true, atom.start)),
                }
            }
        }
        Ok(())
    }

    fn keep_twin(&mut self, at: u64, data: &[u8]) {
        let Some(twins) = &mut self.process().mapped.twins else { return };
        // An atom lies within a page.
        let page = at - at % PAGE_BYTES;
        if let Some(twin) = twins.get_mut(&page) {
            twin[(at - page) as usize..][..data.len()].copy_from_slice(data);
        }
    }

    /// Asks the file system for what is barred of what the process is about to load.
    pub(super) async fn announce_load(&mut self, range: Range<u64>) -> Outcome {
        let mapped = &self.looked_at().mapped;
        let barred = mapped.barred.within(&range).into_iter();
        let pieces: Vec<_> = barred.flat_map(|part| mapped.regions.pieces(&part)).collect();
        for piece in pieces {
            let len = (piece.at.end - piece.at.start).min(LOAD_BYTES_MAX) as u32;
            let load = Memory::Load { mapping: piece.mapping, offset: piece.offset, len };
            if let Err(signal) = self.touch(load).await? {
                return Err(killed(signal, false, piece.at.start));
            }
            // It can be had now: all of its pages are loaded, as far as they can be.
            let first = piece.at.start - piece.at.start % FILE_PAGE_BYTES_MIN;
            let pages = first..piece.at.end.next_multiple_of(FILE_PAGE_BYTES_MIN);
            for piece in self.looked_at().mapped.regions.pieces(&pages) {
                self.load_piece(&piece).await?;
            }
        }
        Ok(())
    }

    /// Asks for an access to mapped memory. It is no call: an error is a signal.
    async fn touch(&mut self, access: Memory) -> Result<Result<Value, Signal>, Failure> {
        match self.ask(Request::Memory(access)).await {
            Ok(Value::Signal(signal)) => Ok(Err(signal)),
            Ok(value) => Ok(Ok(value)),
            Err(Failure::Errno(_)) => Ok(Err(Signal::Bus)),
            Err(Failure::End(end)) => Err(Failure::End(end)),
        }
    }

    /// Announces what the process stored since it was last looked at, where nothing is rewritten.
    pub(super) async fn catch_up(&mut self) -> Outcome {
        let Some(twins) = &self.looked_at().mapped.twins else { return Ok(()) };
        let memory = self.bytes();
        let mut changed = Vec::new();
        for (page, twin) in twins {
            let is = &memory[in_memory(&(*page..page + PAGE_BYTES))];
            let ranges = differences(twin, is).into_iter();
            changed.extend(ranges.map(|range| page + range.start as u64..page + range.end as u64));
        }
        for range in changed {
            self.announce_store(range).await?;
        }
        Ok(())
    }

    /// What comes between the effect of a call and its answer: its results in mapped memory are
    /// stores, and what others changed is loaded.
    pub(super) async fn settle(&mut self, outcome: Outcome) -> Outcome {
        if self.looked_at().mapped.is_empty() || matches!(outcome, Err(Failure::End(_))) {
            self.process().mapped.written.clear();
            return outcome;
        }
        for range in std::mem::take(&mut self.process().mapped.written) {
            self.announce_store(range).await?;
        }
        self.refresh().await?;
        outcome
    }

    /// Loads what the process's copy does not have, and learns what it cannot have.
    pub(super) async fn refresh(&mut self) -> Outcome {
        loop {
            let process = self.looked_at();
            let (vfs, id) = (Arc::clone(&process.vfs), process.caller.process);
            let stale = vfs.take_stale(id);
            if stale.is_empty() {
                // Nothing comes between: both are of one moment.
                let told = vfs.take_barred(id);
                let barred = &mut self.process().mapped.barred;
                if let Some(told) = told {
                    barred.tell(told);
                }
                if barred.is_changed() {
                    self.set_hulls();
                }
                return Ok(());
            }
            for (mapping, range) in stale {
                for piece in self.looked_at().mapped.regions.of_mapping(mapping, &range) {
                    self.load_piece(&piece).await?;
                }
            }
        }
    }

    async fn load_piece(&mut self, piece: &Piece) -> Outcome {
        let mut at = piece.at.start;
        let mut step = LOAD_BYTES_MAX;
        while at < piece.at.end {
            let end = piece.at.end.min((at / step + 1) * step);
            let part = Piece { at: at..end, mapping: piece.mapping, offset: piece.offset_of(at) };
            let len = (end - at) as u32;
            let load = Memory::Load { mapping: part.mapping, offset: part.offset, len };
            match self.touch(load).await? {
                Ok(Value::Data(data)) => {
                    self.place_loaded(at, &data);
                    self.process().mapped.barred.remove_unread(&part);
                }
                Ok(_) => unexpected(),
                // The file became shorter meanwhile, or a page cannot be had: which one is found
                // page by page.
                Err(_) if end - at > FILE_PAGE_BYTES_MIN => {
                    step = FILE_PAGE_BYTES_MIN;
                    continue;
                }
                // The process did not touch it yet: when it does, it is told.
                Err(_) => {
                    self.place_loaded(at, &vec![0; len as usize]);
                    self.process().mapped.barred.add_unread(&part);
                }
            }
            at = end;
        }
        Ok(())
    }
}

fn killed(signal: Signal, by_store: bool, address: u64) -> Failure {
    Failure::End(End::Killed(Killed { signal, by_store, address }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::MappingId;

    #[test]
    fn the_atoms_of_a_piece_are_all_of_it_and_cross_no_boundary() {
        for start in 60..70 {
            for end in start..200 {
                let piece = Piece { at: start..end, mapping: MappingId(1), offset: 0 };
                let parts: Vec<_> = atoms(&piece).collect();
                let whole: u64 = parts.iter().map(|part| part.end - part.start).sum();
                assert_eq!(whole, end - start);
                for part in parts {
                    assert_eq!(part.start / ATOM_BYTES, (part.end - 1) / ATOM_BYTES);
                }
            }
        }
    }
}
