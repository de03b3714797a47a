//! Log-structured merge, after LevelDB: changes go to a log and to memory; from time to time memory
//! becomes a sorted table, which a manifest names; the file CURRENT names the manifest.
//!
//! - A change: a record with a checksum at the end of the log, which is synced; then memory.
//! - A new table ([`Store::tidy`]): a new log; the table is written, synced and read once; the
//!   directory is synced, and a record of table and log appended to the manifest and synced; the
//!   old log is removed.
//! - Opening: CURRENT, the manifest it names, the logs that it does not name as done, in their
//!   order, each up to the first record that is not whole (`paranoid_checks=false`). What they hold
//!   becomes a table, with a new manifest that CURRENT is made to name: a file beside it is synced
//!   and renamed over it, and the directory synced.
//! - Any failure ends the store for changes (a background error); what was read is read on.
//! - Tables are read without looking at checksums (`verify_checksums=false`).

use std::fs::File;
use std::io;

use crate::abi;
use crate::btree::page::number;
use crate::stores::Change;
use crate::stores::KEY_SIZE_BYTES;
use crate::stores::Rows;
use crate::stores::Store;
use crate::stores::damaged;
use crate::stores::ended;
use crate::stores::frame;

const CURRENT_NAME: &str = "CURRENT";
const UNFINISHED_NAME: &str = "CURRENT.dbtmp";
const NUMBER_SIZE_BYTES: usize = size_of::<u64>();
const SALT: u64 = 1;

/// What memory and tables hold of a key: no value is a deletion.
type Entries = std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// An open store.
#[derive(Debug)]
pub struct MergeStore {
    memory: Entries,
    log: Appended,
    manifest: Appended,
    /// Numbers of tables, the older first.
    tables: Vec<u64>,
    /// The number of the log, and of the next file.
    log_number: u64,
    next_number: u64,
    has_ended: bool,
}

/// A file that grows.
#[derive(Debug)]
struct Appended {
    file: File,
    end: u64,
}

impl Appended {
    fn create(name: &str) -> io::Result<Self> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(name)?;
        Ok(Self { file, end: 0 })
    }

    fn append(&mut self, content: &[u8]) -> io::Result<()> {
        let bytes = frame::frame(SALT, content);
        abi::write_all_at(&self.file, &bytes, self.end)?;
        self.end += bytes.len() as u64;
        self.file.sync_all()
    }
}

impl MergeStore {
    /// Opens the store, or makes it.
    ///
    /// # Errors
    /// What the file system answered, or that it cannot be read.
    pub fn open() -> io::Result<Self> {
        let found = match std::fs::read_to_string(CURRENT_NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let mut state = State { tables: Vec::new(), log_number: 0, next_number: 1 };
        if !found.is_empty() {
            let manifest = std::fs::read(found.trim_end())?;
            let edits = frame::unframe_all(SALT, &manifest);
            let newest = edits.last().ok_or_else(|| damaged("the manifest is empty"))?;
            state = State::decode(newest);
        }
        let mut memory = Entries::new();
        let mut old = Vec::new();
        for number in logs()? {
            if number >= state.log_number {
                let bytes = std::fs::read(log_name(number))?;
                let changes = frame::unframe_all(SALT, &bytes).into_iter();
                memory.extend(changes.map(decode_change));
            }
            state.next_number = state.next_number.max(number + 1);
            old.push(number);
        }
        if !memory.is_empty() {
            write_table(state.next_number, &memory)?;
            state.tables.push(state.next_number);
            state.next_number += 1;
        }
        let (manifest_number, log_number) = (state.next_number, state.next_number + 1);
        state.log_number = log_number;
        state.next_number += 2;
        let log = Appended::create(&log_name(log_number))?;
        let manifest_name = format!("MANIFEST-{manifest_number:06}");
        let mut manifest = Appended::create(&manifest_name)?;
        crate::sync_directory("/")?;
        manifest.append(&state.encode())?;
        drop(crate::write_and_sync(UNFINISHED_NAME, format!("{manifest_name}\n").as_bytes())?);
        std::fs::rename(UNFINISHED_NAME, CURRENT_NAME)?;
        crate::sync_directory("/")?;
        for number in old {
            std::fs::remove_file(log_name(number))?;
        }
        let State { tables, next_number, .. } = state;
        let memory = Entries::new();
        Ok(Self { memory, log, manifest, tables, log_number, next_number, has_ended: false })
    }

    fn make_table(&mut self) -> io::Result<()> {
        if self.memory.is_empty() {
            return Ok(());
        }
        let (log_number, table_number) = (self.next_number, self.next_number + 1);
        let log = Appended::create(&log_name(log_number))?;
        write_table(table_number, &self.memory)?;
        crate::sync_directory("/")?;
        let mut tables = self.tables.clone();
        tables.push(table_number);
        let next_number = self.next_number + 2;
        let state = State { tables, log_number, next_number };
        self.manifest.append(&state.encode())?;
        let old = std::mem::replace(&mut self.log_number, log_number);
        (self.log, self.tables, self.next_number) = (log, state.tables, next_number);
        self.memory.clear();
        std::fs::remove_file(log_name(old))
    }
}

impl Store for MergeStore {
    fn rows(&mut self) -> io::Result<Rows> {
        let mut entries = Entries::new();
        for table in &self.tables {
            entries.extend(read_table(*table)?);
        }
        entries.extend(self.memory.clone());
        Ok(entries.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
    }

    fn change(&mut self, change: Change<'_>) -> io::Result<()> {
        if self.has_ended {
            return Err(ended());
        }
        if let Err(error) = self.log.append(&encode_change(change)) {
            self.has_ended = true;
            return Err(error);
        }
        self.memory.insert(change.key.to_vec(), change.value.map(<[u8]>::to_vec));
        Ok(())
    }

    fn tidy(&mut self) -> io::Result<()> {
        if self.has_ended {
            return Err(ended());
        }
        let made = self.make_table();
        self.has_ended = made.is_err();
        made
    }
}

/// What a manifest says: its newest record is all of it.
struct State {
    tables: Vec<u64>,
    log_number: u64,
    next_number: u64,
}

impl State {
    fn encode(&self) -> Vec<u8> {
        let numbers = [self.log_number, self.next_number].into_iter();
        numbers.chain(self.tables.iter().copied()).flat_map(u64::to_le_bytes).collect()
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut numbers = bytes.chunks_exact(NUMBER_SIZE_BYTES).map(|chunk| number(chunk, 0));
        let (log_number, next_number) =
            (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        Self { tables: numbers.collect(), log_number, next_number }
    }
}

fn log_name(number: u64) -> String {
    format!("{number:06}.log")
}

fn table_name(number: u64) -> String {
    format!("{number:06}.ldb")
}

/// The numbers of the logs that are there, in their order.
fn logs() -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/")? {
        let name = entry?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(".log")?.parse().ok());
        found.extend(number);
    }
    found.sort_unstable();
    Ok(found)
}

fn encode_change(change: Change<'_>) -> Vec<u8> {
    let mut bytes = change.key.to_vec();
    bytes.push(u8::from(change.value.is_some()));
    bytes.extend(change.value.unwrap_or_default());
    bytes
}

fn decode_change(bytes: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let (key, rest) = bytes.split_at_checked(KEY_SIZE_BYTES).unwrap_or((bytes, &[]));
    let value = rest.split_first().filter(|(is_there, _)| **is_there == 1);
    (key.to_vec(), value.map(|(_, value)| value.to_vec()))
}

/// Writes a table, syncs it, and reads it once: the count of its entries, and each with its size.
fn write_table(number: u64, entries: &Entries) -> io::Result<()> {
    let mut bytes = (entries.len() as u64).to_le_bytes().to_vec();
    for (key, value) in entries {
        let mut entry = key.clone();
        entry.push(u8::from(value.is_some()));
        entry.extend(value.as_deref().unwrap_or_default());
        bytes.extend((entry.len() as u64).to_le_bytes());
        bytes.extend(entry);
    }
    drop(crate::write_and_sync(&table_name(number), &bytes)?);
    read_table(number).map(drop)
}

fn read_table(table: u64) -> io::Result<Entries> {
    let bytes = std::fs::read(table_name(table))?;
    let count = number(&bytes, 0);
    let (mut entries, mut rest) = (Entries::new(), bytes.get(NUMBER_SIZE_BYTES..).unwrap_or(&[]));
    for _ in 0..count {
        let size_bytes = usize::try_from(number(rest, 0)).unwrap_or(usize::MAX);
        let entry = rest.get(NUMBER_SIZE_BYTES..).and_then(|rest| rest.get(..size_bytes));
        let entry = entry.ok_or_else(|| damaged("the table ends early"))?;
        let (key, value) = decode_change(entry);
        entries.insert(key, value);
        rest = &rest[NUMBER_SIZE_BYTES + size_bytes..];
    }
    Ok(entries)
}
