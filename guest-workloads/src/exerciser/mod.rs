//! Random operations on few names, beside a model of all that they should do, in the manner of
//! fsx.
//!
//! The model is the program's own: names (`tree`), bytes (`content`), and here the open files with
//! their offsets, the mappings and the snapshots. It says what a call that succeeds must show, and
//! whether it should; with which error a call fails is the oracle's alone. A difference ends the
//! program with a trap. A call that the machine refuses (no space, an error of the medium) leaves
//! the model with what is possible, and it goes on.

mod content;
mod files;
mod filled;
mod modes;
mod names;
pub mod one_file;
mod ranges;
mod tree;
mod views;
mod whole;

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::fs::File;
use std::io;

use crashproof_guest::locks;

use crate::abi;
use crate::draws::Draws;
use crate::uninterrupted;
use content::Content;
use one_file::OneFile;
use tree::Kind;
use tree::NodeId;
use tree::Tree;
use views::View;
use whole::Frozen;

/// Few names, so that operations meet.
const NAMES: [&str; 6] = ["f", "g", "d", "d/f", "d/g", "d/e"];
/// What the name of the file begins with that has a model apart.
const ONE_FILE: &str = "modelled-";
/// The largest block that there is.
const BLOCK_SIZE_MAX: usize = 65_536;
const OPEN_FILES_MAX: usize = 5;
const OFFSET_MAX: u64 = 12_000;
const SIZE_MAX: u64 = 5_000;

/// The word for `files` that are written in place.
const IN_PLACE: &str = "in-place";

/// Those, whose blocks are allocated, written past the cache and through mappings, and shared.
const OWNED: &str = "owned";

/// The same, while a leg of the mirror is lost and comes back.
const LEGS: &str = "legs";

/// The word for `files`, while every leg of the mirror is looked at.
const SCRUBBED: &str = "scrubbed";

/// Which operations there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Files,
    Names,
    OneFile,
    Views,
    Whole,
    Ranges,
    Modes,
    Rewrites,
    Legs,
    Scrubs,
    Room,
    Fills,
}

impl Group {
    /// The next one, of those that the word chooses.
    fn drawn(what: &str, draws: &mut Draws) -> Self {
        let groups: &[Self] = match what {
            "files" => &[Self::Files, Self::Names],
            // A page that is written again soon may be under writeback then.
            IN_PLACE => &[Self::Files, Self::Files, Self::Names, Self::Rewrites, Self::Rewrites],
            "mapped" => &[Self::OneFile],
            OWNED => &[Self::Files, Self::Files, Self::Ranges, Self::Views, Self::Rewrites],
            LEGS => &[Self::Files, Self::Files, Self::Names, Self::Rewrites, Self::Legs],
            SCRUBBED => &[Self::Files, Self::Files, Self::Files, Self::Names, Self::Scrubs],
            // Apart from the others: their seeds stay what they are.
            "modes" => &[Self::Files, Self::Names, Self::Modes, Self::Modes, Self::Whole],
            "filled" => &[Self::Files, Self::Names, Self::Fills, Self::Fills],
            "room" => &[Self::OneFile, Self::OneFile, Self::OneFile, Self::OneFile, Self::Room],
            "ranges" => &[Self::Files, Self::Ranges, Self::Ranges, Self::Whole],
            "views" => &[Self::Files, Self::Views, Self::Views, Self::Whole],
            _ => &[
                Self::Files,
                Self::Files,
                Self::Names,
                Self::Names,
                Self::OneFile,
                Self::OneFile,
                Self::Views,
                Self::Views,
                Self::Whole,
                Self::Ranges,
                Self::Ranges,
            ],
        };
        groups[draws.index(groups.len())]
    }
}

/// What all descriptors that were duplicated from one share.
#[derive(Debug)]
struct Description {
    node: NodeId,
    offset: u64,
    is_append: bool,
    is_direct: bool,
    is_writable: bool,
    lock: Option<locks::Kind>,
}

/// A descriptor, and the place of its description.
#[derive(Debug)]
struct Open {
    file: File,
    description: usize,
}

/// The program, and its model.
#[derive(Debug)]
pub struct Exerciser {
    draws: Draws,
    seed: u64,
    tree: Tree,
    open: Vec<Open>,
    descriptions: Vec<Description>,
    views: Vec<View>,
    snapshots: VecDeque<Frozen>,
    snapshot_count: u64,
    one_file: Option<OneFile>,
    /// Is every new file written in place?
    is_in_place: bool,
    /// May a file have earlier bytes at any time?
    does_revert: bool,
    /// Bytes in a block; 0 until it is asked for.
    block_size: usize,
    /// The most that was told to be free.
    free_bytes: u64,
}

/// Errors of the machine, not of the call: it may meet them anywhere.
fn is_refused_by_machine(error: &io::Error) -> bool {
    /// EAGAIN, EDQUOT, EFBIG, EINTR, EIO, ENOSPC, EROFS, as preview1 numbers them.
    const NUMBERS: [i32; 7] = [6, 19, 22, 27, 29, 51, 69];
    error.raw_os_error().is_some_and(|number| NUMBERS.contains(&number))
}

/// Holds an answer against what the model says.
///
/// # Panics
/// If the call succeeded and should not have, or the other way round.
fn expect<T>(call: &str, should_succeed: bool, answer: &io::Result<T>) {
    match answer {
        Ok(_) => assert!(should_succeed, "{call} succeeds, and should not"),
        Err(error) => {
            let is_explained = !should_succeed || is_refused_by_machine(error);
            assert!(is_explained, "{call} should succeed, and answers {error:?}");
        }
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Exerciser {
    /// One that has done nothing yet. With `does_revert` it is on a file system that forgets what
    /// it could not write.
    #[must_use]
    pub fn new(seed: u64, does_revert: bool) -> Self {
        Self {
            draws: Draws::new(seed),
            seed,
            tree: Tree::new(),
            open: Vec::new(),
            descriptions: Vec::new(),
            views: Vec::new(),
            snapshots: VecDeque::new(),
            snapshot_count: 0,
            one_file: None,
            is_in_place: false,
            does_revert,
            block_size: 0,
            free_bytes: 0,
        }
    }

    /// The directory that most names are in.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn begin(&mut self) -> io::Result<()> {
        self.make_directory("d")
    }

    /// One operation of a group that `what` chooses: what it was, and what came of it.
    ///
    /// # Panics
    /// If the file system does not do what it should.
    pub fn turn(&mut self, what: &str) -> (String, io::Result<()>) {
        self.is_in_place = [IN_PLACE, OWNED, LEGS].contains(&what);
        match Group::drawn(what, &mut self.draws) {
            Group::Files => {
                let operation = self.draws.below(files::OPERATION_COUNT);
                (format!("file {operation}"), self.on_file(operation))
            }
            Group::Names => {
                let operation = self.draws.below(names::OPERATION_COUNT);
                (format!("name {operation}"), self.on_names(operation))
            }
            Group::OneFile => {
                let operation = self.draws.below(one_file::OPERATION_COUNT);
                (format!("modelled {operation}"), self.on_one_file(operation))
            }
            Group::Views => {
                let operation = self.draws.below(views::OPERATION_COUNT);
                (format!("view {operation}"), self.on_views(operation))
            }
            Group::Whole => {
                let operation = self.draws.below(whole::OPERATION_COUNT);
                (format!("whole {operation}"), self.on_whole(operation))
            }
            Group::Modes => {
                let operation = self.draws.below(modes::OPERATION_COUNT);
                (format!("mode {operation}"), self.on_modes(operation))
            }
            Group::Rewrites => ("rewrite".to_owned(), self.rewrite()),
            Group::Legs => {
                let operation = self.draws.below(whole::LEG_OPERATION_COUNT);
                (format!("leg {operation}"), whole::on_legs(operation))
            }
            Group::Scrubs => {
                let operation = self.draws.below(whole::SCRUB_OPERATION_COUNT);
                (format!("scrub {operation}"), whole::on_copies(operation))
            }
            Group::Fills => ("fill".to_owned(), self.fill()),
            Group::Room => ("room".to_owned(), self.set_aside()),
            Group::Ranges => {
                let operation = self.draws.below(ranges::OPERATION_COUNT);
                (format!("range {operation}"), self.on_ranges(operation))
            }
        }
    }

    /// One operation on the file that nothing else uses, which is created by the first.
    fn on_one_file(&mut self, operation: u64) -> io::Result<()> {
        let file = match self.one_file.take() {
            Some(file) => file,
            None => self.create_one_file()?,
        };
        self.one_file.insert(file).operate(operation, &mut self.draws)
    }

    fn set_aside(&mut self) -> io::Result<()> {
        let file = match self.one_file.take() {
            Some(file) => file,
            None => self.create_one_file()?,
        };
        self.one_file.insert(file).set_aside(&mut self.draws)
    }

    /// Its bytes are its own model's: no other operation knows its name.
    fn create_one_file(&mut self) -> io::Result<OneFile> {
        let name = format!("{ONE_FILE}{}", self.seed);
        OneFile::create(&name, self.does_revert)
    }

    /// A name, most times one that something has.
    fn name(&mut self) -> &'static str {
        NAMES[self.draws.index(NAMES.len())]
    }

    /// Looks at all there is, by every way.
    ///
    /// # Errors
    /// What the file system answered.
    ///
    /// # Panics
    /// If something is not as it should be.
    pub fn finish(&mut self) -> io::Result<()> {
        for position in 0..self.open.len() {
            self.compare_open(position)?;
        }
        for (path, node) in self.tree.names() {
            if self.tree.is_file(node) {
                let file = uninterrupted(|| File::open(&path))?;
                self.compare_file(&file, node)?;
            }
            self.compare_status(&path, false)?;
        }
        self.list("d")?;
        for position in 0..self.views.len() {
            self.compare_view(position);
        }
        for position in 0..self.snapshots.len() {
            self.compare_snapshot(position)?;
        }
        Ok(())
    }

    /// Reads a file whole.
    fn compare_file(&mut self, file: &File, node: NodeId) -> io::Result<()> {
        let limit = self.tree.content(node).len() + 100;
        let mut found = vec![0; limit];
        let count = abi::read_full_at(file, &mut found, 0)?;
        self.tree.content_mut(node).compare_to_end("a file", 0, &found[..count], limit);
        Ok(())
    }

    /// Forgets files that are gone for good.
    fn collect(&mut self) {
        let opened = self.open.iter().map(|open| self.descriptions[open.description].node);
        let mapped = self.views.iter().flat_map(View::nodes);
        let held: BTreeSet<NodeId> = opened.chain(mapped).collect();
        self.tree.collect(&held);
    }

    /// The file as it is, after a call that may have done anything to it.
    fn learn(&mut self, file: &File, node: NodeId) -> io::Result<()> {
        let end = size(uninterrupted(|| abi::status(file))?.size);
        // At once, and whole blocks: it may have been opened past the cache.
        let mut bytes = vec![0; end.next_multiple_of(BLOCK_SIZE_MAX)];
        while uninterrupted(|| abi::read_at(file, &mut bytes, 0))? < end {}
        bytes.truncate(end);
        self.tree.node_mut(node).kind = Kind::File(Content::read(bytes, self.does_revert));
        self.tree.touch(node);
        Ok(())
    }
}
