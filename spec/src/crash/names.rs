//! What power loss may leave of the names: which file each name was found to mean.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;
use imbl::OrdMap;

use crate::crash::Inquest;
use crate::crash::Mismatch;
use crate::crash::attributes;
use crate::crash::child;
use crate::crash::content;
use crate::crash::order;
use crate::crash::text;
use crate::model::FileId;
use crate::model::Name;
use crate::model::Node;
use crate::model::Promise;
use crate::model::difference;
use crate::words::Found;
use crate::words::FoundKind;
use crate::words::Ino;

/// Everything that a name may mean: first what is promised, then, by order, what came later.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) versions: Vec<(u64, Option<FileId>)>,
    /// Which versions agree with what was found.
    pub(crate) fits: Vec<bool>,
    pub(crate) promise: Option<Promise>,
    pub(crate) has_rename: bool,
}

impl History {
    fn candidates(&self) -> BTreeSet<FileId> {
        self.versions.iter().filter_map(|(_, file)| *file).collect()
    }
}

/// Judges the names in doubt, and tells whether some choice of operations explains all of them.
pub(super) fn judge(inquest: &mut Inquest<'_>) -> bool {
    for clause in ["CRASH-02", "CRASH-03", "CRASH-04", "CRASH-07", "CRASH-09"] {
        inquest.judge.exercise(clause);
    }
    let mut histories = histories(inquest);
    inquest.reading.place(&Bytes::new(), FileId::ROOT);
    doubts(inquest, &histories);
    // A directory comes before what is in it.
    while let Some(path) = inquest.doubtful.paths.pop_first() {
        look(inquest, &mut histories, &path);
    }
    missing(inquest, &mut histories);
    let parents = &inquest.reading.found_directories;
    histories.retain(|(directory, _), history| {
        parents.contains_key(directory) && history.fits.contains(&true)
    });
    order::judge(inquest, &histories)
}

/// What may be judged otherwise than in the survey that this one is compared with: what was found
/// otherwise, what is promised otherwise, and what a promise still lacks for.
fn doubts(inquest: &mut Inquest<'_>, histories: &BTreeMap<Name, History>) {
    let (ground, survey) = (inquest.ground, inquest.survey);
    let (names, was) = (&inquest.judge.model.names, &ground.names);
    let mut doubted: BTreeSet<Name> = histories.keys().cloned().collect();
    doubted.extend(difference(&was.durable, &names.durable).map(|(name, _)| name.clone()));
    let edits = was.log.values().flat_map(|op| &op.edits);
    doubted.extend(edits.map(|edit| (edit.directory, edit.name.clone())));
    let mut paths: Vec<Bytes> = Vec::new();
    for (directory, name) in &doubted {
        let place = inquest.reading.found_directories.get(directory);
        paths.extend(place.map(|place| child(place, name)));
    }
    inquest.doubtful.names = doubted;
    paths.extend(difference(&ground.survey.names, &survey.names).map(|(path, _)| path.clone()));
    let files = difference(&ground.files, &inquest.judge.model.files);
    let files: BTreeSet<FileId> = files.map(|(file, _)| *file).collect();
    for file in &files {
        paths.extend(ground.reading.names_meaning(*file).cloned());
    }
    inquest.doubtful.files = files;
    for path in paths {
        doubt(inquest, path);
    }
}

/// What is at a path is looked at anew.
fn doubt(inquest: &mut Inquest<'_>, path: Bytes) {
    let is_root = path.is_empty();
    if is_root || inquest.doubtful.paths.contains(&path) {
        return;
    }
    let number = inquest.ground.survey.names.get(&path).map(|found| found.ino);
    let file = inquest.reading.forget(&path, number);
    inquest.doubtful.files.extend(file);
    inquest.doubtful.numbers.extend(number);
    inquest.doubtful.paths.insert(path);
}

/// Looks at what is at a path, and puts what is below it in doubt if it is another directory.
fn look(inquest: &mut Inquest<'_>, histories: &mut BTreeMap<Name, History>, path: &Bytes) {
    let survey = inquest.survey;
    let found = survey.names.get(path);
    if let Some(Found {
        ino, kind: FoundKind::Regular { .. } | FoundKind::Symlink { .. }, ..
    }) = found
    {
        inquest.reading.numbered.insert((*ino, path.clone()));
        inquest.doubtful.numbers.insert(*ino);
    }
    let (parent, name) = split(path);
    if let Some(directory) = inquest.reading.places.get(&parent).copied() {
        let name = (directory, name);
        inquest.doubtful.names.insert(name.clone());
        if let Some(found) = found {
            identify(inquest, histories, path, name, found);
        }
    }
    let place = inquest.reading.places.get(path).copied();
    if place == inquest.ground.reading.places.get(path).copied() {
        return;
    }
    for names in [&inquest.ground.survey.names, &survey.names] {
        below(names, path).for_each(|path| doubt(inquest, path.clone()));
    }
    if let Some(directory) = place {
        let names = &inquest.judge.model.names;
        let inside = names.durable_in(directory).map(|(name, _)| name.clone());
        inquest.doubtful.names.extend(inside);
    }
}

/// The paths below a directory that is not the root.
fn below<'a>(
    names: &'a OrdMap<Bytes, Found>,
    path: &Bytes,
) -> impl Iterator<Item = &'a Bytes> + use<'a> {
    let start: Bytes = [&path[..], &b"/"[..]].concat().into();
    let paths = names.range(start.clone()..).map(|(path, _)| path);
    paths.take_while(move |path| path.starts_with(&start))
}

/// The histories of names that changed since the last promise; other names mean one thing.
fn histories(inquest: &Inquest<'_>) -> BTreeMap<Name, History> {
    let names = &inquest.judge.model.names;
    let mut histories: BTreeMap<Name, History> = BTreeMap::new();
    for (order, op) in &names.log {
        for edit in &op.edits {
            let name = (edit.directory, edit.name.clone());
            let bound = names.durable.get(&name).copied();
            let history = histories.entry(name).or_default();
            if history.versions.is_empty() {
                history.versions.push((0, bound.and_then(|bound| bound.file)));
                history.promise = bound.and_then(|bound| bound.promise);
            }
            history.versions.push((*order, edit.after));
            history.has_rename |= op.verb == "rename";
        }
    }
    histories
}

fn split(path: &Bytes) -> (Bytes, Bytes) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.slice(..at), path.slice(at + 1..)),
        None => (Bytes::new(), path.clone()),
    }
}

/// Which files may a found name mean?
fn identify(
    inquest: &mut Inquest<'_>,
    histories: &mut BTreeMap<Name, History>,
    path: &Bytes,
    name: Name,
    found: &Found,
) {
    let bound = inquest.judge.model.names.durable.get(&name).copied();
    let stable = History {
        versions: vec![(0, bound.and_then(|bound| bound.file))],
        promise: bound.and_then(|bound| bound.promise),
        ..History::default()
    };
    let history = histories.get(&name).cloned().unwrap_or(stable);
    let candidates = history.candidates();
    let mut fitting: BTreeSet<FileId> =
        candidates.iter().copied().filter(|file| fits(inquest, path, *file, found)).collect();
    if fitting.is_empty() {
        return unexplained(inquest, histories, path, &name, found, &history);
    }
    fitting = attributes::judge(inquest, path, found, fitting);
    if found.kind == FoundKind::Directory {
        let suggested = directory(inquest, path, found.ino, &fitting);
        // One that was found elsewhere is there; of the others the last one is taken.
        let elsewhere = |directory: &&FileId| {
            let place = inquest.reading.found_directories.get(*directory);
            place.is_some_and(|place| place != path)
        };
        let chosen = suggested.iter().rev().find(|directory| !elsewhere(directory));
        let mut chosen =
            chosen.or(suggested.last()).copied().expect("a name that fits has a candidate");
        let others: Vec<FileId> =
            fitting.iter().rev().copied().filter(|directory| *directory != chosen).collect();
        fitting = match inquest.readings.choose(1 + others.len()) {
            0 => suggested,
            other => {
                chosen = others[other - 1];
                BTreeSet::from([chosen])
            }
        };
        inquest.is_placed &= inquest.reading.place(path, chosen);
    } else {
        inquest.reading.may_mean(path, fitting.iter().copied());
    }
    let newest = history.versions.iter().rev().filter_map(|(_, file)| *file);
    let taken = newest.clone().find(|file| fitting.contains(file));
    if let Some(file) = taken {
        take(inquest, path, file);
    }
    if let Some(history) = histories.get_mut(&name) {
        history.fits = history
            .versions
            .iter()
            .map(|(_, file)| file.is_some_and(|file| fitting.contains(&file)))
            .collect();
    }
}

fn take(inquest: &mut Inquest<'_>, path: &Bytes, file: FileId) {
    inquest.reading.take(path, file);
    inquest.doubtful.files.insert(file);
}

fn fits(inquest: &mut Inquest<'_>, path: &Bytes, file: FileId, found: &Found) -> bool {
    match (&inquest.judge.model.file(file).node, &found.kind) {
        (Node::Directory(_), FoundKind::Directory) => true,
        (Node::Symlink(target), FoundKind::Symlink { target: told }) => target == told,
        (Node::Regular(regular), FoundKind::Regular { size_bytes, content: Ok(bytes) }) => {
            let key = (file, found.ino);
            if let Some(known) = inquest.checked.get(&key) {
                return known.is_none();
            }
            let version = inquest.ground.known(path, file);
            let mismatch = content::check(regular, *size_bytes, bytes, version.as_ref());
            let fits = mismatch.is_none();
            inquest.checked.insert(key, mismatch);
            fits
        }
        (Node::Directory(_) | Node::Symlink(_) | Node::Regular(_), _) => false,
    }
}

/// Of several directories that may be here, those that its entries speak for, and its number where
/// they do not: all alike, if nothing tells them apart.
fn directory(
    inquest: &mut Inquest<'_>,
    path: &Bytes,
    number: Ino,
    fitting: &BTreeSet<FileId>,
) -> BTreeSet<FileId> {
    if fitting.len() == 1 {
        return fitting.clone();
    }
    let mut best = BTreeSet::new();
    let mut best_score = (0, false);
    for directory in fitting {
        let has_number = inquest.judge.model.file(*directory).ino == Some(number);
        let score = (support(inquest, path, *directory), has_number);
        if score > best_score {
            best.clear();
            best_score = score;
        }
        if score == best_score {
            best.insert(*directory);
        }
    }
    best
}

/// How much of what was found in a directory speaks for it to be this one.
fn support(inquest: &mut Inquest<'_>, path: &Bytes, directory: FileId) -> usize {
    let survey = inquest.survey;
    let mut score: usize = 1 << 20;
    for entry in below(&survey.names, path) {
        let (parent, name) = split(entry);
        if parent != *path {
            continue;
        }
        let meant = meanings(inquest, &(directory, name));
        score += 2 * usize::from(!meant.is_empty());
        let fits = meant.iter().any(|file| fits(inquest, entry, *file, &survey.names[entry]));
        score += usize::from(fits);
    }
    let durable = inquest.judge.model.names.durable_in(directory);
    let lacks = durable.filter(|((_, name), bound)| {
        bound.file.is_some() && !survey.names.contains_key(&child(path, name))
    });
    score - lacks.count().min(1 << 10)
}

/// Every file that a name durably means, or was made to mean since.
fn meanings(inquest: &Inquest<'_>, name: &Name) -> BTreeSet<FileId> {
    let names = &inquest.judge.model.names;
    let edits = names.log.values().flat_map(|op| &op.edits);
    let since = edits.filter(|edit| edit.directory == name.0 && edit.name == name.1);
    let durable = names.durable.get(name).and_then(|bound| bound.file);
    durable.into_iter().chain(since.filter_map(|edit| edit.after)).collect()
}

/// A name was found whose meaning nothing explains.
fn unexplained(
    inquest: &mut Inquest<'_>,
    histories: &mut BTreeMap<Name, History>,
    path: &Bytes,
    name: &Name,
    found: &Found,
    history: &History,
) {
    histories.remove(name);
    let subject = text(path);
    let newest = history.versions.iter().rev().find_map(|(_, file)| *file);
    let Some(file) = newest else {
        let removed = inquest.judge.model.names.durable.contains_key(name);
        let clause = match history.promise {
            Some(promise) if promise.clause == "DUR-RENAME-01" => promise.clause,
            Some(_) | None if removed => "CRASH-09",
            Some(_) | None => "CRASH-04",
        };
        let chain = history.promise.map(|by| (by.step, "its removal was durable".to_owned()));
        let allowed = "no such name".to_owned();
        let chain = chain.into_iter().collect();
        return inquest.broken(clause, &[], subject, "found".to_owned(), allowed, chain);
    };
    take(inquest, path, file);
    match &found.kind {
        FoundKind::Unreadable { errno } | FoundKind::Regular { content: Err(errno), .. } => {
            let observed = format!("not readable: {}", errno.name());
            inquest.broken("CRASH-04", &[], subject, observed, "a file".to_owned(), Vec::new());
        }
        FoundKind::Regular { .. } | FoundKind::Directory | FoundKind::Symlink { .. } => {
            if let Some(Some(mismatch)) = inquest.checked.get(&(file, found.ino)).cloned() {
                let clauses = content_clauses(inquest, &mismatch, history, file, found);
                let Mismatch { observed, allowed, chain, .. } = mismatch;
                let [clause, also @ ..] = &clauses[..] else { return };
                return inquest.broken(clause, also, subject, observed, allowed, chain);
            }
            let expected = inquest.judge.model.file(file).kind();
            let observed = format!("another kind of file, or another target: {:?}", found.kind);
            let observed = observed.chars().take(120).collect();
            let allowed = format!("the {expected:?} that was made");
            inquest.broken("CRASH-04", &[], subject, observed, allowed, Vec::new());
        }
    }
}

/// The clauses that a wrong content breaks, the most specific first.
fn content_clauses(
    inquest: &Inquest<'_>,
    mismatch: &Mismatch,
    history: &History,
    file: FileId,
    found: &Found,
) -> Vec<&'static str> {
    let mut clauses = Vec::new();
    let clause = match mismatch.promise {
        Some(promise) => promise.clause,
        None => mismatch.clause,
    };
    if is_anothers(inquest, file, found) {
        clauses.push("CRASH-04");
    }
    if history.has_rename && clause != "CRASH-02" {
        clauses.push("DUR-RENAME-02");
    }
    clauses.push(clause);
    if clause == "DUR-FSYNC-05" {
        clauses.push("DUR-FSYNC-03");
    }
    if mismatch.promise.is_some() && !clauses.iter().any(|clause| inquest.judge.enforces(clause)) {
        clauses.push("CRASH-03");
    }
    clauses
}

/// Is what was found the promised content of some other file?
fn is_anothers(inquest: &Inquest<'_>, file: FileId, found: &Found) -> bool {
    let FoundKind::Regular { size_bytes, content: Ok(bytes) } = &found.kind else { return false };
    let model = &inquest.judge.model;
    *size_bytes > 0
        && model.files.keys().filter(|other| **other != file).any(|other| {
            model.regular(*other).is_some_and(|regular| {
                regular.floor_size == *size_bytes
                    && content::check(regular, *size_bytes, bytes, None).is_none()
            })
        })
}

/// Names that were not found, in directories that were.
fn missing(inquest: &mut Inquest<'_>, histories: &mut BTreeMap<Name, History>) {
    let mut gone: Vec<(Name, Bytes, History)> = Vec::new();
    for (name, history) in histories.iter_mut().filter(|(_, history)| history.fits.is_empty()) {
        let Some(parent) = inquest.reading.found_directories.get(&name.0) else {
            continue;
        };
        let path = child(parent, &name.1);
        history.fits = history.versions.iter().map(|(_, file)| file.is_none()).collect();
        if !history.fits.contains(&true) {
            gone.push((name.clone(), path, history.clone()));
        }
    }
    for name in &inquest.doubtful.names {
        let Some(bound) = inquest.judge.model.names.durable.get(name) else { continue };
        let Some(parent) = inquest.reading.found_directories.get(&name.0) else { continue };
        let path = child(parent, &name.1);
        let lacks = bound.file.is_some() && !inquest.survey.names.contains_key(&path);
        if lacks && !histories.contains_key(name) {
            let history = History { promise: bound.promise, ..History::default() };
            gone.push((name.clone(), path, history));
        }
    }
    for ((directory, _), path, history) in gone {
        let synced = inquest.judge.model.directory(directory).and_then(|found| found.synced);
        let general = match (history.promise, synced) {
            (Some(promise), Some(synced))
                if synced > promise.step
                    && promise.clause != "DUR-LINK-01"
                    && inquest.judge.enforces("DUR-DIR-03") =>
            {
                "DUR-DIR-03"
            }
            (promise, _) => inquest.promised(promise),
        };
        let clause = if history.has_rename { "DUR-RENAME-02" } else { general };
        let by = history.promise.map(|by| (by.step, "this call made it durable".to_owned()));
        let allowed = "the name, which was durable".to_owned();
        let chain: Vec<_> = by.into_iter().collect();
        let observed = "not found".to_owned();
        inquest.broken(clause, &["CRASH-03"], text(&path), observed, allowed, chain);
    }
}
