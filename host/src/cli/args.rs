//! What was typed: one struct a command, checked as far as possible without touching a file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use crate::check::crash_at::CrashAt;
use crate::check::shard::Shard;
use crate::device::FaultRule;
use crate::device::SUBSET_BOUND_MAX;
use crate::guest::ModuleCache;
use crate::sim::DecisionLog;

const ABOUT: &str = "Runs storage code as WebAssembly guests on a file system that loses power \
and fails writes, and says which durability promise was broken, by whom, and how to see it again.";

const EXIT_CODES: &str = "Exit codes:
  0  accepted, within the bounds that are printed
  1  a promise was broken, by the file system or by the guest
  2  wrong usage, or a file that cannot be used
  3  a bug of crashproof itself
  4  undecided: the oracle cannot tell, a limit cut the run short, or nothing was checked
  130  interrupted by Ctrl-C; no file is left half written

Examples:
  crashproof run seed_004_qemu_fsync --profile linux-errseq-4.17 --expect strict-sticky
  crashproof explore app_redb --verify verify_redb
  crashproof explore ./my_store.wasm --verify ./my_check.wasm -- --some-option
  crashproof spec show ERR-STICKY-01";

/// The program's arguments.
#[derive(Debug, Parser)]
#[command(name = "crashproof", version, about = ABOUT, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a guest once and judge what the file system answered.
    Run(Box<RunArguments>),
    /// Run a guest, then crash it after every device write and flush, recover, survey and judge.
    Explore(Box<ExploreArguments>),
    /// Do every short sequence of file operations, crash each everywhere, and judge: CrashMonkey's
    /// bounded workloads (ACE), without guests.
    Ace(AceArguments),
    /// Join the reports of all shards of a command to the report of the whole.
    Merge(MergeArguments),
    /// Run again what a report names: the same decisions, the same crash.
    Replay(Box<ReplayArguments>),
    /// Run every built-in guest and write a report, clause by clause.
    Conform(ConformArguments),
    /// List the built-in guests.
    Guests,
    /// List the defects that `--defect` can put into the reference stack.
    Defects(DefectsArguments),
    /// List the profiles of failed writes, or print one as a file.
    Profiles(ProfilesArguments),
    /// Print a table that is made of runs: under each profile, what programs are told.
    Table(TableArguments),
    /// The clauses that are judged.
    #[command(subcommand)]
    Spec(SpecCommand),
    /// Check an image of the reference file system.
    Fsck(FsckArguments),
    /// Read and judge recorded traces.
    #[command(subcommand)]
    Trace(TraceCommand),
}

/// The world a guest runs in.
#[derive(Debug, Clone, Args)]
pub struct WorldArguments {
    /// A built-in guest (`crashproof guests` lists them), or the path of a wasm32-wasip1 module.
    pub guest: String,
    /// Arguments of the guest.
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<String>,
    /// What is tested: `reference`, or a directory of this machine as `dir:PATH`.
    #[arg(long, default_value = "reference", value_name = "SUBJECT")]
    pub subject: SubjectName,
    /// The error-reporting profile that the reference stack behaves by and is judged by: a name
    /// (`crashproof profiles` lists them), or the path of a TOML file with the sections `stack` and
    /// `oracle` (`crashproof profiles NAME` prints one to begin with).
    #[arg(long, default_value = "strict-sticky", value_name = "PROFILE")]
    pub profile: String,
    /// The profile that is expected, if it is not the one that the stack behaves by: a name, or a
    /// file with a section `oracle`.
    #[arg(long, value_name = "PROFILE")]
    pub expect: Option<String>,
    /// How much is demanded. Default: strict for the reference stack, linux for a directory.
    #[arg(long)]
    pub level: Option<LevelName>,
    /// Put a defect into the reference stack (`crashproof defects` lists them).
    #[arg(long = "defect", value_name = "NAME")]
    pub defects: Vec<String>,
    /// Judge by answers and surveys alone, as any subject can be: without what the reference stack
    /// says of its own pages and blocks.
    #[arg(long)]
    pub no_audits: bool,
    /// Decide schedules, delays and background work by this seed, instead of calmly.
    #[arg(long)]
    pub seed: Option<u64>,
    /// With --seed: also answer with short reads and writes and EINTR, as POSIX allows.
    #[arg(long, requires = "seed")]
    pub adversity: bool,
    /// Directories that the guest finds preopened.
    #[arg(long = "dir", value_name = "NAME", default_value = "/")]
    pub directories: Vec<String>,
    /// Environment variables of the guest.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub environment: Vec<KeyValue>,
    /// A file that the guest reads as its standard input.
    #[arg(long, value_name = "FILE")]
    pub stdin: Option<PathBuf>,
    /// End the guest after so many units of fuel, as Undecided; without it a run may be long.
    #[arg(long)]
    pub fuel: Option<u64>,
    /// Memory that the guest may have.
    #[arg(long, default_value = "1G", value_name = "SIZE")]
    pub memory: Size,
    /// Size of the reference file system's device. Default: the scenario's, or else 64M.
    #[arg(long, value_name = "SIZE")]
    pub fs_size: Option<Size>,
    /// Bytes in a block of the device: a power of two from 512 to 65536.
    #[arg(long, default_value = "4096", value_name = "SIZE")]
    pub block_size: Size,
    /// No file is made longer than this: a limit as of `setrlimit(RLIMIT_FSIZE)`, which every call
    /// is held to.
    #[arg(long, value_name = "SIZE")]
    pub file_size_max: Option<Size>,
    /// Content that one group of transactions of the reference file system takes; writeback waits
    /// for the next one.
    #[arg(long, default_value = "64M", value_name = "SIZE")]
    pub group_size: Size,
    /// Legs of the mirror that the device is; 1 is none. After a crash they are made equal in the
    /// regions that the mirror's log calls dirty. Default: the scenario's, or else 1.
    #[arg(long, value_name = "COUNT")]
    pub legs: Option<u32>,
    /// What of a mirror is made equal after a crash.
    #[arg(long, default_value = "dirty", value_name = "WHAT")]
    pub resync: ResyncName,
    /// Fail device writes, as CLASS:NTH, CLASS being data, tree, log, root or any: `data:2` fails
    /// the second data write once, `data:2x3` three from there on, `data:2..` all until healed;
    /// `=enospc` at its end says no space instead of an error of the medium. Any other rule of a
    /// fault as well, as one line: `read-error blocks=10..20 nth=3` (host/docs/fault-model.md).
    #[arg(long = "fail-write", value_name = "SPEC")]
    pub fail_writes: Vec<FaultRule>,
    /// Faults of the device and shortness of memory from a TOML file: failing reads, writes and
    /// flushes, torn and misdirected writes, flushes that lie, a lost link, latency, a thin pool
    /// (host/docs/fault-model.md).
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// With --seed: let so many requests of the device at most meet with a fault: an error, no
    /// space, a torn write, or lateness; chance says which. Default: the plan's, or else 0.
    #[arg(long, value_name = "COUNT")]
    pub random_faults: Option<u64>,
    /// How the stores of a guest that maps files are seen.
    #[arg(long, default_value = "stores", value_name = "MODE")]
    pub mapping: MappingName,
    /// Keep compiled modules in this directory, or `off`. Default: crashproof/modules in the
    /// user's cache directory. They are run as they are found: who can write there decides what
    /// guests do.
    #[arg(long, value_name = "DIR")]
    pub module_cache: Option<ModuleCache>,
    /// A further process of the same world, as 'GUEST ARGS'.
    #[arg(long = "also", value_name = "GUEST ARGS")]
    pub also: Vec<String>,
    /// Processes, faults and actions from a TOML file.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
}

/// `crashproof run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The world.
    #[command(flatten)]
    pub world: WorldArguments,
    /// With --seed: try so many seeds, that one and those after it, until one is rejected.
    #[arg(long, value_name = "COUNT", requires = "seed", conflicts_with_all = ["trace", "image"])]
    pub seeds: Option<u64>,
    /// With --seeds: do one of several shards, such as 2/3, which `merge` joins.
    #[arg(long, value_name = "SHARD", requires = "seeds")]
    pub shard: Option<Shard>,
    /// Write the trace to this file as the run goes.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Write the report as JSON; of a shard, what `merge` needs.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the device's image as the run left it.
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// End the run by a crash, recover, survey and judge what is left.
    #[arg(long, value_name = "KIND")]
    pub crash_kind: Option<CrashKindName>,
    /// Judge nothing, and let no audit testify, so that the verdict is undecided: to record a trace
    /// that `trace judge` judges later, or to see what judging costs.
    #[arg(long, conflicts_with_all = ["crash_kind", "seeds"])]
    pub unjudged: bool,
}

/// Which leg of a mirror is lost with each crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostLeg {
    /// Each in turn.
    Each,
    /// This one, from 0.
    One(u32),
}

impl FromStr for LostLeg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "each" => Ok(Self::Each),
            _ => text.parse().map(Self::One).map_err(|_| "a leg, from 0, or `each`".to_owned()),
        }
    }
}

impl fmt::Display for LostLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Each => f.write_str("each"),
            Self::One(leg) => leg.fmt(f),
        }
    }
}

/// Which crash states are tried, beyond the bound on subsets.
#[derive(Debug, Args)]
pub struct StateArguments {
    /// Also tear surviving writes at sector boundaries, one at a time.
    #[arg(long)]
    pub torn_writes: bool,
    /// Also lose up to so many of the flushes before a crash. What that breaks is the device's
    /// doing: it is counted, by clause, and is no finding.
    #[arg(long, default_value_t = 0, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(..=4))]
    pub lost_flush: u32,
    /// Crash recoveries as well, where they write: so many crashes in a row at most.
    #[arg(long, default_value_t = 1, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=4))]
    pub recovery_depth: u32,
    /// Judge also each state that differs from a judged one only in blocks at which neither
    /// recovery nor survey nor fsck looks, as is done with a mirror, and after a recovery that is
    /// to be crashed. Of more unflushed writes than the bound no states stand for all, then.
    #[arg(long)]
    pub no_pruning: bool,
}

impl StateArguments {
    /// The options that are not the default.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = String::new();
        if self.torn_writes {
            words.push_str(" --torn-writes");
        }
        if self.lost_flush > 0 {
            words.push_str(&format!(" --lost-flush {}", self.lost_flush));
        }
        if self.recovery_depth > 1 {
            words.push_str(&format!(" --recovery-depth {}", self.recovery_depth));
        }
        if self.no_pruning {
            words.push_str(" --no-pruning");
        }
        words
    }
}

/// `crashproof explore`.
#[derive(Debug, Args)]
pub struct ExploreArguments {
    /// The world.
    #[command(flatten)]
    pub world: WorldArguments,
    /// A guest that is run on each recovered file system, with the lines that the first guest
    /// had printed on its standard input: exit 0 says that they are true.
    #[arg(long, value_name = "MODULE")]
    pub verify: Option<String>,
    /// How the run is cut short.
    #[arg(long, default_value = "power", value_name = "KIND")]
    pub crash_kind: CrashKindName,
    /// All subsets of the unflushed writes are tried while there are at most so many. Of more, a
    /// few stand for all, where it can be told which blocks matter to what becomes of each.
    #[arg(long, default_value_t = EXPLORE_SUBSET_BOUND, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(..=i64::from(SUBSET_BOUND_MAX)))]
    pub subset_bound: u32,
    /// Which crash states there are.
    #[command(flatten)]
    pub states: StateArguments,
    /// With --legs: also recover each crash state without this leg of the mirror, or without each
    /// in turn. Nothing that was durable may be lost with it.
    #[arg(long, value_name = "LEG|each")]
    pub lose_leg: Option<LostLeg>,
    /// Fail, as Undecided, if any bound was hit.
    #[arg(long)]
    pub exhaustive: bool,
    /// With --seed: explore the runs of so many seeds, that one and those after it, until one is
    /// rejected.
    #[arg(long, value_name = "COUNT", requires = "seed", conflicts_with = "trace")]
    pub seeds: Option<u64>,
    /// Do one of several shards, such as 2/3, which `merge` joins: of the seeds, or else of what
    /// crashes leave, by its content.
    #[arg(long, value_name = "SHARD")]
    pub shard: Option<Shard>,
    /// Write the trace of the run to this file.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Write the report as JSON; of a shard, what `merge` needs.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// So many unflushed writes have 32 subsets.
pub const EXPLORE_SUBSET_BOUND: u32 = 5;

/// As many writes are unflushed at once in short workloads, and rarely more.
pub const ACE_SUBSET_BOUND: u32 = 12;

/// `crashproof ace`.
#[derive(Debug, Args)]
pub struct AceArguments {
    /// Operations in a workload, apart from what they depend on: 1, 2 or 3.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub seq: u8,
    /// Which operations.
    #[arg(long, default_value = "ace", value_name = "SET")]
    pub set: SetName,
    /// Do one workload alone: its number, as a report and --list have it.
    #[arg(long, value_name = "NUMBER", conflicts_with = "list")]
    pub only: Option<u64>,
    /// List the workloads and do none.
    #[arg(long)]
    pub list: bool,
    /// Do one of several shards, such as 2/3, which `merge` joins.
    #[arg(long, value_name = "SHARD", conflicts_with_all = ["only", "list"])]
    pub shard: Option<Shard>,
    /// Put a defect into the reference stack (`crashproof defects` lists them).
    #[arg(long = "defect", value_name = "NAME")]
    pub defects: Vec<String>,
    /// Let a request of the device fail in each workload, as for run: `data:1` fails its first
    /// write of content, `log:1` of the log, `'flush-error nth=1'` its first flush. What is mounted
    /// after a crash does not fail.
    #[arg(long = "fail-write", value_name = "SPEC")]
    pub fail_writes: Vec<FaultRule>,
    /// Judge by answers and surveys alone, as any subject can be.
    #[arg(long)]
    pub no_audits: bool,
    /// All subsets of the unflushed writes are tried while there are at most so many. Of more, a
    /// few stand for all, where it can be told which blocks matter to what becomes of each.
    #[arg(long, default_value_t = ACE_SUBSET_BOUND, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(..=i64::from(SUBSET_BOUND_MAX)))]
    pub subset_bound: u32,
    /// Which crash states there are.
    #[command(flatten)]
    pub states: StateArguments,
    /// Fail, as Undecided, if any bound was hit.
    #[arg(long)]
    pub exhaustive: bool,
    /// Write the report as JSON; of a shard, what `merge` needs.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Which operations bounded workloads are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SetName {
    /// ACE's: creat, mkdir, falloc, write, dwrite, mmapwrite, link, unlink, remove, rename,
    /// fsetxattr, removexattr, truncate; on two directories with two files each.
    Ace,
    /// Of these, those that change content.
    Data,
    /// Of these, those that change names and attributes, and write.
    Metadata,
    /// As metadata, with one more directory inside another.
    Nested,
    /// ACE's, and symlink, rmdir, clone, snapshot, and mapped stores with a msync of some of them.
    All,
}

/// `crashproof merge`.
#[derive(Debug, Args)]
pub struct MergeArguments {
    /// What the shards wrote with --json: each once, in any order.
    #[arg(required = true, value_name = "PART")]
    pub parts: Vec<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// `crashproof replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// The world.
    #[command(flatten)]
    pub world: WorldArguments,
    /// The answers of chance one by one, as a JSON report has them, instead of a seed's.
    #[arg(long, value_name = "ANSWERS")]
    pub log: Option<DecisionLog>,
    /// The crash, as a report printed it: the device event after which it came, and which of
    /// the unflushed writes survived; behind a `@`, the leg of the mirror that was lost with it;
    /// behind a `/`, a crash of the recovery from it.
    #[arg(long, value_name = "POSITION:SURVIVORS")]
    pub crash: Option<CrashAt>,
    /// The verifier, as for explore.
    #[arg(long, value_name = "MODULE")]
    pub verify: Option<String>,
    /// How the run is cut short.
    #[arg(long, default_value = "power", value_name = "KIND")]
    pub crash_kind: CrashKindName,
    /// Write the trace, crash and survey included, to this file.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// `crashproof conform`.
#[derive(Debug, Args)]
pub struct ConformArguments {
    /// The directory for report.json and report.md; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The profile that the reference stack behaves by and is judged by: a name, or a file.
    #[arg(long, default_value = "strict-sticky", value_name = "PROFILE")]
    pub profile: String,
}

/// `crashproof defects`.
#[derive(Debug, Args)]
pub struct DefectsArguments {
    /// Run each defect's own workload, the general exerciser and its negative controls, and print
    /// as Markdown what caught it, after how many schedules, and what stayed silent. Takes minutes.
    #[arg(long)]
    pub matrix: bool,
    /// Only the defect of this name.
    #[arg(long = "defect", value_name = "NAME")]
    pub only: Option<String>,
}

/// `crashproof profiles`.
#[derive(Debug, Args)]
pub struct ProfilesArguments {
    /// Print this one, as a file that --profile takes.
    pub name: Option<String>,
}

/// `crashproof table`.
#[derive(Debug, Args)]
pub struct TableArguments {
    /// Which table.
    pub table: TableName,
}

/// A table that is made of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableName {
    /// The litmus histories L1 to L18 of failed writes under every profile, and what strict-sticky
    /// says of each.
    Litmus,
    /// What is broken where a stack that behaves by one profile is judged by another.
    Profiles,
    /// What a failed write does to a file system, question by question, beside what was published
    /// of ext4, XFS and btrfs.
    FsReactions,
    /// What small stores after Redis, SQLite, PostgreSQL, LMDB and LevelDB make of one refused
    /// write: old values, false failures, corruption and loss, by restart and eviction, beside what
    /// was published of the real ones. Runs the guest `app_store` some thousand times: half a
    /// minute.
    Applications,
}

/// `crashproof spec`.
#[derive(Debug, Subcommand)]
pub enum SpecCommand {
    /// List every clause: id, level, whether it is enforced, statement.
    List,
    /// Show one clause whole.
    Show {
        /// The clause's id, such as ERR-STICKY-01.
        id: String,
    },
}

/// `crashproof fsck`.
#[derive(Debug, Args)]
pub struct FsckArguments {
    /// The image.
    pub image: PathBuf,
}

/// `crashproof trace`.
#[derive(Debug, Subcommand)]
pub enum TraceCommand {
    /// Check that a trace is well formed and print it.
    Show {
        /// The trace.
        file: PathBuf,
    },
    /// Judge a trace.
    Judge {
        /// The trace.
        file: PathBuf,
        /// The profile that is expected: a name, or a file with a section `oracle`.
        #[arg(long, default_value = "strict-sticky", value_name = "PROFILE")]
        expect: String,
        /// How much is demanded.
        #[arg(long, default_value = "strict")]
        level: LevelName,
    },
}

/// What is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectName {
    /// The reference stack.
    Reference,
    /// A directory of this machine.
    Directory(PathBuf),
}

impl FromStr for SubjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "reference" => Ok(Self::Reference),
            Some(("dir", path)) if !path.is_empty() => Ok(Self::Directory(path.into())),
            _ => Err("a subject is `reference` or `dir:PATH`".to_owned()),
        }
    }
}

/// How much is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LevelName {
    /// What POSIX says.
    Posix,
    /// And what Linux file systems do in fact.
    Linux,
    /// And what a careful reader would want.
    Strict,
}

/// How stores to mapped memory are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MappingName {
    /// The module is rewritten: each store is announced when it is made, each load that may be a
    /// signal before it is made.
    Stores,
    /// Nothing is rewritten: at each call, memory is compared with what it was.
    Twin,
}

/// What of a mirror is made equal after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResyncName {
    /// The regions that its log calls dirty.
    Dirty,
    /// Everything.
    Full,
}

/// How a run is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CrashKindName {
    /// The process dies; the page cache survives.
    Process,
    /// The kernel dies; the device's cache survives.
    Kernel,
    /// Power is lost; only what was flushed is sure to survive.
    Power,
}

/// `NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue(pub String, pub String);

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("an environment variable is NAME=VALUE")?;
        Ok(Self(name.to_owned(), value.to_owned()))
    }
}

/// A number of bytes, with an optional suffix K, M or G (powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, factor) = match text.as_bytes().last() {
            Some(b'K' | b'k') => (&text[..text.len() - 1], 1 << 10),
            Some(b'M' | b'm') => (&text[..text.len() - 1], 1 << 20),
            Some(b'G' | b'g') => (&text[..text.len() - 1], 1 << 30),
            _ => (text, 1),
        };
        let number: u64 =
            digits.parse().map_err(|_| format!("`{text}` is not a size such as 64M"))?;
        number.checked_mul(factor).map(Self).ok_or_else(|| format!("`{text}` is too large"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_have_binary_suffixes() {
        assert_eq!("64M".parse(), Ok(Size(64 << 20)));
        assert_eq!("512".parse(), Ok(Size(512)));
        assert!("M".parse::<Size>().is_err());
        assert!("99999999999999G".parse::<Size>().is_err());
    }
}
