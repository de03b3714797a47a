//! One import call under way: guest memory, the process, and the road to the file system.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::AsContextMut;
use wasmtime::Caller;
use wasmtime::Memory;
use wasmtime::StoreContextMut;

use crate::call::Errno;
use crate::call::FileKind;
use crate::call::Halt;
use crate::call::HandleId;
use crate::call::Request;
use crate::call::Value;
use crate::wasi::abi;
use crate::wasi::errno::AbiErrno;
use crate::wasi::fds::Target;
use crate::wasi::memory;
use crate::wasi::memory::Place;
use crate::wasi::memory::Vectors;
use crate::wasi::process::End;
use crate::wasi::process::Process;

/// Why an import does not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The guest is told.
    Errno(AbiErrno),
    /// The guest does not run on.
    End(End),
}

impl From<AbiErrno> for Failure {
    fn from(errno: AbiErrno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno.into())
    }
}

impl From<Halt> for Failure {
    fn from(halt: Halt) -> Self {
        Self::End(End::Halted(halt))
    }
}

/// What an import answers.
pub(super) type Outcome = Result<(), Failure>;

/// One import call under way, or what is left to do when a process ended.
pub(super) struct Frame<'a> {
    store: StoreContextMut<'a, Process>,
    memory: Memory,
}

impl<'a> Frame<'a> {
    pub(super) fn new(caller: &'a mut Caller<'_, Process>) -> wasmtime::Result<Self> {
        let memory = match caller.data().memory {
            Some(memory) => memory,
            // Only a start function runs before the memory is known.
            None => caller
                .get_export("memory")
                .and_then(wasmtime::Extern::into_memory)
                .ok_or_else(|| wasmtime::Error::msg("the module exports no memory"))?,
        };
        Ok(Self { store: caller.as_context_mut(), memory })
    }

    /// Of a process that runs no more, if it ever had a memory.
    pub(super) fn after(store: StoreContextMut<'a, Process>) -> Option<Self> {
        let memory = store.data().memory?;
        Some(Self { store, memory })
    }

    pub(super) fn process(&mut self) -> &mut Process {
        self.store.data_mut()
    }

    /// What the process is told about, without a chance to change it.
    pub(super) fn looked_at(&self) -> &Process {
        self.store.data()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.memory.data(&self.store)
    }

    /// All of memory, for bytes that are no stores of the guest.
    pub(super) fn bytes_mut(&mut self) -> (&mut [u8], &mut Process) {
        self.memory.data_and_store_mut(&mut self.store)
    }

    /// Sets a global that the rewriter added.
    pub(super) fn set_global(&mut self, global: wasmtime::Global, value: u32) {
        let value = wasmtime::Val::I32(value.cast_signed());
        global.set(&mut self.store, value).expect("the rewriter added a mutable i32");
    }

    /// Could the guest itself load from all of a place?
    fn check_unbarred(&self, place: &Place) -> Outcome {
        let mapped = &self.looked_at().mapped;
        match mapped.is_empty() || mapped.barred.within(&place.prefix(place.len())).is_empty() {
            true => Ok(()),
            false => Err(AbiErrno::Fault.into()),
        }
    }

    pub(super) fn place(&self, at: u32, len: u32) -> Result<Place, Failure> {
        let place = memory::place(self.bytes(), at, len)?;
        self.check_unbarred(&place).map(|()| place)
    }

    pub(super) fn places(&self, at: u32, count: u32, size: u32) -> Result<Place, Failure> {
        let place = memory::places(self.bytes(), at, count, size)?;
        self.check_unbarred(&place).map(|()| place)
    }

    pub(super) fn read(&self, place: &Place) -> &[u8] {
        memory::read(self.bytes(), place)
    }

    pub(super) fn write(&mut self, place: &Place, data: &[u8]) {
        memory::write(self.memory.data_mut(&mut self.store), place, data);
        self.note_written(place, data.len());
    }

    pub(super) fn path(&self, at: u32, len: u32) -> Result<Bytes, Failure> {
        self.place(at, len)?;
        Ok(memory::path(self.bytes(), at, len)?)
    }

    pub(super) fn vectors(&self, at: u32, count: u32) -> Result<Vectors, Failure> {
        let vectors = memory::vectors(self.bytes(), at, count)?;
        self.places(at, count, abi::VECTOR_BYTES)?;
        let mut places = vectors.places().iter();
        places.try_for_each(|place| self.check_unbarred(place))?;
        Ok(vectors)
    }

    pub(super) fn gather(&self, vectors: &Vectors) -> Bytes {
        memory::gather(self.bytes(), vectors)
    }

    pub(super) fn scatter(&mut self, vectors: &Vectors, data: &[u8]) {
        memory::scatter(self.memory.data_mut(&mut self.store), vectors, data);
        let mut left = data.len();
        for place in vectors.places() {
            let len = left.min(place.len());
            self.note_written(place, len);
            left -= len;
        }
    }

    /// What a call leaves in mapped memory is a store like any other.
    fn note_written(&mut self, place: &Place, len: usize) {
        let mapped = &mut self.store.data_mut().mapped;
        if !mapped.is_empty() {
            mapped.written.push(place.prefix(len));
        }
    }

    /// Where a descriptor leads, if none of the rights the call needs was given up.
    pub(super) fn target(&self, fd: u32, needed: u64) -> Result<Target, Failure> {
        let descriptor = self.store.data().fds.get(fd)?;
        if !descriptor.rights.allow(needed) {
            return Err(AbiErrno::Notcapable.into());
        }
        Ok(descriptor.target)
    }

    /// The open file description of a descriptor that is not standard input or output, for which
    /// the answer is `otherwise`.
    pub(super) fn handle(
        &self,
        fd: u32,
        needed: u64,
        otherwise: AbiErrno,
    ) -> Result<(HandleId, FileKind), Failure> {
        match self.target(fd, needed)? {
            Target::Handle { handle, kind } => Ok((handle, kind)),
            Target::Stdin | Target::Stdout | Target::Stderr => Err(otherwise.into()),
        }
    }

    /// The directory that a path starts from.
    pub(super) fn directory(&self, fd: u32, needed: u64) -> Result<HandleId, Failure> {
        Ok(self.handle(fd, needed, AbiErrno::Notdir)?.0)
    }

    /// The place that a path of the guest names.
    pub(super) fn at(
        &self,
        fd: u32,
        needed: u64,
        path: u32,
        path_len: u32,
    ) -> Result<crate::call::At, Failure> {
        let path = self.path(path, path_len)?;
        Ok(crate::call::At { directory: self.directory(fd, needed)?, path })
    }

    /// Asks the file system.
    pub(super) async fn ask(&mut self, request: Request) -> Result<Value, Failure> {
        let process = self.store.data();
        let (vfs, caller) = (Arc::clone(&process.vfs), process.caller);
        Ok(vfs.call(caller, request).await??)
    }

    /// Asks the file system for something that has no result.
    pub(super) async fn ask_done(&mut self, request: Request) -> Outcome {
        let Value::Done = self.ask(request).await? else { unexpected() };
        Ok(())
    }
}

/// A request was answered by another kind of value than the one it asks for.
pub(super) fn unexpected() -> ! {
    unreachable!("a file system answers each request with the kind of value it asks for")
}

/// Is a symbolic link at the end of the path followed?
pub(super) fn decode_lookup(flags: u32) -> Result<bool, Failure> {
    if flags & !abi::LOOKUP_SYMLINK_FOLLOW != 0 {
        return Err(AbiErrno::Inval.into());
    }
    Ok(flags & abi::LOOKUP_SYMLINK_FOLLOW != 0)
}
