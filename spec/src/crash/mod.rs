//! What a crash may leave, and what was found.
//!
//! Flow: what differs from a survey that was found good -> which file each such name means
//! ([`names`]) -> which operations happened ([`order`]) -> what follows for numbers and links
//! ([`numbers`]) -> the model goes on from there ([`adopt`]).
//!
//! M-3: per byte of a file and per name of a directory, tied by the order of operations; never
//! by enumerating whole states.
//!
//! M-5: the verdict does not depend on what a survey was compared with. Comparing may only find
//! that nothing is wrong; what is wrong is found, and told, by looking at everything.

mod adopt;
mod attributes;
mod content;
mod ground;
mod names;
mod numbers;
mod order;
mod readings;
mod survive;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::errors;
use crate::model::FileId;
use crate::model::Model;
use crate::model::Name;
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

pub(crate) use adopt::Adoption;
pub(crate) use adopt::adopt;
pub(crate) use content::Mismatch;
pub(crate) use ground::Ground;
use ground::Reading;
use readings::Next;
use readings::Readings;

/// A survey under judgement.
pub(crate) struct Inquest<'a> {
    pub(crate) judge: &'a mut Judge,
    pub(crate) step: Step,
    pub(crate) survey: &'a Survey,
    /// Had everything been synced, and nothing been changed since?
    is_orderly: bool,
    /// What it is compared with.
    ground: &'a Ground,
    reading: Reading,
    doubtful: Doubtful,
    /// Whether a file may have what was found under a number.
    checked: BTreeMap<(FileId, Ino), Option<Mismatch>>,
    /// Is nothing wrong?
    is_explained: bool,
    /// Is each directory in one place?
    is_placed: bool,
    /// Which directories are found under names that several may have.
    readings: Readings,
}

/// What is not as it was in the survey that this one is compared with.
#[derive(Debug, Default)]
struct Doubtful {
    paths: BTreeSet<Bytes>,
    names: BTreeSet<Name>,
    numbers: BTreeSet<Ino>,
    files: BTreeSet<FileId>,
}

impl<'a> Inquest<'a> {
    fn new(
        judge: &'a mut Judge,
        step: Step,
        survey: &'a Survey,
        ground: &'a Ground,
        is_orderly: bool,
    ) -> Self {
        let (reading, doubtful) = (ground.reading.clone(), Doubtful::default());
        Self {
            judge,
            step,
            survey,
            is_orderly,
            ground,
            reading,
            doubtful,
            checked: BTreeMap::new(),
            is_explained: true,
            is_placed: true,
            readings: Readings::default(),
        }
    }

    /// Judges what differs from the ground.
    fn judge(&mut self) {
        if names::judge(self) {
            numbers::identities(self);
        }
        numbers::links(self);
        lost_bytes(self);
    }

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
        self.is_explained = false;
        let (step, mut also, allowed) = (self.step, also.to_vec(), vec![allowed]);
        if self.is_orderly {
            also.push("CRASH-12");
        }
        self.judge.report(Violation { clause, also, step, subject, observed, allowed, chain });
    }

    /// Says why it cannot be told.
    fn undecided(&mut self, what: &'static str) {
        self.is_explained = false;
        self.judge.undecided(self.step, what);
    }

    /// The clause if it is enforced, else the general one about promises.
    pub(crate) fn promised(&self, promise: Option<Promise>) -> &'static str {
        match promise {
            Some(promise) if self.judge.enforces(promise.clause) => promise.clause,
            Some(_) | None => "CRASH-03",
        }
    }

    /// Can the next survey be compared with this one?
    fn is_good(&self) -> bool {
        self.is_explained && self.is_placed
    }

    /// What to compare the next survey with, if this one is good, and what there is now.
    fn finish(self, kind: CrashKind) -> (Option<Arc<Ground>>, Adoption) {
        let is_good = self.is_good();
        let Self { judge, step, survey, reading, .. } = self;
        let (survey, taken) = (survey.clone(), reading.taken.clone());
        let model = &judge.model;
        let ground = is_good.then(|| {
            let (files, names) = (model.files.clone(), model.names.clone());
            Arc::new(Ground { survey: survey.clone(), files, names, reading })
        });
        (ground, Adoption { survey, taken, kind, step })
    }
}

/// What came of a survey.
pub(crate) struct Surveyed {
    /// What the next one may be compared with, if nothing is wrong with this.
    pub(crate) ground: Option<Arc<Ground>>,
    /// What the model goes on from, if it has not done so.
    pub(crate) adoption: Option<Adoption>,
    /// Is what is durable still known?
    pub(crate) is_known: bool,
}

/// Judges what was found after a crash, by what differs from `ground` if that shows that it is
/// good. `settled` is the model before the calls that died with a process.
pub(crate) fn survey(
    judge: &mut Judge,
    step: Step,
    kind: CrashKind,
    survey: &Result<Survey, String>,
    settled: Option<Model>,
    ground: Option<&Ground>,
) -> Surveyed {
    judge.exercise("CRASH-01");
    let survey = match survey {
        Ok(survey) => survey,
        Err(said) => {
            let frame = Frame { called: step, acked: None, process: Pid(0), overlapped: false };
            let observed = format!("not opened: {said}");
            let allowed = "a file system that opens".to_owned();
            judge.broken(&frame, "CRASH-01", ".".to_owned(), observed, allowed);
            return Surveyed { ground: None, adoption: None, is_known: true };
        }
    };
    if survey.names.get(&Bytes::new()).is_some_and(|root| root.mode.is_some()) {
        judge.exercise("MODE-04");
    }
    if judge.has_attributes {
        judge.exercise("XATTR-05");
    }
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
    (judge.changed_at, judge.is_orderly) = (Some(step), false);
    if let Some((settled, live)) = live {
        return survived(judge, step, kind, survey, settled, &live);
    }
    if let Some(ground) = ground {
        let mut attempt = judge.clone();
        let mut inquest = Inquest::new(&mut attempt, step, survey, ground, is_orderly);
        inquest.judge();
        if inquest.is_good() {
            let (ground, adoption) = inquest.finish(kind);
            *judge = attempt;
            judge.uncertain = false;
            return Surveyed { ground, adoption: Some(adoption), is_known: true };
        }
    }
    let surveyed = by_some_reading(judge, step, kind, survey, is_orderly);
    // Whatever was guessed before, this was found.
    judge.uncertain = false;
    surveyed
}

/// Judges all that was found. It is good if it is so by some choice of which directories the names
/// mean that several directories had; else it is told by the choice that what was found suggests.
fn by_some_reading(
    judge: &mut Judge,
    step: Step,
    kind: CrashKind,
    survey: &Survey,
    is_orderly: bool,
) -> Surveyed {
    let nothing = Ground::default();
    let mut readings = Readings::default();
    let mut first: Option<(Judge, Surveyed)> = None;
    loop {
        let mut attempt = judge.clone();
        let mut inquest = Inquest::new(&mut attempt, step, survey, &nothing, is_orderly);
        inquest.readings = readings;
        inquest.judge();
        readings = std::mem::take(&mut inquest.readings);
        let is_explained = inquest.is_explained;
        let (ground, adoption) = inquest.finish(kind);
        let surveyed = Surveyed { ground, adoption: Some(adoption), is_known: true };
        if is_explained {
            *judge = attempt;
            return surveyed;
        }
        let (told, surveyed) = first.take().unwrap_or((attempt, surveyed));
        match readings.next() {
            Next::Reading => first = Some((told, surveyed)),
            Next::Nothing => {
                *judge = told;
                return surveyed;
            }
            Next::TooMany => {
                judge.undecided(step, "too many readings of a survey: directories of one name");
                return Surveyed { ground: None, ..surveyed };
            }
        }
    }
}

/// After the death of a process the others go on, with what was promised to them.
fn survived(
    judge: &mut Judge,
    step: Step,
    kind: CrashKind,
    survey: &Survey,
    settled: Model,
    live: &Model,
) -> Surveyed {
    let nothing = Ground::default();
    let mut inquest = Inquest::new(judge, step, survey, &nothing, false);
    inquest.judge();
    let Some(model) = survive::go_on(&inquest, live, settled, kind) else {
        let (_, adoption) = inquest.finish(kind);
        judge.uncertain = false;
        return Surveyed { ground: None, adoption: Some(adoption), is_known: false };
    };
    let seen: Vec<(FileId, Ino)> = model.inos.iter().map(|(ino, file)| (*file, *ino)).collect();
    judge.model = model;
    for (file, ino) in seen {
        errors::identified(judge, file, ino);
    }
    Surveyed { ground: None, adoption: None, is_known: true }
}

/// After the death of a process, everything acknowledged is visible.
fn visible(judge: &mut Judge, step: Step) {
    let names = Promise { clause: "NS-CREATE-01", step };
    judge.model.names.promise_where(|op| op.acked.is_some(), names);
    let files: Vec<FileId> = judge.model.files.keys().copied().collect();
    for file in files {
        if !judge.model.file(file).attributes.log.is_empty() {
            let promise = Promise { clause: "XATTR-01", step };
            judge.model.attributes_mut(file).promise(Step(u64::MAX), promise);
        }
        if !judge.model.file(file).attributes.mode.log.is_empty() {
            let promise = Promise { clause: "MODE-01", step };
            judge.model.attributes_mut(file).mode.promise(Step(u64::MAX), promise);
        }
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

/// Which unsynced bytes were lost; nobody promised them.
fn lost_bytes(inquest: &mut Inquest<'_>) {
    for file in std::mem::take(&mut inquest.doubtful.files) {
        inquest.reading.lost.remove(&file);
        if let Some((path, lost)) = lost_of(inquest, file) {
            inquest.reading.lost.insert(file, (path, lost));
        }
    }
    let mut lost: Vec<&(Bytes, Arc<[LostEffect]>)> = inquest.reading.lost.values().collect();
    lost.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let lost = lost.into_iter().flat_map(|(_, lost)| lost.iter().cloned());
    inquest.judge.lost_allowed.extend(lost);
}

/// What of a file was lost, as its first name shows.
fn lost_of(inquest: &Inquest<'_>, file: FileId) -> Option<(Bytes, Arc<[LostEffect]>)> {
    let regular = inquest.judge.model.regular(file).filter(|regular| !regular.log.is_empty())?;
    let path = inquest.reading.names_taken_for(file).next()?;
    let Some(FoundKind::Regular { size_bytes, content: Ok(content) }) =
        inquest.survey.names.get(path).map(|found| &found.kind)
    else {
        return None;
    };
    let lost = content::lost(regular, *size_bytes, content);
    let effect = |change: crate::model::Change| LostEffect {
        step: change.step,
        what: change.describe(&text(path)),
    };
    let lost: Arc<[LostEffect]> = lost.into_iter().map(effect).collect();
    (!lost.is_empty()).then(|| (path.clone(), lost))
}

/// The path of a name in a directory.
fn child(parent: &Bytes, name: &Bytes) -> Bytes {
    if parent.is_empty() { name.clone() } else { [parent, &b"/"[..], name].concat().into() }
}

pub(crate) fn text(path: &[u8]) -> String {
    if path.is_empty() { ".".to_owned() } else { String::from_utf8_lossy(path).into_owned() }
}
