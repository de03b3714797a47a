//! Permission bits: given, told, and what they deny. Each operation gives the owner's bits back, so
//! that no other is in need of them.

use std::fs::File;
use std::io;

use crashproof_guest::attributes;

use super::Exerciser;
use super::expect;
use super::uninterrupted;

pub(super) const OPERATION_COUNT: u64 = 4;

const READ: u32 = 0o400;
const WRITE: u32 = 0o200;
const SEARCH: u32 = 0o100;

impl Exerciser {
    pub(super) fn on_modes(&mut self, operation: u64) -> io::Result<()> {
        let name = self.name();
        let mode = u32::try_from(self.draws.below(0o10000)).unwrap_or(0);
        let Some(node) = self.tree.found(name, true) else {
            let answer = uninterrupted(|| attributes::set_mode(name, mode));
            expect("chmod", false, &answer);
            return Ok(());
        };
        let answer = if self.tree.is_file(node) && operation == 0 {
            self.change_open(name, mode)
        } else {
            self.deny(name, mode, self.tree.is_file(node))
        };
        // Only where the first change came so far that something may be denied.
        let given = uninterrupted(|| attributes::set_mode(name, mode | READ | WRITE | SEARCH));
        expect("chmod", true, &given);
        answer.and(given)
    }

    /// Through a descriptor, which tells them, and goes on as it is.
    fn change_open(&mut self, name: &str, mode: u32) -> io::Result<()> {
        let file = uninterrupted(|| File::options().read(true).write(true).open(name))?;
        let answer = uninterrupted(|| attributes::set_mode_of(&file, mode));
        expect("fchmod", true, &answer);
        answer?;
        let told = uninterrupted(|| attributes::mode_of(&file))?;
        assert_eq!(told, Some(mode), "the permission bits of {name}");
        Ok(())
    }

    /// By name: what they deny is refused, and what they grant is not.
    fn deny(&mut self, name: &str, mode: u32, is_file: bool) -> io::Result<()> {
        let answer = uninterrupted(|| attributes::set_mode(name, mode));
        expect("chmod", true, &answer);
        answer?;
        let read = uninterrupted(|| File::open(name));
        expect("open to read", mode & READ != 0, &read);
        if is_file {
            let write = uninterrupted(|| File::options().write(true).open(name));
            expect("open to write", mode & WRITE != 0, &write);
            return Ok(());
        }
        let inside = format!("{name}/.");
        let found = uninterrupted(|| std::fs::metadata(&inside));
        expect("stat in a directory", mode & SEARCH != 0, &found);
        let made = format!("{name}/fresh");
        let answer = uninterrupted(|| std::fs::create_dir(&made));
        expect("mkdir", mode & (WRITE | SEARCH) == WRITE | SEARCH, &answer);
        if answer.is_ok() {
            let removed = uninterrupted(|| std::fs::remove_dir(&made));
            expect("rmdir", true, &removed);
        }
        Ok(())
    }
}
