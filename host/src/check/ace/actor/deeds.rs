//! What the operations of bounded workloads do.

use bytes::Bytes;

use crate::call::Access;
use crate::call::AllocateMode;
use crate::call::Attribute;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::Memory;
use crate::call::OpenOptions;
use crate::call::Request;
use crate::call::SetAttribute;
use crate::call::Sharing;
use crate::call::StatusFlags;
use crate::call::Value;
use crate::check::ace::AceName;
use crate::check::ace::Placed;
use crate::check::ace::actor::Actor;
use crate::check::ace::actor::Done;
use crate::check::ace::actor::Node;
use crate::check::ace::actor::at;
use crate::check::ace::actor::options;

/// The operations.
impl Actor<'_> {
    /// Bytes that no other write has.
    pub(super) fn bytes(&mut self, len: u64) -> Bytes {
        self.written += 1;
        let tag = self.written;
        (0..len).map(|at| tag.wrapping_mul(31) ^ (at as u8).rotate_left(3)).collect()
    }

    pub(super) async fn write(
        &mut self,
        name: AceName,
        handle: HandleId,
        offset: u64,
        len: u64,
    ) -> Done {
        let data = self.bytes(len);
        let request = Request::Write { handle, offset: Some(offset), data };
        if let Some(Value::Count(count)) = self.ask(request).await? {
            self.grow(name, offset + u64::from(count));
        }
        Ok(())
    }

    pub(super) async fn write_direct(&mut self, name: AceName, placed: Placed) -> Done {
        self.content_for(name, placed).await?;
        let (offset, len) = self.place(name, placed);
        let path = name.path();
        self.close(path).await?;
        let status = StatusFlags { direct: true, ..StatusFlags::default() };
        let handle = self.open(path, OpenOptions { status, ..options(false, false) }).await?;
        // Aligned, wherever the file ends.
        self.write(name, handle, offset.next_multiple_of(self.block_size_bytes), len).await?;
        self.close(path).await
    }

    /// Stores to each block of a range, and an msync of its first bytes.
    pub(super) async fn store(
        &mut self,
        name: AceName,
        handle: HandleId,
        (offset, len): (u64, u64),
        synced: u64,
    ) -> Done {
        let end = offset + len;
        if end > self.size(name) {
            let request = Request::Truncate { handle, size_bytes: end };
            if self.ask(request).await?.is_some() {
                self.grow(name, end);
            }
        }
        let (access, sharing) = (Access { read: true, write: true }, Sharing::Shared);
        let block = self.block_size_bytes;
        let mapped = end.next_multiple_of(block);
        let map = Memory::Map { handle, offset: 0, len: mapped, access, sharing };
        let Some(Value::Mapping(mapping)) = self.ask(Request::Memory(map)).await? else {
            return Ok(());
        };
        let mut from = offset;
        while from < end {
            let until = (from + block).next_multiple_of(block).min(end).min(from + block);
            let data = self.bytes(until - from);
            let store = Memory::Store { mapping, offset: from, data };
            self.ask(Request::Memory(store)).await?;
            from = until;
        }
        let (wait, invalidate) = (true, false);
        let first = offset - offset % block;
        let len = offset - first + synced;
        let sync = Memory::SyncMapping { mapping, offset: first, len, wait, invalidate };
        self.ask(Request::Memory(sync)).await?;
        let unmap = Memory::Unmap { mapping, offset: 0, len: mapped };
        self.ask(Request::Memory(unmap)).await.map(drop)
    }

    pub(super) async fn create(&mut self, name: AceName) -> Done {
        self.parents(name).await?;
        let path = name.path();
        self.clear(path).await?;
        self.open(path, options(true, true)).await?;
        if self.open.contains_key(path) {
            self.made(path);
        }
        Ok(())
    }

    pub(super) async fn allocate(
        &mut self,
        name: AceName,
        mode: AllocateMode,
        placed: Placed,
    ) -> Done {
        let handle = self.content(name).await?;
        let (offset, len) = self.place(name, placed);
        let request = Request::Allocate { handle, offset, len, mode };
        let is_done = self.ask(request).await?.is_some();
        if is_done && matches!(mode, AllocateMode::Extend | AllocateMode::ZeroRange) {
            self.grow(name, offset + len);
        }
        Ok(())
    }

    pub(super) async fn truncate(&mut self, name: AceName, aligned: bool) -> Done {
        let handle = self.content(name).await?;
        let half = self.block_size_bytes / 2;
        let size_bytes = self.block_size_bytes + if aligned { 0 } else { half };
        if self.ask(Request::Truncate { handle, size_bytes }).await?.is_some() {
            self.file_of(name, |file| file.size_bytes = size_bytes);
        }
        Ok(())
    }

    pub(super) async fn symlink(&mut self, target: AceName, name: AceName) -> Done {
        self.parents(name).await?;
        self.clear(name.path()).await?;
        let target = Bytes::from_static(target.path().as_bytes());
        if self.ask(Request::Symlink { target, at: at(name.path()) }).await?.is_some() {
            self.nodes.insert(name.path(), Node::Symlink);
        }
        Ok(())
    }

    pub(super) async fn make_directory(&mut self, name: AceName) -> Done {
        let path = name.path();
        if self.nodes.contains_key(path) {
            self.empty(path).await?;
            self.remove_directory(path).await?;
        }
        self.directory(name).await
    }

    pub(super) async fn link(&mut self, from: AceName, to: AceName) -> Done {
        self.file(from).await?;
        self.parents(to).await?;
        self.clear(to.path()).await?;
        let request = Request::Link { from: at(from.path()), follow: false, to: at(to.path()) };
        if self.ask(request).await?.is_some() {
            let node = self.nodes[from.path()];
            self.nodes.insert(to.path(), node);
        }
        Ok(())
    }

    pub(super) async fn rename(&mut self, from: AceName, to: AceName) -> Done {
        let (old, new) = (from.path(), to.path());
        if from.is_directory() {
            self.directory(from).await?;
            if self.nodes.contains_key(new) {
                self.empty(new).await?;
            }
            let below = format!("{old}/");
            let inside = self.open.keys().filter(|path| path.starts_with(&below));
            for path in inside.copied().collect::<Vec<_>>() {
                self.close(path).await?;
            }
        } else {
            self.file(from).await?;
            self.parents(to).await?;
        }
        self.close(old).await?;
        self.close(new).await?;
        let request = Request::Rename { from: at(old), to: at(new), replace: true };
        if self.ask(request).await?.is_none() {
            return Ok(());
        }
        // Two names of one file both stay.
        if self.nodes.get(old) == self.nodes.get(new) && !from.is_directory() {
            return Ok(());
        }
        if let Some(node) = self.nodes.remove(old) {
            self.nodes.insert(new, node);
        }
        let below = format!("{old}/");
        let moved = |path: &str| format!("{new}/{}", &path[below.len()..]);
        for (path, node) in std::mem::take(&mut self.nodes) {
            if path.starts_with(&below) {
                self.strays.push((moved(path), node));
            } else {
                self.nodes.insert(path, node);
            }
        }
        for (path, _) in &mut self.strays {
            if path.starts_with(&below) {
                *path = moved(path);
            }
        }
        Ok(())
    }

    pub(super) async fn set_attribute(&mut self, name: AceName, handle: HandleId) -> Done {
        let set = Attribute::Set {
            handle,
            name: Bytes::from_static(b"user.ace"),
            value: self.bytes(8),
            how: SetAttribute::Any,
        };
        if self.ask(Request::Attribute(set)).await?.is_some() {
            self.file_of(name, |file| file.has_attribute = true);
        }
        Ok(())
    }

    pub(super) async fn remove_attribute(&mut self, name: AceName) -> Done {
        let handle = self.file(name).await?;
        let mut has_attribute = false;
        self.file_of(name, |file| has_attribute = file.has_attribute);
        if !has_attribute {
            self.set_attribute(name, handle).await?;
        }
        let remove = Attribute::Remove { handle, name: Bytes::from_static(b"user.ace") };
        if self.ask(Request::Attribute(remove)).await?.is_some() {
            self.file_of(name, |file| file.has_attribute = false);
        }
        Ok(())
    }

    pub(super) async fn clone(&mut self, from: AceName, to: AceName) -> Done {
        let source = self.content(from).await?;
        let handle = self.file(to).await?;
        let len = self.size(from);
        let (from_offset, to_offset) = (0, 0);
        let request =
            Request::CloneRange { from: source, from_offset, len: 0, to: handle, to_offset };
        if self.ask(request).await?.is_some() {
            self.grow(to, len);
        }
        Ok(())
    }

    pub(super) async fn snapshot(&mut self) -> Done {
        let name = Bytes::from_static(b"s");
        if self.has_snapshot {
            let delete = Manage::DeleteSnapshot { name: name.clone() };
            self.ask(Request::Manage(delete)).await?;
        }
        let make = Request::Manage(Manage::Snapshot { name });
        self.has_snapshot = self.ask(make).await?.is_some();
        Ok(())
    }
}
