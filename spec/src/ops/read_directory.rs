//! `readdir`: what is there throughout a scan appears exactly once.

use imbl::OrdSet;

use crate::model::FileId;
use crate::model::Scan;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::ops::stat;
use crate::words::DirectoryEntry;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;
use crate::words::Value;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    cookie: u64,
    count_max: u32,
    outcome: &Outcome,
) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let directory = judge.model.directory(handle.file);
    let removed = !judge.is_linked(handle.file);
    let permitted = Permitted::of("NS-READDIR-01", handle.file)
        .must(directory.is_none(), &[Errno::NotDirectory, Errno::BadFile])
        .may(removed, &[Errno::NoEntry])
        .may(cookie != 0, &[Errno::Invalid, Errno::NoEntry]);
    let entries = directory.map(|directory| directory.entries.clone());
    if !judge.settle(frame, &permitted, outcome) {
        return;
    }
    let (Ok(Value::Entries(found)), Some(entries)) = (outcome, entries) else {
        return judge.malformed(frame);
    };
    let empty = OrdSet::new();
    let scan = match handle.scan {
        _ if cookie == 0 => {
            Some(Scan { due: entries, seen: empty.clone(), touched: empty, cookie: 0 })
        }
        Some(scan) if scan.cookie == cookie => Some(scan),
        Some(_) | None => None,
    };
    let at_end = found.len() < count_max as usize;
    let scan = check(judge, frame, handle.file, scan, found, at_end);
    if let Some(handle) = judge.model.handles.get_mut(&id) {
        handle.scan = scan;
    }
}

fn check(
    judge: &mut Judge,
    frame: &Frame,
    directory: FileId,
    mut scan: Option<Scan>,
    found: &[DirectoryEntry],
    at_end: bool,
) -> Option<Scan> {
    for entry in found {
        if [&b"."[..], b".."].contains(&&entry.name[..]) {
            continue;
        }
        let live = judge.model.directory(directory).and_then(|d| d.entries.get(&entry.name));
        let live = live.copied();
        let touched = scan.as_ref().is_none_or(|scan| scan.touched.contains(&entry.name));
        let subject = || String::from_utf8_lossy(&entry.name).into_owned();
        match live {
            Some(file) if !touched => {
                stat::kind(judge, frame, file, entry.kind);
                stat::identity(judge, frame, file, entry.ino);
            }
            Some(_) => {}
            None if touched && scan.is_some() => {}
            None => {
                let allowed = "only names that are there".to_owned();
                judge.broken(frame, "NS-READDIR-01", subject(), "listed".to_owned(), allowed);
            }
        }
        let Some(scan) = scan.as_mut() else { continue };
        scan.due.remove(&entry.name);
        if scan.seen.insert(entry.name.clone()).is_some() && !touched {
            let observed = "listed twice".to_owned();
            judge.broken(frame, "NS-READDIR-01", subject(), observed, "once".to_owned());
        }
    }
    let mut scan = scan?;
    if let Some(last) = found.last() {
        scan.cookie = last.next_cookie;
    }
    if at_end && let Some((missing, _)) = scan.due.get_min() {
        let subject = String::from_utf8_lossy(missing).into_owned();
        let observed = "not listed".to_owned();
        let allowed = "once: it was there throughout the scan".to_owned();
        judge.broken(frame, "NS-READDIR-01", subject, observed, allowed);
    }
    Some(scan)
}
