//! Laws of the text form of a trace: what is written reads back as itself, and what is not a
//! trace is refused with its place.

use std::fmt::Write as _;

use bytes::Bytes;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::trace::Event;
use crashproof_spec::trace::HEADER;
use crashproof_spec::trace::Limits;
use crashproof_spec::trace::Parser;
use crashproof_spec::trace::Problem;
use crashproof_spec::trace::Writer;
use crashproof_spec::trace::events;
use crashproof_spec::trace::parse;
use crashproof_spec::words::Access;
use crashproof_spec::words::AllocateMode;
use crashproof_spec::words::At;
use crashproof_spec::words::Attribute;
use crashproof_spec::words::Call;
use crashproof_spec::words::Content;
use crashproof_spec::words::DirectoryEntry;
use crashproof_spec::words::Errno;
use crashproof_spec::words::FileKind;
use crashproof_spec::words::Found;
use crashproof_spec::words::FoundKind;
use crashproof_spec::words::HandleId;
use crashproof_spec::words::HeldLock;
use crashproof_spec::words::Ino;
use crashproof_spec::words::Lock;
use crashproof_spec::words::LockKind;
use crashproof_spec::words::LockOwner;
use crashproof_spec::words::Manage;
use crashproof_spec::words::MappingId;
use crashproof_spec::words::Memory;
use crashproof_spec::words::Mode;
use crashproof_spec::words::OpenOptions;
use crashproof_spec::words::Outcome;
use crashproof_spec::words::Pid;
use crashproof_spec::words::SetAttribute;
use crashproof_spec::words::Sharing;
use crashproof_spec::words::Signal;
use crashproof_spec::words::Stat;
use crashproof_spec::words::StatusFlags;
use crashproof_spec::words::Step;
use crashproof_spec::words::Survey;
use crashproof_spec::words::Testimony;
use crashproof_spec::words::TimeChange;
use crashproof_spec::words::Value;
use crashproof_spec::words::Whence;

const EVENT_COUNT: u64 = 20_000;

/// Values that follow from a number alone (a multiplicative generator modulo 2^64).
struct Maker(u64);

impl Maker {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 >> 33
    }

    fn below(&mut self, count: u64) -> u64 {
        self.number() % count
    }

    fn any_u64(&mut self) -> u64 {
        match self.below(4) {
            0 => self.below(5),
            1 => u64::MAX - self.below(3),
            _ => self.number() << self.below(33),
        }
    }

    fn any_u32(&mut self) -> u32 {
        u32::try_from(self.any_u64() & 0xFFFF_FFFF).expect("it is masked")
    }

    fn yes(&mut self) -> bool {
        self.below(2) == 1
    }

    fn bytes(&mut self) -> Bytes {
        let mut bytes = Vec::new();
        for _ in 0..self.below(4) {
            let byte = u8::try_from(self.below(256)).expect("it is below 256");
            let count = [1, 2, 15, 16, 17, 300][usize::try_from(self.below(6)).expect("small")];
            bytes.extend(std::iter::repeat_n(byte, count));
            bytes.extend_from_slice(
                [b"" as &[u8], b"a b", b"+*\"\\\n\t#"]
                    [usize::try_from(self.below(3)).expect("small")],
            );
        }
        bytes.into()
    }

    fn string(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn at(&mut self) -> At {
        At { directory: HandleId(self.any_u64()), path: self.bytes() }
    }

    fn handle(&mut self) -> HandleId {
        HandleId(self.any_u64())
    }

    fn offset(&mut self) -> Option<u64> {
        if self.yes() { Some(self.any_u64()) } else { None }
    }

    fn time(&mut self) -> TimeChange {
        match self.below(3) {
            0 => TimeChange::Keep,
            1 => TimeChange::Now,
            _ => TimeChange::At(self.any_u64()),
        }
    }

    fn kind(&mut self) -> FileKind {
        match self.below(3) {
            0 => FileKind::Regular,
            1 => FileKind::Directory,
            _ => FileKind::Symlink,
        }
    }

    fn errno(&mut self) -> Errno {
        let count = u64::try_from(Errno::ALL.len()).expect("few");
        Errno::ALL[usize::try_from(self.below(count)).expect("few")]
    }

    fn status(&mut self) -> StatusFlags {
        StatusFlags {
            append: self.yes(),
            data_sync: self.yes(),
            sync: self.yes(),
            read_sync: self.yes(),
            nonblocking: self.yes(),
            direct: self.yes(),
        }
    }

    fn options(&mut self) -> OpenOptions {
        OpenOptions {
            read: self.yes(),
            write: self.yes(),
            create: self.yes(),
            exclusive: self.yes(),
            truncate: self.yes(),
            directory: self.yes(),
            follow: self.yes(),
            status: self.status(),
            mode: self.permissions(),
        }
    }

    fn permissions(&mut self) -> Option<Mode> {
        self.yes().then(|| Mode::new(self.any_u32()))
    }

    fn call(&mut self) -> Call {
        match self.below(30) {
            0 => Call::Open { at: self.at(), options: self.options() },
            1 => Call::Close { handle: self.handle() },
            2 => Call::Read { handle: self.handle(), offset: self.offset(), len: self.any_u32() },
            3 => Call::Write { handle: self.handle(), offset: self.offset(), data: self.bytes() },
            4 => Call::Seek {
                handle: self.handle(),
                offset: self.any_u64().cast_signed(),
                whence: [Whence::Set, Whence::Current, Whence::End, Whence::Data, Whence::Hole]
                    [usize::try_from(self.below(5)).expect("small")],
            },
            5 => Call::Stat { at: self.at(), follow: self.yes() },
            6 => Call::StatHandle { handle: self.handle() },
            7 => Call::SetTimes {
                at: self.at(),
                follow: self.yes(),
                access: self.time(),
                modify: self.time(),
            },
            8 => Call::SetTimesHandle {
                handle: self.handle(),
                access: self.time(),
                modify: self.time(),
            },
            9 => Call::Truncate { handle: self.handle(), size_bytes: self.any_u64() },
            10 => Call::Allocate {
                handle: self.handle(),
                offset: self.any_u64(),
                len: self.any_u64(),
                mode: self.mode(),
            },
            11 => Call::Advise { handle: self.handle() },
            12 | 13 => Call::Memory(self.memory()),
            14 | 15 => Call::Manage(self.manage()),
            16 | 17 => Call::Lock(self.lock()),
            _ => self.further_call(),
        }
    }

    fn further_call(&mut self) -> Call {
        match self.below(22) {
            15 | 16 => self.share(),
            17 | 18 => Call::Attribute(self.attribute()),
            0 => Call::Fsync { handle: self.handle() },
            1 => Call::Fdatasync { handle: self.handle() },
            2 => Call::SetStatusFlags { handle: self.handle(), status: self.status() },
            3 => Call::ReadDirectory {
                handle: self.handle(),
                cookie: self.any_u64(),
                count_max: self.any_u32(),
            },
            4 => Call::MakeDirectory { at: self.at(), mode: self.permissions() },
            19 => {
                Call::SetMode { at: self.at(), follow: self.yes(), mode: Mode::new(self.any_u32()) }
            }
            20 => Call::SetModeHandle { handle: self.handle(), mode: Mode::new(self.any_u32()) },
            5 => Call::RemoveDirectory { at: self.at() },
            6 => Call::Unlink { at: self.at() },
            7 => Call::Rename { from: self.at(), to: self.at(), replace: self.yes() },
            8 => Call::Link { from: self.at(), follow: self.yes(), to: self.at() },
            9 => Call::Symlink { target: self.bytes(), at: self.at() },
            10 => Call::ReadLink { at: self.at() },
            12 => Call::OpenUnnamed { at: self.at(), options: self.options() },
            13 => Call::LinkHandle { handle: self.handle(), to: self.at() },
            11 => Call::Exchange { from: self.at(), to: self.at() },
            _ => Call::SyncAll,
        }
    }

    fn mode(&mut self) -> AllocateMode {
        match self.below(7) {
            0 => AllocateMode::Extend,
            1 => AllocateMode::KeepSize,
            2 => AllocateMode::PunchHole,
            3 => AllocateMode::ZeroRange,
            4 => AllocateMode::ZeroRangeKeepSize,
            5 => AllocateMode::CollapseRange,
            _ => AllocateMode::InsertRange,
        }
    }

    fn share(&mut self) -> Call {
        let (from, to, len) = (self.handle(), self.handle(), self.any_u64());
        let (from_offset, to_offset) = (self.any_u64(), self.any_u64());
        match self.below(3) {
            0 => {
                let (from_offset, to_offset) = (self.offset(), self.offset());
                Call::CopyRange { from, from_offset, to, to_offset, len }
            }
            1 => Call::CloneRange { from, from_offset, len, to, to_offset },
            _ => Call::DedupeRange { from, from_offset, len, to, to_offset },
        }
    }

    fn attribute(&mut self) -> Attribute {
        let (handle, name) = (self.handle(), self.bytes());
        match self.below(4) {
            0 => Attribute::Get { handle, name },
            1 => Attribute::List { handle },
            2 => Attribute::Set {
                handle,
                name,
                value: self.bytes(),
                how: match self.below(3) {
                    0 => SetAttribute::Any,
                    1 => SetAttribute::Create,
                    _ => SetAttribute::Replace,
                },
            },
            _ => Attribute::Remove { handle, name },
        }
    }

    fn mapping(&mut self) -> MappingId {
        MappingId(self.any_u64())
    }

    fn access(&mut self) -> Access {
        Access { read: self.yes(), write: self.yes() }
    }

    fn memory(&mut self) -> Memory {
        let (mapping, offset, len) = (self.mapping(), self.any_u64(), self.any_u64());
        match self.below(6) {
            0 => Memory::Map {
                handle: self.handle(),
                offset,
                len,
                access: self.access(),
                sharing: if self.yes() { Sharing::Shared } else { Sharing::Private },
            },
            1 => Memory::Unmap { mapping, offset, len },
            2 => Memory::Protect { mapping, offset, len, access: self.access() },
            3 => Memory::Store { mapping, offset, data: self.bytes() },
            4 => Memory::Load { mapping, offset, len: self.any_u32() },
            _ => Memory::SyncMapping {
                mapping,
                offset,
                len,
                wait: self.yes(),
                invalidate: self.yes(),
            },
        }
    }

    fn lock_kind(&mut self) -> LockKind {
        if self.yes() { LockKind::Shared } else { LockKind::Exclusive }
    }

    fn lock_owner(&mut self) -> LockOwner {
        if self.yes() { LockOwner::Process } else { LockOwner::Description }
    }

    fn lock_kind_or_none(&mut self) -> Option<LockKind> {
        if self.yes() { Some(self.lock_kind()) } else { None }
    }

    fn lock(&mut self) -> Lock {
        let (handle, start, len) = (self.handle(), self.any_u64(), self.any_u64());
        let (kind, wait) = (self.lock_kind_or_none(), self.yes());
        match self.below(4) {
            0 => Lock::Whole { handle, kind, wait },
            1 => Lock::Record { handle, kind, start, len, wait, owner: self.lock_owner() },
            2 => {
                let (kind, owner) = (self.lock_kind(), self.lock_owner());
                Lock::Test { handle, kind, start, len, owner }
            }
            _ => Lock::CloseDuplicate { handle },
        }
    }

    fn held_lock(&mut self) -> Option<HeldLock> {
        let process = self.yes().then(|| Pid(self.any_u32()));
        let (kind, start, len) = (self.lock_kind(), self.any_u64(), self.any_u64());
        self.yes().then_some(HeldLock { process, kind, start, len })
    }

    fn manage(&mut self) -> Manage {
        match self.below(8) {
            6 => Manage::SetNoCow { handle: self.handle(), on: self.yes() },
            0 => Manage::Snapshot { name: self.bytes() },
            1 => Manage::OpenSnapshot { name: self.bytes() },
            2 => Manage::DeleteSnapshot { name: self.bytes() },
            3 => Manage::SetCompression { handle: self.handle(), on: self.yes() },
            4 => Manage::SyncRange {
                handle: self.handle(),
                offset: self.any_u64(),
                len: self.any_u64(),
                wait: self.yes(),
            },
            5 => Manage::DropCaches,
            _ => Manage::Space,
        }
    }

    fn stat(&mut self) -> Stat {
        Stat {
            ino: Ino(self.any_u64()),
            kind: self.kind(),
            link_count: self.any_u64(),
            size_bytes: self.any_u64(),
            access_nanos: self.any_u64(),
            modify_nanos: self.any_u64(),
            change_nanos: self.any_u64(),
            mode: self.permissions(),
        }
    }

    fn entry(&mut self) -> DirectoryEntry {
        DirectoryEntry {
            next_cookie: self.any_u64(),
            ino: Ino(self.any_u64()),
            kind: self.kind(),
            name: self.bytes(),
        }
    }

    fn outcome(&mut self) -> Outcome {
        let value = match self.below(17) {
            13 => Value::Same(self.yes()),
            14 => Value::AttributeValue(self.bytes()),
            15 => Value::AttributeNames((0..self.below(4)).map(|_| self.bytes()).collect()),
            0 => Value::Done,
            1 => Value::Handle {
                handle: self.handle(),
                kind: self.kind(),
                ino: self.yes().then(|| Ino(self.any_u64())),
            },
            2 => Value::Data(self.bytes()),
            3 => Value::Count(self.any_u32()),
            4 => Value::Offset(self.any_u64()),
            5 => Value::Stat(self.stat()),
            6 => Value::Entries((0..self.below(4)).map(|_| self.entry()).collect()),
            7 => Value::Target(self.bytes()),
            8 => Value::Mapping(self.mapping()),
            9 => Value::Signal(Signal::Bus),
            10 => Value::Signal(Signal::Segv),
            11 => Value::Space {
                block_size_bytes: self.any_u32(),
                block_count: self.any_u64(),
                free_count: self.any_u64(),
            },
            12 => Value::Lock(self.held_lock()),
            _ => return Err(self.errno()),
        };
        Ok(value)
    }

    fn testimony(&mut self) -> Testimony {
        let start = self.any_u64();
        let file = Ino(self.any_u64());
        let range = start..start.saturating_add(self.any_u64());
        match self.below(7) {
            0 => Testimony::Committed { call: Step(self.any_u64()) },
            1 => Testimony::Lost {
                file,
                range,
                errno: self.errno(),
                seen: self.yes().then(|| Step(self.any_u64())),
            },
            2 => Testimony::Resolved { file, range },
            3 => Testimony::Evicted { file, range },
            4 => Testimony::Failed { errno: self.errno(), file: self.yes().then_some(file) },
            5 => Testimony::Lied,
            _ => Testimony::Audit { clause: self.string(), evidence: self.string() },
        }
    }

    fn content(&mut self) -> Content {
        let mut offset = 0;
        let mut content = Content::default();
        for _ in 0..self.below(4) {
            offset += self.below(3);
            let bytes = self.bytes();
            if !bytes.is_empty() {
                let len = u64::try_from(bytes.len()).expect("it is short");
                content.pieces.insert(offset, bytes);
                offset += len;
            }
        }
        content
    }

    fn found(&mut self) -> Found {
        let kind = match self.below(5) {
            0 | 1 => FoundKind::Regular { size_bytes: self.any_u64(), content: Ok(self.content()) },
            2 => FoundKind::Regular { size_bytes: self.any_u64(), content: Err(self.errno()) },
            3 => FoundKind::Symlink { target: self.bytes() },
            _ if self.yes() => FoundKind::Directory,
            _ => FoundKind::Unreadable { errno: self.errno() },
        };
        let attributes = (0..self.below(3)).map(|_| (self.bytes(), self.bytes())).collect();
        let mode = self.permissions();
        Found { ino: Ino(self.any_u64()), link_count: self.any_u64(), mode, attributes, kind }
    }

    fn survey(&mut self) -> Result<Survey, String> {
        if self.below(5) == 0 {
            return Err(self.string());
        }
        let names = (0..self.below(5)).map(|_| (self.bytes(), self.found())).collect();
        Ok(Survey { names })
    }

    fn event(&mut self) -> Event {
        match self.below(10) {
            0..=2 => Event::Called { process: Pid(self.any_u32()), call: self.call() },
            3..=5 => Event::Answered { call: Step(self.any_u64()), outcome: self.outcome() },
            6 => Event::Testified(self.testimony()),
            7 => Event::Surveyed(self.survey()),
            8 => Event::Exited { process: Pid(self.any_u32()) },
            _ => match self.below(3) {
                0 => Event::Crashed(CrashKind::Process(Pid(self.any_u32()))),
                1 => Event::Crashed(CrashKind::Kernel),
                _ => Event::Crashed(CrashKind::Power),
            },
        }
    }
}

fn made(count: u64) -> Vec<Event> {
    let mut maker = Maker(1);
    (0..count).map(|_| maker.event()).collect()
}

fn written(events: &[Event]) -> String {
    let mut writer = Writer::new(String::new()).expect("a String takes everything");
    for event in events {
        writer.event(event).expect("a String takes everything");
    }
    writer.into_inner()
}

#[test]
fn what_is_written_reads_back_as_itself() {
    let made = made(EVENT_COUNT);
    let text = written(&made);
    assert_eq!(parse(&text).as_deref(), Ok(made.as_slice()));
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
}

#[test]
fn a_trace_that_was_changed_does_not_read_back_as_the_same() {
    let made = made(100);
    let text = written(&made);
    let changed = text.replacen("crash kernel", "crash power", 1);
    assert_ne!(text, changed);
    assert_ne!(parse(&changed).ok(), Some(made));
}

#[test]
fn no_damage_of_one_byte_makes_the_reader_panic() {
    let text = written(&made(60));
    let marks = [b' ', b'"', b'\\', b'*', b'+', b'@', b'0', b'9', b'-', b'\n', b'#', b'e'];
    for at in 0..text.len() {
        for mark in marks {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = mark;
            let damaged = String::from_utf8(damaged).expect("a trace is ASCII");
            if let Err(error) = parse(&damaged) {
                assert!(error.line > 0);
                assert!(error.column > 0);
            }
        }
    }
}

#[test]
fn every_prefix_of_a_trace_is_read_or_refused() {
    let text = written(&made(200));
    for end in 0..text.len() {
        let count = events(text[..end].lines(), Limits::default()).count();
        assert!(count <= 201);
    }
}

#[test]
fn comments_and_empty_lines_say_nothing() {
    let text = format!("{HEADER}\n# profile: x\n\n1 crash power\n  # more\n2 survey\n# in\n end\n");
    let survey = Event::Surveyed(Ok(Survey::default()));
    assert_eq!(parse(&text), Ok(vec![Event::Crashed(CrashKind::Power), survey]));
}

/// The message for a text whose lines follow the header.
fn refusal(lines: &str) -> String {
    let error = parse(&format!("{HEADER}\n{lines}")).expect_err("it is not a trace");
    error.to_string()
}

#[test]
fn a_refusal_names_line_column_and_what_was_expected() {
    let cases = [
        ("2 syncfs", "line 2, column 1: expected step 1"),
        ("1 call q1 syncfs", r#"line 2, column 8: expected a process such as p1, found "q1""#),
        ("1 call p1 fsync", "line 2, column 16: expected a handle such as h5, found the end"),
        ("1 call p1 flush h1", r#"line 2, column 11: expected the name of an operation"#),
        ("1 call p1 syncfs h1", r#"line 2, column 18: expected the end of the line, found "h1""#),
        ("1 call p1 write h1 \"a", "line 2, column 22: expected a closing quote"),
        ("1 call p1 write h1 \"\\q\"", "line 2, column 21: expected one of the escapes"),
        ("1 call p1 write h1 \"a\"*0", "line 2, column 24: expected a count above 0"),
        ("1 call p1 write h1 \"\"*9", "line 2, column 20: expected a string to repeat"),
        ("1 call p1 write h1 \"a\"x", "line 2, column 23: expected a space, `+` or `*`"),
        ("1 answer 1 error EPANIC", r#"column 18: expected an errno such as EIO, found "EPANIC""#),
        ("1 testimony lost ino=1 9..3 EIO", "column 24: expected a range such as 0..4096"),
        ("1 crash disk", "column 9: expected process, kernel or power"),
        ("1 survey\n pipe \"a\"", "line 3, column 2: expected file, directory, symlink"),
        ("1 survey", "the text ends within a survey"),
        ("1 exit p4294967296", "column 8: expected a process such as p1"),
        ("1 exit p+1", "column 8: expected a process such as p1"),
    ];
    for (lines, expected) in cases {
        let message = refusal(lines);
        assert!(message.contains(expected), "{lines}: {message}");
    }
}

#[test]
fn a_survey_names_a_path_once_and_its_pieces_in_order() {
    let twice = "1 survey\n directory \"a\" ino=1 links=1\n directory \"a\" ino=1 links=1\n end";
    assert!(refusal(twice).contains("line 4, column 2: the survey names this path a second time"));
    let attributes =
        "1 survey\n file \"a\" ino=1 links=1 attribute \"n\" \"v\" attribute \"n\" \"\"";
    let message = "the survey names this attribute of the file a second time";
    assert!(refusal(attributes).contains(message));
    let file = |pieces: &str| format!("1 survey\n file \"a\" ino=1 links=1 size=9 {pieces}\n end");
    for pieces in ["@0 \"\"", "@4 \"ab\" @5 \"c\"", "@18446744073709551615 \"ab\""] {
        assert!(refusal(&file(pieces)).contains("a piece of content is empty"), "{pieces}");
    }
    assert!(parse(&format!("{HEADER}\n{}", file("@4 \"ab\" @6 \"c\""))).is_ok());
}

#[test]
fn another_version_and_no_text_are_refused() {
    for text in ["", "crashproof-trace 2\n", "\n", " crashproof-trace 1\n"] {
        let error = parse(text).expect_err("it has no header of this version");
        assert_eq!((error.line, error.column, error.problem), (1, 1, Problem::Header));
    }
}

fn problem_within(limits: Limits, lines: &str) -> Option<Problem> {
    let text = format!("{HEADER}\n{lines}");
    let mut refused = events(text.lines(), limits).filter_map(Result::err);
    refused.next().map(|error| error.problem)
}

#[test]
fn each_limit_is_kept() {
    let limits =
        Limits { line_bytes_max: 80, event_count_max: 2, name_count_max: 1, run_bytes_max: 100 };
    assert_eq!(problem_within(limits, "1 crash power\n2 crash power\n"), None);
    let three = "1 crash power\n2 crash power\n3 crash power\n";
    assert_eq!(problem_within(limits, three), Some(Problem::TooManyEvents));
    let long = format!("# {}", "x".repeat(80));
    assert_eq!(problem_within(limits, &long), Some(Problem::LineTooLong));
    let names = "1 survey\n directory \"a\" ino=1 links=1\n directory \"b\" ino=1 links=1\n end";
    assert_eq!(problem_within(limits, names), Some(Problem::TooManyNames));
    let run = |count: u64| format!("1 call p1 write h1 \"a\"*{count}+\"b\"*{count}");
    assert_eq!(problem_within(limits, &run(50)), None);
    assert_eq!(problem_within(limits, &run(51)), Some(Problem::TooManyBytes));
    assert_eq!(problem_within(limits, &run(u64::MAX)), Some(Problem::TooManyBytes));
}

#[test]
fn nothing_comes_after_an_error() {
    let text = format!("{HEADER}\n1 crash disk\n1 crash power\n");
    assert_eq!(events(text.lines(), Limits::default()).count(), 1);
}

#[test]
fn a_reader_fed_line_by_line_sees_the_same_trace() {
    let made = made(500);
    let mut parser = Parser::new(Limits::default());
    let mut read = Vec::new();
    for line in written(&made).lines() {
        read.extend(parser.line(line).expect("it was written by the writer"));
    }
    assert_eq!(parser.end(), Ok(()));
    let steps = (1..).map(Step);
    assert!(read.into_iter().eq(steps.zip(made)));
}

#[test]
fn the_form_is_as_documented() {
    let lines = "\
1 call p1 open h0 \"db\" read write create
2 answer 1 handle h5 regular
3 call p1 write h5 @0 \"abc\"+\"\\x00\"*4093
4 answer 3 count 4096
5 testimony lost ino=7 0..4096 EIO
6 crash power
7 survey
  file \"db\" ino=7 links=1 size=4096 @0 \"abc\"
  end
";
    let text = format!("{HEADER}\n{lines}");
    let events = parse(&text).expect("it is in the documentation");
    assert_eq!(written(&events), text);
    let mut listing = String::new();
    for (event, step) in events.iter().zip(1..) {
        let line = crashproof_spec::trace::fmt_event(event, Step(step));
        writeln!(listing, "{line}").expect("a String takes everything");
    }
    assert_eq!(listing, lines);
}
