//! Handles whose close failed: nobody has them any more, and a process may not have noticed.

use imbl::Vector;

use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Pid;
use crate::words::Step;

/// So many are remembered. Of an older one no more is known than of a handle that never was.
const REMEMBERED_MAX: usize = 256;

/// A handle whose close failed.
#[derive(Debug, Clone)]
pub(crate) struct GivenUp {
    pub(crate) handle: HandleId,
    pub(crate) process: Pid,
    /// When the close answered, and what.
    pub(crate) step: Step,
    pub(crate) errno: Errno,
    /// The file that it led to, for reports.
    pub(crate) path: String,
}

/// The last handles whose close failed, each until its number is given out again or its process
/// ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllGivenUp(Vector<GivenUp>);

impl AllGivenUp {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, process: Pid, handle: HandleId) -> Option<&GivenUp> {
        self.0.iter().find(|known| known.process == process && known.handle == handle)
    }

    pub(crate) fn add(&mut self, given_up: GivenUp) {
        self.forget(given_up.handle);
        if self.0.len() >= REMEMBERED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(given_up);
    }

    /// The number leads elsewhere from now on.
    pub(crate) fn forget(&mut self, handle: HandleId) {
        self.0.retain(|known| known.handle != handle);
    }

    pub(super) fn end_process(&mut self, process: Pid) {
        self.0.retain(|known| known.process != process);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given_up(handle: u64, process: u32) -> GivenUp {
        let (handle, process) = (HandleId(handle), Pid(process));
        GivenUp { handle, process, step: Step(1), errno: Errno::Io, path: String::new() }
    }

    #[test]
    fn the_oldest_is_forgotten_where_there_are_too_many() {
        let mut all = AllGivenUp::default();
        for handle in 0..=REMEMBERED_MAX as u64 {
            all.add(given_up(handle, 1));
        }
        assert!(all.get(Pid(1), HandleId(0)).is_none());
        assert!(all.get(Pid(1), HandleId(1)).is_some());
        assert_eq!(all.0.len(), REMEMBERED_MAX);
    }

    #[test]
    fn a_number_is_of_one_process_until_it_ends_or_is_given_out_again() {
        let mut all = AllGivenUp::default();
        all.add(given_up(5, 1));
        all.add(given_up(6, 2));
        all.add(given_up(7, 2));
        assert!(all.get(Pid(2), HandleId(5)).is_none());
        all.end_process(Pid(1));
        assert!(all.get(Pid(1), HandleId(5)).is_none());
        all.forget(HandleId(6));
        assert!(all.get(Pid(2), HandleId(6)).is_none());
        assert!(all.get(Pid(2), HandleId(7)).is_some());
    }
}
