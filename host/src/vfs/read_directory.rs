//! `readdir` by cookie: `.` and `..` come first, then names in the order in which they were made.

use bytes::Bytes;

use crate::call::DirectoryEntry;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::Ino;
use crate::call::Value;
use crate::cow::COOKIE_FIRST;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::kind_of;

/// Where a scan goes on after `.`, and after `..`.
const AFTER_HERE: u64 = 1;
const AFTER_PARENT: u64 = 2;
const _: () = assert!(AFTER_PARENT < COOKIE_FIRST, "no name has their cookies");

impl ReferenceVfs {
    pub(super) async fn read_directory(
        &self,
        handle: HandleId,
        cookie: u64,
        count_max: u32,
    ) -> Outcome<Value> {
        let dir = self.directory_ino(handle)?;
        let inode = self.cow.inode(dir).await?.ok_or(Errno::NoEntry)?;
        if inode.link_count == 0 {
            return Err(Errno::NoEntry.into());
        }
        let dots = [(AFTER_HERE, dir, &b"."[..]), (AFTER_PARENT, inode.parent, &b".."[..])];
        let dots = dots.into_iter().filter(|(next, ..)| *next > cookie);
        let mut entries: Vec<DirectoryEntry> = dots
            .map(|(next_cookie, ino, name)| DirectoryEntry {
                next_cookie,
                ino: Ino(ino),
                kind: FileKind::Directory,
                name: Bytes::from_static(name),
            })
            .take(count_max as usize)
            .collect();
        let Some(from) = cookie.checked_add(1) else { return Ok(Value::Entries(entries)) };
        let room = count_max as usize - entries.len();
        let items = self.cow.entries(dir, from.max(COOKIE_FIRST), room).await?;
        entries.extend(items.into_iter().map(|item| DirectoryEntry {
            next_cookie: item.cookie,
            ino: Ino(item.ino),
            kind: kind_of(item.kind),
            name: item.name,
        }));
        Ok(Value::Entries(entries))
    }
}
