//! Numbers of files: names of one number are names of one file, and are counted.

use bytes::Bytes;

use crate::crash::Inquest;
use crate::crash::text;
use crate::model::FileId;
use crate::words::Ino;

/// Names of one number are names of one file, and are counted.
pub(super) fn links(inquest: &mut Inquest<'_>) {
    inquest.judge.exercise("DUR-LINK-01");
    for ino in std::mem::take(&mut inquest.doubtful.numbers) {
        let mut names = inquest.reading.names_of(ino);
        let Some(path) = names.next().cloned() else { continue };
        let count = 1 + names.count() as u64;
        let told = inquest.survey.names.get(&path).map_or(count, |found| found.link_count);
        if count != told {
            let subject = text(&path);
            let observed = format!("link count {told}");
            let allowed = format!("link count {count}, the number of its names");
            inquest.broken("DUR-LINK-01", &[], subject, observed, allowed, Vec::new());
        }
    }
}

/// Names of one number may all mean one file, and names that mean one file have one number.
pub(super) fn identities(inquest: &mut Inquest<'_>) {
    let numbers = &inquest.doubtful.numbers;
    let mut wrong: Vec<(Bytes, String, &'static str)> = Vec::new();
    let mut owned: Vec<(Ino, FileId)> = Vec::new();
    for ino in numbers {
        let mut common: Option<(&Bytes, Vec<FileId>)> = None;
        for path in inquest.reading.names_of(*ino) {
            let files: Vec<FileId> = inquest.reading.files_meant_by(path).collect();
            let Some((first, common)) = &mut common else {
                common = (!files.is_empty()).then_some((path, files));
                continue;
            };
            if common.iter().any(|file| files.contains(file)) {
                common.retain(|file| files.contains(file));
            } else if !files.is_empty() {
                let observed = format!("number {}, as {}", ino.0, text(first));
                wrong.push((path.clone(), observed, "two files, as they were made"));
            }
        }
        if let Some((_, files)) = common
            && let [file] = files[..]
        {
            owned.push((*ino, file));
        }
    }
    wrong.sort();
    let reading = &mut inquest.reading;
    for ino in numbers {
        if let Some(file) = reading.owners.remove(ino) {
            reading.numbers.remove(&file);
        }
    }
    for (ino, file) in owned {
        let other = *reading.numbers.entry(file).or_insert(ino);
        if other == ino {
            reading.owners.insert(ino, file);
            continue;
        }
        let first = |ino| {
            let named = |path: &&Bytes| reading.files_meant_by(path).next().is_some();
            reading.names_of(ino).find(named).cloned().unwrap_or_default()
        };
        let (path, elsewhere) = (first(ino), text(&first(other)));
        let observed = format!("number {}, but {elsewhere} has {}", ino.0, other.0);
        wrong.push((path, observed, "two names of one file"));
    }
    for (path, observed, allowed) in wrong {
        let allowed = allowed.to_owned();
        inquest.broken("DUR-LINK-01", &[], text(&path), observed, allowed, Vec::new());
    }
}
