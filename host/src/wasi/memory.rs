//! Guest memory as an import sees it: what a guest names is checked before it is used.
//!
//! Invariant W-1: all guest pointers of a call are checked before it has any effect. A [`Place`]
//! is a range that was checked, and only places can be written to. Memory never shrinks, so that a
//! place stays good while its call waits.

use std::ops::Range;

use bytes::Bytes;

use crate::wasi::abi;
use crate::wasi::errno::AbiErrno;

/// A range of guest memory that exists.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place(Range<usize>);

impl Place {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Its first bytes, as a range of addresses.
    pub(super) fn prefix(&self, len: usize) -> Range<u64> {
        self.0.start as u64..(self.0.start + len.min(self.len())) as u64
    }
}

/// Buffers of a scattered or gathered transfer, all of which exist.
#[derive(Debug)]
pub(super) struct Vectors {
    places: Places,
    len: u32,
}

/// Nearly all transfers have one buffer, for which no list is made.
#[derive(Debug)]
enum Places {
    One(Place),
    Many(Vec<Place>),
}

impl Vectors {
    /// Number of bytes to transfer. At most as many as the memory has: beyond that the buffers
    /// overlap, and a short transfer is legal.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn places(&self) -> &[Place] {
        match &self.places {
            Places::One(place) => std::slice::from_ref(place),
            Places::Many(places) => places,
        }
    }
}

/// Checks that a range exists.
pub(super) fn place(memory: &[u8], at: u32, len: u32) -> Result<Place, AbiErrno> {
    let (start, len) = (at as usize, len as usize);
    let end = start.checked_add(len).ok_or(AbiErrno::Fault)?;
    if end > memory.len() {
        return Err(AbiErrno::Fault);
    }
    Ok(Place(start..end))
}

/// Checks that an array exists.
pub(super) fn places(memory: &[u8], at: u32, count: u32, size: u32) -> Result<Place, AbiErrno> {
    place(memory, at, count.checked_mul(size).ok_or(AbiErrno::Fault)?)
}

/// The bytes of a place.
pub(super) fn read<'a>(memory: &'a [u8], place: &Place) -> &'a [u8] {
    &memory[place.0.clone()]
}

/// Writes to the start of a place.
pub(super) fn write(memory: &mut [u8], place: &Place, data: &[u8]) {
    assert!(data.len() <= place.len(), "W-1: nothing is written outside a checked place");
    memory[place.0.start..][..data.len()].copy_from_slice(data);
}

/// A little-endian number at an offset of a record.
pub(super) fn u32_at(record: &[u8], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&record[at..at + 4]);
    u32::from_le_bytes(bytes)
}

/// A little-endian number at an offset of a record.
pub(super) fn u64_at(record: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&record[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// A path, copied out of the memory.
pub(super) fn path(memory: &[u8], at: u32, len: u32) -> Result<Bytes, AbiErrno> {
    let place = place(memory, at, len)?;
    if len > abi::PATH_BYTES_MAX {
        return Err(AbiErrno::Nametoolong);
    }
    let bytes = read(memory, &place);
    if bytes.contains(&0) {
        return Err(AbiErrno::Inval);
    }
    Ok(Bytes::copy_from_slice(bytes))
}

/// The buffers of an array of vectors.
pub(super) fn vectors(memory: &[u8], at: u32, count: u32) -> Result<Vectors, AbiErrno> {
    if count > abi::VECTOR_COUNT_MAX {
        return Err(AbiErrno::Inval);
    }
    let array = places(memory, at, count, abi::VECTOR_BYTES)?;
    let mut places = read(memory, &array)
        .chunks_exact(abi::VECTOR_BYTES as usize)
        .map(|vector| place(memory, u32_at(vector, 0), u32_at(vector, 4)));
    let places = match (count, places.next()) {
        (1, Some(only)) => Places::One(only?),
        (_, first) => Places::Many(first.into_iter().chain(places).collect::<Result<_, _>>()?),
    };
    let mut vectors = Vectors { places, len: 0 };
    // At most 1024 * 4 GiB: no overflow.
    let asked: u64 = vectors.places().iter().map(|place| place.len() as u64).sum();
    vectors.len = asked.min(memory.len() as u64).min(u64::from(u32::MAX)) as u32;
    Ok(vectors)
}

/// Collects the bytes of all buffers.
pub(super) fn gather(memory: &[u8], vectors: &Vectors) -> Bytes {
    let len = vectors.len as usize;
    if let [only] = vectors.places() {
        return Bytes::copy_from_slice(read(memory, only));
    }
    let mut data = Vec::with_capacity(len);
    for place in vectors.places() {
        let bytes = read(memory, place);
        data.extend_from_slice(&bytes[..bytes.len().min(len - data.len())]);
    }
    data.into()
}

/// Hands bytes out to the buffers, in order.
pub(super) fn scatter(memory: &mut [u8], vectors: &Vectors, mut data: &[u8]) {
    assert!(data.len() <= vectors.len as usize, "W-1: no more arrives than was asked for");
    for place in vectors.places() {
        let (now, later) = data.split_at(data.len().min(place.len()));
        write(memory, place, now);
        data = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory_with(vectors: &[(u32, u32)]) -> Vec<u8> {
        let mut memory = vec![0; 64];
        for (index, (at, len)) in vectors.iter().enumerate() {
            memory[index * 8..][..4].copy_from_slice(&at.to_le_bytes());
            memory[index * 8 + 4..][..4].copy_from_slice(&len.to_le_bytes());
        }
        memory
    }

    #[test]
    fn a_place_exists_or_is_refused_for_all_small_ranges() {
        let memory = [0; 5];
        for at in 0..8 {
            for len in 0..8 {
                assert_eq!(place(&memory, at, len).is_ok(), at + len <= 5, "{at}+{len}");
            }
        }
        assert!(place(&memory, u32::MAX, u32::MAX).is_err());
        assert!(places(&memory, 0, u32::MAX, 8).is_err());
    }

    #[test]
    fn one_bad_buffer_refuses_all() {
        let memory = memory_with(&[(32, 4), (62, 3)]);
        assert_eq!(vectors(&memory, 0, 2).err(), Some(AbiErrno::Fault));
        assert_eq!(vectors(&memory, 0, 1).expect("the first is good").len(), 4);
        assert_eq!(vectors(&memory, 0, 1025).err(), Some(AbiErrno::Inval));
        assert_eq!(vectors(&memory, 60, 1).err(), Some(AbiErrno::Fault));
    }

    #[test]
    fn what_is_scattered_is_gathered() {
        let mut memory = memory_with(&[(32, 3), (40, 0), (50, 4)]);
        let vectors = vectors(&memory, 0, 3).expect("the buffers exist");
        scatter(&mut memory, &vectors, b"abcdefg");
        assert_eq!(gather(&memory, &vectors), &b"abcdefg"[..]);
    }

    #[test]
    fn overlapping_buffers_transfer_at_most_the_memory() {
        let memory = memory_with(&[(0, 64), (0, 64)]);
        let vectors = vectors(&memory, 0, 2).expect("the buffers exist");
        assert_eq!(vectors.len(), 64);
        assert_eq!(gather(&memory, &vectors).len(), 64);
    }

    #[test]
    fn a_path_is_bytes_without_nul_within_the_bound() {
        let memory = b"a\xff\0b";
        assert_eq!(path(memory, 0, 2).expect("bytes are names"), &b"a\xff"[..]);
        assert_eq!(path(memory, 0, 4), Err(AbiErrno::Inval));
        assert_eq!(path(memory, 0, 5), Err(AbiErrno::Fault));
        assert_eq!(path(&[b'x'; 5000], 0, 4097), Err(AbiErrno::Nametoolong));
    }
}
