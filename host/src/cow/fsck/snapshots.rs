//! Snapshots: each is a file system by itself, and what it reaches nobody uses for something else.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;
use imbl::OrdMap;

use crate::cow::SNAPSHOTS_MAX;
use crate::cow::format::BlockPtr;
use crate::cow::format::item::Key;
use crate::cow::format::item::SnapshotItem;
use crate::cow::format::root::Root;
use crate::cow::fsck::Checker;
use crate::cow::fsck::Problem;
use crate::cow::fsck::Sound;
use crate::device::BlockNo;

/// Who uses each block, as the first user said.
type Users = OrdMap<BlockNo, &'static str>;

impl Checker<'_> {
    /// Looks at all of every snapshot, whatever the image is like.
    pub(super) fn check_snapshots(&mut self, root: &Root) {
        self.now.snapshots.clear();
        let Some(list) = root.snapshots else { return };
        let mut users = self.now.users.clone();
        let snapshots = self.list(list, root, &mut users);
        for (name, item) in snapshots {
            let nothing = Sound::nothing(self.geometry);
            let mut inside = self.beside(&nothing);
            inside.walk_tree(item.tree, root);
            inside.now.items = inside.now.tree.clone();
            inside.check_files();
            let (problems, used) = (inside.problems, inside.now.users);
            let prefix = format!("in the snapshot \"{}\": ", name.escape_ascii());
            let named =
                |problem: Problem| Problem { what: format!("{prefix}{}", problem.what), ..problem };
            self.problems.extend(problems.into_iter().map(named));
            for (block, user) in used {
                let other = users.insert(block, user);
                if let Some(other) = other.filter(|other| *other != user) {
                    self.block(block, "C-3", format!("{prefix}used as {user} and as {other}"));
                }
                self.now.snapshots.insert(block);
            }
        }
    }

    /// A look at another tree of the same image.
    fn beside<'b>(&self, nothing: &'b Sound) -> Checker<'b> {
        Checker {
            was: nothing,
            changed: Vec::new(),
            geometry: self.geometry,
            now: Sound { image: self.now.image.clone(), ..nothing.clone() },
            problems: Vec::new(),
        }
    }

    /// The list of snapshots. Nobody else uses its blocks.
    fn list(
        &mut self,
        list: BlockPtr,
        root: &Root,
        users: &mut Users,
    ) -> BTreeMap<Bytes, SnapshotItem> {
        let nothing = Sound::nothing(self.geometry);
        let mut inside = self.beside(&nothing);
        inside.walk_tree(list, root);
        let (problems, items, used) = (inside.problems, inside.now.tree, inside.now.users);
        self.problems.extend(problems);
        for block in used.keys() {
            self.now.snapshots.insert(*block);
            if let Some(other) = users.insert(*block, "the list of snapshots") {
                let what = format!("used as the list of snapshots and as {other}");
                self.block(*block, "C-3", what);
            }
        }
        let mut snapshots = BTreeMap::new();
        let mut numbers: BTreeSet<u32> = BTreeSet::new();
        for (key, value) in items {
            let item = SnapshotItem::decode(&value);
            let (Some(Key::Snapshot { name }), Some(item)) = (Key::decode(&key), item) else {
                self.block(list.block, "F-1", "the list of snapshots names something else");
                continue;
            };
            if item.number >= root.next_snapshot || !numbers.insert(item.number) {
                let what = format!("{} is no number of a snapshot", item.number);
                self.block(list.block, "F-1", what);
            }
            snapshots.insert(name, item);
        }
        if snapshots.is_empty() || snapshots.len() > SNAPSHOTS_MAX {
            self.block(list.block, "F-1", format!("a list of {} snapshots", snapshots.len()));
        }
        snapshots
    }
}
