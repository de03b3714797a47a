//! Laws of mapped memory: random programs of mapped and plain operations on one file, answered by
//! a few lines that know bytes and nothing else. What they say is accepted; what they could not
//! say is rejected.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use crashproof_spec::Oracle;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::trace::Event;
use crashproof_spec::violation::Verdict;
use crashproof_spec::words::Access;
use crashproof_spec::words::At;
use crashproof_spec::words::Call;
use crashproof_spec::words::Content;
use crashproof_spec::words::FileKind;
use crashproof_spec::words::Found;
use crashproof_spec::words::FoundKind;
use crashproof_spec::words::HandleId;
use crashproof_spec::words::Ino;
use crashproof_spec::words::Manage;
use crashproof_spec::words::MappingId;
use crashproof_spec::words::Memory;
use crashproof_spec::words::OpenOptions;
use crashproof_spec::words::Outcome;
use crashproof_spec::words::Pid;
use crashproof_spec::words::Sharing;
use crashproof_spec::words::Signal;
use crashproof_spec::words::Step;
use crashproof_spec::words::Survey;
use crashproof_spec::words::Value;
use imbl::OrdMap;

const PAGE: u64 = 4096;
/// A byte that is never written.
const FOREIGN: u8 = 255;

/// Numbers from a seed.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// An offset in one of three pages, often near their borders.
    fn offset(&mut self) -> u64 {
        let near = [0, PAGE - 6, PAGE, 2 * PAGE - 6][self.index(4)];
        near + self.below(12)
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("it is below a length")
    }

    fn bytes(&mut self) -> Vec<u8> {
        let byte = u8::try_from(1 + self.below(250)).expect("it is below 251");
        vec![byte; 1 + self.index(8)]
    }
}

#[derive(Clone)]
struct Mapping {
    sharing: Sharing,
    /// What a private mapping holds itself.
    own: BTreeMap<u64, u8>,
    /// The file as it was when a private mapping was made.
    before: Vec<u8>,
}

/// One file, its mappings, and what of it is durable.
#[derive(Clone)]
struct Subject {
    oracle: Oracle,
    step: u64,
    handle: HandleId,
    file: Vec<u8>,
    /// Bytes stored beyond the end, while memory keeps them.
    tail: BTreeMap<u64, u8>,
    mappings: BTreeMap<u64, Mapping>,
    next: u64,
    /// What a crash may leave: of each byte, and of the size, the durable version or a later one.
    versions: BTreeMap<u64, Vec<u8>>,
    sizes: Vec<u64>,
    /// Open files of snapshots, and what is in them.
    frozen: Vec<(HandleId, Vec<u8>)>,
}

impl Subject {
    fn new() -> Self {
        let oracle = Oracle::new(Arc::new(Promises::strict_sticky()), Level::Strict);
        let mut subject = Self {
            oracle,
            step: 0,
            handle: HandleId(0),
            file: Vec::new(),
            tail: BTreeMap::new(),
            mappings: BTreeMap::new(),
            next: 1,
            versions: BTreeMap::new(),
            sizes: vec![0],
            frozen: Vec::new(),
        };
        subject.open();
        subject.call(Call::Fsync { handle: HandleId::ROOT }, Value::Done);
        subject
    }

    fn event(&mut self, event: &Event) {
        self.step += 1;
        self.oracle.event(event);
    }

    fn call(&mut self, call: Call, value: Value) {
        self.answer(call, Ok(value));
    }

    fn answer(&mut self, call: Call, outcome: Outcome) {
        self.event(&Event::Called { process: Pid(1), call });
        let call = Step(self.step);
        self.event(&Event::Answered { call, outcome });
    }

    fn open(&mut self) {
        self.handle = self.open_in(HandleId::ROOT, true);
    }

    fn open_in(&mut self, directory: HandleId, write: bool) -> HandleId {
        let (handle, kind) = (HandleId(self.next), FileKind::Regular);
        self.next += 1;
        let at = At { directory, path: Bytes::from_static(b"a") };
        let (read, create, follow) = (true, write, true);
        let options = OpenOptions { read, write, create, follow, ..OpenOptions::default() };
        self.call(Call::Open { at, options }, Value::Handle { handle, kind, ino: None });
        handle
    }

    fn snapshot(&mut self) {
        let name: Bytes = self.next.to_string().into_bytes().into();
        self.call(Call::Manage(Manage::Snapshot { name: name.clone() }), Value::Done);
        let (handle, kind) = (HandleId(self.next), FileKind::Directory);
        self.next += 1;
        let open = Manage::OpenSnapshot { name };
        self.call(Call::Manage(open), Value::Handle { handle, kind, ino: None });
        let file = self.open_in(handle, false);
        self.frozen.push((file, self.file.clone()));
    }

    fn read_snapshot(&mut self, at: u64, dice: &mut Dice, foreign: bool) {
        let Some((handle, bytes)) = self.frozen.get(dice.index(self.frozen.len().max(1))) else {
            return;
        };
        let handle = *handle;
        let from = usize::try_from(at).expect("files are small").min(bytes.len());
        let mut data = bytes[from..bytes.len().min(from + 20)].to_vec();
        if foreign && let Some(byte) = data.last_mut() {
            *byte = FOREIGN;
        }
        let call = Call::Read { handle, offset: Some(from as u64), len: 20 };
        self.call(call, Value::Data(data.into()));
    }

    fn size(&self) -> u64 {
        self.file.len() as u64
    }

    fn end(&self) -> u64 {
        self.size().next_multiple_of(PAGE)
    }

    fn byte(&self, at: u64) -> u8 {
        usize::try_from(at).ok().and_then(|at| self.file.get(at)).copied().unwrap_or(0)
    }

    fn set(&mut self, at: u64, byte: u8) {
        let before = self.byte(at);
        self.versions.entry(at).or_insert_with(|| vec![before]).push(byte);
        let at = usize::try_from(at).expect("files are small");
        if at < self.file.len() {
            self.file[at] = byte;
        }
    }

    fn resize(&mut self, size: u64) {
        for at in size..self.size() {
            self.set(at, 0);
        }
        let is_cut = size < self.size();
        for mapping in self.mappings.values_mut().filter(|_| is_cut) {
            mapping.own.retain(|at, _| *at < size);
            mapping.before.truncate(usize::try_from(size).expect("files are small"));
        }
        self.file.resize(usize::try_from(size).expect("files are small"), 0);
        self.sizes.push(size);
        let end = self.end();
        self.tail.retain(|at, _| *at >= size && *at < end);
    }

    fn truncate(&mut self, size: u64) {
        let handle = self.handle;
        self.call(Call::Truncate { handle, size_bytes: size }, Value::Done);
        self.resize(size);
    }

    fn write(&mut self, at: u64, data: Vec<u8>) {
        let (handle, count) = (self.handle, u32::try_from(data.len()).expect("it is short"));
        for size in self.size() + 1..=at + data.len() as u64 {
            self.resize(size);
        }
        for (at, byte) in (at..).zip(&data) {
            self.set(at, *byte);
        }
        let call = Call::Write { handle, offset: Some(at), data: data.into() };
        self.call(call, Value::Count(count));
    }

    fn read(&mut self, at: u64, foreign: bool) {
        let handle = self.handle;
        let mut data: Vec<u8> = (at..self.size().min(at + 20)).map(|at| self.byte(at)).collect();
        if foreign && let Some(byte) = data.last_mut() {
            *byte = FOREIGN;
        }
        let call = Call::Read { handle, offset: Some(at), len: 20 };
        self.call(call, Value::Data(data.into()));
    }

    fn map(&mut self, sharing: Sharing) -> u64 {
        let (id, handle) = (self.next, self.handle);
        self.next += 1;
        let access = Access { read: true, write: true };
        let map = Memory::Map { handle, offset: 0, len: 3 * PAGE, access, sharing };
        self.call(Call::Memory(map), Value::Mapping(MappingId(id)));
        let before = self.file.clone();
        self.mappings.insert(id, Mapping { sharing, own: BTreeMap::new(), before });
        id
    }

    fn store(&mut self, id: u64, at: u64, data: Vec<u8>) {
        let data = &data[..data.len().min(usize::try_from(PAGE - at % PAGE).expect("small"))];
        let bytes = Bytes::copy_from_slice(data);
        let store = Memory::Store { mapping: MappingId(id), offset: at, data: bytes };
        if at >= self.end() {
            return self.call(Call::Memory(store), Value::Signal(Signal::Bus));
        }
        let (size, end) = (self.size(), self.end());
        for (at, byte) in (at..end).zip(data) {
            match self.mappings.get_mut(&id).expect("it is mapped") {
                Mapping { sharing: Sharing::Private, own, .. } => drop(own.insert(at, *byte)),
                Mapping { .. } if at < size => self.set(at, *byte),
                Mapping { .. } => drop(self.tail.insert(at, *byte)),
            }
        }
        self.call(Call::Memory(store), Value::Done);
    }

    fn load(&mut self, id: u64, at: u64, dice: &mut Dice, foreign: bool) {
        let len = 1 + u32::try_from(dice.below(12)).expect("it is short");
        let load = Memory::Load { mapping: MappingId(id), offset: at, len };
        if at + u64::from(len) > self.end() {
            return self.call(Call::Memory(load), Value::Signal(Signal::Bus));
        }
        let mut data: Vec<u8> =
            (at..at + u64::from(len)).map(|at| self.mapped(id, at, dice)).collect();
        if foreign {
            data[0] = FOREIGN;
        }
        self.call(Call::Memory(load), Value::Data(data.into()));
    }

    /// A byte as a mapping shows it. What others changed after a private one was made it may show.
    fn mapped(&self, id: u64, at: u64, dice: &mut Dice) -> u8 {
        let mapping = &self.mappings[&id];
        let outside = self.tail.get(&at).copied().unwrap_or(0);
        let shared = if at < self.size() { self.byte(at) } else { outside };
        if mapping.sharing == Sharing::Shared {
            return shared;
        }
        let before = usize::try_from(at).ok().and_then(|at| mapping.before.get(at)).copied();
        let old = before.filter(|_| dice.below(2) == 0);
        mapping.own.get(&at).copied().or(old).unwrap_or(shared)
    }

    fn msync(&mut self, id: u64, page: u64, wait: bool) {
        let (mapping, offset) = (MappingId(id), page * PAGE);
        let sync = Memory::SyncMapping { mapping, offset, len: PAGE, wait, invalidate: !wait };
        self.call(Call::Memory(sync), Value::Done);
        if wait && self.mappings[&id].sharing == Sharing::Shared {
            self.versions.retain(|at, _| at / PAGE != page);
            self.sizes = vec![self.size()];
        }
    }

    fn fsync(&mut self) {
        self.call(Call::Fsync { handle: self.handle }, Value::Done);
        self.versions.clear();
        self.sizes = vec![self.size()];
    }

    fn any(&self, dice: &mut Dice) -> Option<u64> {
        let ids: Vec<u64> = self.mappings.keys().copied().collect();
        if ids.is_empty() { None } else { Some(ids[dice.index(ids.len())]) }
    }

    fn step(&mut self, dice: &mut Dice) {
        let Some(id) = self.any(dice) else {
            let sharing = [Sharing::Shared, Sharing::Shared, Sharing::Private][dice.index(3)];
            self.map(sharing);
            return;
        };
        match dice.below(19) {
            0..=4 => self.store(id, dice.offset(), dice.bytes()),
            5..=7 => self.load(id, dice.offset(), dice, false),
            8 => self.write(dice.offset(), dice.bytes()),
            9 => self.read(dice.offset(), false),
            10 => self.truncate(dice.offset()),
            11 => self.msync(id, dice.below(2), dice.below(2) == 0),
            12 => self.fsync(),
            13 => drop(self.map([Sharing::Shared, Sharing::Private][dice.index(2)])),
            14 => {
                let unmap = Memory::Unmap { mapping: MappingId(id), offset: 0, len: 3 * PAGE };
                self.call(Call::Memory(unmap), Value::Done);
                self.mappings.remove(&id);
            }
            15 => self.snapshot(),
            16..=17 => self.read_snapshot(dice.offset(), dice, false),
            _ => {
                self.call(Call::Manage(Manage::DropCaches), Value::Done);
                self.tail.clear();
            }
        }
    }

    /// Power is lost: of each byte, and of the size, some version from the durable one on is left.
    fn lose_power(&mut self, dice: &mut Dice) -> Vec<u8> {
        let size = self.sizes[dice.index(self.sizes.len())];
        let left = (0..size).map(|at| match self.versions.get(&at) {
            Some(versions) => versions[dice.index(versions.len())],
            None => self.byte(at),
        });
        let left = left.collect();
        self.event(&Event::Crashed(CrashKind::Power));
        left
    }

    fn survey(&mut self, bytes: &[u8]) {
        let mut content = Content::default();
        if !bytes.is_empty() {
            content.pieces.insert(0, Bytes::copy_from_slice(bytes));
        }
        let size_bytes = bytes.len() as u64;
        let kind = FoundKind::Regular { size_bytes, content: Ok(content) };
        let mut survey = Survey::default();
        let root = Found {
            ino: Ino(1),
            link_count: 2,
            mode: None,
            attributes: OrdMap::new(),
            kind: FoundKind::Directory,
        };
        survey.names.insert(Bytes::new(), root);
        let attributes = OrdMap::new();
        let found = Found { ino: Ino(2), link_count: 1, mode: None, attributes, kind };
        survey.names.insert(Bytes::from_static(b"a"), found);
        self.event(&Event::Surveyed(Ok(survey)));
        (self.file, self.tail) = (bytes.to_vec(), BTreeMap::new());
        (self.versions, self.sizes) = (BTreeMap::new(), vec![size_bytes]);
        self.mappings.clear();
        self.frozen.clear();
        self.open();
    }

    fn is_rejected(&self) -> bool {
        matches!(self.oracle.verdict(), Verdict::Rejected(_))
    }
}

/// A subject in the middle of a random program.
fn somewhere(seed: u64) -> (Subject, Dice) {
    let (mut subject, mut dice) = (Subject::new(), Dice(seed));
    for _ in 0..dice.below(40) {
        subject.step(&mut dice);
    }
    (subject, dice)
}

const SEEDS: u64 = 500;

#[test]
fn what_mapped_memory_shows_and_leaves_is_accepted() {
    for seed in 0..SEEDS {
        let (mut subject, mut dice) = somewhere(seed);
        for _ in 0..2 {
            let left = subject.lose_power(&mut dice);
            subject.survey(&left);
            for _ in 0..dice.below(30) {
                subject.step(&mut dice);
            }
        }
        assert_eq!(subject.oracle.verdict(), Verdict::Accepted, "seed {seed}");
    }
}

#[test]
fn a_byte_that_nobody_stored_is_rejected_by_whatever_way_it_is_seen() {
    for seed in 0..SEEDS {
        let (mut subject, mut dice) = somewhere(seed);
        subject.truncate(2 * PAGE - 5);
        let at = dice.below(2 * PAGE - 20);
        let sharing = [Sharing::Shared, Sharing::Private][dice.index(2)];
        let id = subject.map(sharing);
        match dice.below(4) {
            0 => subject.load(id, at, &mut dice, true),
            1 => subject.read(at, true),
            2 => {
                subject.frozen.clear();
                subject.snapshot();
                subject.read_snapshot(at, &mut dice, true);
            }
            _ => {
                let id = subject.map(Sharing::Shared);
                subject.load(id, 2 * PAGE - 13, &mut dice, false);
                let load = Memory::Load { mapping: MappingId(id), offset: 2 * PAGE - 2, len: 1 };
                let data = Bytes::from_static(&[FOREIGN]);
                subject.call(Call::Memory(load), Value::Data(data));
            }
        }
        assert!(subject.is_rejected(), "seed {seed}");
    }
}

#[test]
fn a_synced_store_that_a_crash_undid_is_rejected() {
    for seed in 0..SEEDS {
        let (mut subject, mut dice) = somewhere(seed);
        subject.truncate(PAGE + 100);
        subject.fsync();
        let (id, other) = (subject.map(Sharing::Shared), subject.map(Sharing::Shared));
        let at = dice.below(100);
        let before = subject.byte(at);
        subject.store(id, at, vec![before.wrapping_add(1) | 1]);
        if subject.byte(at) == before {
            continue;
        }
        for _ in 0..dice.below(4) {
            subject.store(other, PAGE + dice.below(90), dice.bytes());
        }
        if dice.below(2) == 0 {
            subject.msync(other, 0, true)
        } else {
            subject.fsync()
        }
        let mut left = subject.lose_power(&mut dice);
        left[usize::try_from(at).expect("it is small")] = before;
        subject.survey(&left);
        assert!(subject.is_rejected(), "seed {seed}");
    }
}

#[test]
fn a_long_history_of_stores_forgets_nothing_that_is_promised() {
    for seed in 0..6 {
        let (mut subject, mut dice) = (Subject::new(), Dice(seed));
        subject.truncate(2 * PAGE);
        subject.fsync();
        let id = subject.map(Sharing::Shared);
        let reach = [8, 600, 2 * PAGE - 8][dice.index(3)];
        for _ in 0..6_000 {
            subject.store(id, dice.below(reach), dice.bytes());
        }
        subject.load(id, 0, &mut dice, false);
        let after = |mut subject: Subject, foreign: Option<usize>, mut dice: Dice| {
            let mut left = subject.lose_power(&mut dice);
            if let Some(at) = foreign {
                left[at] = FOREIGN;
            }
            subject.survey(&left);
            subject.oracle.verdict()
        };
        let last = usize::try_from(2 * PAGE - 1).expect("it is small");
        assert_eq!(after(subject.clone(), None, dice.clone()), Verdict::Accepted, "seed {seed}");
        if !subject.versions.contains_key(&(2 * PAGE - 1)) {
            let verdict = after(subject.clone(), Some(last), dice.clone());
            assert!(matches!(verdict, Verdict::Rejected(_)), "seed {seed}");
        }
        if dice.below(2) == 0 {
            subject.msync(id, 0, true)
        } else {
            subject.fsync()
        }
        let verdict = after(subject.clone(), Some(3), dice.clone());
        assert!(matches!(verdict, Verdict::Rejected(_)), "seed {seed}");
        assert_eq!(after(subject, None, dice), Verdict::Accepted, "seed {seed}");
    }
}
