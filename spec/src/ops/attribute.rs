//! Extended attributes: a value is there as it was set last, or it is not there [XATTR-01], under
//! each name once [XATTR-02].

use std::sync::Arc;

use bytes::Bytes;

use crate::model::AttributeChange;
use crate::model::Denial;
use crate::model::FileId;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::violation::show;
use crate::words::Attribute;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;
use crate::words::Right;
use crate::words::SetAttribute;
use crate::words::Value;

pub(crate) fn judge(judge: &mut Judge, frame: &Frame, asked: &Attribute, outcome: &Outcome) {
    match asked {
        Attribute::Get { handle, name } => get(judge, frame, *handle, name, outcome),
        Attribute::List { handle } => list(judge, frame, *handle, outcome),
        Attribute::Set { handle, name, value, how } => {
            set(judge, frame, *handle, (name, value), *how, outcome);
        }
        Attribute::Remove { handle, name } => remove(judge, frame, *handle, name, outcome),
    }
}

/// Errors of a name or a value that need no cause in the model.
const ODD: [Errno; 5] =
    [Errno::NameTooLong, Errno::Invalid, Errno::TooBig, Errno::Overflow, Errno::IllegalSequence];
/// Errors of whoever may not change attributes.
const SHUT: [Errno; 4] = [Errno::ReadOnly, Errno::NotPermitted, Errno::Access, Errno::BadFile];

fn get(judge: &mut Judge, frame: &Frame, id: HandleId, name: &Bytes, outcome: &Outcome) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let attributes = Arc::clone(&judge.model.file(handle.file).attributes);
    let live = attributes.live.get(name);
    let is_denied = judge.model.denial(handle.file, Right::Read) != Denial::No;
    let may_lack = frame.overlapped && attributes.may_be(name, None);
    let permitted = Permitted::of("XATTR-01", handle.file)
        .must(live.is_none() && !frame.overlapped, &[Errno::NoAttribute])
        .may(may_lack, &[Errno::NoAttribute])
        .may(live.is_none(), &ODD)
        .may(!handle.read, &[Errno::BadFile])
        .may(is_denied, &[Errno::Access]);
    if !judge.settle(frame, &permitted, outcome) {
        return;
    }
    let Ok(Value::AttributeValue(told)) = outcome else { return judge.malformed(frame) };
    let is_right = live == Some(told) || frame.overlapped && attributes.may_be(name, Some(told));
    if let (false, Some(live)) = (is_right, live) {
        let subject = subject(judge, handle.file, name);
        judge.broken(frame, "XATTR-01", subject, show(told), show(live));
    }
}

fn subject(judge: &Judge, file: FileId, name: &Bytes) -> String {
    format!("{} of {}", String::from_utf8_lossy(name), judge.model.path_text(file))
}

fn list(judge: &mut Judge, frame: &Frame, id: HandleId, outcome: &Outcome) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let permitted = Permitted::of("XATTR-02", handle.file).may(!handle.read, &[Errno::BadFile]);
    if !judge.settle(frame, &permitted, outcome) {
        return;
    }
    let Ok(Value::AttributeNames(told)) = outcome else { return judge.malformed(frame) };
    let attributes = Arc::clone(&judge.model.file(handle.file).attributes);
    // The system has names of its own.
    let of_users: Vec<&Bytes> = told.iter().filter(|name| name.starts_with(b"user.")).collect();
    let is_unsure = |name: &Bytes| {
        frame.overlapped && attributes.log.values().any(|change| change.name == *name)
    };
    let twice = of_users.iter().enumerate().find(|(at, name)| of_users[..*at].contains(name));
    let made_up =
        of_users.iter().find(|name| !attributes.live.contains_key(**name) && !is_unsure(name));
    let lacking = attributes.live.keys().find(|name| !of_users.contains(name) && !is_unsure(name));
    let wrong = match (twice, made_up, lacking) {
        (Some((_, name)), ..) => Some((Bytes::clone(name), "listed twice", "once")),
        (None, Some(name), _) => Some((Bytes::clone(name), "listed", "not there")),
        (None, None, Some(name)) => Some((name.clone(), "not listed", "there, since it was set")),
        (None, None, None) => None,
    };
    if let Some((name, observed, allowed)) = wrong {
        let subject = subject(judge, handle.file, &name);
        judge.broken(frame, "XATTR-02", subject, observed.to_owned(), allowed.to_owned());
    }
}

fn set(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    (name, value): (&Bytes, &Bytes),
    how: SetAttribute,
    outcome: &Outcome,
) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let attributes = &judge.model.file(handle.file).attributes;
    let is_there = attributes.live.contains_key(name);
    let (creates, replaces) = (how == SetAttribute::Create, how == SetAttribute::Replace);
    let is_sure = !frame.overlapped;
    let permitted = Permitted::of("XATTR-03", handle.file)
        .must(is_sure && creates && is_there, &[Errno::Exists])
        .must(is_sure && replaces && !is_there, &[Errno::NoAttribute])
        .may(!is_sure && creates, &[Errno::Exists])
        .may(!is_sure && replaces, &[Errno::NoAttribute])
        .may(true, &ODD)
        .may(true, &SHUT);
    if judge.settle(frame, &permitted, outcome) {
        change(judge, frame, handle.file, name, Some(value.clone()));
    }
}

fn remove(judge: &mut Judge, frame: &Frame, id: HandleId, name: &Bytes, outcome: &Outcome) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let is_there = judge.model.file(handle.file).attributes.live.contains_key(name);
    let permitted = Permitted::of("XATTR-03", handle.file)
        .must(!is_there && !frame.overlapped, &[Errno::NoAttribute])
        .may(frame.overlapped, &[Errno::NoAttribute])
        .may(true, &ODD)
        .may(true, &SHUT);
    if judge.settle(frame, &permitted, outcome) {
        change(judge, frame, handle.file, name, None);
    }
}

fn change(judge: &mut Judge, frame: &Frame, file: FileId, name: &Bytes, value: Option<Bytes>) {
    let order = judge.model.next_order();
    let change = AttributeChange { name: name.clone(), value, acked: frame.acked };
    judge.has_attributes = true;
    judge.model.attributes_mut(file).change(order, change);
}
