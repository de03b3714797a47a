//! Items of the tree: what a key says, what its value says.
//!
//! A key is the number of a file, the kind of the item, and what tells items of that kind apart.
//! So everything about a file is next to each other, a directory's entries in the order of their
//! cookies.

use bytes::Bytes;

use super::BlockPtr;
use super::extent::EXTENT_SLOTS;
use super::extent::Extent;
use super::extent::Run;
use super::field::Fields;
use super::node::Record;
use crate::device::Geometry;

/// The number of the root directory.
pub const ROOT_INO: u64 = 1;

/// Bits of a file's number that tell files of one tree apart; those above are its snapshot's
/// number, 0 in the live tree.
pub const INO_BITS: u32 = 40;

/// No file of a tree has this number or a higher one.
pub const INO_END: u64 = 1 << INO_BITS;

/// No snapshot has this number or a higher one.
pub const SNAPSHOT_END: u32 = 1 << (u64::BITS - INO_BITS);

/// The first cookie of a directory entry; 1 and 2 are for `.` and `..`.
pub const COOKIE_FIRST: u64 = 3;

/// What kind of file an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A regular file.
    Regular = 1,
    /// A directory.
    Directory = 2,
    /// A symbolic link.
    Symlink = 3,
}

/// Permission bits have no others.
pub const MODE_MAX: u16 = 0o7777;

impl Kind {
    /// The permission bits of what is made without any.
    #[must_use]
    pub fn mode(self) -> u16 {
        match self {
            Self::Regular => 0o666,
            Self::Directory | Self::Symlink => 0o777,
        }
    }
}

/// The three times of a file, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// Last access.
    pub access_nanos: u64,
    /// Last change of content.
    pub modify_nanos: u64,
    /// Last change of anything.
    pub change_nanos: u64,
}

/// What is known of a file apart from its names and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// What kind of file it is.
    pub kind: Kind,
    /// Number of names.
    pub link_count: u32,
    /// Bytes of content that are written back; of a symbolic link, of its target.
    pub size_bytes: u64,
    /// Its times.
    pub times: Times,
    /// Of a directory, the directory it is in (the root is in itself); otherwise 0.
    pub parent: u64,
    /// Of a directory, the cookie of its next entry; otherwise 0.
    pub next_cookie: u64,
    /// Of a regular file: is what is written from now on compressed?
    pub is_compressed: bool,
    /// Of a regular file: is content written again where it is? Not together with compression.
    pub is_nocow: bool,
    /// Its permission bits, at most [`MODE_MAX`].
    pub mode: u16,
}

/// Where a name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryTarget {
    /// Number of the file.
    pub ino: u64,
    /// Its kind.
    pub kind: Kind,
    /// The place of the name in its directory.
    pub cookie: u64,
}

/// One name of a directory, in the order of cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryItem {
    /// The place of the name in its directory.
    pub cookie: u64,
    /// The name: one component.
    pub name: Bytes,
    /// Number of the file.
    pub ino: u64,
    /// Its kind.
    pub kind: Kind,
}

/// The longest name in bytes, whatever the block size.
pub const NAME_MAX: usize = 255;

/// The kinds of items. The number is part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ItemKind {
    /// An [`Inode`].
    Inode = 1,
    /// From a name of a directory to its [`EntryTarget`].
    Name = 2,
    /// From a cookie of a directory to its [`EntryItem`].
    Entry = 3,
    /// From [`EXTENT_SLOTS`] blocks of a file to blocks of the device.
    Extent = 4,
    /// A part of the target of a symbolic link.
    Symlink = 5,
    /// A file without a name that was not removed yet; all of them are under file 0.
    Orphan = 6,
    /// Blocks of a file that are packed: a [`Run`].
    Run = 7,
    /// A [`SnapshotItem`]; all of them are under file 0, in a tree of their own.
    Snapshot = 8,
    /// From the name of an extended attribute of a file to its value.
    Attribute = 9,
}

impl ItemKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Inode,
        Self::Name,
        Self::Entry,
        Self::Extent,
        Self::Symlink,
        Self::Orphan,
        Self::Run,
        Self::Snapshot,
        Self::Attribute,
    ];

    /// What the kind's keys and values say, for the printed layout.
    #[must_use]
    pub fn layout(self) -> [&'static str; 3] {
        match self {
            Self::Inode => [
                "inode",
                "nothing",
                "kind u8, link count u32, size u64, times of access, modification and change u64, \
                 parent u64, next cookie u64, flags u8: 1 compressed, 2 in place; mode u16",
            ],
            Self::Name => ["name", "the name", "ino u64, kind u8, cookie u64"],
            Self::Entry => ["entry", "cookie u64", "ino u64, kind u8, the name"],
            Self::Extent => [
                "extent",
                "first file block u64, a multiple of 8",
                "bitmap of plain slots u8, of packed slots u8, both set: in place; for each slot \
                 that is set, plain: block u64, CRC-32C u32; packed: run u8, place in it u8; in \
                 place: block u64, birth u64, 1 if written else 0 and it reads as zeros u8",
            ],
            Self::Symlink => ["symlink", "part u32", "bytes of the target"],
            Self::Orphan => ["orphan", "ino u64", "nothing"],
            Self::Run => [
                "run",
                "first file block of its extent u64, run u8",
                "blocks that it unpacks to u8, packed bytes u32, CRC-32C of its blocks u32, its \
                 blocks u64, fewer than it unpacks to",
            ],
            Self::Snapshot => [
                "snapshot",
                "its name",
                "number u32, its top node: block u64, generation u64, CRC-32C u32",
            ],
            Self::Attribute => ["attribute", "its name", "its value"],
        }
    }
}

/// What a key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// An inode.
    Inode {
        /// The file.
        ino: u64,
    },
    /// A name.
    Name {
        /// The directory.
        dir: u64,
        /// The name in it.
        name: Bytes,
    },
    /// An entry.
    Entry {
        /// The directory.
        dir: u64,
        /// The place in it.
        cookie: u64,
    },
    /// An extent.
    Extent {
        /// The file.
        ino: u64,
        /// The first block of the file that it speaks of.
        first: u64,
    },
    /// A part of a target.
    Symlink {
        /// The symbolic link.
        ino: u64,
        /// Which part, from 0.
        part: u32,
    },
    /// An orphan.
    Orphan {
        /// The file.
        ino: u64,
    },
    /// A run.
    Run {
        /// The file.
        ino: u64,
        /// The first block of the file that its extent speaks of.
        first: u64,
        /// Which run of that extent.
        run: u8,
    },
    /// A snapshot.
    Snapshot {
        /// Its name.
        name: Bytes,
    },
    /// An extended attribute.
    Attribute {
        /// The file.
        ino: u64,
        /// Its name.
        name: Bytes,
    },
}

/// Where a key says its kind: behind the file that it speaks of.
const KIND_AT: usize = size_of::<u64>();
/// What every key begins with: the file and the kind.
const PREFIX_SIZE_BYTES: usize = KIND_AT + 1;

/// A buffer of just that size is the key's own: keys are made for each question.
#[expect(clippy::big_endian_bytes, reason = "byte order of keys is the order of the tree")]
fn key(ino: u64, kind: ItemKind, parts: &[&[u8]]) -> Vec<u8> {
    let rest: usize = parts.iter().map(|part| part.len()).sum();
    let mut key = Vec::with_capacity(PREFIX_SIZE_BYTES + rest);
    key.extend_from_slice(&ino.to_be_bytes());
    key.push(kind as u8);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

#[expect(clippy::big_endian_bytes, reason = "byte order of keys is the order of the tree")]
impl Key {
    /// The bytes of the key.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let key = |ino: u64, kind: ItemKind, parts: &[&[u8]]| Bytes::from(key(ino, kind, parts));
        match self {
            Self::Inode { ino } => Bytes::copy_from_slice(&Self::of_inode(*ino)),
            Self::Name { dir, name } => Bytes::from(Self::of_name(*dir, name)),
            Self::Entry { dir, cookie } => key(*dir, ItemKind::Entry, &[&cookie.to_be_bytes()]),
            Self::Extent { ino, first } => Bytes::copy_from_slice(&Self::of_extent(*ino, *first)),
            Self::Symlink { ino, part } => key(*ino, ItemKind::Symlink, &[&part.to_be_bytes()]),
            Self::Orphan { ino } => key(0, ItemKind::Orphan, &[&ino.to_be_bytes()]),
            Self::Run { ino, first, run } => {
                key(*ino, ItemKind::Run, &[&first.to_be_bytes(), &[*run]])
            }
            Self::Snapshot { name } => key(0, ItemKind::Snapshot, &[name]),
            Self::Attribute { ino, name } => key(*ino, ItemKind::Attribute, &[name]),
        }
    }

    /// The bytes of [`Key::Inode`], for a question.
    #[must_use]
    pub fn of_inode(ino: u64) -> [u8; PREFIX_SIZE_BYTES] {
        let mut key = [ItemKind::Inode as u8; PREFIX_SIZE_BYTES];
        key[..KIND_AT].copy_from_slice(&ino.to_be_bytes());
        key
    }

    /// The bytes of [`Key::Extent`], for a question.
    #[must_use]
    pub fn of_extent(ino: u64, first: u64) -> [u8; PREFIX_SIZE_BYTES + size_of::<u64>()] {
        let mut key = [ItemKind::Extent as u8; PREFIX_SIZE_BYTES + size_of::<u64>()];
        key[..KIND_AT].copy_from_slice(&ino.to_be_bytes());
        key[PREFIX_SIZE_BYTES..].copy_from_slice(&first.to_be_bytes());
        key
    }

    /// The bytes of [`Key::Name`], for a question.
    #[must_use]
    pub fn of_name(dir: u64, name: &[u8]) -> Vec<u8> {
        key(dir, ItemKind::Name, &[name])
    }

    /// The first key of that kind of that file, or what comes before it.
    #[must_use]
    pub fn start(ino: u64, kind: ItemKind) -> Bytes {
        let mut key = ino.to_be_bytes().to_vec();
        key.push(kind as u8);
        Bytes::from(key)
    }

    /// What comes after every key of that kind of that file.
    #[must_use]
    pub fn end(ino: u64, kind: ItemKind) -> Bytes {
        let mut key = ino.to_be_bytes().to_vec();
        key.push(kind as u8 + 1);
        Bytes::from(key)
    }
}

impl Key {
    /// The file that it speaks of; of what is in the lists under file 0, that file too.
    #[must_use]
    pub fn ino(&self) -> u64 {
        match self {
            Self::Inode { ino }
            | Self::Extent { ino, .. }
            | Self::Symlink { ino, .. }
            | Self::Orphan { ino }
            | Self::Run { ino, .. }
            | Self::Attribute { ino, .. } => *ino,
            Self::Name { dir, .. } | Self::Entry { dir, .. } => *dir,
            Self::Snapshot { .. } => 0,
        }
    }

    /// What the bytes of a key say, if they are one.
    #[must_use]
    pub fn decode(key: &Bytes) -> Option<Self> {
        Self::decode_in(key, key)
    }

    /// The same of a key that is a part of `bytes`, which a name in it shares.
    #[must_use]
    pub fn decode_in(bytes: &Bytes, key: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(key);
        let ino = fields.key_u64()?;
        let number = fields.u8()?;
        let kind = ItemKind::ALL.into_iter().find(|kind| *kind as u8 == number)?;
        let key = match kind {
            ItemKind::Inode => Self::Inode { ino },
            ItemKind::Name => {
                let name = bytes.slice_ref(fields.remaining());
                return is_name(&name).then_some(Self::Name { dir: ino, name });
            }
            ItemKind::Entry => Self::Entry { dir: ino, cookie: fields.key_u64()? },
            ItemKind::Extent => Self::Extent { ino, first: fields.key_u64()? },
            ItemKind::Symlink => Self::Symlink { ino, part: fields.key_u32()? },
            ItemKind::Orphan => Self::Orphan { ino: fields.key_u64()? },
            ItemKind::Run => Self::Run { ino, first: fields.key_u64()?, run: fields.u8()? },
            ItemKind::Snapshot => {
                let name = bytes.slice_ref(fields.remaining());
                return (ino == 0 && is_name(&name)).then_some(Self::Snapshot { name });
            }
            ItemKind::Attribute => {
                let name = bytes.slice_ref(fields.remaining());
                let is_one = ino > 0 && is_attribute_name(&name);
                return is_one.then_some(Self::Attribute { ino, name });
            }
        };
        // Orphans and snapshots, and nothing else, are under file 0.
        let placed = (ino == 0) == (kind == ItemKind::Orphan);
        (placed && fields.end()).then_some(key)
    }
}

/// May a directory hold this name?
#[must_use]
pub fn is_name(name: &[u8]) -> bool {
    let reserved = name.is_empty() || name == b"." || name == b"..";
    !reserved && name.len() <= NAME_MAX && !name.contains(&b'/') && !name.contains(&0)
}

/// May an extended attribute have this name?
#[must_use]
pub fn is_attribute_name(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX && !name.contains(&0)
}

/// The bytes that name and value of an extended attribute may have together.
#[must_use]
pub fn attribute_size_bytes_max(block_size_bytes: u32) -> usize {
    block_size_bytes as usize / 4
}

/// The longest name in bytes that fits three times into a node of that block size.
#[must_use]
pub fn name_max(block_size_bytes: u32) -> usize {
    NAME_MAX.min(block_size_bytes as usize / 4)
}

/// The bytes of a symbolic link's target that one item holds.
#[must_use]
pub fn symlink_part_size_bytes(block_size_bytes: u32) -> usize {
    block_size_bytes as usize / 4
}

impl Kind {
    fn decode(number: u8) -> Option<Self> {
        [Self::Regular, Self::Directory, Self::Symlink]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// Bytes of an encoded inode.
const INODE_SIZE_BYTES: usize = 1 + 4 + 6 * 8 + 1 + 2;

impl Inode {
    /// The inode's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut value = Vec::with_capacity(INODE_SIZE_BYTES);
        value.push(self.kind as u8);
        value.extend_from_slice(&self.link_count.to_le_bytes());
        let Times { access_nanos, modify_nanos, change_nanos } = self.times;
        let numbers = [
            self.size_bytes,
            access_nanos,
            modify_nanos,
            change_nanos,
            self.parent,
            self.next_cookie,
        ];
        for number in numbers {
            value.extend_from_slice(&number.to_le_bytes());
        }
        value.push(u8::from(self.is_compressed) | u8::from(self.is_nocow) << 1);
        value.extend_from_slice(&self.mode.to_le_bytes());
        debug_assert_eq!(value.len(), INODE_SIZE_BYTES);
        Bytes::from(value)
    }

    /// The inode that the bytes say, if they are one.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(value);
        let mut inode = Self {
            kind: Kind::decode(fields.u8()?)?,
            link_count: fields.u32()?,
            size_bytes: fields.u64()?,
            times: Times {
                access_nanos: fields.u64()?,
                modify_nanos: fields.u64()?,
                change_nanos: fields.u64()?,
            },
            parent: fields.u64()?,
            next_cookie: fields.u64()?,
            is_compressed: false,
            is_nocow: false,
            mode: 0,
        };
        (inode.is_compressed, inode.is_nocow) = match fields.u8()? {
            0 => (false, false),
            1 => (true, false),
            2 => (false, true),
            _ => return None,
        };
        inode.mode = fields.u16()?;
        let flags = inode.kind == Kind::Regular || !(inode.is_compressed || inode.is_nocow);
        let cookies = (inode.kind == Kind::Directory) == (inode.next_cookie >= COOKIE_FIRST);
        (cookies && flags && inode.mode <= MODE_MAX && fields.end()).then_some(inode)
    }
}

impl EntryTarget {
    /// The value of a [`Key::Name`].
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut value = self.ino.to_le_bytes().to_vec();
        value.push(self.kind as u8);
        value.extend_from_slice(&self.cookie.to_le_bytes());
        Bytes::from(value)
    }

    /// What the value of a [`Key::Name`] says, if it is one.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(value);
        let target =
            Self { ino: fields.u64()?, kind: Kind::decode(fields.u8()?)?, cookie: fields.u64()? };
        fields.end().then_some(target)
    }
}

impl EntryItem {
    /// The value of a [`Key::Entry`]; the cookie is in the key.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut value = self.ino.to_le_bytes().to_vec();
        value.push(self.kind as u8);
        value.extend_from_slice(&self.name);
        Bytes::from(value)
    }

    /// What the value of a [`Key::Entry`] with that cookie says, if it is one.
    #[must_use]
    pub fn decode(cookie: u64, value: &Bytes) -> Option<Self> {
        Self::decode_in(value, cookie, value)
    }

    /// The same of a value that is a part of `bytes`, which the name in it shares.
    #[must_use]
    pub fn decode_in(bytes: &Bytes, cookie: u64, value: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(value);
        let ino = fields.u64()?;
        let kind = Kind::decode(fields.u8()?)?;
        let name = bytes.slice_ref(fields.remaining());
        (cookie >= COOKIE_FIRST && is_name(&name)).then_some(Self { cookie, name, ino, kind })
    }
}

/// A frozen version of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotItem {
    /// Its number, never used again.
    pub number: u32,
    /// Its top node.
    pub tree: BlockPtr,
}

impl SnapshotItem {
    /// The value of a [`Key::Snapshot`].
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut value = self.number.to_le_bytes().to_vec();
        value.extend_from_slice(&self.tree.encode());
        Bytes::from(value)
    }

    /// What the value of a [`Key::Snapshot`] says, if it is one.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(value);
        let number = fields.u32()?;
        let tree = BlockPtr::decode(fields.remaining())?;
        (1..SNAPSHOT_END).contains(&number).then_some(Self { number, tree })
    }
}

/// Does a record of a leaf say something that the format allows, on a device of that shape?
#[must_use]
pub fn is_item(record: &Record, geometry: Geometry) -> bool {
    let (bytes, value) = (record.bytes(), record.value());
    let Some(key) = Key::decode_in(bytes, record.key()) else { return false };
    match key {
        Key::Inode { ino } => ino < INO_END && Inode::decode(value).is_some(),
        Key::Name { name, .. } => {
            name.len() <= name_max(geometry.block_size_bytes)
                && EntryTarget::decode(value).is_some_and(|to| to.cookie >= COOKIE_FIRST)
        }
        Key::Entry { cookie, .. } => EntryItem::decode_in(bytes, cookie, value)
            .is_some_and(|entry| entry.name.len() <= name_max(geometry.block_size_bytes)),
        Key::Extent { first, .. } => {
            first.is_multiple_of(EXTENT_SLOTS)
                && Extent::decode(value).is_some_and(|extent| {
                    extent.blocks().all(|block| super::is_inside(block, geometry))
                })
        }
        Key::Run { first, .. } => {
            first.is_multiple_of(EXTENT_SLOTS)
                && Run::decode(value).is_some_and(|run| run.is_possible(geometry))
        }
        Key::Symlink { .. } => {
            !value.is_empty() && value.len() <= symlink_part_size_bytes(geometry.block_size_bytes)
        }
        Key::Orphan { .. } => value.is_empty(),
        Key::Attribute { name, .. } => {
            name.len() + value.len() <= attribute_size_bytes_max(geometry.block_size_bytes)
        }
        Key::Snapshot { name } => {
            name.len() <= name_max(geometry.block_size_bytes)
                && SnapshotItem::decode(value)
                    .is_some_and(|snapshot| super::is_inside(snapshot.tree.block, geometry))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::format::Generation;
    use crate::cow::format::extent::InPlace;
    use crate::cow::format::extent::Slot;
    use crate::device::BlockNo;

    fn keys() -> Vec<Key> {
        let mut keys = vec![Key::Orphan { ino: 1 }, Key::Orphan { ino: 256 }];
        for name in ["a", "b", "ba"] {
            keys.push(Key::Snapshot { name: Bytes::from_static(name.as_bytes()) });
        }
        for ino in [1, 2, 255, 256, u64::MAX] {
            keys.push(Key::Inode { ino });
            for name in ["a", "aa", "b"] {
                keys.push(Key::Name { dir: ino, name: Bytes::from_static(name.as_bytes()) });
            }
            for number in [3, 255, 256, u64::MAX] {
                keys.push(Key::Entry { dir: ino, cookie: number });
            }
            for number in [0, 8, 256, u64::MAX - 7] {
                keys.push(Key::Extent { ino, first: number });
            }
            keys.push(Key::Symlink { ino, part: 0 });
            keys.push(Key::Symlink { ino, part: u32::MAX });
            for (first, run) in [(0, 0), (0, 255), (8, 0), (u64::MAX - 7, 1)] {
                keys.push(Key::Run { ino, first, run });
            }
            for name in ["user.a", "user.aa", "user.b"] {
                let name = Bytes::from_static(name.as_bytes());
                keys.push(Key::Attribute { ino, name });
            }
        }
        keys
    }

    #[test]
    fn the_order_of_bytes_is_the_order_of_files_kinds_and_places() {
        let keys = keys();
        for key in &keys {
            assert_eq!(Key::decode(&key.encode()).as_ref(), Some(key));
        }
        assert!(keys.windows(2).all(|pair| pair[0].encode() < pair[1].encode()));
    }

    #[test]
    fn values_read_back_as_themselves_and_never_when_cut() {
        let times = Times { access_nanos: 1, modify_nanos: 2, change_nanos: u64::MAX };
        let inode = Inode {
            kind: Kind::Directory,
            link_count: 2,
            size_bytes: 5,
            times,
            parent: 1,
            next_cookie: 3,
            is_compressed: false,
            is_nocow: false,
            mode: MODE_MAX,
        };
        let packed = Inode { kind: Kind::Regular, next_cookie: 0, is_compressed: true, ..inode };
        let nocow = Inode { is_compressed: false, is_nocow: true, ..packed };
        assert_eq!(Inode::decode(&nocow.encode()), Some(nocow));
        let both = Inode { is_compressed: true, ..nocow };
        assert_eq!(Inode::decode(&both.encode()), None, "what is compressed is not in place");
        let odd = Inode { mode: MODE_MAX + 1, ..nocow };
        assert_eq!(Inode::decode(&odd.encode()), None, "there is no such permission");
        let target = EntryTarget { ino: 9, kind: Kind::Symlink, cookie: 3 };
        assert_eq!(Inode::decode(&inode.encode()), Some(inode));
        assert_eq!(Inode::decode(&packed.encode()), Some(packed));
        let wrong = Inode { is_compressed: true, ..inode };
        assert_eq!(Inode::decode(&wrong.encode()), None, "a directory has no content");
        assert_eq!(EntryTarget::decode(&target.encode()), Some(target));
        for cut in [inode.encode(), target.encode()] {
            for len in 0..cut.len() {
                assert_eq!(Inode::decode(&cut[..len]), None);
                assert_eq!(EntryTarget::decode(&cut[..len]), None);
            }
        }
        let tree = BlockPtr { block: BlockNo(7), generation: Generation(2), checksum: 9 };
        let snapshot = SnapshotItem { number: 5, tree };
        assert_eq!(SnapshotItem::decode(&snapshot.encode()), Some(snapshot));
        for number in [0, SNAPSHOT_END] {
            let wrong = SnapshotItem { number, ..snapshot };
            assert_eq!(SnapshotItem::decode(&wrong.encode()), None, "no snapshot is {number}");
        }
        let entry =
            EntryItem { cookie: 4, name: Bytes::from_static(b"n"), ino: 2, kind: Kind::Regular };
        assert_eq!(EntryItem::decode(4, &entry.encode()), Some(entry));
    }

    #[test]
    fn the_largest_items_fit_three_times_into_the_smallest_node() {
        let name = Bytes::from(vec![b'n'; name_max(512)]);
        let by_name = Key::Name { dir: 1, name: name.clone() }.encode().len();
        let target = EntryTarget { ino: 1, kind: Kind::Regular, cookie: 3 }.encode().len();
        let kept = InPlace { block: BlockNo(2), birth: Generation(1), is_written: true };
        let slots = [Some(Slot::InPlace(kept)); EXTENT_SLOTS as usize];
        let extent = Extent { slots }.encode().len();
        let blocks = vec![BlockNo(2); EXTENT_SLOTS as usize - 1];
        let run = Run { unpacked_count: 8, size_bytes: 0, checksum: 0, blocks }.encode().len();
        let snapshot = 9 + name.len() + size_of::<u32>() + BlockPtr::SIZE_BYTES;
        let header = super::super::node::RECORD_HEADER_SIZE_BYTES;
        let capacity = super::super::node::capacity_bytes(512);
        let pointer = super::super::BlockPtr::SIZE_BYTES;
        let (by_cookie, part) = (17 + 9 + name.len(), 13 + 128);
        let attribute = 9 + attribute_size_bytes_max(512);
        for size in [
            by_name + target,
            by_name + pointer,
            by_cookie,
            17 + extent,
            18 + run,
            part,
            snapshot,
            attribute,
        ] {
            assert!(3 * (size + header) <= capacity, "{size}");
        }
    }
}
