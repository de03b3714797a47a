//! Builds the guests for wasm32-wasip1 and embeds them; writes `guests.rs` for `src/guests.rs`.
//!
//! The guests are a workspace of their own with its own lock file. They are built by the cargo
//! that builds this crate, or by the toolchain that `scripts/get-wasm-target` has recorded for
//! machines where rustup has no wasm32-wasip1 to give.
//!
//! Besides cargo's own variables this reads `CRASHPROOF_GUEST_CARGO`: a folder with such a record.
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// A failure is one line for the person who runs the build.
type Outcome<T> = Result<T, String>;

const TARGET: &str = "wasm32-wasip1";

/// What the outer build sets and the build of the guests must not inherit. Variables of these
/// names change flags, wrappers or targets; those of crates (`CARGO_PKG_...`) do not matter.
const LEAKING: &[&str] = &[
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "CARGO_MAKEFLAGS",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "MAKEFLAGS",
    "MFLAGS",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "TARGET",
    "__CARGO_DEFAULT_LIB_METADATA",
];

/// One guest, as it will be written into `guests.rs`.
struct Entry {
    summary: String,
    wasm: PathBuf,
    args: Vec<String>,
    preopens: Vec<String>,
    verifier: Option<String>,
    scenario: Option<PathBuf>,
    variants: Vec<Vec<String>>,
    ends: Option<String>,
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_WASM").is_none() {
        return;
    }
    if let Err(message) = embed_guests() {
        println!("cargo::error={message}");
        std::process::exit(1);
    }
}

fn embed_guests() -> Outcome<()> {
    let host = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let guests = host.parent().unwrap_or(&host).join("guest-workloads");
    let out = PathBuf::from(variable("OUT_DIR")?);
    println!("cargo::rerun-if-env-changed=CRASHPROOF_GUEST_CARGO");
    for part in ["Cargo.toml", "Cargo.lock", "guests.toml", "src", "ext", "abi", "scenarios"] {
        watch(&guests.join(part));
    }
    let built = build_guests(&guests, &out)?;
    let mut entries = read_manifest(&guests, &built)?;
    add_handwritten(&guests.join("abi"), &out, &mut entries)?;
    let list = out.join("guests.rs");
    fs::write(&list, render(&entries)).map_err(|e| format!("{}: {e}", list.display()))
}

/// Has cargo run this again when `path` changes. A path that is not there would always count as
/// changed, and everything would be built again each time.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

fn variable(name: &str) -> Outcome<String> {
    env::var(name).map_err(|e| format!("{name}: {e}"))
}

/// Runs cargo on the guests and returns the folder of the modules.
fn build_guests(guests: &Path, out: &Path) -> Outcome<PathBuf> {
    let target_dir = out.join("guests");
    let mut command = match recorded_toolchain() {
        Some(folder) => fallback_cargo(&folder)?,
        None => rustup_cargo()?,
    };
    for name in LEAKING {
        command.env_remove(name);
    }
    command.current_dir(guests);
    command.args(["build", "--release", "--locked", "--bins", "--quiet", "--target", TARGET]);
    command.arg("--target-dir").arg(&target_dir);
    let output = command.output().map_err(|e| format!("cargo for the guests: {e}"))?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        return Err("the guests do not build; what their compiler said is above".to_owned());
    }
    Ok(target_dir.join(TARGET).join("release"))
}

/// The folder of a fallback toolchain: named by the environment, or recorded by the script.
fn recorded_toolchain() -> Option<PathBuf> {
    if let Some(folder) = env::var_os("CRASHPROOF_GUEST_CARGO") {
        return Some(PathBuf::from(folder));
    }
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    let folder = cache.join("crashproof").join("wasm-toolchain");
    watch(&folder);
    folder.join("cargo").exists().then_some(folder)
}

/// `cargo` of a recorded toolchain is a program that adds what its compiler needs.
fn fallback_cargo(folder: &Path) -> Outcome<Command> {
    let cargo = folder.join("cargo");
    if !cargo.exists() {
        return Err(format!("{} is not there: run scripts/get-wasm-target", cargo.display()));
    }
    Ok(Command::new(cargo))
}

/// The cargo of this build, if its compiler has the target.
fn rustup_cargo() -> Outcome<Command> {
    let rustc = variable("RUSTC")?;
    let print = ["--print", "target-libdir", "--target", TARGET];
    let output = Command::new(&rustc).args(print).output().map_err(|e| format!("{rustc}: {e}"))?;
    let library = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !output.status.success() || !library.is_dir() {
        return Err(format!("the compiler has no {TARGET}: run scripts/get-wasm-target"));
    }
    let mut command = Command::new(variable("CARGO")?);
    command.env("CARGO_BUILD_RUSTC", rustc);
    Ok(command)
}

/// Reads `guests.toml`, and checks it against the programs that were built.
fn read_manifest(guests: &Path, built: &Path) -> Outcome<BTreeMap<String, Entry>> {
    let path = guests.join("guests.toml");
    let wrong = |what: &str| format!("{}: {what}", path.display());
    let text = fs::read_to_string(&path).map_err(|e| wrong(&e.to_string()))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| wrong(&e.to_string()))?;
    let list = table.get("guest").and_then(toml::Value::as_array);
    let mut entries = BTreeMap::new();
    for guest in list.ok_or_else(|| wrong("no [[guest]]"))? {
        let name = text_of(guest, "name").ok_or_else(|| wrong("a guest without a name"))?;
        let entry = Entry {
            summary: text_of(guest, "summary").ok_or_else(|| wrong("a guest without a summary"))?,
            wasm: built.join(format!("{name}.wasm")),
            args: texts_of(guest, "args").unwrap_or_default(),
            preopens: texts_of(guest, "preopens").unwrap_or_else(|| vec!["/".to_owned()]),
            verifier: text_of(guest, "verifier"),
            scenario: text_of(guest, "scenario")
                .map(|stem| guests.join("scenarios").join(format!("{stem}.toml"))),
            variants: variants_of(guest).unwrap_or_default(),
            ends: None,
        };
        if entries.insert(name.clone(), entry).is_some() {
            return Err(wrong(&format!("{name} stands there twice")));
        }
    }
    let named: BTreeSet<String> = entries.keys().cloned().collect();
    let programs = stems(&guests.join("src").join("bin"), "rs")?;
    match named.symmetric_difference(&programs).next() {
        Some(odd) => Err(wrong(&format!("{odd} is in one of the list and src/bin only"))),
        None => Ok(entries),
    }
}

fn text_of(guest: &toml::Value, key: &str) -> Option<String> {
    guest.get(key)?.as_str().map(str::to_owned)
}

fn texts_of(guest: &toml::Value, key: &str) -> Option<Vec<String>> {
    guest.get(key)?.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Further lists of arguments.
fn variants_of(guest: &toml::Value) -> Option<Vec<Vec<String>>> {
    let texts = |list: &toml::Value| {
        list.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    };
    guest.get("variants")?.as_array()?.iter().map(texts).collect()
}

/// The names, without the ending, of the files in `folder` that have it.
fn stems(folder: &Path, ending: &str) -> Outcome<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    let wrong = |e: std::io::Error| format!("{}: {e}", folder.display());
    for file in fs::read_dir(folder).map_err(wrong)? {
        let path = file.map_err(wrong)?.path();
        if path.extension().is_some_and(|have| have == ending) {
            found.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
        }
    }
    Ok(found)
}

/// The first sentence of the comment that `text` starts with.
fn first_sentence(text: &str) -> Option<String> {
    let lines = text.lines().map_while(|line| line.strip_prefix(";;")).map(str::trim);
    let comment = lines.collect::<Vec<_>>().join(" ");
    let sentence = comment.split_once(". ").map_or(comment.as_str(), |(first, _)| first);
    let sentence = sentence.trim_end_matches('.');
    (!sentence.is_empty()).then(|| sentence.to_owned())
}

/// How a module is meant to end, if its comment says it: `;; Ends: trapped.`
fn ends_of(text: &str) -> Option<String> {
    let ends = text.lines().find_map(|line| line.strip_prefix(";; Ends: "))?;
    Some(ends.trim_end_matches('.').to_owned())
}

/// Translates each text module of `folder` into a guest called `abi_...`.
fn add_handwritten(
    folder: &Path,
    out: &Path,
    entries: &mut BTreeMap<String, Entry>,
) -> Outcome<()> {
    for name in stems(folder, "wat")? {
        let path = folder.join(format!("{name}.wat"));
        let wrong = |what: String| format!("{}: {what}", path.display());
        let text = fs::read_to_string(&path).map_err(|e| wrong(e.to_string()))?;
        let summary = first_sentence(&text).ok_or_else(|| {
            wrong("the first line is no comment that says what it does".to_owned())
        })?;
        let bytes = wat::parse_str(&text).map_err(|e| wrong(e.to_string()))?;
        let wasm = out.join(format!("{name}.wasm"));
        fs::write(&wasm, bytes).map_err(|e| wrong(e.to_string()))?;
        let entry = Entry {
            summary,
            wasm,
            args: Vec::new(),
            preopens: vec!["/".to_owned()],
            verifier: None,
            scenario: None,
            variants: Vec::new(),
            ends: ends_of(&text),
        };
        if entries.insert(format!("abi_{name}"), entry).is_some() {
            return Err(wrong("a program has the same name".to_owned()));
        }
    }
    Ok(())
}

/// The list as Rust; `Debug` of text is a Rust literal.
fn render(entries: &BTreeMap<String, Entry>) -> String {
    let mut text = String::from("/// Every built-in guest.\nstatic GUESTS: &[Guest] = &[\n");
    for (name, entry) in entries {
        let scenario = match &entry.scenario {
            Some(path) => format!("Some(include_str!({path:?}))"),
            None => "None".to_owned(),
        };
        let _ = writeln!(
            text,
            "    Guest {{ name: {name:?}, summary: {:?}, wasm: include_bytes!({:?}), \
             scenario: {scenario}, args: &{:?}, preopens: &{:?}, verifier: {:?}, \
             variants: &[{}], ends: {:?} }},",
            entry.summary,
            entry.wasm,
            entry.args,
            entry.preopens,
            entry.verifier,
            entry.variants.iter().map(|args| format!("&{args:?}, ")).collect::<String>(),
            entry.ends,
        );
    }
    text.push_str("];\n");
    text
}
