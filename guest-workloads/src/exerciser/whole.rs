//! Operations on the whole file system: syncs, snapshots, memory pressure, its size, marks.

use std::io;

use crashproof_guest::file;
use crashproof_guest::machine;
use crashproof_guest::snapshot;
use crashproof_guest::snapshot::Snapshot;

use super::Exerciser;
use super::expect;
use super::tree::NodeId;
use super::tree::Tree;
use super::uninterrupted;
use crate::abi;

pub(super) const OPERATION_COUNT: u64 = 10;

pub(super) const LEG_OPERATION_COUNT: u64 = 4;

pub(super) const SCRUB_OPERATION_COUNT: u64 = 2;

const SNAPSHOTS_MAX: usize = 2;

/// A snapshot, and what should be in it.
#[derive(Debug)]
pub(super) struct Frozen {
    name: String,
    tree: Tree,
}

/// Takes the first leg of a mirror away, brings it back, or drops what is in memory. What the
/// files hold is the same.
pub(super) fn on_legs(operation: u64) -> io::Result<()> {
    match operation {
        0 => machine::fault("lose-leg:0"),
        1 => machine::fault("return-leg:0"),
        _ => machine::drop_caches(),
    }
}

/// Looks at every leg of a mirror, or drops what is in memory. What the files hold is the same.
pub(super) fn on_copies(operation: u64) -> io::Result<()> {
    match operation {
        0 => machine::fault("scrub"),
        _ => machine::drop_caches(),
    }
}

impl Exerciser {
    pub(super) fn on_whole(&mut self, operation: u64) -> io::Result<()> {
        match operation {
            0 => self.sync_all(),
            1..=2 => machine::drop_caches(),
            3 => self.take_snapshot(),
            4 => self.delete_snapshot(),
            5 => self.space(),
            6 => {
                machine::note(7, i64::try_from(self.draws.below(1_000)).unwrap_or(0));
                Ok(())
            }
            7 => self.list("/"),
            _ if self.snapshots.is_empty() => self.take_snapshot(),
            _ => {
                let position = self.draws.index(self.snapshots.len());
                self.compare_snapshot(position)
            }
        }
    }

    fn sync_all(&mut self) -> io::Result<()> {
        let Some(open) = self.open.last() else { return self.open("g") };
        let answer = file::sync_all_files(&open.file);
        expect("syncfs", true, &answer);
        let files: Vec<NodeId> = self.tree.files().collect();
        for node in files {
            self.note_sync(node, &answer);
        }
        answer
    }

    fn take_snapshot(&mut self) -> io::Result<()> {
        self.snapshot_count += 1;
        let name = format!("all-{}", self.snapshot_count);
        let answer = snapshot::create(&name);
        expect("a snapshot", true, &answer);
        answer?;
        let mut tree = self.tree.clone();
        tree.collect(&Default::default());
        self.snapshots.push_back(Frozen { name, tree });
        if self.snapshots.len() > SNAPSHOTS_MAX { self.delete_snapshot() } else { Ok(()) }
    }

    /// Deletes the oldest.
    fn delete_snapshot(&mut self) -> io::Result<()> {
        let Some(oldest) = self.snapshots.front() else { return Ok(()) };
        let answer = snapshot::delete(&oldest.name);
        expect("the end of a snapshot", true, &answer);
        answer?;
        self.snapshots.pop_front();
        Ok(())
    }

    /// Reads every file in a snapshot.
    pub(super) fn compare_snapshot(&mut self, position: usize) -> io::Result<()> {
        let frozen = &mut self.snapshots[position];
        let snapshot = uninterrupted(|| Snapshot::open(&frozen.name))?;
        for (path, node) in frozen.tree.names() {
            if !frozen.tree.is_file(node) {
                continue;
            }
            let file = uninterrupted(|| snapshot.file(&path))?;
            let content = frozen.tree.content_mut(node);
            let limit = content.len() + 100;
            let mut found = vec![0; limit];
            let count = abi::read_full_at(&file, &mut found, 0)?;
            content.compare_to_end("a snapshot", 0, &found[..count], limit);
        }
        Ok(())
    }

    fn space(&mut self) -> io::Result<()> {
        let Some(open) = self.open.last() else { return self.open("g") };
        let answer = file::space(&open.file);
        expect("statfs", true, &answer);
        let [block_size, blocks, free, available, ..] = answer?.numbers;
        assert!(block_size.is_power_of_two(), "blocks of {block_size} bytes");
        assert!(available <= free && free <= blocks, "{available} of {free} of {blocks} blocks");
        Ok(())
    }
}
