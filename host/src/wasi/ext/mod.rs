//! The extension import module: what preview1 cannot say. `host/docs/extension.md` describes it.
//!
//! Flow: as for preview1, decode, ask, encode. What the file system does not have ends the run as
//! unsupported, and is no errno: the guest would carry on from a call that nobody made.

mod duplicate;
mod fd_link;
mod fd_mmap;
mod file_flags;
mod hooks;
mod locks;
mod machine;
mod mem_msync;
mod memory_ranges;
mod modes;
mod path_rename2;
mod ranges;
mod snapshots;
mod space;
mod xattrs;

use wasmtime::Caller;
use wasmtime::Linker;

use crate::wasi::Process;
use crate::wasi::answer;
use crate::wasi::frame;

/// Module name of the extension imports.
pub(super) const MODULE: &str = "crashproof_ext_v0";

/// Serves the imports to guests that run alone.
pub(super) fn link_inline(linker: &mut Linker<Process>) -> wasmtime::Result<()> {
    hooks::link_inline(linker)?;
    link_calls_inline(linker)
}

/// Serves the imports to guests that are tasks of one world.
pub(super) fn link_tasks(linker: &mut Linker<Process>) -> wasmtime::Result<()> {
    hooks::link_tasks(linker)?;
    link_calls_tasks(linker)
}

imports! {
    MODULE, [];
    duplicate::fd_dup(fd: u32, result: u32);
    fd_link::fd_link(fd: u32, to_fd: u32, to: u32, to_len: u32);
    fd_mmap::fd_mmap(fd: u32, address: u32, len: u32, protection: u32, flags: u32, offset: u64);
    file_flags::fd_flags_get(fd: u32, result: u32);
    file_flags::fd_flags_set(fd: u32, flags: u32);
    locks::fd_flock(fd: u32, operation: u32);
    locks::fd_lock(fd: u32, command: u32, kind: u32, start: u64, len: u64, result: u32);
    machine::fs_drop_caches();
    machine::fs_fault(rule: u32, rule_len: u32);
    machine::note(tag: u32, value: u64);
    mem_msync::mem_msync(address: u32, len: u32, flags: u32);
    memory_ranges::mem_madvise(address: u32, len: u32, advice: u32);
    memory_ranges::mem_mprotect(address: u32, len: u32, protection: u32);
    memory_ranges::mem_munmap(address: u32, len: u32);
    modes::fd_chmod(fd: u32, mode: u32);
    modes::fd_stat_ext(fd: u32, result: u32);
    modes::path_chmod(fd: u32, flags: u32, path: u32, path_len: u32, mode: u32);
    modes::path_next_mode(mode: u32);
    modes::path_stat_ext(fd: u32, flags: u32, path: u32, path_len: u32, result: u32);
    path_rename2::path_rename2(
        from_fd: u32, from: u32, from_len: u32, to_fd: u32, to: u32, to_len: u32, flags: u32
    );
    ranges::fd_clone_range(from: u32, from_offset: u64, len: u64, to: u32, to_offset: u64);
    ranges::fd_copy_range(
        from: u32, from_offset: u64, to: u32, to_offset: u64, len: u64, flags: u32, count: u32
    );
    ranges::fd_dedupe_range(
        from: u32, from_offset: u64, len: u64, to: u32, to_offset: u64, differs: u32
    );
    snapshots::fs_snapshot(name: u32, name_len: u32);
    snapshots::fs_snapshot_delete(name: u32, name_len: u32);
    snapshots::fs_snapshot_open(name: u32, name_len: u32, result: u32);
    space::fd_fallocate(fd: u32, mode: u32, offset: u64, len: u64);
    space::fd_statfs(fd: u32, result: u32);
    space::fd_sync_range(fd: u32, offset: u64, len: u64, flags: u32);
    space::fd_syncfs(fd: u32);
    xattrs::fd_xattr_get(
        fd: u32, name: u32, name_len: u32, buffer: u32, buffer_len: u32, used: u32
    );
    xattrs::fd_xattr_list(fd: u32, buffer: u32, buffer_len: u32, used: u32);
    xattrs::fd_xattr_remove(fd: u32, name: u32, name_len: u32);
    xattrs::fd_xattr_set(
        fd: u32, name: u32, name_len: u32, value: u32, value_len: u32, flags: u32
    );
}
