//! `flock`.
//!
//! A conversion lets go of the old lock first, as on Linux: if it has to wait, others may come
//! between, and if it does not wait and fails, the old lock is gone.

use crate::call::Errno;
use crate::call::Halt;
use crate::call::HandleId;
use crate::call::LockKind;
use crate::call::ProcessId;
use crate::call::Value;
use crate::mutex::WorldGuard;
use crate::sim::Stuck;
use crate::vfs::Call;
use crate::vfs::Failure;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::locks::LockEnd;
use crate::vfs::locks::Locks;
use crate::vfs::locks::Owner;

impl From<Stuck> for Failure {
    fn from(Stuck: Stuck) -> Self {
        Self::Halt(Halt::Stuck)
    }
}

impl ReferenceVfs {
    pub(super) fn locks(&self) -> WorldGuard<'_, Locks> {
        self.locks.lock()
    }

    pub(super) async fn flock(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        kind: Option<LockKind>,
        wait: bool,
    ) -> Outcome<Value> {
        let ino = self.description(handle)?.ino;
        let Some(kind) = kind else {
            self.locks().release_whole(ino, handle);
            call.takes_effect();
            self.lock_news.wake_all();
            return Ok(Value::Done);
        };
        let has_let_go = self.locks().release_other(ino, handle, kind);
        let attempt = || {
            if let Err(errno) = self.description(handle) {
                return Some(Err(errno)); // Whoever shares it closed it meanwhile.
            }
            let is_granted = self.locks().lock_whole(ino, handle, kind);
            if is_granted {
                call.takes_effect();
            }
            is_granted.then_some(Ok(Value::Done))
        };
        let answer = if wait { None } else { Some(attempt().unwrap_or(Err(Errno::Again))) };
        if answer.is_some() {
            call.takes_effect();
        }
        if has_let_go {
            self.lock_news.wake_all();
        }
        match answer {
            Some(answer) => Ok(answer?),
            None => Ok(self.sim.wait_until(&self.lock_news, attempt).await??),
        }
    }

    /// A process closed a descriptor of a description, the last one or not.
    pub(super) fn unlock_closed(
        &self,
        ino: u64,
        process: ProcessId,
        description: Option<HandleId>,
    ) {
        if self.policy.lock_end == LockEnd::ByReleaseAlone {
            return;
        }
        let mut locks = self.locks();
        let mut had_one = locks.close_file(ino, Owner::Process(process));
        if let Some(handle) = description {
            had_one |= locks.close_file(ino, Owner::Description(handle));
            had_one |= locks.release_whole(ino, handle);
        }
        drop(locks);
        if had_one {
            self.lock_news.wake_all();
        }
    }

    /// A process is gone, and these descriptions with it.
    pub(super) fn unlock_ended(&self, process: ProcessId, closed: &[(u64, HandleId)]) {
        if self.policy.lock_end == LockEnd::ByReleaseAlone {
            return;
        }
        let mut locks = self.locks();
        for (ino, handle) in closed {
            locks.release_whole(*ino, *handle);
            locks.close_file(*ino, Owner::Description(*handle));
        }
        locks.end_process(process);
        drop(locks);
        self.lock_news.wake_all();
    }
}
