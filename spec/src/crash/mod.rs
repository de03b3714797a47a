//! What a crash may leave, and what was found.
//!
//! M-3: per byte of a file and per name of a directory, tied by the order of operations; never
//! by enumerating whole states.

mod adopt;
mod content;
mod names;
mod order;
mod survive;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;

use crate::errors;
use crate::model::FileId;
use crate::model::Model;
use crate::model::Promise;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::trace::CrashKind;
use crate::violation::LostEffect;
use crate::violation::Violation;
use crate::words::FoundKind;
use crate::words::HandleId;
use crate::words::Ino;
use crate::words::Pid;
use crate::words::Step;
use crate::words::Survey;

pub(crate) use content::Mismatch;

/// A survey under judgement.
pub(crate) struct Inquest<'a> {
    pub(crate) judge: &'a mut Judge,
    pub(crate) step: Step,
    pub(crate) survey: &'a Survey,
    /// Had everything been synced, and nothing been changed since?
    pub(crate) is_orderly: bool,
    /// Which directory was found at which path.
    pub(crate) places: BTreeMap<Bytes, FileId>,
    /// Which directories were found at all, and where.
    pub(crate) found_directories: BTreeMap<FileId, Bytes>,
    /// Whether a file may have what was found under a number.
    pub(crate) checked: BTreeMap<(FileId, Ino), Option<Mismatch>>,
    /// Which files each path may mean; not of directories.
    pub(crate) meanings: BTreeMap<Bytes, BTreeSet<FileId>>,
    /// Which file each path was taken for.
    pub(crate) taken: BTreeMap<Bytes, FileId>,
}

impl Inquest<'_> {
    /// Reports one fact that breaks a clause, and perhaps others.
    pub(crate) fn broken(
        &mut self,
        clause: &'static str,
        also: &[&'static str],
        subject: String,
        observed: String,
        allowed: String,
        chain: Vec<(Step, String)>,
    ) {
        let (step, mut also, allowed) = (self.step, also.to_vec(), vec![allowed]);
        if self.is_orderly {
            also.push("CRASH-12");
        }
        self.judge.report(Violation { clause, also, step, subject, observed, allowed, chain });
    }

    /// The clause if it is enforced, else the general one about promises.
    pub(crate) fn promised(&self, promise: Option<Promise>) -> &'static str {
        match promise {
            Some(promise) if self.judge.enforces(promise.clause) => promise.clause,
            Some(_) | None => "CRASH-03",
        }
    }
}

/// Judges what was found after a crash; the model goes on from there. `settled` is the model before
/// the calls that died with a process. Tells whether what is durable is still known.
pub(crate) fn survey(
    judge: &mut Judge,
    step: Step,
    kind: CrashKind,
    survey: &Result<Survey, String>,
    settled: Option<Model>,
) -> bool {
    judge.exercise("CRASH-01");
    let survey = match survey {
        Ok(survey) => survey,
        Err(said) => {
            let frame = Frame { called: step, acked: None, process: Pid(0), overlapped: false };
            let observed = format!("not opened: {said}");
            let allowed = "a file system that opens".to_owned();
            judge.broken(&frame, "CRASH-01", ".".to_owned(), observed, allowed);
            return true;
        }
    };
    let live = match kind {
        CrashKind::Process(_) => {
            let live = judge.model.clone();
            visible(judge, step);
            Some((settled.unwrap_or_else(|| live.clone()), live))
        }
        CrashKind::Kernel | CrashKind::Power => None,
    };
    let is_orderly = live.is_none() && judge.is_orderly;
    if is_orderly {
        judge.exercise("CRASH-12");
    }
    let mut inquest = Inquest {
        judge,
        step,
        is_orderly,
        survey,
        places: BTreeMap::new(),
        found_directories: BTreeMap::new(),
        checked: BTreeMap::new(),
        meanings: BTreeMap::new(),
        taken: BTreeMap::new(),
    };
    if names::judge(&mut inquest) {
        identities(&mut inquest);
    }
    links(&mut inquest);
    lost_bytes(&mut inquest);
    (inquest.judge.changed_at, inquest.judge.is_orderly) = (Some(step), false);
    let Some((settled, live)) = live else {
        adopt::adopt(inquest, kind);
        return true;
    };
    let Some(model) = survive::go_on(&inquest, &live, settled, kind) else {
        adopt::adopt(inquest, kind);
        return false;
    };
    let seen: Vec<(FileId, Ino)> = model.inos.iter().map(|(ino, file)| (*file, *ino)).collect();
    judge.model = model;
    for (file, ino) in seen {
        errors::identified(judge, file, ino);
    }
    true
}

/// After the death of a process, everything acknowledged is visible.
fn visible(judge: &mut Judge, step: Step) {
    let names = Promise { clause: "NS-CREATE-01", step };
    judge.model.names.promise_where(|op| op.acked.is_some(), names);
    let files: Vec<FileId> = judge.model.files.keys().copied().collect();
    for file in files {
        let Some(known) = judge.model.regular(file) else { continue };
        // Bytes that may read as they were before the failure are those of either version.
        let reverts: Vec<Step> = known
            .lost
            .iter()
            .filter(|lost| errors::may_revert(judge, lost))
            .map(|lost| lost.step)
            .collect();
        if let Some(regular) = judge.model.regular_mut(file) {
            regular.lost.retain(|lost| reverts.contains(&lost.step));
            regular.promise(Step(u64::MAX), HandleId::ROOT, Promise { clause: "DATA-RW-01", step });
        }
    }
}

/// Names of one number are names of one file, and are counted.
fn links(inquest: &mut Inquest<'_>) {
    let mut names: BTreeMap<Ino, (u64, u64, Bytes)> = BTreeMap::new();
    for (path, found) in &inquest.survey.names {
        match found.kind {
            FoundKind::Regular { .. } | FoundKind::Symlink { .. } => {
                let entry = names.entry(found.ino).or_insert((0, found.link_count, path.clone()));
                entry.0 += 1;
            }
            FoundKind::Directory | FoundKind::Unreadable { .. } => {}
        }
    }
    inquest.judge.exercise("DUR-LINK-01");
    for (count, told, path) in names.into_values() {
        if count != told {
            let subject = text(&path);
            let observed = format!("link count {told}");
            let allowed = format!("link count {count}, the number of its names");
            inquest.broken("DUR-LINK-01", &[], subject, observed, allowed, Vec::new());
        }
    }
}

/// Names of one number may all mean one file, and names that mean one file have one number.
fn identities(inquest: &mut Inquest<'_>) {
    let mut by_ino: BTreeMap<Ino, (&Bytes, BTreeSet<FileId>)> = BTreeMap::new();
    let mut wrong: Vec<(String, String, String)> = Vec::new();
    for (path, files) in &inquest.meanings {
        let Some(found) = inquest.survey.names.get(path) else { continue };
        let Some((first, common)) = by_ino.get_mut(&found.ino) else {
            by_ino.insert(found.ino, (path, files.clone()));
            continue;
        };
        let both: BTreeSet<FileId> = common.intersection(files).copied().collect();
        if both.is_empty() {
            let observed = format!("number {}, as {}", found.ino.0, text(first));
            wrong.push((text(path), observed, "two files, as they were made".to_owned()));
        } else {
            *common = both;
        }
    }
    let mut owners: BTreeMap<FileId, (&Bytes, Ino)> = BTreeMap::new();
    for (ino, (path, files)) in &by_ino {
        let (Some(file), 1) = (files.first(), files.len()) else { continue };
        let (first, other) = *owners.entry(*file).or_insert((path, *ino));
        if other != *ino {
            let observed = format!("number {}, but {} has {}", ino.0, text(first), other.0);
            wrong.push((text(path), observed, "two names of one file".to_owned()));
        }
    }
    for (subject, observed, allowed) in wrong {
        inquest.broken("DUR-LINK-01", &[], subject, observed, allowed, Vec::new());
    }
}

/// Which unsynced bytes were lost; nobody promised them.
fn lost_bytes(inquest: &mut Inquest<'_>) {
    let mut lost: Vec<LostEffect> = Vec::new();
    let mut seen: BTreeMap<FileId, ()> = BTreeMap::new();
    for (path, file) in &inquest.taken {
        let Some(regular) = inquest.judge.model.regular(*file) else { continue };
        if regular.log.is_empty() || seen.insert(*file, ()).is_some() {
            continue;
        }
        let Some(FoundKind::Regular { size_bytes, content: Ok(content) }) =
            inquest.survey.names.get(path).map(|found| &found.kind)
        else {
            continue;
        };
        for change in content::lost(regular, *size_bytes, content) {
            let what = change.describe(&text(path));
            lost.push(LostEffect { step: change.step, what });
        }
    }
    inquest.judge.lost_allowed.extend(lost);
}

/// The path of a name in a directory.
fn child(parent: &Bytes, name: &Bytes) -> Bytes {
    if parent.is_empty() { name.clone() } else { [parent, &b"/"[..], name].concat().into() }
}

pub(crate) fn text(path: &[u8]) -> String {
    if path.is_empty() { ".".to_owned() } else { String::from_utf8_lossy(path).into_owned() }
}
