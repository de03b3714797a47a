//! One of the small stores of `crashproof_guests::stores`, as an application. Its arguments are the
//! name of the store, and what to do.
//!
//! A number N (default: 8 changes):
//! 1. Opens the store, which makes it.
//! 2. N times: prints `trying put I K` or `trying delete I K`, makes change I of key K, and prints
//!    `done I`: what was printed must survive. [APP-01, DUR-FSYNC-01, DUR-MSYNC-01, DUR-OSYNC-01]
//!    After every third change the store tidies up. One that syncs only then has its changes
//!    printed as done only then.
//! 3. What fails is printed as `failed`; the store is closed, opened again, and goes on.
//!
//! `fault WHAT N PAD` and then any of the words of 3: the method of "Can Applications
//! Recover from fsync Failures?" (USENIX ATC 2020, section 4).
//! 1. Puts keys 1 and 2; with PAD above 0 a value of so many bytes before, so that the next command
//!    of a log lies otherwise across blocks; tidies up; prints `sleep`, on which the file system
//!    commits.
//! 2. Asks the device to refuse the Nth block of data from now on, once. WHAT is `update` (puts key
//!    1), `insert` (puts key 3), or `tidy` (puts key 1 before the fault, and tidies up; once more
//!    if that failed; then puts key 2 as it is). Prints what that was told as `told`, and `sleep`.
//! 3. Prints what is found: as `now`; then, in the order that was given, as `evict` once clean
//!    pages were evicted, as `restart` once the store was closed and opened again, and as
//!    `restart-evicted` where they were evicted in between. The versions of keys 1, 2 and 3, `-`
//!    for none, `x` for other bytes; and how many other keys. Or `closed`.
//!
//! `look` prints what is found, alone.

use crashproof_guest::machine;
use crashproof_guests as guest;
use crashproof_guests::stores;
use crashproof_guests::stores::Rows;
use crashproof_guests::stores::Store;
use std::io;

const KEY_COUNT: u64 = 3;
const CHANGES_BEFORE_TIDY: u64 = 3;
const PAD_KEY: u64 = 9;

fn change(store: &mut dyn Store, number: u64, deletes: bool, key: u64) -> io::Result<()> {
    match deletes {
        true => store.delete(&stores::key(key)),
        false => store.put(&stores::key(key), &stores::value(key, number)),
    }
}

/// N changes, going on whatever fails.
fn changes(name: &str, count: u64) -> io::Result<()> {
    println!("store {name}");
    let syncs_later = name == "log-everysec";
    let mut store = stores::open(name)?;
    let mut waiting = Vec::new();
    for number in 1..=count {
        let (deletes, key) = (number % 5 == 0, number % KEY_COUNT);
        println!("trying {} {number} {key}", if deletes { "delete" } else { "put" });
        let mut told = change(store.as_mut(), number, deletes, key);
        match &told {
            Ok(()) if syncs_later => waiting.push(number),
            Ok(()) => println!("done {number}"),
            Err(_) => println!("failed {number}"),
        }
        if told.is_ok() && number % CHANGES_BEFORE_TIDY == 0 {
            told = store.tidy();
            match &told {
                Ok(()) => waiting.drain(..).for_each(|number| println!("done {number}")),
                Err(_) => println!("failed to tidy up"),
            }
        }
        if told.is_err() {
            waiting.clear();
            drop(store);
            store = stores::open(name)?;
        }
    }
    Ok(())
}

fn found(rows: &Rows) -> String {
    let known = |number: u64| match rows.get(stores::key(number).as_slice()) {
        None => "-".to_owned(),
        Some(value) => match stores::version(number, value, 2) {
            Some(version) => version.to_string(),
            None => "x".to_owned(),
        },
    };
    let keys: Vec<_> = (1..=3).chain([PAD_KEY]).map(stores::key).collect();
    let strange = rows.keys().filter(|key| !keys.iter().any(|known| known.as_slice() == *key));
    format!("{} {} {} {}", known(1), known(2), known(3), strange.count())
}

fn look(word: &str, store: &mut io::Result<Box<dyn Store>>) {
    match store.as_mut().map(|store| store.rows()) {
        Ok(Ok(rows)) => println!("{word}: {}", found(&rows)),
        Ok(Err(_)) | Err(_) => println!("{word}: closed"),
    }
}

fn fault(name: &str, words: &[String]) -> io::Result<()> {
    let [what, nth, pad, then @ ..] = words else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut store = stores::open(name)?;
    let pad = pad.parse().map_err(io::Error::other)?;
    if pad > 0 {
        store.put(&stores::key(PAD_KEY), &vec![b'.'; pad])?;
    }
    store.put(&stores::key(1), &stores::value(1, 1))?;
    store.put(&stores::key(2), &stores::value(2, 1))?;
    store.tidy()?;
    if what == "tidy" {
        store.put(&stores::key(1), &stores::value(1, 2))?;
    }
    println!("sleep");
    machine::fault(&format!("data:{nth}"))?;
    let told = match what.as_str() {
        "update" => store.put(&stores::key(1), &stores::value(1, 2)),
        "insert" => store.put(&stores::key(3), &stores::value(3, 1)),
        _ => store.tidy().or_else(|_| store.tidy()),
    };
    if what == "tidy" {
        // A log that begins anew is written over by this: what is in no other place is lost.
        let _ = store.put(&stores::key(2), &stores::value(2, 1));
    }
    println!("told: {}", if told.is_ok() { "ok" } else { "error" });
    println!("sleep");
    let mut store = Ok(store);
    look("now", &mut store);
    for word in then {
        let restarts = word != "evict";
        if restarts {
            store = Err(io::ErrorKind::NotConnected.into());
        }
        if word != "restart" {
            machine::drop_caches()?;
        }
        if restarts {
            store = stores::open(name);
        }
        look(word, &mut store);
    }
    Ok(())
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let name = words.first().map_or("log", String::as_str);
    if !stores::NAMES.contains(&name) {
        guest::give_up("app_store", &format!("the stores are {}", stores::NAMES.join(", ")));
    }
    let done = match words.get(1).map(String::as_str) {
        Some("fault") => fault(name, &words[2..]),
        Some("look") => {
            look("now", &mut stores::open(name));
            Ok(())
        }
        Some(_) | None => changes(name, guest::number_argument(1, 8)),
    };
    if let Err(error) = done {
        println!("stopped: {error}");
    }
}
