//! A second guest, which says whether acknowledged lines are true on a recovered file system.

use std::sync::Arc;

use bytes::Bytes;
use crashproof_spec::oracle::Oracle;

use crate::call::ProcessId;
use crate::check::judge::Line;
use crate::check::run::ProcessPlan;
use crate::check::run::fault_sink;
use crate::check::tape::Known;
use crate::check::tape::Tapes;
use crate::check::tape::Taping;
use crate::check::verify::Verification;
use crate::check::verify::Verified;
use crate::check::verify::Verify;
use crate::check::verify::acknowledged;
use crate::check::world::Expectation;
use crate::check::world::World;
use crate::device::Image;
use crate::guest;
use crate::guest::GuestEnd;
use crate::guest::GuestRun;
use crate::guest::Limits;
use crate::guest::ProcessConfig;
use crate::sim::Sim;
use crate::subject::Stack;
use crate::subject::StackPlan;

/// Who asks when a verifier does.
const VERIFIER: ProcessId = ProcessId(u32::MAX);

/// A second guest that is asked whether acknowledged lines are true.
pub struct Verifier {
    /// The program.
    pub process: ProcessPlan,
    /// How the recovered file system is opened.
    pub stack: StackPlan,
    /// What the program finds preopened.
    pub directories: Vec<String>,
    /// What it may use up.
    pub limits: Limits,
    /// What it is held to where no oracle knows what is there: then its calls are not judged.
    pub expectation: Expectation,
    /// What it asked when it ran last.
    pub tapes: Tapes,
}

impl Verify for Verifier {
    fn verify(&self, image: &Image, lines: &[Line], oracle: Option<Oracle>) -> Verification {
        let mount = |sim: &Sim| sim.block_on(Stack::mount(image.clone(), &self.stack, sim));
        for known in self.tapes.of(&acknowledged(lines)) {
            let sim = Sim::calm();
            let Ok(stack) = mount(&sim) else { break };
            if let Some(verification) = self.repeat(stack, sim, &known, oracle.clone()) {
                return verification;
            }
        }
        let sim = Sim::calm();
        match mount(&sim) {
            Ok(stack) => self.verify_stack(stack, sim, lines, oracle),
            // The survey says so, as a finding against the subject.
            Err(_) => Verification::default(),
        }
    }
}

impl Verifier {
    /// The lines that were printed, against what a stack shows. The oracle, if there is one, knows
    /// what is there, and judges what the verifier is answered.
    #[must_use]
    pub fn verify_stack(
        &self,
        stack: Stack,
        sim: Sim,
        lines: &[Line],
        oracle: Option<Oracle>,
    ) -> Verification {
        let ground = Ground::new(self, stack, sim, oracle);
        let world = &ground.world;
        let taping = Arc::new(Taping::new(world.recorder.clone(), world.sim.clone()));
        let said = match self.run_on(world, Arc::clone(&taping), lines) {
            Ok(run) => self.said(run),
            Err(why) => Verified::Unknown(why),
        };
        if let (Some(tape), Verified::True | Verified::False(_)) = (taping.take(), &said) {
            self.tapes.keep(acknowledged(lines), tape, said.clone());
        }
        ground.judged(said)
    }

    /// What it says where it is answered as it was before; nothing, if it is not.
    fn repeat(
        &self,
        stack: Stack,
        sim: Sim,
        known: &Known,
        oracle: Option<Oracle>,
    ) -> Option<Verification> {
        let ground = Ground::new(self, stack, sim, oracle);
        let world = &ground.world;
        for name in &self.directories {
            world.preopen(name).ok()?;
        }
        let asked = known.tape.is_repeated_by(world.recorder.as_ref(), &world.sim);
        world.sim.block_on(asked).then(|| ground.judged(known.said.clone()))
    }

    /// What the program does on an image, which nobody judges.
    ///
    /// # Errors
    /// If the image cannot be mounted, or the program not be run.
    pub fn look(&self, image: &Image) -> Result<GuestRun, String> {
        let sim = Sim::calm();
        let mounted = sim.block_on(Stack::mount(image.clone(), &self.stack, &sim));
        let stack = mounted.map_err(|error| format!("{error:?}"))?;
        let Ground { world, .. } = Ground::new(self, stack, sim, None);
        let taping = Taping::new(world.recorder.clone(), world.sim.clone());
        self.run_on(&world, Arc::new(taping), &[])
    }

    fn said(&self, run: GuestRun) -> Verified {
        let said = String::from_utf8_lossy(&run.stderr).trim_end().to_owned();
        let name = &self.process.name;
        match run.end {
            GuestEnd::Exited(0) => Verified::True,
            GuestEnd::Exited(_) => Verified::False(said),
            GuestEnd::Trapped(why) => Verified::Unknown(format!("{name} trapped: {why}; {said}")),
            GuestEnd::StackOverflow => Verified::Unknown(format!("{name} overflowed its stack")),
            GuestEnd::OutOfFuel => Verified::Unknown(format!("{name} ran out of fuel")),
            GuestEnd::WallClock => Verified::Unknown(format!("{name} ran out of time")),
            GuestEnd::OutputLimit => Verified::Unknown(format!("{name} wrote too much")),
            GuestEnd::Killed(killed) => Verified::Unknown(format!("{name} was killed by {killed}")),
            GuestEnd::NotStarted(why) => Verified::Unknown(format!("{name} did not start: {why}")),
            GuestEnd::Halted(why) => Verified::Unknown(format!("{name} was halted: {why}")),
        }
    }

    fn run_on(
        &self,
        world: &World,
        taping: Arc<Taping>,
        lines: &[Line],
    ) -> Result<GuestRun, String> {
        let mut config = ProcessConfig::new(VERIFIER);
        let bytes = |text: &String| Bytes::copy_from_slice(text.as_bytes());
        let process = &self.process;
        config.args = std::iter::once(&process.name).chain(&process.arguments).map(bytes).collect();
        config.stdin = acknowledged(lines);
        config.on_fault = world.stack.as_ref().map(|stack| {
            let (mut sink, taping) = (fault_sink(stack, &world.sim), Arc::clone(&taping));
            let sink: guest::FaultSink = Box::new(move |rule| {
                taping.spoil();
                sink(rule)
            });
            sink
        });
        for name in &self.directories {
            let name_bytes = Bytes::copy_from_slice(name.as_bytes());
            config.preopens.push((name_bytes, world.preopen(name)?));
        }
        let ground = guest::World { sim: world.sim.clone(), vfs: taping };
        Ok(guest::run_one(&ground, &process.module, config, &self.limits))
    }
}

/// What a verifier runs on.
struct Ground {
    world: World,
    is_judged: bool,
    /// So many violations were known before.
    known_count: usize,
}

impl Ground {
    fn new(verifier: &Verifier, stack: Stack, sim: Sim, oracle: Option<Oracle>) -> Self {
        let (witness, is_judged) = (stack.witness.clone(), oracle.is_some());
        let oracle = oracle.unwrap_or_else(|| verifier.expectation.oracle());
        let known_count = oracle.violations().len();
        let mut world = World::judged_by(oracle, sim, stack.vfs.clone(), witness, false);
        world.stack = Some(stack);
        Self { world, is_judged, known_count }
    }

    /// What the verifier said, and what was wrong with its answers.
    fn judged(self, said: Verified) -> Verification {
        if !self.is_judged {
            return Verification { said, ..Verification::default() };
        }
        let judged = self.world.finish();
        let broken = judged.oracle.violations().skip(self.known_count).cloned().collect();
        let undecided = judged.oracle.undecided().map(|reason| reason.what.to_owned()).collect();
        Verification { said, broken, undecided }
    }
}
