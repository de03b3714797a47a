//! Files of the user: read with their name in every message, written whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use tempfile::NamedTempFile;
use xxhash_rust::xxh3::xxh3_128;

use crate::check::judge::TraceStream;
use crate::cli::Failure;
use crate::cli::interrupt;

/// Larger files are not read.
const FILE_SIZE_BYTES_MAX: u64 = 1 << 30;

/// Reads a file.
///
/// # Errors
/// With its name.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |why: String| Failure(format!("failed to read {}: {why}", path.display()));
    let size_bytes = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size_bytes > FILE_SIZE_BYTES_MAX {
        return Err(failed(format!("{size_bytes} bytes, at most {FILE_SIZE_BYTES_MAX}")));
    }
    let content = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let hash = format!("{:032x}", xxh3_128(&content));
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    read.insert(path.display().to_string(), hash);
    Ok(content)
}

/// What was read so far: a command that is split over machines must read the same on each.
static READ: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// The files that were read so far, as they were named, and a hash of the content of each.
pub(super) fn were_read() -> BTreeMap<String, String> {
    READ.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Reads a file as text.
///
/// # Errors
/// With its name.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?)
        .map_err(|error| Failure(format!("failed to read {}: {error}", path.display())))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure(format!("failed to write {}: {why}", path.display()))
}

/// A file that is being written beside the one whose name it takes when it is finished.
struct Unfinished {
    path: PathBuf,
    meanwhile: PathBuf,
    file: NamedTempFile,
}

impl Unfinished {
    /// It is finished.
    ///
    /// # Errors
    /// If it cannot take its name; then it is gone.
    fn finish(self) -> Result<(), Failure> {
        let done = self.file.persist(&self.path).map_err(|e| failed(&self.path, &e.error));
        interrupt::ended(&self.meanwhile);
        done.map(drop)
    }
}

/// A file beside `path` that takes its name when it is finished, readable as any other.
fn begin(path: &Path) -> Result<Unfinished, Failure> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let file = builder.tempfile_in(folder_of(path)).map_err(|e| failed(path, &e))?;
    interrupt::begun(file.path());
    Ok(Unfinished { path: path.to_owned(), meanwhile: file.path().to_owned(), file })
}

/// Writes a file, whole or not at all.
///
/// # Errors
/// With its name.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    write_with(path, &|out| out.write_all(content))
}

/// Writes a file by what `fill` writes, whole or not at all.
///
/// # Errors
/// With its name.
pub(super) fn write_with(
    path: &Path,
    fill: &dyn Fn(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let mut file = begin(path)?;
    let mut out = BufWriter::new(file.file.as_file_mut());
    fill(&mut out).and_then(|()| out.flush()).map_err(|e| failed(path, &e))?;
    drop(out);
    file.finish()
}

/// A trace that appears under its name when it is finished.
pub(super) struct TraceFile(Unfinished);

impl TraceFile {
    /// Begins a trace.
    ///
    /// # Errors
    /// With its name.
    pub(super) fn begin(path: &Path) -> Result<(Self, TraceStream), Failure> {
        let file = begin(path)?;
        let out = file.file.reopen().map_err(|e| failed(path, &e))?;
        let stream = TraceStream::new(Box::new(BufWriter::new(out)));
        Ok((Self(file), stream))
    }

    /// Ends it.
    ///
    /// # Errors
    /// With its name, if any part of it could not be written.
    pub(super) fn finish(self, stream: Option<TraceStream>) -> Result<(), Failure> {
        if let Some(stream) = stream {
            stream.finish().map_err(|e| failed(&self.0.path, &e))?;
        }
        self.0.finish()
    }
}
