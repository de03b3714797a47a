//! The machine beneath: its caches, its faults, and marks in the record of a run.

use std::io;

use crate::answer::answer;
use crate::imports;

/// Drops whatever is clean in memory, as `/proc/sys/vm/drop_caches` does.
///
/// # Errors
/// What the host answered.
pub fn drop_caches() -> io::Result<()> {
    // SAFETY: the call takes nothing.
    answer(unsafe { imports::fs_drop_caches() })
}

/// Makes the device fail from now on, by a rule in one line (`data:2`, `read-error nth=3`), or says
/// `heal`, `pool N`, `grow N`, `evict`, `scrub`, `lose-leg:N` or `return-leg:N` to it
/// (`host/docs/fault-model.md`).
///
/// # Errors
/// What the host answered: EINVAL for a rule that it does not read.
pub fn fault(rule: &str) -> io::Result<()> {
    // SAFETY: the rule is a live borrow of its length.
    answer(unsafe { imports::fs_fault(rule.as_ptr(), rule.len()) })
}

/// Leaves a mark in the record of the run: what it means is the program's own business.
pub fn note(tag: i32, value: i64) {
    // SAFETY: the call takes numbers only.
    let errno = unsafe { imports::note(tag, value) };
    debug_assert_eq!(errno, 0, "a mark is never refused");
}
