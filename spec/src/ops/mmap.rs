//! `mmap`: a file becomes a part of memory; its descriptor has to be open for that [MAP-14].

use crate::model::Mapping;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::words::Memory;
use crate::words::Outcome;
use crate::words::Sharing;
use crate::words::Value;

pub(crate) fn judge(judge: &mut Judge, frame: &Frame, asked: &Memory, outcome: &Outcome) {
    let Memory::Map { handle: id, offset, len, access, sharing } = asked else { return };
    let Some(mut handle) = judge.handle(frame, *id, outcome) else { return };
    let Ok(value) = outcome else { return };
    let Value::Mapping(mapping) = value else { return judge.malformed(frame) };
    if judge.model.regular(handle.file).is_none() || *len == 0 {
        return judge.undecided(frame.step(), "a mapping of what cannot be mapped");
    }
    let stores_to_file = *sharing == Sharing::Shared && access.write;
    judge.exercise("MAP-14");
    if !handle.read || (stores_to_file && !handle.write) {
        let subject = judge.model.path_text(handle.file);
        let observed = "mapped for more than the descriptor is open for".to_owned();
        judge.broken(frame, "MAP-14", subject, observed, "EACCES".to_owned());
    }
    (handle.scan, handle.process) = (None, frame.process);
    let mut made = Mapping::new(handle.file, frame.process, (*id, handle), *offset, *sharing);
    made.begin(*len, *access);
    judge.model.map(*mapping, made);
}
