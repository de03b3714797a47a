//! Traces that no file system would write, and that somebody may still hand in: numbers at every
//! border, answers that fit no call, handles and mappings of nobody. Whatever they say, the judge
//! does not panic, and is done soon.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use crashproof_spec::Oracle;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::Event;
use crashproof_spec::trace::HEADER;
use crashproof_spec::trace::parse;
use crashproof_spec::violation::Verdict;
use crashproof_spec::words::At;
use crashproof_spec::words::Call;
use crashproof_spec::words::Errno;
use crashproof_spec::words::FileKind;
use crashproof_spec::words::HandleId;
use crashproof_spec::words::OpenOptions;
use crashproof_spec::words::Pid;
use crashproof_spec::words::Value;

const TRACE_COUNT: u64 = 1_500;
const CALL_COUNT: u64 = 60;

/// Numbers at which something begins, ends or overflows.
const NUMBERS: [u64; 20] = [
    0,
    1,
    7,
    511,
    512,
    4095,
    4096,
    4097,
    8192,
    65_536,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 52,
    (1 << 63) - 4097,
    (1 << 63) - 2,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// `N` is a number, `S` one with a sign, `H` a handle, `M` a mapping, `B` bytes, `A` an attribute.
const CALLS: [&str; 36] = [
    "open h0 \"a\" read write",
    "open h0 \"a\" read write append",
    "open h0 \"b\" read write direct",
    "open h0 \"b\" read write sync",
    "open H \"a\" read",
    "opensnapshot \"s\"",
    "snapshot \"s\"",
    "deletesnapshot \"s\"",
    "close H",
    "write H @N B",
    "write H B",
    "read H @N 64",
    "truncate H N",
    "fstat H",
    "fsync H",
    "fdatasync H",
    "syncfs",
    "seek H S data",
    "seek H S hole",
    "seek H S set",
    "seek H S end",
    "allocate H @N N",
    "allocate H @N N keepsize",
    "allocate H @N N punch",
    "allocate H @N N zero",
    "allocate H @N N zerokeepsize",
    "allocate H @N N collapse",
    "allocate H @N N insert",
    "copyrange H @N H @N N",
    "copyrange H H N",
    "clonerange H @N N H @N",
    "deduperange H @N N H @N",
    "setattribute H A B",
    "removeattribute H A",
    "nocow H on",
    "mmap H @N N read write shared",
];

const MAPPED: [&str; 4] = ["store M @N B", "load M @N 64", "munmap M @N N", "msync M @N N wait"];

const ANSWERS: [&str; 16] = [
    "ok",
    "ok",
    "ok",
    "ok",
    "count 3",
    "count 4294967295",
    "offset N",
    "data B",
    "same yes",
    "attribute B",
    "stat ino=7 regular links=1 size=N access=N modify=N change=N",
    "signal SIGBUS",
    "error EIO",
    "error ENOSPC",
    "error EINTR",
    "error EINVAL",
];

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).expect("it is of 31 bits") % count
    }

    fn filled(&mut self, form: &str) -> String {
        let mut text = String::new();
        for word in form.split_inclusive([' ', '=', '@']) {
            let end = word.trim_end_matches([' ', '=']).len();
            let (word, rest) = word.split_at(end);
            match word {
                "N" => write!(text, "{}", NUMBERS[self.below(NUMBERS.len())]),
                "S" => write!(text, "{}", NUMBERS[self.below(NUMBERS.len())].cast_signed()),
                "H" => write!(text, "h{}", self.below(8)),
                "M" => write!(text, "m{}", self.below(3)),
                "A" => write!(text, "\"user.{}\"", self.below(2)),
                "B" => write!(text, "{}", ["\"\"", "\"abc\"", "\"x\"*4096"][self.below(3)]),
                _ => write!(text, "{word}"),
            }
            .and_then(|()| write!(text, "{rest}"))
            .expect("a String takes everything");
        }
        text
    }

    /// An answer, most times one that fits.
    fn answer(&mut self, call: &str, next: &mut usize) -> String {
        let word = call.split(' ').next().unwrap_or_default();
        if self.below(4) == 0 {
            let form = ANSWERS[self.below(ANSWERS.len())];
            return self.filled(form);
        }
        *next += 1;
        let form = match word {
            "open" => return format!("handle h{} regular ino={}", *next % 8, 2 + *next % 3),
            "opensnapshot" => return format!("handle h{} directory", *next % 8),
            "mmap" => return format!("mapping m{}", *next % 3),
            "write" | "copyrange" => ["count 3", "count 4096", "count 4294967295"][self.below(3)],
            "read" | "load" => "data B",
            "seek" => "offset N",
            "deduperange" => ["same yes", "same no"][self.below(2)],
            "fstat" => "stat ino=2 regular links=1 size=N access=0 modify=0 change=0",
            _ => "ok",
        };
        self.filled(form)
    }

    fn survey(&mut self, text: &mut String) {
        let size = NUMBERS[self.below(NUMBERS.len())];
        let at = self.filled("@N \"abc\"");
        text.push_str("survey\n  directory \"\" ino=1 links=2\n");
        let _ = writeln!(text, "  file \"a\" ino=2 links=1 size={size} {at}\n  end");
    }
}

/// A trace as text; a few calls overlap.
fn trace(seed: u64) -> String {
    let mut dice = Dice(seed);
    let mut text = format!(
        "{HEADER}\n1 call p1 open h0 \"a\" read write create\n2 answer 1 handle h1 regular ino=2\n\
         3 call p1 open h0 \"b\" read write create\n4 answer 3 handle h2 regular ino=3\n"
    );
    let (mut step, mut next) = (4, 2);
    let mut open: Vec<(u64, String)> = Vec::new();
    for _ in 0..CALL_COUNT {
        let form = match dice.below(4) {
            0 => MAPPED[dice.below(MAPPED.len())],
            _ => CALLS[dice.below(CALLS.len())],
        };
        let call = dice.filled(form);
        step += 1;
        let _ = writeln!(text, "{step} call p{} {call}", 1 + open.len());
        open.push((step, call));
        if dice.below(2) == 0 {
            step += 1;
            let _ = writeln!(text, "{step} testimony committed {}", step - 1);
        }
        while !open.is_empty() && (open.len() > 2 || dice.below(5) > 0) {
            let (called, call) = open.remove(dice.below(open.len()));
            let answer = dice.answer(&call, &mut next);
            step += 1;
            let _ = writeln!(text, "{step} answer {called} {answer}");
        }
        if dice.below(12) == 0 {
            step += 1;
            let lost = dice.filled("N");
            let _ = writeln!(text, "{step} testimony lost ino=2 0..{lost} EIO");
        }
        if open.is_empty() && dice.below(20) == 0 {
            let _ = write!(text, "{} crash power\n{} ", step + 1, step + 2);
            dice.survey(&mut text);
            step += 2;
        }
    }
    text
}

#[test]
fn no_trace_makes_the_judge_panic() {
    let mut judged = 0;
    for seed in 1..=TRACE_COUNT {
        let text = trace(seed);
        // What the reader refuses, nobody judges.
        let Ok(events) = parse(&text) else { continue };
        judged += 1;
        for promises in
            [Promises::strict_sticky(), Promises::named("linux-errseq-4.17").expect("it is one")]
        {
            let mut oracle = Oracle::new(Arc::new(promises), Level::Strict);
            events.iter().for_each(|event| oracle.event(event));
            let _ = oracle.verdict();
        }
    }
    assert!(judged > TRACE_COUNT / 2, "the reader takes {judged} of them");
}

/// What becomes of writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Synced,
    Unsynced,
    Failed,
}

/// What is said after each of many writes of 1 MiB to one place.
fn verdicts_of_overwriting(count: usize, fate: Fate) -> Vec<Verdict> {
    let mut oracle = Oracle::new(Arc::new(Promises::strict_sticky()), Level::Strict);
    let handle = HandleId(1);
    let mut does = |call, outcome| {
        oracle.event(&Event::Called { process: Pid(1), call });
        let call = oracle.step();
        oracle.event(&Event::Answered { call, outcome });
        oracle.verdict()
    };
    let options = OpenOptions { write: true, create: true, ..OpenOptions::default() };
    let at = At { directory: HandleId::ROOT, path: Bytes::from_static(b"a") };
    let opened = Value::Handle { handle, kind: FileKind::Regular, ino: None };
    does(Call::Open { at, options }, Ok(opened));
    let data = Bytes::from(vec![7; 1 << 20]);
    let one = |_| {
        if fate == Fate::Synced {
            does(Call::Fsync { handle }, Ok(Value::Done));
        }
        let call = Call::Write { handle, offset: Some(0), data: data.clone() };
        does(
            call,
            if fate == Fate::Failed { Err(Errno::NoSpace) } else { Ok(Value::Count(1 << 20)) },
        )
    };
    (0..count).map(one).collect()
}

#[test]
fn a_trace_that_never_syncs_is_given_up_at_a_bound() {
    for fate in [Fate::Unsynced, Fate::Failed] {
        let verdicts = verdicts_of_overwriting(1_100, fate);
        let accepted = verdicts.iter().take_while(|verdict| **verdict == Verdict::Accepted).count();
        assert!((1_000..1_099).contains(&accepted), "{accepted}");
        for verdict in &verdicts[accepted..] {
            assert!(matches!(verdict, Verdict::Undecided(reasons) if reasons.len() == 1));
        }
    }
    let synced = verdicts_of_overwriting(1_100, Fate::Synced);
    assert_eq!(synced.last(), Some(&Verdict::Accepted));
}

/// What is said of a byte that was copied so often from bytes that a failed write may have changed,
/// and whether it was passed over.
fn verdict_of_copies(count: usize, told: &str) -> (Verdict, bool) {
    let mut calls = vec![
        ("open h0 \"f\" read write create".to_owned(), "handle h1 regular ino=3".to_owned()),
        ("open h0 \"f\" write dsync".to_owned(), "handle h2 regular ino=3".to_owned()),
        ("write h1 @0 \"old!new!\"".to_owned(), "count 8".to_owned()),
        ("write h2 @4 \"left\"".to_owned(), "error EIO".to_owned()),
    ];
    for number in 0..count {
        let (from, to) = if number % 2 == 0 { (4, 0) } else { (0, 4) };
        calls.push((format!("copyrange h1 @{from} h1 @{to} 4"), "count 4".to_owned()));
    }
    calls.push(("read h1 @0 4".to_owned(), format!("data {told:?}")));
    let mut text = format!("{HEADER}\n");
    for (number, (call, answer)) in calls.iter().enumerate() {
        let step = 2 * number + 1;
        writeln!(text, "{step} call p0 {call}\n{} answer {step} {answer}", step + 1).expect("text");
    }
    let mut oracle = Oracle::new(Arc::new(Promises::strict_sticky()), Level::Strict);
    for event in &parse(&text).expect("it is well formed") {
        oracle.event(event);
    }
    (oracle.verdict(), oracle.passed_over().next().is_some())
}

/// Questions about copies of copies go so deep and no deeper, whatever a trace says.
#[test]
fn copies_of_copies_are_looked_through_to_a_depth() {
    for count in [1, 2, 7, 200] {
        for told in ["new!", "left"] {
            assert_eq!(verdict_of_copies(count, told), (Verdict::Accepted, false), "{count}");
        }
        let (verdict, is_passed_over) = verdict_of_copies(count, "lXft");
        let Verdict::Rejected(violations) = verdict else { panic!("{count}: {verdict:?}") };
        assert_eq!((violations[0].clause, is_passed_over), ("COPY-01", false), "{count}");
    }
    for count in [300, 20_000] {
        assert_eq!(verdict_of_copies(count, "left"), (Verdict::Accepted, true), "{count}");
    }
}
