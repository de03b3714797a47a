//! The directory subject: it stays in its directory, and answers as wasi-common does.

use bytes::Bytes;

use super::*;
use crate::call::AllocateMode;
use crate::call::At;
use crate::call::CallId;
use crate::call::Errno;
use crate::call::OpenOptions;
use crate::call::Reply;
use crate::call::StatusFlags;

const CALLER: Caller = Caller { process: ProcessId(1), call: CallId(0) };

fn at(path: &'static str) -> At {
    At { directory: HandleId::ROOT, path: Bytes::from_static(path.as_bytes()) }
}

fn ask(subject: &DirectorySubject, request: Request) -> Reply {
    ready(subject.call(CALLER, request))
}

fn open(subject: &DirectorySubject, path: &'static str, options: OpenOptions) -> HandleId {
    match ask(subject, Request::Open { at: at(path), options }) {
        Ok(Ok(Value::Handle { handle, .. })) => handle,
        other => panic!("{path} was not opened: {other:?}"),
    }
}

fn scratch() -> (tempfile::TempDir, DirectorySubject) {
    let directory = tempfile::tempdir().expect("the machine has a temporary directory");
    let subject = DirectorySubject::open(directory.path()).expect("it is a directory");
    (directory, subject)
}

const CREATE: OpenOptions = OpenOptions {
    read: true,
    write: true,
    create: true,
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

#[test]
fn what_is_written_is_read_and_is_in_the_host_s_file() {
    let (directory, subject) = scratch();
    let handle = open(&subject, "f", CREATE);
    let data = Bytes::from_static(b"hello");
    let written = ask(&subject, Request::Write { handle, offset: Some(1), data });
    assert_eq!(written, Ok(Ok(Value::Count(5))));
    let read = ask(&subject, Request::Read { handle, offset: Some(0), len: 9 });
    assert_eq!(read, Ok(Ok(Value::Data(Bytes::from_static(b"\0hello")))));
    assert_eq!(ask(&subject, Request::Fsync { handle }), Ok(Ok(Value::Done)));
    assert_eq!(std::fs::read(directory.path().join("f")).expect("it was made"), b"\0hello");
}

#[test]
fn a_stock_host_refuses_what_it_refuses() {
    let (_directory, subject) = scratch();
    assert_eq!(
        ask(&subject, Request::MakeDirectory { at: at("d"), mode: None }),
        Ok(Ok(Value::Done))
    );
    let reading = OpenOptions { write: false, create: false, ..CREATE };
    let handle = open(&subject, "d", reading);
    assert_eq!(ask(&subject, Request::Fsync { handle }), Ok(Err(Errno::BadFile)));
    let handle = open(&subject, "f", CREATE);
    let allocate = Request::Allocate { handle, offset: 0, len: 1, mode: AllocateMode::Extend };
    assert_eq!(ask(&subject, allocate), Ok(Err(Errno::NotSupported)));
    let not_text = At { directory: HandleId::ROOT, path: Bytes::from_static(b"\xff") };
    let make = Request::MakeDirectory { at: not_text, mode: None };
    assert_eq!(ask(&subject, make), Ok(Err(Errno::IllegalSequence)));
    let synchronous = OpenOptions { status: StatusFlags { sync: true, ..CREATE.status }, ..CREATE };
    let open = Request::Open { at: at("f"), options: synchronous };
    assert_eq!(ask(&subject, open), Ok(Err(Errno::NotSupported)));
}

#[test]
fn nothing_outside_of_the_directory_is_reached() {
    let (directory, subject) = scratch();
    let outside = directory.path().parent().expect("a temporary directory has a parent");
    std::os::unix::fs::symlink(outside, directory.path().join("out")).expect("a link is made");
    for path in ["..", "/", "/etc/passwd", "out/.", "a/../../b"] {
        let answer = ask(&subject, Request::Stat { at: at(path), follow: true });
        assert!(matches!(answer, Ok(Err(_))), "{path}: {answer:?}");
    }
}

#[test]
fn handles_of_a_process_that_ended_are_closed_and_the_root_stays() {
    let (_directory, subject) = scratch();
    let handle = open(&subject, "f", CREATE);
    assert_eq!(ready(subject.end_process(ProcessId(1))), Ok(Ok(Value::Done)));
    assert_eq!(ask(&subject, Request::StatHandle { handle }), Ok(Err(Errno::BadFile)));
    assert_eq!(ask(&subject, Request::Close { handle: HandleId::ROOT }), Ok(Ok(Value::Done)));
    let root = ask(&subject, Request::StatHandle { handle: HandleId::ROOT });
    assert!(matches!(root, Ok(Ok(Value::Stat(_)))), "{root:?}");
}

#[test]
fn a_directory_is_read_in_pieces_as_it_is_in_one() {
    let (_directory, subject) = scratch();
    for path in ["a", "b", "c"] {
        open(&subject, path, CREATE);
    }
    let read = |cookie, count_max| {
        let handle = HandleId::ROOT;
        match ask(&subject, Request::ReadDirectory { handle, cookie, count_max }) {
            Ok(Ok(Value::Entries(entries))) => entries,
            other => panic!("the root was not read: {other:?}"),
        }
    };
    let whole = read(0, 100);
    assert_eq!(whole.len(), 5);
    let mut pieces = Vec::new();
    loop {
        let piece = read(
            pieces.last().map_or(0, |entry: &crate::call::DirectoryEntry| entry.next_cookie),
            2,
        );
        let is_end = piece.len() < 2;
        pieces.extend(piece);
        if is_end {
            break;
        }
    }
    assert_eq!(pieces, whole);
}
