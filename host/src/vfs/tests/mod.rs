//! The stack as a whole, on a tiny disk.

mod attributes;
mod compressed;
mod concurrent;
mod crash;
mod data;
mod frozen;
mod in_place;
mod litmus;
mod locks;
mod mapped;
mod mapped_races;
mod model;
mod modes;
mod namespace;
mod reshape;
mod seek;
mod sharing;
mod shortage;
mod snapshot;

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::CachePolicy;
use crate::cache::ErrorPolicy;
use crate::call::Answer;
use crate::call::At;
use crate::call::CallId;
use crate::call::Caller;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::OpenOptions;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::Stat;
use crate::call::StatusFlags;
use crate::call::Testimony;
use crate::call::Value;
use crate::call::Vfs;
use crate::call::Whence;
use crate::call::Witness;
use crate::cow::Cow;
use crate::cow::CowPolicy;
use crate::cow::format;
use crate::device::Disk;
use crate::device::FaultRule;
use crate::device::Faulty;
use crate::device::Geometry;
use crate::device::Image;
use crate::sim::Sim;
use crate::vfs::ReferenceVfs;
use crate::vfs::VfsPolicy;

const BLOCK: usize = 512;

const TINY: Geometry = Geometry { block_size_bytes: BLOCK as u32, block_count: 256 };

/// How a file is opened, in short.
const READ: OpenOptions = OpenOptions {
    read: true,
    write: false,
    create: false,
    exclusive: false,
    truncate: false,
    directory: false,
    follow: true,
    status: StatusFlags {
        append: false,
        data_sync: false,
        sync: false,
        read_sync: false,
        nonblocking: false,
        direct: false,
    },
    mode: None,
};
const EDIT: OpenOptions = OpenOptions { write: true, ..READ };
const CREATE: OpenOptions = OpenOptions { create: true, ..EDIT };
const NEW: OpenOptions = OpenOptions { exclusive: true, ..CREATE };
const DIRECTORY: OpenOptions = OpenOptions { directory: true, ..READ };
const APPEND: OpenOptions =
    OpenOptions { status: StatusFlags { append: true, ..CREATE.status }, ..CREATE };

/// A stack with one process, driven synchronously.
struct World {
    sim: Sim,
    disk: Arc<Disk>,
    faulty: Arc<Faulty>,
    witness: Witness,
    vfs: ReferenceVfs,
    process: u32,
}

fn formatted(geometry: Geometry) -> Image {
    let sim = Sim::calm();
    let disk = Disk::new(Image::new(geometry), sim.clone());
    sim.block_on(format(&disk, &sim)).expect("the disk is healthy and large enough");
    disk.durable_image()
}

fn at(path: &str) -> At {
    at_dir(HandleId::ROOT, path)
}

fn at_dir(directory: HandleId, path: &str) -> At {
    At { directory, path: Bytes::copy_from_slice(path.as_bytes()) }
}

impl World {
    fn new() -> Self {
        Self::of(formatted(TINY))
    }

    fn with_errors(errors: ErrorPolicy) -> Self {
        let cache = CachePolicy { errors, ..CachePolicy::default() };
        Self::with(formatted(TINY), Sim::calm(), VfsPolicy::default(), cache)
    }

    fn with(image: Image, sim: Sim, policy: VfsPolicy, cache: CachePolicy) -> Self {
        Self::assembled(image, sim, (policy, cache, CowPolicy::default()))
    }

    fn assembled(
        image: Image,
        sim: Sim,
        (policy, cache, cow): (VfsPolicy, CachePolicy, CowPolicy),
    ) -> Self {
        // A page of memory is a block: what is seen at its borders is seen with little.
        let policy = VfsPolicy { memory_page_bytes: BLOCK as u64, ..policy };
        let disk = Arc::new(Disk::new(image, sim.clone()));
        let faulty = Arc::new(Faulty::new(disk.clone(), Vec::new(), sim.clone()));
        let mounted = Cow::mount(faulty.clone(), sim.clone(), cow);
        let cow = sim.block_on(mounted).expect("the image is whole");
        sim.block_on(cow.remove_orphans()).expect("the disk is healthy");
        let witness = Witness::default();
        let vfs = ReferenceVfs::new(cow, sim.clone(), witness.clone(), policy, cache);
        Self { sim, disk, faulty, witness, vfs, process: 0 }
    }

    /// The same disk after a clean unmount.
    fn remounted(self) -> Self {
        assert_eq!(self.sim.block_on(self.vfs.unmount()), Ok(Ok(())));
        Self::of(self.disk.durable_image())
    }

    fn of(image: Image) -> Self {
        Self::with(image, Sim::calm(), VfsPolicy::default(), CachePolicy::default())
    }

    fn call(&self, request: Request) -> Answer {
        let caller = Caller { process: ProcessId(self.process), call: CallId(0) };
        self.sim.block_on(self.vfs.call(caller, request)).expect("the power stays on")
    }

    fn done(&self, request: Request) -> Result<(), Errno> {
        self.call(request).map(|value| assert_eq!(value, Value::Done))
    }

    fn open(&self, path: &str, options: OpenOptions) -> Result<HandleId, Errno> {
        self.open_at(HandleId::ROOT, path, options)
    }

    fn open_at(
        &self,
        directory: HandleId,
        path: &str,
        options: OpenOptions,
    ) -> Result<HandleId, Errno> {
        let Value::Handle { handle, .. } =
            self.call(Request::Open { at: at_dir(directory, path), options })?
        else {
            panic!("open answers a handle")
        };
        Ok(handle)
    }

    fn file(&self, path: &str, content: &[u8]) -> HandleId {
        let handle = self.open(path, CREATE).expect("the file can be made");
        assert_eq!(self.write(handle, 0, content), Ok(content.len() as u32));
        handle
    }

    fn close(&self, handle: HandleId) {
        assert_eq!(self.done(Request::Close { handle }), Ok(()));
    }

    fn put(&self, handle: HandleId, offset: Option<u64>, data: &[u8]) -> Result<u32, Errno> {
        let data = Bytes::copy_from_slice(data);
        let Value::Count(count) = self.call(Request::Write { handle, offset, data })? else {
            panic!("write answers a count")
        };
        Ok(count)
    }

    fn write(&self, handle: HandleId, offset: u64, data: &[u8]) -> Result<u32, Errno> {
        self.put(handle, Some(offset), data)
    }

    fn get(&self, handle: HandleId, offset: Option<u64>, len: u32) -> Result<Bytes, Errno> {
        let Value::Data(data) = self.call(Request::Read { handle, offset, len })? else {
            panic!("read answers data")
        };
        Ok(data)
    }

    fn read(&self, handle: HandleId, offset: u64, len: u32) -> Result<Bytes, Errno> {
        self.get(handle, Some(offset), len)
    }

    fn content(&self, path: &str) -> Result<Bytes, Errno> {
        let handle = self.open(path, READ)?;
        let content = self.read(handle, 0, u32::MAX);
        self.close(handle);
        content
    }

    fn seek(&self, handle: HandleId, offset: i64, whence: Whence) -> Result<u64, Errno> {
        let Value::Offset(offset) = self.call(Request::Seek { handle, offset, whence })? else {
            panic!("seek answers an offset")
        };
        Ok(offset)
    }

    fn stat(&self, path: &str) -> Result<Stat, Errno> {
        let Value::Stat(stat) = self.call(Request::Stat { at: at(path), follow: false })? else {
            panic!("stat answers facts")
        };
        Ok(stat)
    }

    fn stat_handle(&self, handle: HandleId) -> Stat {
        match self.call(Request::StatHandle { handle }) {
            Ok(Value::Stat(stat)) => stat,
            other => panic!("fstat answers facts, not {other:?}"),
        }
    }

    fn names(&self, path: &str) -> Vec<String> {
        let handle = self.open(path, DIRECTORY).expect("it is a directory");
        let scan = Request::ReadDirectory { handle, cookie: 0, count_max: 1000 };
        let Ok(Value::Entries(entries)) = self.call(scan) else { panic!("a scan succeeds") };
        self.close(handle);
        let names = entries.into_iter().map(|entry| entry.name);
        names.map(|name| String::from_utf8_lossy(&name).into_owned()).collect()
    }

    fn mkdir(&self, path: &str) -> Result<(), Errno> {
        self.done(Request::MakeDirectory { at: at(path), mode: None })
    }

    fn rmdir(&self, path: &str) -> Result<(), Errno> {
        self.done(Request::RemoveDirectory { at: at(path) })
    }

    fn unlink(&self, path: &str) -> Result<(), Errno> {
        self.done(Request::Unlink { at: at(path) })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        self.done(Request::Rename { from: at(from), to: at(to), replace: true })
    }

    fn rename_new(&self, from: &str, to: &str) -> Result<(), Errno> {
        self.done(Request::Rename { from: at(from), to: at(to), replace: false })
    }

    fn exchange(&self, from: &str, to: &str) -> Result<(), Errno> {
        self.done(Request::Exchange { from: at(from), to: at(to) })
    }

    fn unnamed(&self, exclusive: bool) -> HandleId {
        let options = OpenOptions { exclusive, create: false, truncate: false, ..CREATE };
        match self.call(Request::OpenUnnamed { at: at("."), options }) {
            Ok(Value::Handle { handle, .. }) => handle,
            other => panic!("a file without a name is made, not {other:?}"),
        }
    }

    fn link_handle(&self, handle: HandleId, to: &str) -> Result<(), Errno> {
        self.done(Request::LinkHandle { handle, to: at(to) })
    }

    fn link(&self, from: &str, to: &str) -> Result<(), Errno> {
        self.done(Request::Link { from: at(from), follow: false, to: at(to) })
    }

    fn symlink(&self, target: &str, path: &str) -> Result<(), Errno> {
        let target = Bytes::copy_from_slice(target.as_bytes());
        self.done(Request::Symlink { target, at: at(path) })
    }

    fn truncate(&self, handle: HandleId, size_bytes: u64) -> Result<(), Errno> {
        self.done(Request::Truncate { handle, size_bytes })
    }

    fn fsync(&self, handle: HandleId) -> Result<(), Errno> {
        self.done(Request::Fsync { handle })
    }

    fn flush(&self) {
        self.sim.block_on(self.vfs.flush_background()).expect("the power stays on");
    }

    fn fail(&self, rule: &str) {
        self.faulty.add(rule.parse::<FaultRule>().expect("a rule of this test"));
    }

    /// Testimony, without the order of calls.
    fn said(&self) -> Vec<Testimony> {
        let said = self.witness.take().into_iter();
        said.filter(|testimony| !matches!(testimony, Testimony::Committed { .. })).collect()
    }
}
