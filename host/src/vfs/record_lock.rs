//! `fcntl(F_SETLK)`, `F_SETLKW` and `F_GETLK`, and their kin for open file descriptions.

use std::sync::Arc;

use crate::call::Errno;
use crate::call::HandleId;
use crate::call::LockKind;
use crate::call::LockOwner;
use crate::call::ProcessId;
use crate::call::Value;
use crate::mutex::WorldMutex;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::handles::Description;
use crate::vfs::locks::Extent;
use crate::vfs::locks::Locks;
use crate::vfs::locks::Owner;
use crate::vfs::locks::Wait;

/// A process that waits for a lock on bytes, until this is dropped.
struct Waiter {
    locks: Arc<WorldMutex<Locks>>,
    process: ProcessId,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut locks = self.locks.lock();
        locks.set_waiting(self.process, None);
    }
}

/// Who would hold the lock.
fn owner(call: &Call<'_>, handle: HandleId, owner: LockOwner) -> Owner {
    match owner {
        LockOwner::Process => Owner::Process(call.caller.process),
        LockOwner::Description => Owner::Description(handle),
    }
}

/// May a lock of this kind be taken through the description?
fn permitted(description: &Description, kind: Option<LockKind>) -> Result<(), Errno> {
    let has_access = match kind {
        Some(LockKind::Shared) => description.read,
        Some(LockKind::Exclusive) => description.write,
        None => true,
    };
    if has_access { Ok(()) } else { Err(Errno::BadFile) }
}

impl ReferenceVfs {
    pub(super) async fn record_lock(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        (kind, by): (Option<LockKind>, LockOwner),
        [start, len]: [u64; 2],
        wait: bool,
    ) -> Outcome<Value> {
        let description = self.description(handle)?;
        permitted(&description, kind)?;
        let (ino, owner) = (description.ino, owner(call, handle, by));
        let extent = Extent::new(start, len)?;
        let set = || {
            let count_max = self.policy.record_locks_max;
            let set = self.locks().set_records(ino, owner, kind, extent, count_max);
            call.takes_effect();
            if kind != Some(LockKind::Exclusive) {
                self.lock_news.wake_all();
            }
            set.map(|()| Value::Done)
        };
        let Some(kind) = kind else { return Ok(set()?) };
        let attempt = || {
            if let Err(errno) = self.description(handle) {
                return Some(Err(errno)); // Whoever shares it closed it meanwhile.
            }
            let met = self.locks().first_in_the_way(ino, owner, kind, extent);
            if met.is_some() { None } else { Some(set()) }
        };
        if let Some(answer) = attempt() {
            return Ok(answer?);
        }
        if !wait {
            call.takes_effect();
            return Err(Errno::Again.into());
        }
        let Some(process) = owner.process() else {
            return Ok(self.sim.wait_until(&self.lock_news, attempt).await??);
        };
        let wanted = Wait { ino, kind, extent };
        if self.locks().would_deadlock(process, &wanted) {
            call.takes_effect();
            return Err(Errno::Deadlock.into());
        }
        self.locks().set_waiting(process, Some(wanted));
        let _waiter = Waiter { locks: Arc::clone(&self.locks), process };
        Ok(self.sim.wait_until(&self.lock_news, attempt).await??)
    }

    pub(super) fn test_lock(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        (kind, by): (LockKind, LockOwner),
        [start, len]: [u64; 2],
    ) -> Outcome<Value> {
        let ino = self.description(handle)?.ino;
        let extent = Extent::new(start, len)?;
        let met = self.locks().first_in_the_way(ino, owner(call, handle, by), kind, extent);
        call.takes_effect();
        Ok(Value::Lock(met))
    }

    /// `close` of a descriptor whose description another one keeps open.
    pub(super) fn close_duplicate(&self, call: &Call<'_>, handle: HandleId) -> Outcome<Value> {
        let ino = self.description(handle)?.ino;
        self.unlock_closed(ino, call.caller.process, None);
        call.takes_effect();
        Ok(Value::Done)
    }
}
