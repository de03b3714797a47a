//! The format in words, printed from its constants; `docs/disk-format.md` is compared with it.

use std::fmt::Write;

use super::BLOCK_SIZE_BYTES_MAX;
use super::ROOT_SLOTS;
use super::VERSION;
use super::extent::EXTENT_SLOTS;
use super::item::INO_BITS;
use super::item::ItemKind;
use super::item::NAME_MAX;
use super::log;
use super::node;
use super::root;
use crate::device::SECTOR_SIZE_BYTES;

/// The format as a Markdown page.
#[must_use]
pub fn describe() -> String {
    let mut page = format!(
        "# On-media format, version {VERSION}\n\n\
         Printed from the constants in `host/src/cow/format`; a test compares this page with them \
         (`BLESS=1` rewrites it).\n\n\
         Blocks are of one size, a power of two from {SECTOR_SIZE_BYTES} to \
         {BLOCK_SIZE_BYTES_MAX} bytes. Blocks 0 to {last} hold roots, written in turn; all others \
         are nodes of the tree, content, log, or free. Numbers are little-endian, in keys \
         big-endian. What is not named is zero, and checked. There is no map of free blocks: free \
         is what neither the newest root, nor its log, nor one of its snapshots reaches. A block \
         may be reached from several trees.\n\n\
         Mounting takes the newest whole root (F-2), then replays the log that it names, batch by \
         batch, up to the first block that does not follow (F-3). A root whose tree cannot be read \
         is an error; the older root is never taken instead.\n\n\
         A snapshot is a tree that a root names beside its own, by way of the list of snapshots: \
         a tree of nodes like the others, whose items are snapshots. Where a file of a snapshot is \
         numbered outside, the bits from {INO_BITS} on are the snapshot's number.\n",
        last = ROOT_SLOTS - 1,
    );
    table(
        &mut page,
        "Root",
        "One sector, so that a medium writes it whole or not at all.",
        &root::LAYOUT,
    );
    table(
        &mut page,
        "Node",
        "Records follow, in the strict order of their keys: key length u16, value length u16, \
         key, value. In an inner node a value is a pointer (block u64, generation u64, CRC-32C of \
         the block u32), the first key is empty, and each further key is the lower bound of its \
         child.",
        &node::LAYOUT,
    );
    table(
        &mut page,
        "Block of the log",
        "The payload follows. The payloads of a batch, joined, are changes: 1, key length u16, \
         key, value length u16, value puts an item; 2, key length u16, key deletes one.",
        &log::LAYOUT,
    );
    items(&mut page);
    page
}

fn table(page: &mut String, title: &str, text: &str, layout: &[(&str, usize, usize)]) {
    let _ = write!(page, "\n## {title}\n\n{text}\n\n| At | Bytes | Field |\n|---:|---:|---|\n");
    for (field, start, end) in layout {
        let _ = writeln!(page, "| {start} | {} | {field} |", end - start);
    }
}

fn items(page: &mut String) {
    let _ = write!(
        page,
        "\n## Items\n\nA key is the file's number (u64), the kind (u8), and the rest. A name is at \
         most {NAME_MAX} bytes and at most a quarter of a block; so is a part of a target. An \
         extent speaks of {EXTENT_SLOTS} blocks of a file. A run holds some of them, in order, \
         compressed together in the LZ4 block format; it is there while a slot names it.\n\n\
         | Kind | Item | Rest of the key | Value |\n|---:|---|---|---|\n"
    );
    for kind in ItemKind::ALL {
        let [name, rest, value] = kind.layout();
        let _ = writeln!(page, "| {} | {name} | {rest} | {value} |", kind as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_the_constants_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/disk-format.md");
        let page = describe();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &page).expect("the folder of the page is there");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page, "docs/disk-format.md is out of date; run with BLESS=1");
    }

    #[test]
    fn every_layout_is_a_chain() {
        for layout in [&root::LAYOUT[..], &node::LAYOUT[..], &log::LAYOUT[..]] {
            assert_eq!(layout[0].1, 0);
            assert!(layout.windows(2).all(|pair| pair[0].2 == pair[1].1));
        }
    }
}
