//! Extended attributes and permission bits of a file: what is set, what is promised, and what lies
//! between.

use bytes::Bytes;
use imbl::OrdMap;

use crate::model::Modes;
use crate::model::Promise;
use crate::model::ordinary;
use crate::words::FileKind;
use crate::words::Found;
use crate::words::FoundKind;
use crate::words::Step;

/// A change of one attribute that is not promised to be durable.
#[derive(Debug, Clone)]
pub(crate) struct AttributeChange {
    pub(crate) name: Bytes,
    /// None where it was removed.
    pub(crate) value: Option<Bytes>,
    /// When it was acknowledged.
    pub(crate) acked: Option<Step>,
}

impl AttributeChange {
    /// Bytes of the name and of the value.
    pub(crate) fn size_bytes(&self) -> u64 {
        (self.name.len() + self.value.as_ref().map_or(0, Bytes::len)) as u64
    }
}

/// The attributes of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    pub(crate) live: OrdMap<Bytes, Bytes>,
    /// Changes since the floor, by order.
    pub(crate) log: OrdMap<u64, AttributeChange>,
    /// What is promised of each name; of others, that they are not there.
    pub(crate) floor: OrdMap<Bytes, (Option<Bytes>, Promise)>,
    pub(crate) mode: Modes,
}

impl Attributes {
    /// A change takes effect.
    pub(crate) fn change(&mut self, order: u64, change: AttributeChange) {
        match &change.value {
            Some(value) => drop(self.live.insert(change.name.clone(), value.clone())),
            None => drop(self.live.remove(&change.name)),
        }
        self.log.insert(order, change);
    }

    /// What was acknowledged before `began` is promised.
    pub(crate) fn promise(&mut self, began: Step, promise: Promise) {
        for (order, change) in self.log.clone() {
            if change.acked.is_some_and(|acked| acked < began) {
                self.floor.insert(change.name, (change.value, promise));
                self.log.remove(&order);
            }
        }
    }

    /// Of a file of that kind that was just made.
    pub(crate) fn made(kind: FileKind) -> Self {
        Self { mode: Modes::made(ordinary(kind)), ..Self::default() }
    }

    /// As they were found: that is what there is, and durable.
    pub(crate) fn found(found: &Found, promise: Promise) -> Self {
        let kept = |(name, value): (&Bytes, &Bytes)| (name.clone(), (Some(value.clone()), promise));
        let floor = found.attributes.iter().map(kept).collect();
        let kind = match found.kind {
            FoundKind::Directory => FileKind::Directory,
            FoundKind::Symlink { .. } => FileKind::Symlink,
            FoundKind::Regular { .. } | FoundKind::Unreadable { .. } => FileKind::Regular,
        };
        let mode = match found.mode {
            Some(mode) => Modes::found(mode, promise),
            None => Modes::made(ordinary(kind)),
        };
        Self { live: found.attributes.clone(), log: OrdMap::new(), floor, mode }
    }

    /// May an attribute have this value, as a crash leaves it, or as it was at some time since the
    /// last sync?
    pub(crate) fn may_be(&self, name: &Bytes, value: Option<&Bytes>) -> bool {
        let floor = self.floor.get(name).and_then(|(value, _)| value.as_ref());
        let mut later = self.log.values().filter(|change| change.name == *name);
        floor == value || later.any(|change| change.value.as_ref() == value)
    }

    /// The first attribute that a crash cannot have left so.
    pub(crate) fn wrong_in(&self, found: &OrdMap<Bytes, Bytes>) -> Option<Bytes> {
        let names = found.keys().chain(self.floor.keys());
        let mut names = names.filter(|name| !self.may_be(name, found.get(*name)));
        names.next().cloned()
    }
}
