//! What two versions of a map do not share.

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

/// The entries that are in one of two maps alone, or differ, each as it was and as it is. What
/// both share is passed over whole.
pub(crate) fn difference<'a, K: Ord + Clone, V: PartialEq + Clone>(
    was: &'a OrdMap<K, V>,
    is: &'a OrdMap<K, V>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    let entries = |item| match item {
        DiffItem::Add(key, value) | DiffItem::Remove(key, value) => [Some((key, value)), None],
        DiffItem::Update { old, new } => [Some(old), Some(new)],
    };
    was.diff(is).filter(|_| !was.ptr_eq(is)).flat_map(entries).flatten()
}
