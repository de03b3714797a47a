//! `crashproof fsck IMAGE`.

use crate::cli::Failure;
use crate::cli::args::FsckArguments;
use crate::cli::exit;
use crate::cow;
use crate::device::Image;

/// Checks an image and prints every problem.
pub(super) fn fsck(arguments: &FsckArguments) -> Result<u8, Failure> {
    let path = &arguments.image;
    let failed = |why: String| Failure(format!("failed to read {}: {why}", path.display()));
    let smallest = 512;
    let image = Image::load(path, smallest).map_err(|error| failed(error.to_string()))?;
    let block_size_bytes = cow::fsck::block_size_bytes(&image)
        .ok_or_else(|| failed("no root of a crashproof file system is in it".to_owned()))?;
    let image = Image::load(path, block_size_bytes).map_err(|error| failed(error.to_string()))?;
    let problems = cow::fsck::check(&image);
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => {
            println!("{}: no problem found", path.display());
            Ok(exit::ACCEPTED)
        }
        count => {
            println!("{}: {count} problems", path.display());
            Ok(exit::REJECTED)
        }
    }
}
