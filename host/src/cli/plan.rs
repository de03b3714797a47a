//! What will be done: typed arguments with every file read and every name looked up.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::words::Pid;

use crate::check::run::ProcessPlan;
use crate::check::run::RunPlan;
use crate::check::run::SubjectPlan;
use crate::check::world::Chance;
use crate::check::world::Expectation;
use crate::cli::Failure;
use crate::cli::args::CrashKindName;
use crate::cli::args::LevelName;
use crate::cli::args::MappingName;
use crate::cli::args::ResyncName;
use crate::cli::args::SubjectName;
use crate::cli::args::WorldArguments;
use crate::cli::faults;
use crate::cli::faults::MemoryEntry;
use crate::cli::files;
use crate::cli::profile;
use crate::cli::scenario::Scenario;
use crate::device::FaultPlan;
use crate::device::Geometry;
use crate::device::LEG_COUNT_MAX;
use crate::device::Resync;
use crate::guest::Engine;
use crate::guest::EngineError;
use crate::guest::EngineOptions;
use crate::guest::Limits;
use crate::guest::LoadError;
use crate::guest::MappingMode;
use crate::guest::Module;
use crate::guest::ModuleCache;
use crate::guest::Pool;
use crate::guests;
use crate::subject;
use crate::subject::Policies;
use crate::subject::StackPlan;

/// A plan, and how it is named in reports.
#[derive(Clone)]
pub(super) struct Planned {
    /// What will be run.
    pub(super) run: RunPlan,
    /// What the modules were compiled by.
    pub(super) compiler: Compiler,
    /// The guests and their arguments.
    pub(super) workload: String,
    /// What is tested.
    pub(super) subject: String,
    /// What it is held to.
    pub(super) expectation: String,
    /// The words of the command line that make this world again.
    pub(super) world_words: String,
}

impl Planned {
    /// The same under the chance of `world`, which differs in nothing else.
    pub(super) fn under(&self, world: &WorldArguments) -> Self {
        Self { run: RunPlan { chance: chance(world), ..self.run.clone() }, ..self.clone() }
    }
}

/// How modules are compiled.
#[derive(Clone)]
pub(super) struct Compiler {
    engine: Engine,
    mapping: MappingMode,
    module_cache: Option<ModuleCache>,
}

impl Compiler {
    fn compile(&self, bytes: &[u8]) -> Result<Module, LoadError> {
        Module::load_with(&self.engine, bytes, self.mapping)
    }

    /// The same, of modules that run often and not for long: their instances come from a pool.
    fn pooled(&self, limits: &Limits) -> Result<Self, EngineError> {
        // Whoever waits for the threads may run one as well.
        let instance_count = rayon::current_num_threads() as u32 + 1;
        let pool = Some(Pool::new(instance_count, limits));
        let options = EngineOptions { pool, ..self.engine.options() };
        let engine = engine(options, self.module_cache.as_ref())?;
        Ok(Self { engine, ..self.clone() })
    }
}

/// An engine that keeps compiled modules where it is told; else at the user's own place, if it can.
fn engine(options: EngineOptions, asked: Option<&ModuleCache>) -> Result<Engine, EngineError> {
    match asked {
        Some(place) => Engine::with_cache(options, place),
        None => {
            Engine::with_cache(options, &ModuleCache::of_user()).or_else(|_| Engine::new(options))
        }
    }
}

/// Looks everything up.
///
/// # Errors
/// With what is wrong, and where.
pub(super) fn plan(arguments: &WorldArguments, chance: Chance) -> Result<Planned, Failure> {
    let scenario = scenario(arguments)?;
    let chance = match (chance, scenario.seed) {
        (Chance::Calm, Some(seed)) => Chance::Seeded { seed, adversity: false },
        (chosen, _) => chosen,
    };
    let profile = scenario.profile.clone().unwrap_or_else(|| arguments.profile.clone());
    let expect = arguments.expect.clone().unwrap_or_else(|| profile.clone());
    let level = level(arguments);
    let mut limits = Limits { fuel: arguments.fuel, ..Limits::default() };
    limits.memory_bytes = usize::try_from(arguments.memory.0).unwrap_or(usize::MAX);
    let engine = engine(EngineOptions::from(&limits), arguments.module_cache.as_ref())
        .map_err(|error| Failure(format!("failed to start: {error}")))?;
    let compiler = Compiler {
        engine,
        mapping: mapping_mode(arguments.mapping),
        module_cache: arguments.module_cache.clone(),
    };
    let processes = processes(arguments, &scenario, &compiler)?;
    let behaves = profile::find(&profile)?;
    let stack = match arguments.subject {
        SubjectName::Reference => behaves.policies()?,
        SubjectName::Directory(_) => Policies::default(),
    };
    let stack = stack_plan(arguments, &scenario, stack)?;
    let promises = match &arguments.expect {
        Some(expect) => profile::find(expect)?.promises()?,
        None => behaves.promises()?,
    };
    let promises = promises_of(promises, arguments)?;
    let subject = match &arguments.subject {
        SubjectName::Reference => SubjectPlan::Reference(Box::new(stack)),
        SubjectName::Directory(path) => SubjectPlan::Directory(path.clone()),
    };
    let run = RunPlan {
        subject,
        expectation: Expectation {
            promises: Arc::new(promises),
            level,
            audited: !arguments.no_audits,
        },
        chance,
        processes,
        directories: arguments.directories.clone(),
        limits,
        actions: scenario.actions(),
        evict_every: faults(arguments, &scenario)?.1.evict_every,
    };
    Ok(Planned {
        workload: workload(&run),
        subject: subject_name(arguments, &profile),
        expectation: format!("{expect}, level {}", level_word(level)),
        world_words: world_words(arguments),
        run,
        compiler,
    })
}

/// The verifier's program.
///
/// # Errors
/// If it is no guest.
pub(super) fn verifier(planned: &Planned, name: &str) -> Result<ProcessPlan, Failure> {
    let program = |compiler: &Compiler| process(name, &[], &[], Bytes::new(), compiler);
    // Where there is no room for a pool, or the program does not fit in, it does without.
    let pooled = planned.compiler.pooled(&planned.run.limits);
    match pooled.ok().map(|compiler| program(&compiler)) {
        Some(Ok(process)) => Ok(process),
        Some(Err(_)) | None => program(&planned.compiler),
    }
}

/// How a run is cut short.
pub(super) fn crash_kind(name: CrashKindName) -> CrashKind {
    match name {
        CrashKindName::Process => CrashKind::Process(Pid(1)),
        CrashKindName::Kernel => CrashKind::Kernel,
        CrashKindName::Power => CrashKind::Power,
    }
}

fn level(arguments: &WorldArguments) -> Level {
    match (arguments.level, &arguments.subject) {
        (Some(name), _) => spec_level(name),
        (None, SubjectName::Reference) => Level::Strict,
        (None, SubjectName::Directory(_)) => Level::Linux,
    }
}

fn mapping_mode(name: MappingName) -> MappingMode {
    match name {
        MappingName::Stores => MappingMode::Stores,
        MappingName::Twin => MappingMode::Twin,
    }
}

fn mapping_word(name: MappingName) -> &'static str {
    match name {
        MappingName::Stores => "stores",
        MappingName::Twin => "twin",
    }
}

/// The level of that name.
pub(super) fn spec_level(name: LevelName) -> Level {
    match name {
        LevelName::Posix => Level::Posix,
        LevelName::Linux => Level::Linux,
        LevelName::Strict => Level::Strict,
    }
}

/// The name of that level.
pub(super) fn level_word(level: Level) -> &'static str {
    match level {
        Level::Posix => "posix",
        Level::Linux => "linux",
        Level::Strict => "strict",
    }
}

/// The scenario that was named, or the built-in guest's own.
fn scenario(arguments: &WorldArguments) -> Result<Scenario, Failure> {
    if let Some(path) = &arguments.scenario {
        let text = files::read_text(path)?;
        return Scenario::parse(&text)
            .map_err(|why| Failure(format!("failed to read {}: {why}", path.display())));
    }
    let built_in = guests::named(&arguments.guest).and_then(|guest| guest.scenario);
    built_in.map_or_else(
        || Ok(Scenario::default()),
        |text| {
            Scenario::parse(text)
                .map_err(|why| Failure(format!("scenario of {}: {why}", arguments.guest)))
        },
    )
}

fn processes(
    arguments: &WorldArguments,
    scenario: &Scenario,
    compiler: &Compiler,
) -> Result<Vec<ProcessPlan>, Failure> {
    let environment: Vec<String> =
        arguments.environment.iter().map(|pair| format!("{}={}", pair.0, pair.1)).collect();
    let stdin = match &arguments.stdin {
        Some(path) => Bytes::from(files::read(path)?),
        None => Bytes::new(),
    };
    let first = process(&arguments.guest, &arguments.arguments, &environment, stdin, compiler)?;
    let mut all = vec![first];
    for also in &arguments.also {
        let mut words = also.split_whitespace().map(ToOwned::to_owned);
        let guest = words.next().ok_or_else(|| Failure("--also names no guest".to_owned()))?;
        let rest: Vec<String> = words.collect();
        all.push(process(&guest, &rest, &environment, Bytes::new(), compiler)?);
    }
    for entry in &scenario.processes {
        all.push(process(&entry.guest, &entry.args, &environment, Bytes::new(), compiler)?);
    }
    Ok(all)
}

fn process(
    guest: &str,
    arguments: &[String],
    environment: &[String],
    stdin: Bytes,
    compiler: &Compiler,
) -> Result<ProcessPlan, Failure> {
    let failed = |why: String| Failure(format!("failed to load {guest}: {why}"));
    let built_in = guests::named(guest);
    let module = match built_in {
        Some(built_in) => compiler.compile(built_in.wasm),
        None if guest.contains(['/', '.']) => compiler.compile(&files::read(Path::new(guest))?),
        None => {
            return Err(failed(
                "there is no such built-in guest (`crashproof guests` lists them), and a path \
                 has a `/` or a `.` in it"
                    .to_owned(),
            ));
        }
    }
    .map_err(|error| failed(error.to_string()))?;
    let own: Vec<String> = match built_in {
        Some(built_in) if arguments.is_empty() => {
            built_in.args.iter().map(ToString::to_string).collect()
        }
        _ => arguments.to_vec(),
    };
    Ok(ProcessPlan {
        name: guest.to_owned(),
        module,
        arguments: own,
        environment: environment.to_vec(),
        stdin,
    })
}

/// Puts defects into the policies of a stack.
///
/// # Errors
/// If there is none of such a name.
pub(super) fn put(defects: &[String], policies: &mut Policies) -> Result<(), Failure> {
    for name in defects {
        let defect = subject::defect_named(name).ok_or_else(|| {
            Failure(format!("--defect {name}: `crashproof defects` lists the defects"))
        })?;
        (defect.apply)(policies);
    }
    Ok(())
}

/// What is promised, with what the options add.
fn promises_of(promises: Promises, arguments: &WorldArguments) -> Result<Promises, Failure> {
    let file_size_bytes_max = arguments.file_size_max.map(|size| size.0);
    match (&arguments.subject, file_size_bytes_max) {
        (SubjectName::Directory(_), Some(_)) => Err(Failure(
            "--file-size-max: a directory of the host has the limits of this process".to_owned(),
        )),
        (SubjectName::Directory(_) | SubjectName::Reference, _) => {
            Ok(Promises { file_size_bytes_max, ..promises })
        }
    }
}

fn stack_plan(
    arguments: &WorldArguments,
    scenario: &Scenario,
    mut policies: Policies,
) -> Result<StackPlan, Failure> {
    let block = arguments.block_size.0;
    if !block.is_power_of_two() || !(512..=65536).contains(&block) {
        return Err(Failure(format!(
            "--block-size {block}: a power of two from 512 to 65536 is wanted"
        )));
    }
    let size_bytes = match (arguments.fs_size, scenario.fs_size().map_err(Failure)?) {
        (Some(size), _) | (None, Some(size)) => size.0,
        (None, None) => 64 << 20,
    };
    let block_count = size_bytes / block;
    let geometry = Geometry { block_size_bytes: block as u32, block_count };
    put(&arguments.defects, &mut policies)?;
    policies.cow.group_dirty_bytes_max = arguments.group_size.0;
    if let Some(size) = arguments.file_size_max {
        policies.vfs.file_size_bytes_max = policies.vfs.file_size_bytes_max.min(size.0);
    }
    let legs = arguments.legs.or(scenario.legs).unwrap_or(1);
    if !(1..=LEG_COUNT_MAX).contains(&legs) {
        return Err(Failure(format!("--legs {legs}: from 1 to {LEG_COUNT_MAX} are wanted")));
    }
    policies.mirror.leg_count = legs;
    policies.mirror.resync = match arguments.resync {
        ResyncName::Dirty => Resync::DirtyRegions,
        ResyncName::Full => Resync::All,
    };
    let (faults, memory) = faults(arguments, scenario)?;
    let has_leg = |leg: u32| legs > 1 && leg < legs;
    if let Some(rule) = faults.rules.iter().find(|rule| rule.leg.is_some_and(|leg| !has_leg(leg))) {
        return Err(Failure(format!("fault `{rule}`: there are {legs} legs (--legs), from 0")));
    }
    if let Some(bytes) = memory.bytes().map_err(Failure)? {
        policies.cache.cached_bytes_max = bytes;
    }
    Ok(StackPlan { geometry, policies, faults })
}

/// What the device does wrong, and how short memory is: by the options, the plan's file and the
/// scenario, in this order.
fn faults(
    arguments: &WorldArguments,
    scenario: &Scenario,
) -> Result<(FaultPlan, MemoryEntry), Failure> {
    let (mut plan, mut memory) = (FaultPlan::default(), MemoryEntry::default());
    if let Some(path) = &arguments.faults {
        let parsed = faults::parse(&files::read_text(path)?);
        (plan, memory) = parsed.map_err(|why| Failure(format!("{}: {why}", path.display())))?;
    }
    plan.rules.splice(..0, arguments.fail_writes.iter().cloned());
    let of_scenario = scenario.fault_plan();
    plan.rules.extend(of_scenario.rules);
    plan.pool = plan.pool.or(of_scenario.pool);
    plan.random_max = arguments.random_faults.unwrap_or(plan.random_max);
    if let Some(of_scenario) = &scenario.memory
        && memory == MemoryEntry::default()
    {
        memory = of_scenario.clone();
    }
    if plan.random_max > 0 && arguments.seed.or(scenario.seed).is_none() {
        return Err(Failure("random faults need --seed: a calm run has none".to_owned()));
    }
    let is_directory = matches!(arguments.subject, SubjectName::Directory(_));
    if is_directory && (plan != FaultPlan::default() || memory != MemoryEntry::default()) {
        return Err(Failure(
            "faults need the reference stack: a directory has no device".to_owned(),
        ));
    }
    Ok((plan, memory))
}

fn workload(run: &RunPlan) -> String {
    let words = |process: &ProcessPlan| {
        std::iter::once(&process.name)
            .chain(&process.arguments)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    };
    run.processes.iter().map(words).collect::<Vec<_>>().join(" + ")
}

fn subject_name(arguments: &WorldArguments, profile: &str) -> String {
    match &arguments.subject {
        SubjectName::Reference if arguments.defects.is_empty() => {
            format!("reference, profile {profile}")
        }
        SubjectName::Reference => {
            format!("reference with {}, profile {profile}", arguments.defects.join(", "))
        }
        SubjectName::Directory(path) => format!("directory {}", path.display()),
    }
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn mirror_options(arguments: &WorldArguments, option: &mut impl FnMut(&str, &str)) {
    if let Some(legs) = arguments.legs {
        option("legs", &legs.to_string());
    }
    if arguments.resync != ResyncName::Dirty {
        option("resync", "full");
    }
}

fn fault_options(arguments: &WorldArguments, option: &mut impl FnMut(&str, &str)) {
    for rule in &arguments.fail_writes {
        option("fail-write", &rule.to_string());
    }
    if let Some(path) = &arguments.faults {
        option("faults", &path.display().to_string());
    }
    if let Some(count) = arguments.random_faults {
        option("random-faults", &count.to_string());
    }
}

/// The options of a world that are not the default, and the guest; its arguments come last.
fn world_words(arguments: &WorldArguments) -> String {
    let mut words = vec![quoted(&arguments.guest)];
    let mut option = |name: &str, value: &str| {
        words.push(format!("--{name}"));
        words.push(quoted(value));
    };
    if let SubjectName::Directory(path) = &arguments.subject {
        option("subject", &format!("dir:{}", path.display()));
    }
    if arguments.profile != "strict-sticky" {
        option("profile", &arguments.profile);
    }
    if let Some(expect) = &arguments.expect {
        option("expect", expect);
    }
    if let Some(level) = arguments.level {
        option("level", level_word(spec_level(level)));
    }
    for defect in &arguments.defects {
        option("defect", defect);
    }
    if arguments.no_audits {
        words.push("--no-audits".to_owned());
    }
    let mut option = |name: &str, value: &str| {
        words.push(format!("--{name}"));
        words.push(quoted(value));
    };
    for name in arguments.directories.iter().filter(|_| arguments.directories != ["/"]) {
        option("dir", name);
    }
    for pair in &arguments.environment {
        option("env", &format!("{}={}", pair.0, pair.1));
    }
    if let Some(path) = &arguments.stdin {
        option("stdin", &path.display().to_string());
    }
    if let Some(fuel) = arguments.fuel {
        option("fuel", &fuel.to_string());
    }
    if arguments.memory.0 != 1 << 30 {
        option("memory", &arguments.memory.0.to_string());
    }
    if let Some(size) = arguments.fs_size {
        option("fs-size", &size.0.to_string());
    }
    if arguments.block_size.0 != 4096 {
        option("block-size", &arguments.block_size.0.to_string());
    }
    if let Some(size) = arguments.file_size_max {
        option("file-size-max", &size.0.to_string());
    }
    if arguments.group_size.0 != 64 << 20 {
        option("group-size", &arguments.group_size.0.to_string());
    }
    mirror_options(arguments, &mut option);
    fault_options(arguments, &mut option);
    if arguments.mapping != MappingName::Stores {
        option("mapping", mapping_word(arguments.mapping));
    }
    for also in &arguments.also {
        option("also", also);
    }
    if let Some(path) = &arguments.scenario {
        option("scenario", &path.display().to_string());
    }
    words.join(" ")
}

/// The guest's arguments, at the end of a command.
pub(super) fn argument_words(arguments: &WorldArguments) -> String {
    if arguments.arguments.is_empty() {
        return String::new();
    }
    let words: Vec<String> = arguments.arguments.iter().map(|word| quoted(word)).collect();
    format!(" -- {}", words.join(" "))
}

/// The options that say who answers what is left to chance.
pub(super) fn chance_words(arguments: &WorldArguments) -> String {
    match arguments.seed {
        Some(seed) if arguments.adversity => format!(" --seed {seed} --adversity"),
        Some(seed) => format!(" --seed {seed}"),
        None => String::new(),
    }
}

/// Who answers what is left to chance, by the options of a world.
pub(super) fn chance(arguments: &WorldArguments) -> Chance {
    match arguments.seed {
        None => Chance::Calm,
        Some(seed) => Chance::Seeded { seed, adversity: arguments.adversity },
    }
}
