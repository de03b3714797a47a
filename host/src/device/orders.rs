//! Writes commute: in which order those of a flush's epoch reach the medium changes nothing but for
//! those of one block, which reach it as they were made. So subsets are tried, and not orders.

use std::collections::BTreeMap;

use crate::device::Written;

/// In how many orders could these writes reach the medium until the power fails: each subset of
/// them, those of one block in their order. The largest number stands for more.
pub(super) fn order_count(unflushed: &[Written]) -> u64 {
    // Each subset has one at least.
    if unflushed.len() >= u64::BITS as usize {
        return u64::MAX;
    }
    let mut of_block: BTreeMap<_, usize> = BTreeMap::new();
    for written in unflushed {
        *of_block.entry(written.block).or_default() += 1;
    }
    // Of the blocks so far, by how many of their writes are there.
    let mut orders: Vec<u64> = vec![1];
    for count in of_block.into_values() {
        let mut next = vec![0_u64; orders.len() + count];
        for (before, known) in orders.iter().enumerate() {
            for kept in 0..=count {
                // Which of them, and where among the others.
                let ways = choices(count, kept).saturating_mul(choices(before + kept, kept));
                let sum = &mut next[before + kept];
                *sum = sum.saturating_add(known.saturating_mul(ways));
            }
        }
        orders = next;
    }
    orders.into_iter().fold(0, u64::saturating_add)
}

/// In how many ways so many can be chosen of all.
fn choices(all: usize, chosen: usize) -> u64 {
    let step = |ways: u128, at: usize| ways.saturating_mul((all - at) as u128) / (at as u128 + 1);
    u64::try_from((0..chosen).fold(1, step)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::device::Block;
    use crate::device::BlockNo;
    use crate::device::Class;
    use crate::device::Origin;

    fn written(number: u64, block: u64) -> Written {
        let (block, bytes) = (BlockNo(block), bytes::Bytes::from(vec![1; 512]));
        let origin = Origin { class: Class::Data, object: 0, offset: 0 };
        Written { number, block, content: Block::new(block, bytes), forced: false, origin }
    }

    /// Every sequence of writes without repetition in which those of one block keep their order.
    fn by_hand(writes: &[Written], so_far: &[usize], seen: &mut BTreeSet<Vec<usize>>) {
        seen.insert(so_far.to_vec());
        for next in 0..writes.len() {
            let is_late = |known: &usize| {
                *known == next || (writes[*known].block == writes[next].block && *known > next)
            };
            if !so_far.iter().any(is_late) {
                by_hand(writes, &[so_far, &[next]].concat(), seen);
            }
        }
    }

    #[test]
    fn orders_are_counted_as_by_hand() {
        for blocks in [&[][..], &[1], &[1, 2], &[1, 1], &[1, 2, 1], &[1, 2, 3, 4], &[1, 2, 2, 2, 3]]
        {
            let writes: Vec<Written> =
                (0..).zip(blocks).map(|(n, block)| written(n, *block)).collect();
            let mut seen = BTreeSet::new();
            by_hand(&writes, &[], &mut seen);
            assert_eq!(order_count(&writes), seen.len() as u64, "{blocks:?}");
        }
        let many: Vec<Written> = (0..64).map(|number| written(number, number)).collect();
        assert_eq!(order_count(&many), u64::MAX);
    }
}
