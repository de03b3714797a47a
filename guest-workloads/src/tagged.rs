//! Blocks that say whose they are: what `seed_002_parallel_writers` writes and its verifier
//! expects.

/// How much is written at once.
pub const BLOCK_SIZE_BYTES: usize = 4096;

/// The file of a writer.
#[must_use]
pub fn name(writer: &str) -> String {
    format!("of-{writer}")
}

fn tag(writer: &str, round: u64) -> String {
    format!("[{writer} {round:06}]")
}

/// A block of nothing but the tag of a writer and a round.
#[must_use]
pub fn block(writer: &str, round: u64) -> Vec<u8> {
    let tag = tag(writer, round);
    tag.bytes().cycle().take(BLOCK_SIZE_BYTES).collect()
}

/// Is a block of that writer, of one round, or a hole?
#[must_use]
pub fn is_of(block: &[u8], writer: &str) -> bool {
    let length = tag(writer, 0).len().min(block.len());
    let is_whole =
        block.iter().zip(block[..length].iter().cycle()).all(|(one, other)| one == other);
    let is_own = block.starts_with(format!("[{writer} ").as_bytes());
    is_own && is_whole || block.iter().all(|&byte| byte == 0)
}
