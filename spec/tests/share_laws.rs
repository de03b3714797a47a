//! Laws of copies, clones, moved ranges and searches: what a truthful file system answers is
//! accepted, whatever is done in whatever order; one wrong byte is rejected.

use std::sync::Arc;

use bytes::Bytes;
use crashproof_spec::Oracle;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::trace::Event;
use crashproof_spec::trace::fmt_event;
use crashproof_spec::violation::Verdict;
use crashproof_spec::words::AllocateMode;
use crashproof_spec::words::At;
use crashproof_spec::words::Attribute;
use crashproof_spec::words::Call;
use crashproof_spec::words::Content;
use crashproof_spec::words::Errno;
use crashproof_spec::words::FileKind;
use crashproof_spec::words::Found;
use crashproof_spec::words::FoundKind;
use crashproof_spec::words::HandleId;
use crashproof_spec::words::Ino;
use crashproof_spec::words::OpenOptions;
use crashproof_spec::words::Outcome;
use crashproof_spec::words::Pid;
use crashproof_spec::words::SetAttribute;
use crashproof_spec::words::Step;
use crashproof_spec::words::Survey;
use crashproof_spec::words::Value;
use crashproof_spec::words::Whence;
use imbl::OrdMap;

const NAMES: [&str; 3] = ["a", "b", "c"];
const SIZE_MAX: u64 = 48;
const SEEDS: u64 = 2_000;
const CALLS: u64 = 60;

struct Dice(u64);

impl Dice {
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % count
    }
}

/// A file as it is, and as it was at its last sync.
#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    attribute: Option<Bytes>,
}

/// A file system that keeps every promise, and the oracle that watches it.
struct World {
    oracle: Oracle,
    text: String,
    step: u64,
    files: [File; 3],
    synced: [File; 3],
    handles: [HandleId; 3],
    next_handle: u64,
    written: u8,
}

fn index(at: u64) -> usize {
    usize::try_from(at).expect("it is small")
}

impl World {
    fn new() -> Self {
        let oracle = Oracle::new(Arc::new(Promises::strict_sticky()), Level::Strict);
        let (files, synced) = (Default::default(), Default::default());
        let (handles, text) = ([HandleId::ROOT; 3], String::new());
        let mut world =
            Self { oracle, text, step: 0, files, synced, handles, next_handle: 1, written: 0 };
        world.open();
        world.call(Call::SyncAll, Ok(Value::Done));
        world
    }

    fn event(&mut self, event: &Event) {
        self.step += 1;
        self.text += &fmt_event(event, Step(self.step));
        self.text.push('\n');
        self.oracle.event(event);
    }

    fn call(&mut self, call: Call, outcome: Outcome) {
        self.event(&Event::Called { process: Pid(1), call });
        let call = Step(self.step);
        self.event(&Event::Answered { call, outcome });
    }

    fn open(&mut self) {
        for (file, name) in NAMES.iter().enumerate() {
            let at = At { directory: HandleId::ROOT, path: Bytes::from_static(name.as_bytes()) };
            let options =
                OpenOptions { read: true, write: true, create: true, ..OpenOptions::default() };
            let handle = HandleId(self.next_handle);
            self.next_handle += 1;
            self.handles[file] = handle;
            let kind = FileKind::Regular;
            self.call(Call::Open { at, options }, Ok(Value::Handle { handle, kind, ino: None }));
        }
    }

    fn random_call(&mut self, dice: &mut Dice) {
        let (from, to) = (index(dice.below(3)), index(dice.below(3)));
        let (at, len) = (dice.below(SIZE_MAX), 1 + dice.below(12));
        match dice.below(12) {
            0 | 1 => self.write(to, at, len),
            2 => self.truncate(to, at),
            3 => self.zero(dice, to, at..at + len),
            4 => self.shift(dice, to, at, len),
            5 => self.copy(from, to, at, dice.below(SIZE_MAX), len),
            6 => self.clone_range(from, to, at, dice.below(SIZE_MAX), len),
            7 => self.dedupe(from, to, at, dice.below(SIZE_MAX), len),
            8 => self.search(dice, to, at),
            9 => self.attribute(dice, to),
            10 => {
                self.call(Call::Fsync { handle: self.handles[to] }, Ok(Value::Done));
                self.synced[to] = self.files[to].clone();
            }
            _ => self.read(to, at, len, 0),
        }
    }

    fn write(&mut self, file: usize, at: u64, len: u64) {
        self.written = self.written % 250 + 1;
        let data = Bytes::from(vec![self.written; index(len)]);
        self.put(file, at, &data);
        let (handle, offset) = (self.handles[file], Some(at));
        let count = u32::try_from(len).expect("it is small");
        self.call(Call::Write { handle, offset, data }, Ok(Value::Count(count)));
    }

    fn put(&mut self, file: usize, at: u64, data: &[u8]) {
        let bytes = &mut self.files[file].bytes;
        let end = index(at) + data.len();
        if bytes.len() < end && !data.is_empty() {
            bytes.resize(end, 0);
        }
        if !data.is_empty() {
            bytes[index(at)..end].copy_from_slice(data);
        }
    }

    fn truncate(&mut self, file: usize, size_bytes: u64) {
        self.files[file].bytes.resize(index(size_bytes), 0);
        let handle = self.handles[file];
        self.call(Call::Truncate { handle, size_bytes }, Ok(Value::Done));
    }

    fn zero(&mut self, dice: &mut Dice, file: usize, range: std::ops::Range<u64>) {
        let modes = [
            AllocateMode::PunchHole,
            AllocateMode::ZeroRange,
            AllocateMode::ZeroRangeKeepSize,
            AllocateMode::KeepSize,
            AllocateMode::Extend,
        ];
        let mode = modes[index(dice.below(5))];
        let bytes = &mut self.files[file].bytes;
        let grows = matches!(mode, AllocateMode::ZeroRange | AllocateMode::Extend);
        if grows && bytes.len() < index(range.end) {
            bytes.resize(index(range.end), 0);
        }
        if !matches!(mode, AllocateMode::KeepSize | AllocateMode::Extend) {
            let within = bytes.len().min(index(range.start))..bytes.len().min(index(range.end));
            bytes[within].fill(0);
        }
        let (handle, offset, len) = (self.handles[file], range.start, range.end - range.start);
        self.call(Call::Allocate { handle, offset, len, mode }, Ok(Value::Done));
    }

    fn shift(&mut self, dice: &mut Dice, file: usize, offset: u64, len: u64) {
        let collapses = dice.below(2) == 0;
        let bytes = &mut self.files[file].bytes;
        let size = bytes.len();
        let (from, end) = (index(offset), index(offset + len));
        let fits = if collapses { end < size } else { from < size && size < 100 };
        if fits && collapses {
            bytes.drain(from..end);
        } else if fits {
            bytes.splice(from..from, vec![0; index(len)]);
        }
        let mode = if collapses { AllocateMode::CollapseRange } else { AllocateMode::InsertRange };
        let outcome = if fits { Ok(Value::Done) } else { Err(Errno::Invalid) };
        self.call(Call::Allocate { handle: self.handles[file], offset, len, mode }, outcome);
    }

    /// The bytes of a range, as far as there are any.
    fn bytes(&self, file: usize, at: u64, len: u64) -> Vec<u8> {
        let bytes = &self.files[file].bytes;
        let within = |at: u64| bytes.len().min(index(at));
        bytes[within(at)..within(at + len)].to_vec()
    }

    fn copy(&mut self, from: usize, to: usize, at: u64, to_at: u64, len: u64) {
        let data = self.bytes(from, at, len);
        let count = data.len() as u64;
        let is_overlap = from == to && at < to_at + count && to_at < at + count;
        let outcome = if is_overlap {
            Err(Errno::Invalid)
        } else {
            self.put(to, to_at, &data);
            Ok(Value::Count(u32::try_from(count).expect("it is small")))
        };
        let (from_offset, to_offset) = (Some(at), Some(to_at));
        let (from, to) = (self.handles[from], self.handles[to]);
        self.call(Call::CopyRange { from, from_offset, to, to_offset, len }, outcome);
    }

    fn clone_range(&mut self, from: usize, to: usize, at: u64, to_at: u64, len: u64) {
        let data = self.bytes(from, at, len);
        let is_whole = data.len() as u64 == len;
        let is_overlap = from == to && at < to_at + len && to_at < at + len;
        let outcome = if is_overlap || !is_whole {
            Err(Errno::Invalid)
        } else {
            self.put(to, to_at, &data);
            Ok(Value::Done)
        };
        let (from, to) = (self.handles[from], self.handles[to]);
        let (from_offset, to_offset) = (at, to_at);
        self.call(Call::CloneRange { from, from_offset, len, to, to_offset }, outcome);
    }

    fn dedupe(&mut self, from: usize, to: usize, at: u64, to_at: u64, len: u64) {
        let (one, two) = (self.bytes(from, at, len), self.bytes(to, to_at, len));
        let is_whole = one.len() as u64 == len && two.len() as u64 == len;
        let outcome = if is_whole { Ok(Value::Same(one == two)) } else { Err(Errno::Invalid) };
        let (from, to) = (self.handles[from], self.handles[to]);
        let (from_offset, to_offset) = (at, to_at);
        self.call(Call::DedupeRange { from, from_offset, len, to, to_offset }, outcome);
    }

    /// Data begins with a byte that is not zero, or before.
    fn search(&mut self, dice: &mut Dice, file: usize, at: u64) {
        let bytes = &self.files[file].bytes;
        let size = bytes.len() as u64;
        let for_data = dice.below(2) == 0;
        let next = (at..size).find(|at| (bytes[index(*at)] != 0) == for_data);
        let told = match (for_data, next) {
            _ if at >= size => None,
            (true, Some(next)) => Some(at + dice.below(next - at + 1)),
            (true, None) => None,
            (false, Some(next)) if dice.below(2) == 0 => Some(next),
            (false, _) => Some(size),
        };
        let outcome = told.map_or(Err(Errno::NoAddress), |told| Ok(Value::Offset(told)));
        let whence = if for_data { Whence::Data } else { Whence::Hole };
        let offset = i64::try_from(at).expect("it is small");
        self.call(Call::Seek { handle: self.handles[file], offset, whence }, outcome);
    }

    fn attribute(&mut self, dice: &mut Dice, file: usize) {
        let (handle, name) = (self.handles[file], Bytes::from_static(b"user.x"));
        let is_there = self.files[file].attribute.is_some();
        if dice.below(3) == 0 {
            let lacks = || Err(Errno::NoAttribute);
            let known = self.files[file].attribute.clone();
            let outcome = known.map_or_else(lacks, |value| Ok(Value::AttributeValue(value)));
            return self.call(Call::Attribute(Attribute::Get { handle, name }), outcome);
        }
        if dice.below(3) == 0 {
            self.files[file].attribute = None;
            let outcome = if is_there { Ok(Value::Done) } else { Err(Errno::NoAttribute) };
            return self.call(Call::Attribute(Attribute::Remove { handle, name }), outcome);
        }
        self.written = self.written % 250 + 1;
        let (value, how) = (Bytes::from(vec![self.written]), SetAttribute::Any);
        self.files[file].attribute = Some(value.clone());
        let asked = Attribute::Set { handle, name, value, how };
        self.call(Call::Attribute(asked), Ok(Value::Done));
    }

    /// A read that tells the first byte with these bits the other way round.
    fn read(&mut self, file: usize, at: u64, len: u64, wrong: u8) {
        let mut data = self.bytes(file, at, len);
        if let Some(first) = data.first_mut() {
            *first ^= wrong;
        }
        let (handle, offset) = (self.handles[file], Some(at));
        let len = u32::try_from(len).expect("it is small");
        self.call(Call::Read { handle, offset, len }, Ok(Value::Data(data.into())));
    }

    /// Power is lost: of each byte the synced or the newest version is left.
    fn lose_power(&mut self, dice: &mut Dice) {
        self.event(&Event::Crashed(CrashKind::Power));
        let mut survey = Survey::default();
        let (ino, kind, attributes) = (Ino(1), FoundKind::Directory, OrdMap::new());
        survey
            .names
            .insert(Bytes::new(), Found { ino, link_count: 2, mode: None, attributes, kind });
        for (file, name) in NAMES.iter().enumerate() {
            let (old, new) = (self.synced[file].clone(), self.files[file].clone());
            let size = if dice.below(2) == 0 { old.bytes.len() } else { new.bytes.len() };
            let byte = |of: &File, at: usize| of.bytes.get(at).copied().unwrap_or(0);
            let bytes: Vec<u8> = (0..size)
                .map(|at| if dice.below(2) == 0 { byte(&old, at) } else { byte(&new, at) })
                .collect();
            let attribute = if dice.below(2) == 0 { old.attribute } else { new.attribute };
            let mut content = Content::default();
            if size > 0 {
                content.pieces.insert(0, Bytes::from(bytes.clone()));
            }
            let kind = FoundKind::Regular { size_bytes: size as u64, content: Ok(content) };
            let name_of = Bytes::from_static(b"user.x");
            let attributes = attribute.iter().map(|value| (name_of.clone(), value.clone()));
            let (ino, attributes) = (Ino(10 + file as u64), attributes.collect());
            let found = Found { ino, link_count: 1, mode: None, attributes, kind };
            survey.names.insert(Bytes::from_static(name.as_bytes()), found);
            self.files[file] = File { bytes, attribute };
            self.synced[file] = self.files[file].clone();
        }
        self.event(&Event::Surveyed(Ok(survey)));
        self.open();
    }
}

fn played(seed: u64) -> (World, Dice) {
    let (mut world, mut dice) = (World::new(), Dice(seed));
    for _ in 0..CALLS {
        match dice.below(20) {
            0 => world.lose_power(&mut dice),
            _ => world.random_call(&mut dice),
        }
    }
    (world, dice)
}

#[test]
fn what_a_truthful_file_system_answers_is_accepted() {
    for seed in 1..SEEDS {
        let (world, _) = played(seed);
        let verdict = world.oracle.verdict();
        assert_eq!(verdict, Verdict::Accepted, "seed {seed}\n{}", world.text);
    }
}

#[test]
fn a_wrong_byte_is_rejected() {
    let mut count = 0;
    for seed in 1..SEEDS {
        let (mut world, mut dice) = played(seed);
        let file = index(dice.below(3));
        if world.files[file].bytes.is_empty() {
            continue;
        }
        count += 1;
        let at = dice.below(world.files[file].bytes.len() as u64);
        world.read(file, at, 1, 0x55);
        let is_rejected = matches!(world.oracle.verdict(), Verdict::Rejected(_));
        assert!(is_rejected, "seed {seed}\n{}", world.text);
    }
    assert!(count > SEEDS / 2, "only {count} files have bytes");
}

#[test]
fn data_in_a_hole_is_rejected() {
    for seed in 1..SEEDS {
        let (mut world, mut dice) = played(seed);
        let (file, at) = (index(dice.below(3)), dice.below(SIZE_MAX));
        world.write(file, at, 1);
        let (handle, whence) = (world.handles[file], Whence::Data);
        let offset = i64::try_from(dice.below(at + 1)).expect("it is small");
        world.call(Call::Seek { handle, offset, whence }, Err(Errno::NoAddress));
        let is_rejected = matches!(world.oracle.verdict(), Verdict::Rejected(_));
        assert!(is_rejected, "seed {seed}\n{}", world.text);
    }
}

#[test]
fn an_attribute_of_before_is_rejected() {
    let mut count = 0;
    for seed in 1..SEEDS {
        let (mut world, _) = played(seed);
        let lost = (0..3).find(|file| world.synced[*file].attribute.is_none());
        let Some(file) = lost else { continue };
        world.attribute_synced(file);
        count += 1;
        world.files[file].attribute = None;
        world.synced[file].attribute = None;
        world.lose_power(&mut Dice(seed));
        let is_rejected = matches!(world.oracle.verdict(), Verdict::Rejected(_));
        assert!(is_rejected, "seed {seed}\n{}", world.text);
    }
    assert!(count > SEEDS / 4, "only {count} files lack an attribute");
}

impl World {
    /// An attribute is set and synced, so that its loss is a breach.
    fn attribute_synced(&mut self, file: usize) {
        let (handle, name) = (self.handles[file], Bytes::from_static(b"user.x"));
        let (value, how) = (Bytes::from_static(b"kept"), SetAttribute::Any);
        let asked = Attribute::Set { handle, name, value, how };
        self.call(Call::Attribute(asked), Ok(Value::Done));
        self.call(Call::Fsync { handle }, Ok(Value::Done));
        self.synced[file] = self.files[file].clone();
    }
}
