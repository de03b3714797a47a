//! Ranges of linear memory for mappings: whole units of 64 KiB that nothing else uses, all zero.
//!
//! They come from `memory.grow`, which gives zeros, and not from the allocator: a mapping of a long
//! file with little data then costs what its data costs. Ranges that were given back are zeroed
//! when they are used again.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::answer::no_memory;

/// What `memory.grow` counts in.
const UNIT_SIZE_BYTES: usize = 65_536;

/// Start and length of the ranges that were given back.
static FREE: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

/// A range of at least `size_bytes`, all zero.
pub(crate) fn take(size_bytes: usize) -> io::Result<*mut u8> {
    let length = rounded(size_bytes)?;
    match take_free(length) {
        Some(start) => {
            // SAFETY: the range came from `grow`, so it is memory, and it was given back: nothing
            // refers to it, and no mapping holds it.
            unsafe { start.write_bytes(0, length) };
            Ok(start)
        }
        None => grow(length),
    }
}

/// Gives a range back that `take` gave for as many bytes. The host holds no mapping in it.
pub(crate) fn give_back(start: *mut u8, size_bytes: usize) {
    let Ok(mut length) = rounded(size_bytes) else { return };
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut start = start.expose_provenance();
    if let Some(after) = free.remove(&(start + length)) {
        length += after;
    }
    if let Some((&before, &before_length)) = free.range(..start).next_back()
        && before + before_length == start
    {
        start = before;
        length += before_length;
    }
    free.insert(start, length);
}

fn rounded(size_bytes: usize) -> io::Result<usize> {
    size_bytes.checked_next_multiple_of(UNIT_SIZE_BYTES).ok_or_else(no_memory)
}

/// The first free range that is long enough; its rest stays free.
fn take_free(length: usize) -> Option<*mut u8> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let (&start, &found) = free.iter().find(|&(_, &found)| found >= length)?;
    free.remove(&start);
    if found > length {
        free.insert(start + length, found - length);
    }
    Some(std::ptr::with_exposed_provenance_mut(start))
}

#[cfg(target_arch = "wasm32")]
fn grow(length: usize) -> io::Result<*mut u8> {
    let before = core::arch::wasm32::memory_grow::<0>(length / UNIT_SIZE_BYTES);
    if before == usize::MAX {
        return Err(no_memory());
    }
    Ok(std::ptr::with_exposed_provenance_mut(before * UNIT_SIZE_BYTES))
}

/// The crate is for WebAssembly; elsewhere it only compiles, for editors and documentation.
#[cfg(not(target_arch = "wasm32"))]
fn grow(_length: usize) -> io::Result<*mut u8> {
    Err(no_memory())
}
