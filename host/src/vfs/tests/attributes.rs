//! Extended attributes.

use bytes::Bytes;

use crate::call::Attribute;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::Request;
use crate::call::SetAttribute;
use crate::call::Value;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::READ;
use crate::vfs::tests::World;
use crate::vfs::tests::crash::broken;
use crate::vfs::tests::crash::now;

impl World {
    pub(super) fn set(
        &self,
        handle: HandleId,
        name: &str,
        value: &[u8],
        how: SetAttribute,
    ) -> Result<(), Errno> {
        let name = Bytes::copy_from_slice(name.as_bytes());
        let value = Bytes::copy_from_slice(value);
        self.done(Request::Attribute(Attribute::Set { handle, name, value, how }))
    }

    pub(super) fn attribute(&self, handle: HandleId, name: &str) -> Result<Bytes, Errno> {
        let name = Bytes::copy_from_slice(name.as_bytes());
        let told = self.call(Request::Attribute(Attribute::Get { handle, name }))?;
        let Value::AttributeValue(value) = told else { panic!("fgetxattr answers a value") };
        Ok(value)
    }

    pub(super) fn unset(&self, handle: HandleId, name: &str) -> Result<(), Errno> {
        let name = Bytes::copy_from_slice(name.as_bytes());
        self.done(Request::Attribute(Attribute::Remove { handle, name }))
    }

    fn attributes(&self, handle: HandleId) -> Vec<String> {
        match self.call(Request::Attribute(Attribute::List { handle })) {
            Ok(Value::AttributeNames(names)) => {
                names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
            }
            other => panic!("flistxattr answers names, not {other:?}"),
        }
    }
}

const ANY: SetAttribute = SetAttribute::Any;

#[test]
fn a_value_is_kept_by_name_of_files_and_directories_and_listed_in_order() {
    let world = World::new();
    let handle = world.file("f", b"content");
    assert_eq!(world.mkdir("d"), Ok(()));
    let directory = world.open("d", READ).expect("it is there");
    for (at, name) in [(handle, "user.b"), (handle, "user.a"), (directory, "user.d")] {
        assert_eq!(world.set(at, name, name.as_bytes(), ANY), Ok(()));
    }
    assert_eq!(world.set(handle, "user.empty", b"", SetAttribute::Create), Ok(()));
    assert_eq!(world.set(handle, "user.b", b"new", SetAttribute::Replace), Ok(()));
    assert_eq!(world.set(handle, "user.b", b"", SetAttribute::Create), Err(Errno::Exists));
    assert_eq!(world.set(handle, "user.c", b"", SetAttribute::Replace), Err(Errno::NoAttribute));
    let world = world.remounted();
    let handle = world.open("f", READ).expect("it is there");
    let directory = world.open("d", READ).expect("it is there");
    assert_eq!(world.attributes(handle), ["user.a", "user.b", "user.empty"]);
    assert_eq!(world.attributes(directory), ["user.d"]);
    assert_eq!(world.attribute(handle, "user.b").as_deref(), Ok(&b"new"[..]));
    assert_eq!(world.attribute(handle, "user.empty").as_deref(), Ok(&b""[..]));
    assert_eq!(world.attribute(directory, "user.a"), Err(Errno::NoAttribute));
    assert_eq!(world.unset(handle, "user.a"), Ok(()));
    assert_eq!(world.unset(handle, "user.a"), Err(Errno::NoAttribute));
    assert_eq!(world.content("f").as_deref(), Ok(&b"content"[..]));
    // A new file has none of those that one before it had.
    world.close(handle);
    assert_eq!(world.unlink("f"), Ok(()));
    let again = world.file("f", b"");
    assert_eq!(world.attributes(again), [""; 0]);
}

#[test]
fn odd_names_long_values_and_snapshots_are_refused() {
    let world = World::new();
    let handle = world.file("f", b"");
    let long = format!("user.{}", "n".repeat(251));
    for (name, errno) in [
        ("user.", Errno::Invalid),
        (&long[..], Errno::Invalid),
        ("user.a\0b", Errno::Invalid),
        ("trusted.a", Errno::NotSupported),
        ("", Errno::NotSupported),
    ] {
        assert_eq!(world.set(handle, name, b"", ANY), Err(errno), "{name}");
        assert_eq!(world.attribute(handle, name), Err(errno), "{name}");
        assert_eq!(world.unset(handle, name), Err(errno), "{name}");
    }
    let room = BLOCK / 4 - "user.a".len();
    assert_eq!(world.set(handle, "user.a", &vec![1; room + 1], ANY), Err(Errno::TooBig));
    assert_eq!(world.set(handle, "user.a", &vec![1; room], ANY), Ok(()));
    let name = Bytes::from_static(b"s");
    assert_eq!(world.done(Request::Manage(Manage::Snapshot { name: name.clone() })), Ok(()));
    assert_eq!(world.unset(handle, "user.a"), Ok(()));
    let opened = world.call(Request::Manage(Manage::OpenSnapshot { name }));
    let Ok(Value::Handle { handle: root, .. }) = opened else { panic!("it is there") };
    let frozen = world.open_at(root, "f", READ).expect("it is in the snapshot");
    assert_eq!(world.attributes(frozen), ["user.a"]);
    assert_eq!(world.attribute(frozen, "user.a").map(|value| value.len()), Ok(room));
    assert_eq!(world.set(frozen, "user.a", b"", ANY), Err(Errno::ReadOnly));
    assert_eq!(world.unset(frozen, "user.a"), Err(Errno::ReadOnly));
    world.close(handle);
    assert_eq!(world.attribute(handle, "user.a"), Err(Errno::BadFile));
}

#[test]
fn a_value_is_old_or_new_after_a_crash_and_new_after_a_sync() {
    let world = World::new();
    let handle = world.file("f", b"");
    assert_eq!(world.set(handle, "user.a", b"old", ANY), Ok(()));
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    let start = now(&world);
    assert_eq!(world.set(handle, "user.a", b"new value", ANY), Ok(()));
    assert_eq!(world.set(handle, "user.b", b"b", ANY), Ok(()));
    assert_eq!(world.fsync(handle), Ok(()));
    let synced = now(&world);
    assert_eq!(world.unset(handle, "user.b"), Ok(()));
    assert_eq!(world.fsync(handle), Ok(()));
    let removed = now(&world);
    let found = |world: &World| {
        let handle = world.open("f", READ).expect("it is durable");
        let value = world.attribute(handle, "user.a").expect("it was durable");
        (value, world.attribute(handle, "user.b").is_ok())
    };
    let (old, new) = (&b"old"[..], &b"new value"[..]);
    let is_known = |world: &World| {
        let (value, has_other) = found(world);
        value == new || value == old && !has_other
    };
    assert_eq!(broken(&world, start, is_known), 0);
    assert_eq!(broken(&world, synced, |world| found(world).0 == new), 0);
    assert_eq!(
        broken(&world, removed, |world| found(world) == (Bytes::from_static(b"new value"), false)),
        0
    );
    assert!(broken(&world, start, |world| found(world).0 == new) > 0, "it was not durable before");
}
