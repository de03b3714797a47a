//! The places in the program where a run could have gone another way.

/// A place where chance decides.
///
/// The name is part of the decision-log format: never rename one, add new ones at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Site {
    /// Which runnable task goes on after this one stopped or finished?
    Schedule,
    /// Does another task run at this scheduling point, and which?
    Preempt,
    /// Does the flusher wake before this call?
    FlusherWakes,
    /// Does reclaim evict clean pages before this call?
    ReclaimWakes,
    /// Does the transaction committer wake before this call?
    CommitterWakes,
    /// By how many steps is the completion of this device request late?
    CompletionDelay,
    /// Does a read return fewer bytes than it could?
    ShortRead,
    /// Does a write accept fewer bytes than it could?
    ShortWrite,
    /// Is this call interrupted before it did anything (EINTR)?
    Interrupted,
    /// Does power fail at this step?
    PowerLoss,
    /// Does this unflushed write reach the medium although power failed?
    WriteSurvives,
    /// Which sectors of a surviving write reach the medium?
    WriteTorn,
    /// Does this device write fail?
    WriteFails,
    /// Is the open group of transactions full for this reservation?
    GroupFull,
    /// Does the device get to a discard that waits, and erase its blocks?
    DiscardErases,
    /// Does this device request meet with a fault, and with which of its kind's?
    DeviceFault,
    /// Which leg of a mirror is the first to get to this write?
    LegOrder,
    /// How many steps after the leg before it does a leg of a mirror get to this write?
    LegSkew,
    /// Which leg of a mirror serves this read?
    ReadLeg,
}

impl Site {
    /// All sites, in the order of their numbers.
    pub const ALL: [Self; 19] = [
        Self::Schedule,
        Self::Preempt,
        Self::FlusherWakes,
        Self::ReclaimWakes,
        Self::CommitterWakes,
        Self::CompletionDelay,
        Self::ShortRead,
        Self::ShortWrite,
        Self::Interrupted,
        Self::PowerLoss,
        Self::WriteSurvives,
        Self::WriteTorn,
        Self::WriteFails,
        Self::GroupFull,
        Self::DiscardErases,
        Self::DeviceFault,
        Self::LegOrder,
        Self::LegSkew,
        Self::ReadLeg,
    ];

    /// The site's name in a decision log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Preempt => "preempt",
            Self::FlusherWakes => "flusher-wakes",
            Self::ReclaimWakes => "reclaim-wakes",
            Self::CommitterWakes => "committer-wakes",
            Self::CompletionDelay => "completion-delay",
            Self::ShortRead => "short-read",
            Self::ShortWrite => "short-write",
            Self::Interrupted => "interrupted",
            Self::PowerLoss => "power-loss",
            Self::WriteSurvives => "write-survives",
            Self::WriteTorn => "write-torn",
            Self::WriteFails => "write-fails",
            Self::GroupFull => "group-full",
            Self::DiscardErases => "discard-erases",
            Self::DeviceFault => "device-fault",
            Self::LegOrder => "leg-order",
            Self::LegSkew => "leg-skew",
            Self::ReadLeg => "read-leg",
        }
    }

    /// The site of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|site| site.name() == name)
    }
}

/// A named scheduling point: the only places where tasks switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A call was decoded and has had no effect yet.
    CallStart,
    /// A call's effect is complete; its answer is not yet delivered.
    CallEnd,
    /// A mapped store found its page write-protected.
    Fault,
    /// A write brought in a page that it covers in part.
    WriteRetry,
    /// Writeback chose a page.
    WbSelect,
    /// Writeback holds the page.
    WbLock,
    /// The page's mappings are about to be write-protected.
    WbProtect,
    /// The page's dirty mark is about to be cleared.
    WbClean,
    /// The page's bytes are about to be read for checksum and payload.
    WbCapture,
    /// What was captured of the pages of an extent is about to be compressed.
    WbTransform,
    /// The captured bytes are about to be handed to the device.
    WbSubmit,
    /// The device answered; the page leaves writeback.
    WbEnd,
    /// Reclaim is about to drop a clean page.
    Evict,
    /// A sync begins its writeback.
    SyncStart,
    /// A sync waits for writeback.
    SyncWait,
    /// A sync collects what the error ledger owes.
    SyncCollect,
    /// The transaction's tree is frozen; new operations go to the next one.
    TxQuiesce,
    /// An object of the group is about to leave the list of dirty objects.
    TxSyncUnlink,
    /// The dirty records of the group are about to be retired.
    TxSyncRecords,
    /// Writeback is about to ask for room in the open group of transactions.
    TxReserve,
    /// A tree block is about to be written.
    TxWriteTree,
    /// The device is about to be flushed.
    TxFlush,
    /// The root is about to be written.
    TxWriteRoot,
    /// A hole query is about to write back what is dirty.
    SeekFlush,
    /// A hole query is about to ask whether the map that it will walk is the newest.
    SeekDirtyCheck,
    /// A hole query is about to walk the map.
    SeekWalk,
    /// A clone is about to write back what is dirty in its source and its destination.
    CloneFlush,
    /// A snapshot is asked for; what is dirty is about to be written back.
    SnapFlush,
    /// The tree that becomes a snapshot is about to be frozen.
    SnapFreeze,
    /// The root that names a snapshot is about to be written.
    SnapCommit,
    /// A clone is about to read where its source is.
    CloneReadMap,
    /// A clone is about to take effect.
    CloneCommit,
    /// The allocator chose free blocks.
    AllocScan,
    /// The slots of the chosen blocks are about to be locked and read again.
    AllocReread,
    /// Content names the blocks; their slots are about to say so.
    AllocCommit,
    /// The blocks are about to leave the open table.
    AllocRelease,
    /// A block of the intent log is about to be written.
    LogWrite,
    /// A request waits in the device.
    DeviceWait,
    /// A leg of a mirror is about to read what a write brings.
    LegRead,
    /// A task waits for a lock.
    LockWait,
}
