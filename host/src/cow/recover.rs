//! Making, and mounting: the newest whole root, and the log that it names.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::cow::COOKIE_FIRST;
use crate::cow::CowError;
use crate::cow::CowPolicy;
use crate::cow::Inode;
use crate::cow::Kind;
use crate::cow::ROOT_INO;
use crate::cow::RecoveryStep;
use crate::cow::Times;
use crate::cow::copies::best_copy;
use crate::cow::format::BlockPtr;
use crate::cow::format::Generation;
use crate::cow::format::ROOT_SLOTS;
use crate::cow::format::is_inside;
use crate::cow::format::is_possible;
use crate::cow::format::item::Key;
use crate::cow::format::item::is_item;
use crate::cow::format::log::Change;
use crate::cow::format::log::LogBlock;
use crate::cow::format::log::decode_changes;
use crate::cow::format::node::NodeBlock;
use crate::cow::format::node::Record;
use crate::cow::format::root::Root;
use crate::cow::objects::Objects;
use crate::cow::store::Store;
use crate::cow::store::origin;
use crate::device::BlockNo;
use crate::device::Class;
use crate::device::Device;
use crate::device::Geometry;
use crate::device::Payload;
use crate::device::Request;
use crate::device::perform;
use crate::sim::Sim;

const TREE_FIRST: BlockNo = BlockNo(ROOT_SLOTS);
const LOG_FIRST: BlockNo = BlockNo(ROOT_SLOTS + 1);

/// Writes an empty file system: a root directory and nothing else.
pub(super) async fn format(device: &dyn Device, sim: &Sim) -> Result<(), CowError> {
    let geometry = device.geometry();
    if !is_possible(geometry) {
        return Err(CowError::Geometry(geometry));
    }
    let now = sim.now_nanos();
    let directory = Inode {
        kind: Kind::Directory,
        link_count: 2,
        size_bytes: 0,
        times: Times { access_nanos: now, modify_nanos: now, change_nanos: now },
        parent: ROOT_INO,
        next_cookie: COOKIE_FIRST,
        is_compressed: false,
        is_nocow: false,
        mode: Kind::Directory.mode(),
    };
    let generation = Generation(1);
    let record = Record::new(&Key::of_inode(ROOT_INO), &directory.encode());
    let top =
        NodeBlock { level: 0, generation, records: vec![record] }.encode(geometry.block_size_bytes);
    let checksum = crc32c::crc32c(&top);
    let root = Root {
        geometry,
        generation,
        tree: BlockPtr { block: TREE_FIRST, generation, checksum },
        next_ino: ROOT_INO + 1,
        log_head: LOG_FIRST,
        snapshots: None,
        next_snapshot: 1,
    };
    // What was there before must be gone before the first root is written.
    let zeros = Bytes::from(vec![0; geometry.block_size_bytes as usize]);
    for slot in 0..ROOT_SLOTS {
        write(device, BlockNo(slot), zeros.clone(), Class::Root).await?;
    }
    write(device, LOG_FIRST, zeros, Class::Log).await?;
    write(device, TREE_FIRST, top, Class::Tree).await?;
    perform(device, Request::Flush).await.map_err(CowError::Device)?;
    write(device, BlockNo(0), root.encode(), Class::Root).await?;
    perform(device, Request::Flush).await.map_err(CowError::Device)?;
    Ok(())
}

async fn write(
    device: &dyn Device,
    block: BlockNo,
    bytes: Bytes,
    class: Class,
) -> Result<(), CowError> {
    let payload = Payload::Owned(bytes);
    let request =
        Request::Write { block, payload, force_unit_access: false, origin: origin(class) };
    perform(device, request).await.map(|_| ()).map_err(CowError::Device)
}

/// Mounts what is on the device.
pub(super) async fn mount(
    device: Arc<dyn Device>,
    sim: Sim,
    policy: CowPolicy,
) -> Result<Store, CowError> {
    let geometry = device.geometry();
    if !is_possible(geometry) {
        return Err(CowError::Geometry(geometry));
    }
    let (slot, root) = newest_root(&*device, geometry).await?;
    let store = Store::new(device, sim, policy, root, slot);
    let tree = store.state().live.clone();
    // An unreadable tree is a failure: what an older root says was promised no more.
    store.ask(&tree, |tree| tree.get(&[]).map(drop)).await?;
    store.load_snapshots().await?;
    for step in store.policy.recovery_order {
        recovery_step(&store, *step).await?;
    }
    store.settle_copies().await?;
    let live = store.state().live.clone();
    store.state().objects = Objects::clean(live);
    Ok(store)
}

async fn recovery_step(store: &Store, step: RecoveryStep) -> Result<(), CowError> {
    let has_replayed = store.state().uncommitted;
    match step {
        RecoveryStep::Replay => replay(store).await,
        RecoveryStep::EndLog | RecoveryStep::Commit if !has_replayed => Ok(()),
        RecoveryStep::EndLog => {
            let zeros = Bytes::from(vec![0; store.geometry.block_size_bytes as usize]);
            let head = store.state().root.log_head;
            store.written(store.submit(head, zeros, origin(Class::Log))).await?;
            store.flush().await
        }
        RecoveryStep::Commit => {
            let live = store.state().live.clone();
            store.state().objects = Objects::clean(live);
            match store.commit().await {
                // What there is no room for stays in the log.
                Err(CowError::NoSpace) => Ok(()),
                done => done,
            }
        }
    }
}

/// Invariant F-2: the newest whole root is the file system.
async fn newest_root(device: &dyn Device, geometry: Geometry) -> Result<(BlockNo, Root), CowError> {
    let mut newest: Option<(BlockNo, Root)> = None;
    for slot in (0..ROOT_SLOTS).map(BlockNo) {
        let read_as = |block: &Bytes| {
            let root = Root::decode(block).filter(|root| root.geometry == geometry)?;
            Some((root.generation, root))
        };
        let Some(root) = best_copy(device, geometry, slot, read_as).await? else { continue };
        if newest.is_none_or(|(_, best)| best.generation < root.generation) {
            newest = Some((slot, root));
        }
    }
    newest.ok_or(Store::corrupt(BlockNo(0), "F-2: one slot holds a whole root of this device"))
}

/// Applies every whole batch of the log to the live tree.
async fn replay(store: &Store) -> Result<(), CowError> {
    let mut end = store.state().log.clone();
    let mut seen: BTreeSet<BlockNo> = BTreeSet::from([end.next]);
    let mut parts: Vec<u8> = Vec::new();
    loop {
        let at = end.next;
        let goes_on = |block: &Bytes| {
            let (log, checksum) = LogBlock::decode(block)?;
            let follows = log.generation == end.generation
                && log.sequence == end.sequence
                && log.link == end.link
                && is_inside(log.next, store.geometry)
                && !seen.contains(&log.next);
            follows.then_some(((), (log, checksum)))
        };
        let found = best_copy(&*store.device, store.geometry, at, goes_on).await?;
        let Some((log, checksum)) = found else { return Ok(()) };
        seen.insert(log.next);
        end.next = log.next;
        end.sequence = end.sequence.saturating_add(1);
        end.link = checksum;
        end.blocks.push(log.next);
        parts.extend_from_slice(&log.payload);
        if log.last {
            let payload = Bytes::from(std::mem::take(&mut parts));
            let changes = decode_changes(&payload)
                .ok_or(Store::corrupt(at, "F-3: a whole batch says changes"))?;
            replay_batch(store, at, &changes).await?;
            store.state().log = end.clone();
        }
    }
}

async fn replay_batch(store: &Store, at: BlockNo, changes: &[Change]) -> Result<(), CowError> {
    let (mut tree, epoch) = {
        let state = store.state();
        (state.live.clone(), state.epoch)
    };
    for change in changes {
        // What is replaced here is freed as the difference of two trees: see `find_free`.
        let (key, edit) = match change {
            Change::Put(key, value) => {
                let record = Record::new(key, value);
                if !is_item(&record, store.geometry) {
                    return Err(Store::corrupt(at, "F-3: the log puts items"));
                }
                (key, store.put(&mut tree, record, epoch).await?.0)
            }
            Change::Delete(key) => match store.delete(&mut tree, key, epoch).await? {
                Some(edit) => (key, edit),
                None => continue,
            },
        };
        let mut state = store.state();
        state.dirty = state.dirty.saturating_add_signed(edit.dirty);
        if let Some(Key::Inode { ino }) = Key::decode(key) {
            state.next_ino = state.next_ino.max(ino.saturating_add(1));
        }
    }
    let mut state = store.state();
    state.live = tree;
    state.uncommitted = true;
    Ok(())
}
