//! Reads every file from the first leg of a mirror, then from the next one.
//!
//! Whatever a read finds after a crash has to be there from the other leg as well, since nobody
//! wrote in between. A volume of `seed_001_mirror_legs` is repaired by what the first leg has, and
//! filled by what the next one has: no block of it may get a second object. Exit code 1 if
//! something is not so. [RED-05, RSTAB-01]

use crashproof_guest::machine;
use crashproof_guests as guest;
use crashproof_guests::volume::Volume;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

fn read_leg(name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = Vec::new();
    match guest::read_below(Path::new("/"), &mut found) {
        Ok(()) => found.into_iter().collect(),
        Err(error) => guest::give_up(name, &error),
    }
}

/// The volume, if there is one.
fn volume() -> io::Result<Option<Volume>> {
    let opened = guest::uninterrupted(|| File::options().read(true).write(true).open("legs"));
    match opened {
        Ok(file) => Volume::open(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn repair() -> io::Result<()> {
    let Some(volume) = volume()? else { return Ok(()) };
    volume.repair()
}

/// Fills the volume; what is wrong if a block got a second object.
fn fill() -> io::Result<Option<String>> {
    let Some(volume) = volume()? else { return Ok(None) };
    while volume.add()? {}
    let twice = match volume.shared()? {
        Some((block, owner, other)) => {
            let holder = volume.written_for(block)?;
            Some(format!(
                "granted twice: block {block} of the volume belongs to object {owner} and to \
                 object {other}, and has what was written for object {holder}"
            ))
        }
        None => None,
    };
    Ok(twice)
}

fn main() {
    if let Err(error) = repair() {
        guest::give_up("repair the volume", &error);
    }
    let first = read_leg("read the first leg");
    let lost = machine::drop_caches().and_then(|()| machine::fault("lose-leg:0"));
    if let Err(error) = lost {
        guest::give_up("lose the first leg", &error);
    }
    let second = read_leg("read the second leg");
    match fill() {
        Ok(None) => {}
        Ok(Some(twice)) => guest::give_up("fill the volume", &twice),
        Err(error) => guest::give_up("fill the volume", &error),
    }
    if let Some((path, _)) = first.iter().find(|(path, bytes)| second.get(*path) != Some(bytes)) {
        guest::give_up("read both legs", &format!("{} differs", path.display()));
    }
}
