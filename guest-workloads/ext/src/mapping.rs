//! Files in memory: `mmap`, `munmap`, `msync`, `mprotect`.

use std::fs::File;
use std::io;

use crate::answer::answer;
use crate::answer::descriptor;
use crate::answer::invalid;
use crate::answer::signed;
use crate::imports;
use crate::region;

/// Mappings begin and end at multiples of it, in the file and in memory.
pub const PAGE_SIZE_BYTES: usize = 4096;

const MAP_SHARED: i32 = 1;
const MAP_PRIVATE: i32 = 2;
const MAP_FIXED: i32 = 0x10;
const MS_ASYNC: i32 = 1;
const MS_INVALIDATE: i32 = 2;
const MS_SYNC: i32 = 4;

/// What a mapping may be used for, in the numbers of `PROT_READ` and `PROT_WRITE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access(i32);

impl Access {
    /// Nothing: any access is a SIGSEGV.
    pub const NONE: Self = Self(0);
    /// Loads: a store is a SIGSEGV.
    pub const READ: Self = Self(1);
    /// Loads and stores.
    pub const READ_WRITE: Self = Self(3);
}

/// A file, or a part of it, in memory. It is unmapped when it is dropped.
///
/// Stores and loads are plain ones, which is what the host watches. They take a shared borrow,
/// because the host changes the memory too: when the file changes, and when another process stores
/// to it. An access that a real machine would answer with a signal ends the program here.
#[derive(Debug)]
pub struct Mapping {
    start: *mut u8,
    size_bytes: usize,
}

impl Mapping {
    /// Maps `size_bytes` of `file` from `offset`, a multiple of the page size; stores change the
    /// file (`MAP_SHARED`).
    ///
    /// # Errors
    /// What the host answered, or that there is no memory.
    pub fn shared(file: &File, offset: u64, size_bytes: usize, access: Access) -> io::Result<Self> {
        Self::new(file, offset, size_bytes, access, MAP_SHARED)
    }

    /// Maps as [`Mapping::shared`] does, but stores stay in this mapping (`MAP_PRIVATE`).
    ///
    /// # Errors
    /// What the host answered, or that there is no memory.
    pub fn private(
        file: &File,
        offset: u64,
        size_bytes: usize,
        access: Access,
    ) -> io::Result<Self> {
        Self::new(file, offset, size_bytes, access, MAP_PRIVATE)
    }

    fn new(
        file: &File,
        offset: u64,
        size_bytes: usize,
        access: Access,
        flags: i32,
    ) -> io::Result<Self> {
        let offset = signed(offset)?;
        let start = region::take(size_bytes.max(1))?;
        // SAFETY: the range is memory that nothing else uses, zero as the host expects it.
        let errno = unsafe {
            imports::fd_mmap(descriptor(file), start, size_bytes, access.0, flags, offset)
        };
        if errno != 0 {
            region::give_back(start, size_bytes.max(1));
        }
        answer(errno).map(|()| Self { start, size_bytes })
    }

    /// Maps another part of a file over the pages from `at`, shared, in the place of what was
    /// there (`MAP_FIXED`). Refused where the pages are not all within this mapping.
    ///
    /// # Errors
    /// What the host answered; then the pages are as they were, or mapped no longer.
    pub fn replace(
        &self,
        at: usize,
        file: &File,
        offset: u64,
        size_bytes: usize,
        access: Access,
    ) -> io::Result<()> {
        let start = self.pages(at, size_bytes)?;
        let offset = signed(offset)?;
        // SAFETY: the range lies in this mapping, so it is memory that nothing else uses; once it
        // is unmapped its zeros are no stores to a file.
        let errno = unsafe {
            answer(imports::mem_munmap(start, size_bytes))?;
            start.write_bytes(0, size_bytes.next_multiple_of(PAGE_SIZE_BYTES));
            let flags = MAP_SHARED | MAP_FIXED;
            imports::fd_mmap(descriptor(file), start, size_bytes, access.0, flags, offset)
        };
        answer(errno)
    }

    /// How much was mapped at first.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Stores `bytes` at `at`.
    ///
    /// # Panics
    /// If that is not within the mapping.
    pub fn store(&self, at: usize, bytes: &[u8]) {
        let target = self.checked(at, bytes.len());
        // SAFETY: the range was checked, it is memory of this mapping's alone, and no reference
        // into it is ever made.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    /// Stores one byte, by one instruction.
    ///
    /// # Panics
    /// If `at` is not within the mapping.
    pub fn store_byte(&self, at: usize, byte: u8) {
        // SAFETY: as in `store`.
        unsafe { self.checked(at, 1).write_volatile(byte) }
    }

    /// Stores eight bytes, little-endian, by one instruction: to a real machine's other processes
    /// they change at once if `at` is a multiple of eight.
    ///
    /// # Panics
    /// If that is not within the mapping.
    pub fn store_number(&self, at: usize, number: u64) {
        let target = self.checked(at, size_of::<u64>());
        if at.is_multiple_of(size_of::<u64>()) {
            // SAFETY: as in `store`, and the mapping starts at a multiple of a page.
            unsafe { target.cast::<u64>().write_volatile(number.to_le()) }
        } else {
            self.store(at, &number.to_le_bytes());
        }
    }

    /// Stores `count` times `byte`.
    ///
    /// # Panics
    /// If that is not within the mapping.
    pub fn fill(&self, at: usize, count: usize, byte: u8) {
        // SAFETY: as in `store`.
        unsafe { self.checked(at, count).write_bytes(byte, count) }
    }

    /// Copies within the mapping; the ranges may overlap (`memmove`).
    ///
    /// # Panics
    /// If either is not within the mapping.
    pub fn copy_within(&self, from: usize, to: usize, count: usize) {
        let source = self.checked(from, count).cast_const();
        // SAFETY: as in `store`; the ranges may overlap.
        unsafe { self.checked(to, count).copy_from(source, count) }
    }

    /// Loads the bytes at `at`.
    ///
    /// # Panics
    /// If they are not within the mapping.
    pub fn load(&self, at: usize, bytes: &mut [u8]) {
        let source = self.checked(at, bytes.len()).cast_const();
        // SAFETY: as in `store`.
        unsafe { source.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) }
    }

    /// Loads `count` bytes at `at`.
    ///
    /// # Panics
    /// If they are not within the mapping.
    #[must_use]
    pub fn bytes(&self, at: usize, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.load(at, &mut bytes);
        bytes
    }

    /// Loads one byte.
    ///
    /// # Panics
    /// If `at` is not within the mapping.
    #[must_use]
    pub fn load_byte(&self, at: usize) -> u8 {
        // SAFETY: as in `store`.
        unsafe { self.checked(at, 1).read_volatile() }
    }

    /// Loads eight bytes, little-endian.
    ///
    /// # Panics
    /// If they are not within the mapping.
    #[must_use]
    pub fn load_number(&self, at: usize) -> u64 {
        let mut bytes = [0; size_of::<u64>()];
        self.load(at, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// The mapping's bytes from `at`, as memory for calls that read or write memory: the host then
    /// stores to the mapping, or loads from it, on the program's behalf.
    ///
    /// Nothing else of the mapping may be used while the slice lives, which the borrow sees to.
    ///
    /// # Panics
    /// If they are not within the mapping.
    pub fn memory(&mut self, at: usize, count: usize) -> &mut [u8] {
        let start = self.checked(at, count);
        // SAFETY: the range was checked and is initialised memory; the mapping is borrowed
        // exclusively, and the host changes memory only within calls.
        unsafe { std::slice::from_raw_parts_mut(start, count) }
    }

    /// `msync(MS_SYNC)`: on success what was stored in these pages is durable. [DUR-MSYNC-01]
    ///
    /// # Errors
    /// What the host answered.
    pub fn sync(&self, at: usize, size_bytes: usize) -> io::Result<()> {
        self.synchronise(at, size_bytes, MS_SYNC)
    }

    /// `msync(MS_ASYNC)`: promises nothing. [DUR-MSYNC-02]
    ///
    /// # Errors
    /// What the host answered.
    pub fn sync_some_day(&self, at: usize, size_bytes: usize) -> io::Result<()> {
        self.synchronise(at, size_bytes, MS_ASYNC)
    }

    /// `msync(MS_SYNC | MS_INVALIDATE)`: also makes other copies agree with the file.
    ///
    /// # Errors
    /// What the host answered.
    pub fn sync_and_invalidate(&self, at: usize, size_bytes: usize) -> io::Result<()> {
        self.synchronise(at, size_bytes, MS_SYNC | MS_INVALIDATE)
    }

    fn synchronise(&self, at: usize, size_bytes: usize, flags: i32) -> io::Result<()> {
        let start = self.within(at, size_bytes)?;
        // SAFETY: the host reads and changes memory of this mapping alone.
        answer(unsafe { imports::mem_msync(start, size_bytes, flags) })
    }

    /// `mprotect`.
    ///
    /// # Errors
    /// What the host answered.
    pub fn protect(&self, at: usize, size_bytes: usize, access: Access) -> io::Result<()> {
        let start = self.pages(at, size_bytes)?;
        // SAFETY: the host notes what may be done with the pages, and changes nothing.
        answer(unsafe { imports::mem_mprotect(start, size_bytes, access.0) })
    }

    /// `madvise`, with Linux's number for the advice.
    ///
    /// # Errors
    /// What the host answered.
    pub fn advise(&self, at: usize, size_bytes: usize, advice: i32) -> io::Result<()> {
        let start = self.pages(at, size_bytes)?;
        // SAFETY: advice changes nothing that could be loaded.
        answer(unsafe { imports::mem_madvise(start, size_bytes, advice) })
    }

    /// Unmaps some of the pages; what was stored in them is not lost. [MAP-05]
    ///
    /// # Errors
    /// What the host answered.
    pub fn unmap_part(&self, at: usize, size_bytes: usize) -> io::Result<()> {
        let start = self.pages(at, size_bytes)?;
        // SAFETY: the pages stay memory of this region; from now on they are nobody's copy.
        answer(unsafe { imports::mem_munmap(start, size_bytes) })
    }

    /// Unmaps all of it. [MAP-05]
    ///
    /// # Errors
    /// What the host answered; then the memory is never used again.
    pub fn unmap(self) -> io::Result<()> {
        let answer = self.release();
        std::mem::forget(self);
        answer
    }

    fn release(&self) -> io::Result<()> {
        // SAFETY: nobody uses the range after this, and it is given back only if the host has let
        // go of it.
        answer(unsafe { imports::mem_munmap(self.start, self.size_bytes) })?;
        region::give_back(self.start, self.size_bytes);
        Ok(())
    }

    /// Where whole pages begin, if they are within the mapping.
    fn pages(&self, at: usize, size_bytes: usize) -> io::Result<*mut u8> {
        if !at.is_multiple_of(PAGE_SIZE_BYTES) {
            return Err(invalid());
        }
        self.within(at, size_bytes)
    }

    fn within(&self, at: usize, size_bytes: usize) -> io::Result<*mut u8> {
        let limit = self.size_bytes.next_multiple_of(PAGE_SIZE_BYTES);
        let end = at.checked_add(size_bytes).ok_or_else(invalid)?;
        if end <= limit { Ok(self.start.wrapping_add(at)) } else { Err(invalid()) }
    }

    fn checked(&self, at: usize, count: usize) -> *mut u8 {
        self.within(at, count).expect("an access to a mapping is within it")
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // As in C, where nobody looks at the answer of the last munmap either.
        let _ = self.release();
    }
}
