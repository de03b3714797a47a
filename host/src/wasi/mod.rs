//! WASI preview1 and the extension over the `call` seam: decode, ask, encode.
//!
//! Flow: an import reads its arguments from guest memory (`memory`), checks its descriptor
//! (`fds`), asks the file system one [`crate::call::Request`] (`frame`), and encodes the answer.
//! Each import is one async function; `link_inline` drives it on the spot, for a guest that is
//! alone, `link_tasks` lets it wait, for guests whose calls are in flight at once. Around each,
//! `mapped` makes the process's mapped memory agree with the file system.
//!
//! Architecture invariant: no import knows what a name means, and none answers an errno for what
//! the stack does not model: that is a halt.

mod abi;
mod clock;
mod errno;
mod fd_read;
mod fd_readdir;
mod fd_seek;
mod fd_stat;
mod fd_sync;
mod fd_table;
mod fd_write;
mod fds;
mod frame;
mod mapped;
mod memory;
mod path_links;
mod path_names;
mod path_open;
mod path_stat;
mod poll_oneoff;
mod process;
mod process_calls;
mod rights;
mod sock;
mod stdio;
mod strings;

use wasmtime::Caller;
use wasmtime::Linker;
use wasmtime::StoreContextMut;

pub use errno::AbiErrno;
pub(crate) use process::End;
pub use process::FaultSink;
pub use process::Killed;
pub(crate) use process::Process;
pub use process::ProcessConfig;
pub(crate) use process::ProcessLimits;
pub use stdio::LineSink;

/// Module name of the imports that this module serves.
pub const IMPORT_MODULE: &str = abi::MODULE;
/// Module name of the extension's imports.
pub const EXTENSION_MODULE: &str = ext::MODULE;
/// Names of the extension's imports.
pub use ext::IMPORTS as EXTENSION_IMPORTS;

/// What the engine is told about the outcome of an import.
fn answer(outcome: frame::Outcome) -> wasmtime::Result<u32> {
    match outcome {
        Ok(()) => Ok(u32::from(AbiErrno::Success.number())),
        Err(frame::Failure::Errno(errno)) => Ok(u32::from(errno.number())),
        Err(frame::Failure::End(end)) => Err(wasmtime::Error::new(end)),
    }
}

/// What the engine is told about the outcome of what answers no errno.
fn finish(outcome: frame::Outcome) -> wasmtime::Result<()> {
    match outcome {
        // An access to memory has no errno; whoever makes one turns it into a signal.
        Ok(()) | Err(frame::Failure::Errno(_)) => Ok(()),
        Err(frame::Failure::End(end)) => Err(wasmtime::Error::new(end)),
    }
}

/// Serves imports of one module. Around each call, mapped memory is made to agree with the file
/// system.
macro_rules! imports {
    ($module:expr, [$($also:literal),*];
        $($file:ident::$name:ident($($arg:ident: $type:ty),*);)*) => {
        /// Names of all imports that are served.
        pub const IMPORTS: &[&str] = &[$($also,)* $(stringify!($name),)*];

        /// A call is driven to its end on the spot.
        fn link_calls_inline(linker: &mut Linker<Process>) -> wasmtime::Result<()> {
            $(linker.func_wrap(
                $module,
                stringify!($name),
                |mut caller: Caller<'_, Process>, $($arg: $type),*| -> wasmtime::Result<u32> {
                    let sim = caller.data().sim.clone();
                    let mut frame = frame::Frame::new(&mut caller)?;
                    answer(sim.block_on(async {
                        frame.catch_up().await?;
                        let outcome = $file::$name(&mut frame, $($arg),*).await;
                        frame.settle(outcome).await
                    }))
                },
            )?;)*
            Ok(())
        }

        /// A call may wait in the middle, and others' calls go on meanwhile.
        fn link_calls_tasks(linker: &mut Linker<Process>) -> wasmtime::Result<()> {
            $(linker.func_wrap_async(
                $module,
                stringify!($name),
                |mut caller: Caller<'_, Process>, ($($arg,)*): ($($type,)*)| {
                    Box::new(async move {
                        let mut frame = frame::Frame::new(&mut caller)?;
                        if let Err(failure) = frame.catch_up().await {
                            return answer(Err(failure));
                        }
                        let outcome = $file::$name(&mut frame, $($arg),*).await;
                        answer(frame.settle(outcome).await)
                    })
                },
            )?;)*
            Ok(())
        }
    };
}

mod ext;

/// Serves all imports to guests that run alone.
pub(crate) fn link_inline(linker: &mut Linker<Process>) -> wasmtime::Result<()> {
    link_exit(linker)?;
    link_calls_inline(linker)?;
    ext::link_inline(linker)
}

/// Serves all imports to guests that are tasks of one world.
pub(crate) fn link_tasks(linker: &mut Linker<Process>) -> wasmtime::Result<()> {
    link_exit(linker)?;
    link_calls_tasks(linker)?;
    ext::link_tasks(linker)
}

/// What a process whose code no longer runs stored before its end, where nothing is rewritten.
pub(crate) async fn last_stores(store: StoreContextMut<'_, Process>) -> Result<(), End> {
    let Some(mut frame) = frame::Frame::after(store) else { return Ok(()) };
    match frame.catch_up().await {
        Ok(()) | Err(frame::Failure::Errno(_)) => Ok(()),
        Err(frame::Failure::End(end)) => Err(end),
    }
}

fn link_exit(linker: &mut Linker<Process>) -> wasmtime::Result<()> {
    linker.func_wrap(abi::MODULE, "proc_exit", process_calls::proc_exit)?;
    Ok(())
}

imports! {
    abi::MODULE, ["proc_exit"];
    strings::args_get(array: u32, buffer: u32);
    strings::args_sizes_get(count: u32, bytes: u32);
    strings::environ_get(array: u32, buffer: u32);
    strings::environ_sizes_get(count: u32, bytes: u32);
    clock::clock_res_get(id: u32, result: u32);
    clock::clock_time_get(id: u32, precision: u64, result: u32);
    fd_sync::fd_advise(fd: u32, offset: u64, len: u64, advice: u32);
    fd_sync::fd_allocate(fd: u32, offset: u64, len: u64);
    fd_table::fd_close(fd: u32);
    fd_sync::fd_datasync(fd: u32);
    fd_stat::fd_fdstat_get(fd: u32, result: u32);
    fd_stat::fd_fdstat_set_flags(fd: u32, bits: u32);
    fd_stat::fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64);
    fd_stat::fd_filestat_get(fd: u32, result: u32);
    fd_stat::fd_filestat_set_size(fd: u32, size: u64);
    fd_stat::fd_filestat_set_times(fd: u32, access: u64, modify: u64, flags: u32);
    fd_read::fd_pread(fd: u32, vectors: u32, vector_count: u32, offset: u64, count: u32);
    fd_table::fd_prestat_get(fd: u32, result: u32);
    fd_table::fd_prestat_dir_name(fd: u32, buffer: u32, len: u32);
    fd_write::fd_pwrite(fd: u32, vectors: u32, vector_count: u32, offset: u64, count: u32);
    fd_read::fd_read(fd: u32, vectors: u32, vector_count: u32, count: u32);
    fd_readdir::fd_readdir(fd: u32, buffer: u32, buffer_len: u32, cookie: u64, used: u32);
    fd_table::fd_renumber(from: u32, to: u32);
    fd_seek::fd_seek(fd: u32, offset: i64, whence: u32, result: u32);
    fd_sync::fd_sync(fd: u32);
    fd_seek::fd_tell(fd: u32, result: u32);
    fd_write::fd_write(fd: u32, vectors: u32, vector_count: u32, count: u32);
    path_names::path_create_directory(fd: u32, path: u32, path_len: u32);
    path_stat::path_filestat_get(fd: u32, flags: u32, path: u32, path_len: u32, result: u32);
    path_stat::path_filestat_set_times(
        fd: u32, flags: u32, path: u32, path_len: u32, access: u64, modify: u64, times: u32
    );
    path_links::path_link(
        from_fd: u32, flags: u32, from: u32, from_len: u32, to_fd: u32, to: u32, to_len: u32
    );
    path_open::path_open(
        fd: u32, flags: u32, path: u32, path_len: u32, open_flags: u32, base: u64,
        inheriting: u64, fd_flags: u32, result: u32
    );
    path_links::path_readlink(
        fd: u32, path: u32, path_len: u32, buffer: u32, buffer_len: u32, used: u32
    );
    path_names::path_remove_directory(fd: u32, path: u32, path_len: u32);
    path_names::path_rename(
        from_fd: u32, from: u32, from_len: u32, to_fd: u32, to: u32, to_len: u32
    );
    path_links::path_symlink(target: u32, target_len: u32, fd: u32, path: u32, path_len: u32);
    path_names::path_unlink_file(fd: u32, path: u32, path_len: u32);
    poll_oneoff::poll_oneoff(input: u32, output: u32, count: u32, result: u32);
    process_calls::proc_raise(signal: u32);
    process_calls::random_get(buffer: u32, len: u32);
    process_calls::sched_yield();
    sock::sock_accept(fd: u32, flags: u32, result: u32);
    sock::sock_recv(fd: u32, data: u32, data_len: u32, flags: u32, count: u32, flags_out: u32);
    sock::sock_send(fd: u32, data: u32, data_len: u32, flags: u32, count: u32);
    sock::sock_shutdown(fd: u32, how: u32);
}
