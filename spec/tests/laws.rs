//! Laws: what a file system that keeps its promises could do is accepted; what none could do is
//! rejected. The file system here is a few lines, and shares nothing with the oracle.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use crashproof_spec::Oracle;
use crashproof_spec::clause::Catalogue;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::trace::Event;
use crashproof_spec::violation::Verdict;
use crashproof_spec::words::At;
use crashproof_spec::words::Call;
use crashproof_spec::words::Content;
use crashproof_spec::words::FileKind;
use crashproof_spec::words::Found;
use crashproof_spec::words::FoundKind;
use crashproof_spec::words::HandleId;
use crashproof_spec::words::Ino;
use crashproof_spec::words::OpenOptions;
use crashproof_spec::words::Outcome;
use crashproof_spec::words::Pid;
use crashproof_spec::words::Step;
use crashproof_spec::words::Survey;
use crashproof_spec::words::Testimony;
use crashproof_spec::words::Value;
use imbl::OrdMap;

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

type Names = BTreeMap<&'static str, usize>;

/// A file system: names, contents, and every state of the names since the last sync.
struct Subject {
    oracle: Oracle,
    step: u64,
    next_handle: u64,
    names: Names,
    history: Vec<Names>,
    files: Vec<Vec<u8>>,
    /// What is durable of each file.
    synced: Vec<Vec<u8>>,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl Subject {
    fn new() -> Self {
        let oracle = Oracle::new(Arc::new(Promises::strict_sticky()), Level::Strict);
        Self {
            oracle,
            step: 0,
            next_handle: 1,
            names: Names::new(),
            history: vec![Names::new()],
            files: Vec::new(),
            synced: Vec::new(),
        }
    }

    fn event(&mut self, event: &Event) {
        self.step += 1;
        self.oracle.event(event);
    }

    fn call(&mut self, call: Call, outcome: Outcome) {
        self.event(&Event::Called { process: Pid(1), call });
        let call = Step(self.step);
        self.event(&Event::Answered { call, outcome });
    }

    fn at(name: &'static str) -> At {
        At { directory: HandleId::ROOT, path: Bytes::from_static(name.as_bytes()) }
    }

    fn open(&mut self, name: &'static str) -> HandleId {
        let handle = HandleId(self.next_handle);
        self.next_handle += 1;
        let options = OpenOptions {
            read: true,
            write: true,
            create: true,
            follow: true,
            ..OpenOptions::default()
        };
        let kind = FileKind::Regular;
        self.call(
            Call::Open { at: Self::at(name), options },
            Ok(Value::Handle { handle, kind, ino: None }),
        );
        if !self.names.contains_key(name) {
            self.names.insert(name, self.files.len());
            self.files.push(Vec::new());
            self.synced.push(Vec::new());
            self.history.push(self.names.clone());
        }
        handle
    }

    fn step(&mut self, dice: &mut Dice) {
        let name = NAMES[usize::try_from(dice.below(3)).expect("it is below 3")];
        match dice.below(8) {
            0..=3 => self.write(name, dice),
            4 => self.sync(name),
            5 => self.rename(name, NAMES[usize::try_from(dice.below(3)).expect("it is below 3")]),
            6 => self.unlink(name),
            _ => self.sync_names(),
        }
    }

    fn write(&mut self, name: &'static str, dice: &mut Dice) {
        let handle = self.open(name);
        let file = self.names[name];
        let at = usize::try_from(dice.below(6)).expect("it is below 6");
        let data = vec![u8::try_from(1 + dice.below(250)).expect("it is below 251"); 4];
        let bytes = &mut self.files[file];
        bytes.resize(bytes.len().max(at + 4), 0);
        bytes[at..at + 4].copy_from_slice(&data);
        let expected = bytes.clone();
        let write = Call::Write { handle, offset: Some(at as u64), data: data.into() };
        self.call(write, Ok(Value::Count(4)));
        let read = Call::Read { handle, offset: Some(0), len: 100 };
        self.call(read, Ok(Value::Data(expected.into())));
        self.call(Call::Close { handle }, Ok(Value::Done));
    }

    fn sync(&mut self, name: &'static str) {
        let handle = self.open(name);
        let file = self.names[name];
        self.call(Call::Fsync { handle }, Ok(Value::Done));
        self.synced[file] = self.files[file].clone();
        self.history = vec![self.names.clone()];
    }

    fn sync_names(&mut self) {
        self.call(Call::Fsync { handle: HandleId::ROOT }, Ok(Value::Done));
        self.history = vec![self.names.clone()];
    }

    fn rename(&mut self, from: &'static str, to: &'static str) {
        let Some(file) = self.names.get(from).copied() else { return };
        self.call(
            Call::Rename { from: Self::at(from), to: Self::at(to), replace: true },
            Ok(Value::Done),
        );
        self.names.remove(from);
        self.names.insert(to, file);
        self.history.push(self.names.clone());
    }

    fn unlink(&mut self, name: &'static str) {
        if self.names.remove(name).is_some() {
            self.call(Call::Unlink { at: Self::at(name) }, Ok(Value::Done));
            self.history.push(self.names.clone());
        }
    }

    /// Power is lost: some state of the names since the last sync, of each file the durable or
    /// the newest bytes, byte by byte.
    fn lose_power(&mut self, dice: &mut Dice) -> Survey {
        let at = usize::try_from(dice.below(self.history.len() as u64)).expect("it is an index");
        let names = self.history[at].clone();
        let mut survey = Survey::default();
        let kind = FoundKind::Directory;
        survey.names.insert(
            Bytes::new(),
            Found { ino: Ino(1), link_count: 2, mode: None, attributes: OrdMap::new(), kind },
        );
        for (name, file) in &names {
            let (old, new) = (&self.synced[*file], &self.files[*file]);
            let size = if dice.below(2) == 0 { old.len() } else { new.len() };
            let byte = |bytes: &[u8], at: usize| bytes.get(at).copied().unwrap_or(0);
            let bytes: Vec<u8> = (0..size)
                .map(|at| if dice.below(2) == 0 { byte(old, at) } else { byte(new, at) })
                .collect();
            survey.names.insert(Bytes::from_static(name.as_bytes()), found(*file, &bytes));
            self.files[*file] = bytes.clone();
            self.synced[*file] = bytes;
        }
        self.names = names;
        self.history = vec![self.names.clone()];
        self.event(&Event::Crashed(CrashKind::Power));
        survey
    }
}

fn found(file: usize, bytes: &[u8]) -> Found {
    let content = if bytes.is_empty() {
        Content::default()
    } else {
        Content { pieces: OrdMap::unit(0, Bytes::copy_from_slice(bytes)) }
    };
    let size_bytes = bytes.len() as u64;
    let kind = FoundKind::Regular { size_bytes, content: Ok(content) };
    Found { ino: Ino(10 + file as u64), link_count: 1, mode: None, attributes: OrdMap::new(), kind }
}

const SEEDS: u64 = 3_000;

#[test]
fn what_a_truthful_file_system_does_is_accepted() {
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let mut subject = Subject::new();
        for _ in 0..3 {
            for _ in 0..dice.below(12) {
                subject.step(&mut dice);
            }
            let survey = subject.lose_power(&mut dice);
            subject.event(&Event::Surveyed(Ok(survey)));
        }
        assert_eq!(subject.oracle.verdict(), Verdict::Accepted, "seed {seed}");
    }
}

#[test]
fn a_durable_byte_that_changed_is_rejected() {
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let mut subject = Subject::new();
        for _ in 0..dice.below(12) {
            subject.step(&mut dice);
        }
        subject.write("a", &mut dice);
        subject.sync("a");
        let file = subject.names["a"];
        let mut survey = subject.lose_power(&mut dice);
        let mut bytes = subject.files[file].clone();
        bytes[0] ^= 0xff;
        survey.names.insert(Bytes::from_static(b"a"), found(file, &bytes));
        subject.event(&Event::Surveyed(Ok(survey)));
        let is_rejected = matches!(subject.oracle.verdict(), Verdict::Rejected(_));
        assert!(is_rejected, "seed {seed}");
    }
}

#[test]
fn a_durable_name_that_is_gone_is_rejected() {
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let mut subject = Subject::new();
        for _ in 0..dice.below(12) {
            subject.step(&mut dice);
        }
        subject.open("a");
        subject.sync_names();
        let mut survey = subject.lose_power(&mut dice);
        survey.names.remove(&b"a"[..]);
        subject.event(&Event::Surveyed(Ok(survey)));
        let is_rejected = matches!(subject.oracle.verdict(), Verdict::Rejected(_));
        assert!(is_rejected, "seed {seed}");
    }
}

#[test]
fn a_byte_nobody_wrote_is_rejected_when_it_is_read() {
    let mut subject = Subject::new();
    let mut dice = Dice(1);
    subject.write("a", &mut dice);
    let handle = subject.open("a");
    let read = Call::Read { handle, offset: Some(0), len: 1 };
    subject.call(read, Ok(Value::Data(Bytes::from_static(&[255]))));
    assert!(matches!(subject.oracle.verdict(), Verdict::Rejected(_)));
}

#[test]
fn a_fork_does_not_change_its_origin() {
    let mut subject = Subject::new();
    let mut dice = Dice(7);
    subject.write("a", &mut dice);
    subject.sync("a");
    let mut fork = subject.oracle.clone();
    fork.event(&Event::Crashed(CrashKind::Power));
    fork.event(&Event::Surveyed(Err("no root".to_owned())));
    assert!(matches!(fork.verdict(), Verdict::Rejected(_)));
    assert_eq!(subject.oracle.verdict(), Verdict::Accepted);
}

#[test]
fn an_audit_breaks_the_clause_that_it_names_if_there_is_one() {
    let verdict = |clause: &str| {
        let mut subject = Subject::new();
        let (clause, evidence) = (clause.to_owned(), "seen".to_owned());
        subject.event(&Event::Testified(Testimony::Audit { clause, evidence }));
        subject.oracle.verdict()
    };
    for clause in Catalogue::embedded().iter().filter(|clause| !clause.guard) {
        match (clause.level.level(), verdict(&clause.id)) {
            (Some(_), Verdict::Rejected(violations)) => {
                assert_eq!(violations[0].clause, clause.id);
                assert_eq!(violations[0].observed, "seen");
            }
            (None, Verdict::Accepted) => {}
            (_, verdict) => panic!("{}: {verdict:?}", clause.id),
        }
    }
    let Verdict::Undecided(reasons) = verdict("NO-SUCH-01") else { panic!("it was decided") };
    assert_eq!(reasons[0].what, "audit of an unknown clause");
}
