//! What the intent log is still to be told of.
//!
//! A batch is replayed whole or not at all, so of each key only what it says in the end counts:
//! however much was changed since the last sync, this is no more than what differs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use crate::cow::format::log::encode_change;

/// What a transaction did to one record.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) key: Bytes,
    /// What the key says now, if anything.
    pub(super) value: Option<Bytes>,
    /// Did it say anything before?
    pub(super) was_there: bool,
}

/// Of each key the last change, and none of a key that was not there before and is not there now.
#[derive(Debug, Default)]
pub(super) struct Unlogged(BTreeMap<Bytes, Latest>);

#[derive(Debug)]
struct Latest {
    value: Option<Bytes>,
    /// Did the key say anything before the first change?
    was_there: bool,
}

impl Unlogged {
    /// Notes a change, which comes after those noted before.
    pub(super) fn note(&mut self, Changed { key, value, was_there }: Changed) {
        match self.0.entry(key) {
            Entry::Vacant(place) => {
                place.insert(Latest { value, was_there });
            }
            Entry::Occupied(place) if value.is_none() && !place.get().was_there => {
                place.remove();
            }
            Entry::Occupied(mut place) => place.get_mut().value = value,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The changes as the payload of a batch.
    pub(super) fn encode(&self) -> Bytes {
        let mut payload = Vec::new();
        for (key, latest) in &self.0 {
            encode_change(key, latest.value.as_deref(), &mut payload);
        }
        payload.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::format::log::Change;
    use crate::cow::format::log::decode_changes;
    use crate::sim::mix;

    #[test]
    fn a_batch_leads_from_what_was_logged_to_what_is_and_names_nothing_that_is_in_neither() {
        let (mut logged, mut live) = (BTreeMap::new(), BTreeMap::new());
        let mut unlogged = Unlogged::default();
        for step in 0..4000 {
            let random = mix(step);
            let key = Bytes::from(vec![(random % 23) as u8]);
            let value = (random >> 8 & 1 == 0).then(|| Bytes::from(vec![(random >> 16) as u8]));
            let was = match value.clone() {
                Some(value) => live.insert(key.clone(), value),
                None => live.remove(&key),
            };
            if was.is_some() || value.is_some() {
                unlogged.note(Changed { key, value, was_there: was.is_some() });
            }
            if random >> 24 & 7 != 0 {
                continue;
            }
            let changes = decode_changes(&unlogged.encode()).expect("written by ourselves");
            assert_eq!(unlogged.is_empty(), changes.is_empty());
            for change in changes {
                match change {
                    Change::Put(key, value) => {
                        logged.insert(key, value);
                    }
                    Change::Delete(key) => assert!(logged.remove(&key).is_some(), "{key:?}"),
                }
            }
            assert_eq!(logged, live);
            unlogged.clear();
        }
    }
}
