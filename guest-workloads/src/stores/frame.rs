//! Records with a checksum, one after the other, as in a write-ahead log.

/// Bytes before the content of a record: its length, and the checksum of length and content.
pub const HEAD_SIZE_BYTES: usize = 2 * size_of::<u64>();

/// FNV-1a.
#[must_use]
pub fn checksum(parts: &[&[u8]]) -> u64 {
    parts.iter().flat_map(|part| part.iter()).fold(0xCBF2_9CE4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// A record of `content`. `salt` is part of what the checksum covers: another one makes it void.
#[must_use]
pub fn frame(salt: u64, content: &[u8]) -> Vec<u8> {
    let len = (content.len() as u64).to_le_bytes();
    let sum = checksum(&[&salt.to_le_bytes(), &len, content]);
    [&len, &sum.to_le_bytes(), content].concat()
}

/// The content of the record at the start of `bytes`, if it is whole.
#[must_use]
pub fn unframe(salt: u64, bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let content = rest.get(..usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
    let expected = checksum(&[&salt.to_le_bytes(), len, content]);
    // An empty record is how zeros would read if their checksum were right; there is none.
    (!content.is_empty() && expected == u64::from_le_bytes(*sum)).then_some(content)
}

/// The contents of the whole records at the start of `bytes`, each salted by the one before it, and
/// the salt of the one that would come next. A record that was left behind by an earlier attempt is
/// not taken for a part of this one.
#[must_use]
pub fn unframe_chain(salt: u64, mut bytes: &[u8]) -> Vec<(&[u8], u64)> {
    let (mut found, mut salt) = (Vec::new(), salt);
    while let Some(content) = unframe(salt, bytes) {
        salt = next_salt(salt, content);
        found.push((content, salt));
        bytes = &bytes[HEAD_SIZE_BYTES + content.len()..];
    }
    found
}

/// The salt of the record after one of `content`.
#[must_use]
pub fn next_salt(salt: u64, content: &[u8]) -> u64 {
    checksum(&[&salt.to_le_bytes(), content])
}

/// The contents of the whole records at the start of `bytes`.
#[must_use]
pub fn unframe_all(salt: u64, mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some(content) = unframe(salt, bytes) {
        found.push(content);
        bytes = &bytes[HEAD_SIZE_BYTES + content.len()..];
    }
    found
}
