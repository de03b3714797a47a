//! What a crash may leave of extended attributes and of permission bits: of each the promised
//! value, or a later one.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::crash::Inquest;
use crate::crash::text;
use crate::model::FileId;
use crate::violation::show;
use crate::words::Found;
use crate::words::Step;

/// Which of the files that a path may mean have attributes and permission bits as they were found.
/// If none has, that is reported.
pub(super) fn judge(
    inquest: &mut Inquest<'_>,
    path: &Bytes,
    found: &Found,
    fitting: BTreeSet<FileId>,
) -> BTreeSet<FileId> {
    let fitting = extended(inquest, path, found, fitting);
    let Some(mode) = found.mode else { return fitting };
    let known = |file: &FileId| &inquest.judge.model.file(*file).attributes.mode;
    let agreeing: BTreeSet<FileId> =
        fitting.iter().filter(|file| known(file).may_be(mode)).copied().collect();
    let wrong = fitting.last().filter(|_| agreeing.is_empty()).map(|file| known(file).floor);
    let Some((promised, promise)) = wrong else { return agreeing };
    let clause = match promise {
        Some(promise) if inquest.judge.enforces(promise.clause) => promise.clause,
        Some(_) | None => "MODE-04",
    };
    let chain: Vec<(Step, String)> =
        promise.iter().map(|by| (by.step, "this call promised it".to_owned())).collect();
    let (observed, allowed) = (mode.bits(), promised.bits());
    let observed = format!("mode {observed:04o}");
    let allowed = format!("mode {allowed:04o}, or what was set later");
    inquest.broken(clause, &[], text(path), observed, allowed, chain);
    fitting
}

/// Which of the files that a path may mean have extended attributes as they were found. If none
/// has, that is reported.
fn extended(
    inquest: &mut Inquest<'_>,
    path: &Bytes,
    found: &Found,
    fitting: BTreeSet<FileId>,
) -> BTreeSet<FileId> {
    let known = |file: &FileId| &inquest.judge.model.file(*file).attributes;
    let agrees = |file: &&FileId| known(file).wrong_in(&found.attributes).is_none();
    let agreeing: BTreeSet<FileId> = fitting.iter().filter(agrees).copied().collect();
    if !agreeing.is_empty() {
        return agreeing;
    }
    let Some((file, name)) =
        fitting.last().and_then(|file| Some((*file, known(file).wrong_in(&found.attributes)?)))
    else {
        return fitting;
    };
    let promised = known(&file).floor.get(&name).cloned();
    let told = found.attributes.get(&name);
    let value = |value: Option<&Bytes>| value.map_or("nothing".to_owned(), |value| show(value));
    let allowed = promised.as_ref().and_then(|(value, _)| value.as_ref());
    let allowed = format!("{}, or what was set later", value(allowed));
    let clause = match &promised {
        Some((_, promise)) if inquest.judge.enforces(promise.clause) => promise.clause,
        Some(_) | None => "XATTR-05",
    };
    let chain: Vec<(Step, String)> = promised
        .iter()
        .map(|(_, promise)| (promise.step, "this call promised it".to_owned()))
        .collect();
    let subject = format!("{} of {}", String::from_utf8_lossy(&name), text(path));
    inquest.broken(clause, &[], subject, value(told), allowed, chain);
    fitting
}
