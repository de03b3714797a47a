//! Replaces a file by renaming a new one over it, with and without each sync.
//!
//! Argument: `none`, `file`, `dir` or `both` (default).
//!
//! 1. Writes `f` = "old", syncs it and its directory, prints `old is durable`. [DUR-DIR-01]
//! 2. Writes `f.tmp` = "new"; with `file` or `both` syncs it. Without that sync it prints
//!    `replacing with unsynced data`: from here `f` may have any content. [DUR-RENAME-03]
//! 3. Renames `f.tmp` over `f`. A crash leaves the old or the new file, never none, and with the
//!    file synced one content in full. [NS-RENAME-01, DUR-RENAME-02, CRASH-06]
//! 4. With `dir` or `both` syncs the directory; then the old name cannot come back.
//!    [DUR-RENAME-01] With `both` prints `new is durable`.

use crashproof_guests as guest;
use std::fs::File;
use std::io;
use std::io::Write;

fn replace(file_sync: bool, directory_sync: bool) -> io::Result<()> {
    drop(guest::write_and_sync("f", b"old")?);
    guest::sync_directory_if_offered("/")?;
    println!("old is durable");

    let mut new = File::create("f.tmp")?;
    new.write_all(b"new")?;
    if file_sync {
        new.sync_all()?;
    } else {
        println!("replacing with unsynced data");
    }
    drop(new);
    std::fs::rename("f.tmp", "f")?;
    let renamed_durably = directory_sync && guest::sync_directory("/").is_ok();
    if file_sync && renamed_durably {
        println!("new is durable");
    }
    Ok(())
}

fn main() {
    let variant = std::env::args().nth(1).unwrap_or_else(|| "both".to_owned());
    let (file_sync, directory_sync) = match variant.as_str() {
        "none" => (false, false),
        "file" => (true, false),
        "dir" => (false, true),
        "both" => (true, true),
        _ => guest::give_up("crash_write_rename", &"give none, file, dir or both"),
    };
    if let Err(error) = replace(file_sync, directory_sync) {
        guest::give_up("crash_write_rename", &error);
    }
}
