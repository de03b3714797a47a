//! Seam 2: a block device. Submit a request, its completion is an event, a flush orders
//! completed writes.
//!
//! D-1: what was written and completed before a flush that completed survives every power loss.
//! D-2: while running, a read returns the newest completed write.
//!
//! Architecture invariant: a device does not know what a block means. [`Origin`] is a label for
//! fault plans and reports, as the request flags of a real block layer are.

mod copies;
mod cover;
mod disk;
mod fault;
mod history;
mod image;
mod mirror;
mod orders;
mod power;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;

pub use copies::Copies;
pub use copies::CopyTask;
pub use disk::Disk;
pub use disk::Touched;
pub use fault::FailCount;
pub use fault::Fault;
pub use fault::FaultDraft;
pub use fault::FaultKind;
pub use fault::FaultOrder;
pub use fault::FaultPlan;
pub use fault::FaultRule;
pub use fault::Faulty;
pub use fault::ThinPool;
pub use fault::WhenFull;
pub use history::DeviceEvent;
pub use history::History;
pub use history::Lie;
pub use history::Written;
pub use image::Block;
pub use image::Image;
pub use image::is_zero;
pub use mirror::CopyFailure;
pub use mirror::LEG_COUNT_MAX;
pub use mirror::LegDeed;
pub use mirror::LegEvent;
pub use mirror::LegPayload;
pub use mirror::Mirror;
pub use mirror::MirrorLayout;
pub use mirror::MirrorPolicy;
pub use mirror::RegionClearing;
pub use mirror::RegionMarking;
pub use mirror::Resync;
pub use mirror::ReturningLeg;
pub use power::CrashPoint;
pub use power::CrashState;
pub use power::CrashStates;
pub use power::SUBSET_BOUND_MAX;
pub use power::StateBounds;
pub use power::Survival;
pub use power::Survivors;
pub use power::Walk;

/// Number of a block, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockNo(pub u64);

/// Number of a request, from 0, in the order of submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The smallest unit that a medium writes whole.
pub const SECTOR_SIZE_BYTES: usize = 512;

/// The shape of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes in a block; a power of two, at least a sector.
    pub block_size_bytes: u32,
    /// Blocks in the device.
    pub block_count: u64,
}

/// What a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Content of a file.
    Data,
    /// A block of a tree.
    Tree,
    /// A block of a log: of the intent log, or of that of a mirror's regions.
    Log,
    /// A root.
    Root,
}

/// What a write is for, and for which part of which object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// What kind of block.
    pub class: Class,
    /// For data, the file's number; otherwise 0.
    pub object: u64,
    /// For data, the byte offset in the file; otherwise 0.
    pub offset: u64,
}

/// A page that may change while a request is under way.
pub trait LivePage: Send + Sync {
    /// Reads the page as it is now.
    fn capture(&self) -> Bytes;
}

/// The bytes of a write: one block.
#[derive(Clone)]
pub enum Payload {
    /// Captured already; every consumer sees the same bytes.
    Owned(Bytes),
    /// Captured by each consumer when it runs.
    Borrowed(Arc<dyn LivePage>),
}

impl Payload {
    /// The bytes, as of now.
    #[must_use]
    pub fn capture(&self) -> Bytes {
        match self {
            Self::Owned(bytes) => bytes.clone(),
            Self::Borrowed(page) => page.capture(),
        }
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Owned(bytes) => write!(f, "Owned({} bytes)", bytes.len()),
            Self::Borrowed(_) => f.write_str("Borrowed"),
        }
    }
}

/// What is asked of a device.
#[derive(Debug, Clone)]
pub enum Request {
    /// Read one block.
    Read {
        /// Which.
        block: BlockNo,
    },
    /// Write one block.
    Write {
        /// Which.
        block: BlockNo,
        /// The bytes.
        payload: Payload,
        /// Is it complete only when it is durable (forced unit access)?
        force_unit_access: bool,
        /// What it is for.
        origin: Origin,
    },
    /// Make every write that completed before this submission durable.
    Flush,
    /// What is in these blocks is of no interest until they are written again.
    Discard {
        /// The first.
        block: BlockNo,
        /// How many.
        count: u64,
    },
}

/// Why a device could not do as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceError {
    /// The medium failed.
    Io,
    /// There is no physical space behind the block.
    NoSpace,
    /// The block is not on the device.
    OutOfRange,
    /// The power is off: nothing will ever complete again.
    PowerOff,
}

/// What came of a request: of a read, the block's bytes.
pub type Completion = Result<Bytes, DeviceError>;

/// A block device.
pub trait Device: Send + Sync {
    /// Its shape.
    fn geometry(&self) -> Geometry;

    /// Accepts a request. It takes effect when it completes, in any order.
    fn submit(&self, request: Request) -> RequestId;

    /// Asks whether a request completed. A completion is told once.
    fn poll(&self, id: RequestId, cx: &mut Context<'_>) -> Poll<Completion>;

    /// What is not durable is gone from its volatile cache.
    fn drop_cache(&self);

    /// The copies that it keeps of each block, if it keeps several.
    fn copies(&self) -> Option<&dyn Copies> {
        None
    }
}

/// Waits for a request that was submitted.
pub async fn completion(device: &dyn Device, id: RequestId) -> Completion {
    poll_fn(|cx| device.poll(id, cx)).await
}

/// Submits a request and waits for it.
pub async fn perform(device: &dyn Device, request: Request) -> Completion {
    let id = device.submit(request);
    completion(device, id).await
}
