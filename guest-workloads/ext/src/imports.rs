//! The imports themselves. Each returns an error number of preview1, 0 for success; results go
//! through pointers.

/// What `fd_lock` tells of a lock that is in the way.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HeldLock {
    pub(crate) start: i64,
    pub(crate) length: i64,
    pub(crate) kind: i32,
    pub(crate) process: u32,
}

#[link(wasm_import_module = "crashproof_ext_v0")]
unsafe extern "C" {
    pub(crate) fn fd_mmap(
        fd: i32,
        start: *mut u8,
        length: usize,
        protection: i32,
        flags: i32,
        offset: i64,
    ) -> i32;
    pub(crate) fn mem_munmap(start: *mut u8, length: usize) -> i32;
    pub(crate) fn mem_msync(start: *mut u8, length: usize, flags: i32) -> i32;
    pub(crate) fn mem_mprotect(start: *mut u8, length: usize, protection: i32) -> i32;
    pub(crate) fn mem_madvise(start: *mut u8, length: usize, advice: i32) -> i32;

    pub(crate) fn fd_fallocate(fd: i32, mode: i32, offset: i64, length: i64) -> i32;
    pub(crate) fn fd_copy_range(
        from: i32,
        from_offset: i64,
        to: i32,
        to_offset: i64,
        length: i64,
        flags: i32,
        copied: *mut u32,
    ) -> i32;
    pub(crate) fn fd_clone_range(
        from: i32,
        from_offset: i64,
        length: i64,
        to: i32,
        to_offset: i64,
    ) -> i32;
    pub(crate) fn fd_dedupe_range(
        from: i32,
        from_offset: i64,
        length: i64,
        to: i32,
        to_offset: i64,
        differs: *mut u32,
    ) -> i32;
    pub(crate) fn fd_syncfs(fd: i32) -> i32;
    pub(crate) fn fd_sync_range(fd: i32, offset: i64, length: i64, flags: i32) -> i32;
    pub(crate) fn fd_statfs(fd: i32, space: *mut [u64; 8]) -> i32;
    pub(crate) fn fd_dup(fd: i32, new: *mut i32) -> i32;
    pub(crate) fn fd_flags_get(fd: i32, flags: *mut u32) -> i32;
    pub(crate) fn fd_flags_set(fd: i32, flags: u32) -> i32;
    pub(crate) fn fd_flock(fd: i32, operation: i32) -> i32;
    pub(crate) fn fd_lock(
        fd: i32,
        command: i32,
        kind: i32,
        start: i64,
        length: i64,
        held: *mut HeldLock,
    ) -> i32;
    pub(crate) fn fd_xattr_get(
        fd: i32,
        name: *const u8,
        name_length: usize,
        value: *mut u8,
        value_length: usize,
        used: *mut usize,
    ) -> i32;
    pub(crate) fn fd_xattr_set(
        fd: i32,
        name: *const u8,
        name_length: usize,
        value: *const u8,
        value_length: usize,
        flags: i32,
    ) -> i32;
    pub(crate) fn fd_xattr_list(fd: i32, names: *mut u8, length: usize, used: *mut usize) -> i32;
    pub(crate) fn fd_xattr_remove(fd: i32, name: *const u8, name_length: usize) -> i32;
    pub(crate) fn fd_link(fd: i32, directory: i32, name: *const u8, name_length: usize) -> i32;
    pub(crate) fn path_rename2(
        from: i32,
        from_name: *const u8,
        from_length: usize,
        to: i32,
        to_name: *const u8,
        to_length: usize,
        flags: i32,
    ) -> i32;
    pub(crate) fn fd_chmod(fd: i32, mode: u32) -> i32;
    pub(crate) fn fd_stat_ext(fd: i32, numbers: *mut [u64; 8]) -> i32;
    pub(crate) fn path_next_mode(mode: u32) -> i32;
    pub(crate) fn path_chmod(
        fd: i32,
        lookup: i32,
        name: *const u8,
        name_length: usize,
        mode: u32,
    ) -> i32;

    pub(crate) fn fs_snapshot(name: *const u8, name_length: usize) -> i32;
    pub(crate) fn fs_snapshot_open(name: *const u8, name_length: usize, fd: *mut i32) -> i32;
    pub(crate) fn fs_snapshot_delete(name: *const u8, name_length: usize) -> i32;
    pub(crate) fn fs_drop_caches() -> i32;
    pub(crate) fn fs_fault(rule: *const u8, rule_length: usize) -> i32;
    pub(crate) fn note(tag: i32, value: i64) -> i32;
}

// What preview1 takes already, with numbers that it does not name.
#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    pub(crate) fn fd_seek(fd: i32, offset: i64, whence: i32, found: *mut u64) -> i32;
    pub(crate) fn path_open(
        fd: i32,
        lookup: i32,
        name: *const u8,
        name_length: usize,
        open_flags: i32,
        rights: i64,
        inheriting: i64,
        fd_flags: i32,
        opened: *mut i32,
    ) -> i32;
}
