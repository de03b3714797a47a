//! What four tests of xfstests require of reports of failed writes, after what they say of
//! themselves. Arguments: a number, and by whose rules: `linux-5.8`, `linux-4.17`, `linux-4.13`,
//! `linux-flags` or `strict-sticky`.
//!
//! - `441`: three descriptions of a file are open while the device refuses every write; each of
//!   them syncs and is told, once. Each syncs again: told no more. The device is well again; what
//!   was lost is rewritten, and every sync succeeds. [ERR-REPORT-01, ERR-STICKY-01, ERR-FALSE-02]
//! - `442`: the same of a file that is overwritten in place. The test has a block device there, of
//!   which there is none here.
//! - `484`: a write fails, and fsync tells. A description that is opened then syncs the whole file
//!   system, is told, and is told no more; nor is the next one. [ERR-REPORT-06]
//! - `484-evicted`: the failure was seen by nobody, the file is closed and gone from memory; a sync
//!   of the file system tells of it. [ERR-REPORT-04, ERR-REPORT-06]
//! - `487`: a write fails in the background, and the file is closed. A description that is opened
//!   then syncs and is told, once. [ERR-REPORT-03]
//!
//! Prints the answers in one line, E for an error and 0 for success. Where they are not those of
//! the rules, it traps. The requirements are those of Linux; by other rules other answers are
//! right.

use crashproof_guest::attributes;
use crashproof_guest::file;
use crashproof_guest::machine;
use crashproof_guests as guest;
use crashproof_guests::abi;
use std::fs::File;
use std::io;

const BLOCK_SIZE_BYTES: usize = 4096;
const NAME: &str = "file";

/// The answers of all steps, in the order in which they are given.
struct Answers(String);

impl Answers {
    fn add(&mut self, answers: &[io::Result<()>]) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.extend(answers.iter().map(|answer| if answer.is_ok() { '0' } else { 'E' }));
    }
}

fn reopen() -> io::Result<File> {
    File::options().read(true).write(true).open(NAME)
}

fn write(file: &File, letter: u8) -> io::Result<()> {
    abi::write_all_at(file, &[letter; BLOCK_SIZE_BYTES], 0)
}

fn durable() -> io::Result<File> {
    let file = guest::write_and_sync(NAME, &[b'A'; BLOCK_SIZE_BYTES])?;
    guest::sync_directory_if_offered("/")?;
    Ok(file)
}

fn each_description(in_place: bool, answers: &mut Answers) -> io::Result<()> {
    let first = File::options().read(true).write(true).create_new(true).open(NAME)?;
    if in_place {
        attributes::set_flags(&first, attributes::IN_PLACE)?;
    }
    let files = [first, reopen()?, reopen()?];
    write(&files[0], b'A')?;
    guest::sync_directory_if_offered("/")?;
    let sync_all = |answers: &mut Answers| answers.add(&files.each_ref().map(File::sync_all));
    sync_all(answers);
    machine::fault("data:1..")?;
    write(&files[0], b'B')?;
    sync_all(answers);
    sync_all(answers);
    println!("heal");
    write(&files[0], b'B')?;
    sync_all(answers);
    Ok(())
}

/// The device refuses one write of B, in the background.
fn fail_in_background(file: &File) -> io::Result<()> {
    machine::fault("data:1")?;
    write(file, b'B')?;
    file::write_range_back(file, 0, 0)
}

fn file_system(is_evicted: bool, answers: &mut Answers) -> io::Result<()> {
    let writer = durable()?;
    fail_in_background(&writer)?;
    if is_evicted {
        drop(writer);
        machine::drop_caches()?;
    } else {
        answers.add(&[writer.sync_all()]);
    }
    let reader = File::open(NAME)?;
    answers.add(&[file::sync_all_files(&reader), file::sync_all_files(&reader)]);
    answers.add(&[file::sync_all_files(&File::open(NAME)?)]);
    Ok(())
}

fn opened_after(answers: &mut Answers) -> io::Result<()> {
    fail_in_background(&durable()?)?;
    let late = reopen()?;
    answers.add(&[late.sync_all(), late.sync_all()]);
    Ok(())
}

/// The answers by somebody's rules. The first four of a number are those of kernels.
fn right(number: &str, rules: &str) -> Option<&'static str> {
    let place = ["linux-5.8", "linux-4.17", "linux-4.13", "linux-flags", "strict-sticky"];
    let place = place.iter().position(|known| *known == rules)?;
    let each_once = "000 EEE 000 000";
    let until_rewritten = "000 EEE EEE 000";
    Some(match number {
        "441" | "442" => [each_once, each_once, each_once, "000 E00 000 000", until_rewritten],
        "484" => ["E E0 0", "E 00 0", "E 00 0", "E 00 0", "E EE E"],
        "484-evicted" => ["E0 0", "00 0", "00 0", "00 0", "EE E"],
        "487" => ["E0", "E0", "00", "E0", "EE"],
        _ => return None,
    })
    .map(|answers| answers[place])
}

fn run(number: &str, answers: &mut Answers) -> io::Result<()> {
    match number {
        "441" => each_description(false, answers),
        "442" => each_description(true, answers),
        "484" => file_system(false, answers),
        "484-evicted" => file_system(true, answers),
        _ => opened_after(answers),
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [number, rules] = words.as_slice() else {
        guest::give_up("sync_error_reports", &"give a number, and by whose rules")
    };
    let Some(right) = right(number, rules) else {
        guest::give_up("sync_error_reports", &"there is no such number, or no such rules")
    };
    let mut answers = Answers(String::new());
    if let Err(error) = run(number, &mut answers) {
        guest::give_up("sync_error_reports", &error);
    }
    println!("{number}: {}", answers.0);
    assert_eq!(answers.0, right, "by {rules} it would be the latter");
}
