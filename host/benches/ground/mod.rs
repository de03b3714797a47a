//! What benchmarks stand on.
#![allow(dead_code, unreachable_pub, reason = "each benchmark is a program, and uses a part")]

use std::sync::Arc;

use bytes::Bytes;
use crashproof::call::At;
use crashproof::call::CallId;
use crashproof::call::Caller;
use crashproof::call::HandleId;
use crashproof::call::OpenOptions;
use crashproof::call::ProcessId;
use crashproof::call::Request;
use crashproof::call::Value;
use crashproof::call::Vfs;
use crashproof::check::world::Chance;
use crashproof::check::world::Expectation;
use crashproof::check::world::World;
use crashproof::device::FaultPlan;
use crashproof::device::Geometry;
use crashproof::subject::Policies;
use crashproof::subject::StackPlan;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;

/// The reference stack on a device of 128 MiB.
pub fn plan() -> StackPlan {
    let geometry = Geometry { block_size_bytes: 4096, block_count: 1 << 15 };
    StackPlan { geometry, policies: Policies::default(), faults: FaultPlan::default() }
}

/// That stack under a recorder and an oracle, calm, without audits.
pub fn world() -> World {
    let promises = Arc::new(Promises::strict_sticky());
    let expectation = Expectation { promises, level: Level::Strict, audited: false };
    World::reference(&plan(), &Chance::Calm, &expectation).expect("room for it")
}

/// Asks as a process, and waits for the answer.
pub fn ask(world: &World, request: Request) -> Value {
    let caller = Caller { process: ProcessId(1), call: CallId(0) };
    let reply = world.sim.block_on(world.recorder.call(caller, request));
    reply.expect("nothing halts here").expect("nothing fails here")
}

/// Opens a file to read and write, and makes it if it is not there.
pub fn open(world: &World, name: &'static str) -> HandleId {
    let at = At { directory: HandleId::ROOT, path: Bytes::from_static(name.as_bytes()) };
    let options = OpenOptions { read: true, write: true, create: true, ..OpenOptions::default() };
    let Value::Handle { handle, .. } = ask(world, Request::Open { at, options }) else {
        panic!("open answers a handle");
    };
    handle
}
