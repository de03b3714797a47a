//! Calls in flight at once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::Context;
use std::task::Waker;

use bytes::Bytes;

use crate::cache::CachePolicy;
use crate::cache::TransitionStep;
use crate::cache::WritebackEnd;
use crate::call::Answer;
use crate::call::CallId;
use crate::call::Caller;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::Testimony;
use crate::call::Value;
use crate::call::Vfs;
use crate::sim::Chooser;
use crate::sim::Exhaustive;
use crate::sim::Seeded;
use crate::sim::Sim;
use crate::sim::Site;
use crate::sim::Unrest;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::APPEND;
use crate::vfs::tests::READ;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::at;
use crate::vfs::tests::formatted;

pub(super) type Answers = Arc<Mutex<Vec<(u32, Answer)>>>;

/// Starts a process that makes its calls one after the other.
pub(super) fn spawn(world: &World, process: u32, requests: Vec<Request>, answers: &Answers) {
    let (vfs, answers) = (world.vfs.clone(), Arc::clone(answers));
    world.sim.spawn(async move {
        for (number, request) in requests.into_iter().enumerate() {
            let call = CallId(u64::from(process) * 100 + number as u64);
            let caller = Caller { process: ProcessId(process), call };
            let answer = vfs.call(caller, request).await.expect("the power stays on");
            answers.lock().expect("one thread").push((process, answer));
        }
    });
}

fn append(handle: HandleId, data: &'static [u8]) -> Request {
    Request::Write { handle, offset: None, data: Bytes::from_static(data) }
}

/// A chooser that answers questions of one site by an exhaustive walk, and is calm elsewhere; past
/// `depth` questions it is calm there, too.
#[derive(Clone)]
struct Walking {
    walk: Arc<Mutex<Exhaustive>>,
    sites: &'static [Site],
    left: u32,
}

impl Chooser for Walking {
    fn choose(&mut self, site: Site, arity: NonZeroU32) -> u32 {
        if self.left == 0 || !self.sites.contains(&site) {
            return 0;
        }
        self.left -= 1;
        self.walk.lock().expect("one thread").choose(site, arity)
    }
}

/// Runs `scenario` under every combination of the first `depth` answers of `sites`.
pub(super) fn exhaust(sites: &'static [Site], depth: u32, mut scenario: impl FnMut(Sim)) -> u32 {
    let walk = Arc::new(Mutex::new(Exhaustive::default()));
    let mut count = 0;
    loop {
        scenario(Sim::new(Walking { walk: Arc::clone(&walk), sites, left: depth }));
        count += 1;
        if !walk.lock().expect("one thread").advance() {
            return count;
        }
    }
}

fn world_of(sim: Sim) -> World {
    World::with(formatted(TINY), sim, VfsPolicy::default(), CachePolicy::default())
}

fn two_appenders(sim: Sim) {
    let world = world_of(sim);
    let handles = [world.open("f", APPEND), world.open("f", APPEND)];
    let handles = handles.map(|handle| handle.expect("it can be made"));
    let answers = Answers::default();
    for (process, handle) in [(1, handles[0]), (2, handles[1])] {
        let data: &'static [u8] = if process == 1 { b"one-" } else { b"second-" };
        spawn(&world, process, vec![append(handle, data), append(handle, data)], &answers);
    }
    world.sim.run_background();
    let content = world.content("f").expect("it is there");
    let acknowledged: u64 = answers.lock().expect("one thread").iter().map(count_of).sum();
    assert_eq!(content.len() as u64, acknowledged, "APP-02");
    let text = String::from_utf8(content.to_vec()).expect("it was text");
    assert_eq!((text.matches("one-").count(), text.matches("second-").count()), (2, 2));
}

fn count_of((_, answer): &(u32, Answer)) -> u64 {
    let Ok(Value::Count(count)) = answer else { panic!("a write answers a count") };
    u64::from(*count)
}

#[test]
fn two_appenders_never_overlap() {
    let sites = &[Site::Preempt, Site::Schedule, Site::CompletionDelay];
    let count = exhaust(sites, 9, two_appenders);
    assert!(count > 50, "the schedules differ: {count}");
    let sites = &[Site::Preempt, Site::FlusherWakes, Site::CommitterWakes];
    assert!(exhaust(sites, 8, two_appenders) > 100);
}

/// While one process renames over a name, another opens and reads what is there: the old or the
/// new file, never none.
#[test]
fn a_name_that_is_renamed_over_is_never_absent() {
    let scenario = |sim: Sim| {
        let world = world_of(sim);
        for (name, content) in [("f", &b"old"[..]), ("g", &b"new"[..])] {
            let handle = world.file(name, content);
            world.close(handle);
        }
        let answers = Answers::default();
        spawn(
            &world,
            1,
            vec![Request::Rename { from: at("g"), to: at("f"), replace: true }],
            &answers,
        );
        let look = || Request::Open { at: at("f"), options: READ };
        spawn(&world, 2, vec![look(), look()], &answers);
        world.sim.run_background();
        let answers = answers.lock().expect("one thread").clone();
        assert_eq!(answers.len(), 3, "nobody waits for ever");
        for (process, answer) in answers {
            let Ok(value) = answer else { panic!("process {process}: {answer:?}") };
            if let Value::Handle { handle, .. } = value {
                let content = world.read(handle, 0, 9).expect("an open file can be read");
                assert!(content == "old" || content == "new", "{content:?}");
            }
        }
        assert_eq!(
            world.sim.block_on(world.vfs.cow().orphans()).map(|all| all.len() < 2),
            Ok(true)
        );
    };
    assert!(exhaust(&[Site::Preempt, Site::Schedule], 12, scenario) > 20);
}

#[test]
fn a_file_that_is_unlinked_while_it_is_opened_is_open_or_gone() {
    let scenario = |sim: Sim| {
        let world = world_of(sim);
        let handle = world.file("f", b"content");
        world.close(handle);
        let answers = Answers::default();
        spawn(&world, 1, vec![Request::Unlink { at: at("f") }], &answers);
        spawn(&world, 2, vec![Request::Open { at: at("f"), options: READ }], &answers);
        world.sim.run_background();
        let answers = answers.lock().expect("one thread").clone();
        assert_eq!(answers.len(), 2, "nobody waits for ever");
        for (_, answer) in answers {
            match answer {
                Ok(Value::Handle { handle, .. }) => {
                    assert_eq!(world.read(handle, 0, 9).as_deref(), Ok(&b"content"[..]));
                    world.close(handle);
                }
                Ok(_) | Err(Errno::NoEntry) => {}
                Err(errno) => panic!("{errno:?}"),
            }
        }
        assert_eq!(world.stat("f"), Err(Errno::NoEntry));
        assert_eq!(world.sim.block_on(world.vfs.cow().orphans()), Ok(Vec::new()));
    };
    let count = exhaust(&[Site::Preempt, Site::Schedule], 12, scenario);
    assert!(count > 4, "the schedules differ: {count}");
}

/// Many processes, many seeds: everybody is answered, and the order that was testified has each
/// call once.
#[test]
fn overlapping_calls_are_all_answered_and_each_says_once_when_it_took_effect() {
    for seed in 0..60 {
        let unrest = [
            (Site::Preempt, Unrest::one_in(2)),
            (Site::Schedule, Unrest::one_in(2)),
            (Site::CompletionDelay, Unrest::one_in(3)),
            (Site::FlusherWakes, Unrest::one_in(3)),
            (Site::ReclaimWakes, Unrest::one_in(3)),
            (Site::CommitterWakes, Unrest::one_in(3)),
        ];
        let world = world_of(Sim::new(Seeded::new(seed, &unrest)));
        let handles = [(); 3].map(|()| world.open("f", APPEND).expect("it can be made"));
        let (answers, _) = (Answers::default(), world.witness.take());
        for (process, handle) in (1..).zip(handles) {
            let requests = vec![
                append(handle, b"0123456789"),
                Request::Fsync { handle },
                Request::Rename { from: at("f"), to: at("g"), replace: true },
                Request::Truncate { handle, size_bytes: 700 },
                append(handle, b"tail"),
                Request::Read { handle, offset: Some(0), len: 2000 },
                Request::Unlink { at: at("g") },
                Request::Fdatasync { handle },
                Request::Close { handle },
            ];
            spawn(&world, process, requests, &answers);
        }
        world.sim.run_background();
        assert_eq!(answers.lock().expect("one thread").len(), 27, "seed {seed}");
        let said = world.witness.take().into_iter();
        let mut calls: Vec<_> = said
            .filter_map(|testimony| match testimony {
                Testimony::Committed { call } => Some(call),
                Testimony::Lost { .. }
                | Testimony::Resolved { .. }
                | Testimony::Failed { .. }
                | Testimony::Evicted { .. } => None,
            })
            .collect();
        calls.sort();
        calls.dedup();
        assert_eq!(calls.len(), 27, "seed {seed}");
        assert_eq!(world.sim.block_on(world.vfs.cow().orphans()), Ok(Vec::new()));
    }
}

/// A call is given up at its first wait, as when its process is killed; nothing is forgotten.
#[test]
fn a_sync_that_is_given_up_leaves_its_pages_dirty() {
    let unrest = [(Site::CompletionDelay, Unrest::one_in(1))];
    let world = world_of(Sim::new(Seeded::new(1, &unrest)));
    let handle = world.file("f", &[b'x'; 1500]);
    {
        let caller = Caller { process: ProcessId(0), call: CallId(0) };
        let mut sync = world.vfs.call(caller, Request::Fsync { handle });
        let mut cx = Context::from_waker(Waker::noop());
        assert!(sync.as_mut().poll(&mut cx).is_pending(), "the device is slow");
    }
    assert_eq!(world.vfs.dirty_page_count(), 3);
    assert_eq!(world.fsync(handle), Ok(()));
    let content = World::of(world.disk.durable_image()).content("f");
    assert_eq!(content.as_deref(), Ok(&[b'x'; 1500][..]));
}

/// What a call had taken to write back is dirty again when it is given up: who waits for it to end
/// looks what is dirty after that, not before.
#[test]
fn a_sync_that_waited_for_one_that_is_given_up_writes_what_that_had_taken() {
    let unrest = [(Site::CompletionDelay, Unrest::one_in(1))];
    let world = world_of(Sim::new(Seeded::new(1, &unrest)));
    let handle = world.file("f", &[b'x'; 1500]);
    let sync = |call| {
        let caller = Caller { process: ProcessId(0), call: CallId(call) };
        world.vfs.call(caller, Request::Fsync { handle })
    };
    let (mut given_up, mut waiting) = (sync(0), sync(1));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(given_up.as_mut().poll(&mut cx).is_pending(), "the device is slow");
    assert_eq!(world.vfs.dirty_page_count(), 0, "it has taken them");
    assert!(waiting.as_mut().poll(&mut cx).is_pending(), "the other is under way");
    drop(given_up);
    assert!(matches!(world.sim.block_on(waiting), Ok(Ok(Value::Done))));
    let content = World::of(world.disk.durable_image()).content("f");
    assert_eq!(content.as_deref(), Ok(&[b'x'; 1500][..]));
}

/// Does a sync take a page that it had taken before, while another process writes on?
fn takes_again(writeback_end: WritebackEnd, seed: u64) -> bool {
    let unrest = [
        (Site::Preempt, Unrest::one_in(2)),
        (Site::Schedule, Unrest::one_in(2)),
        (Site::CompletionDelay, Unrest::one_in(2)),
    ];
    let sim = Sim::new(Seeded::new(seed, &unrest));
    let cache = CachePolicy { writeback_end, ..CachePolicy::default() };
    let world = World::with(formatted(TINY), sim, VfsPolicy::default(), cache);
    let handles = [(); 2].map(|()| world.open("f", APPEND).expect("it can be made"));
    world.vfs.cache().watch_transitions();
    let answers = Answers::default();
    let writes = |handle, sync| {
        let request = move |_| [append(handle, b"0123456789"), Request::Fsync { handle }];
        (0..6).flat_map(request).filter(move |one| sync || matches!(one, Request::Write { .. }))
    };
    spawn(&world, 1, writes(handles[0], true).collect(), &answers);
    spawn(&world, 2, writes(handles[1], false).collect(), &answers);
    world.sim.run_background();
    assert_eq!(answers.lock().expect("one thread").len(), 18, "seed {seed}");
    let said = world.vfs.cache().take_transitions();
    said.iter().any(|transition| transition.step == TransitionStep::TakenAgain)
}

/// LIM-07: a sync that writes until nothing is dirty chases who writes on.
#[test]
fn one_writeback_takes_each_page_once() {
    let count = |end| (0..40).filter(|seed| takes_again(end, *seed)).count();
    assert_eq!(count(WritebackEnd::OnePass), 0);
    assert!(count(WritebackEnd::NothingDirty) > 0);
}
