//! A block: some keys in order, with the places of their values.

use core::cmp::Ordering;

use crate::state::base::BaseError;
use crate::state::values::Place;

/// Length of the key; file, offset and length of the row; revision.
const HEADER_BYTES: usize = 24;

/// Appends an entry.
pub(super) fn push(block: &mut Vec<u8>, key: &[u8], place: Place) {
    let Place { file, offset, bytes, revision } = place;
    for field in [key.len() as u32, file, offset, bytes] {
        block.extend_from_slice(&field.to_le_bytes());
    }
    block.extend_from_slice(&revision.to_le_bytes());
    block.extend_from_slice(key);
}

/// The entries of a block, or of what is left of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries<'b>(pub(super) &'b [u8]);

impl<'b> Entries<'b> {
    fn parse(&mut self) -> Option<(&'b [u8], Place)> {
        let (header, rest) = self.0.split_first_chunk::<HEADER_BYTES>()?;
        let (fields, _) = header.as_chunks::<4>();
        let field = |n: usize| u32::from_le_bytes(fields[n]);
        let (key, rest) = rest.split_at_checked(field(0) as usize)?;
        let revision = u64::from(field(4)) | (u64::from(field(5)) << 32);
        let place = Place { file: field(1), offset: field(2), bytes: field(3), revision };
        self.0 = rest;
        Some((key, place))
    }
}

impl<'b> Iterator for Entries<'b> {
    type Item = Result<(&'b [u8], Place), BaseError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| {
            self.parse().ok_or_else(|| BaseError::new("a block of the index is cut short".into()))
        })
    }
}

/// The place of a key.
pub(super) fn find(block: &[u8], key: &[u8]) -> Result<Option<Place>, BaseError> {
    for entry in Entries(block) {
        let (other, place) = entry?;
        match other.cmp(key) {
            Ordering::Less => {}
            Ordering::Equal => return Ok(Some(place)),
            Ordering::Greater => break,
        }
    }
    Ok(None)
}

/// Cuts a block that has become too long into equal parts of whole entries.
pub(super) fn split(block: &[u8], bytes_max: usize) -> Result<Vec<&[u8]>, BaseError> {
    // Room to grow in each, if there are to be several.
    let parts = if block.len() <= bytes_max { 1 } else { block.len().div_ceil(bytes_max / 4 * 3) };
    let part_bytes = block.len().div_ceil(parts.max(1));
    let mut done = Vec::with_capacity(parts);
    let (mut rest, mut entries) = (block, Entries(block));
    while entries.next().transpose()?.is_some() {
        let bytes = rest.len() - entries.0.len();
        if bytes >= part_bytes || entries.0.is_empty() {
            let (part, behind) = rest.split_at(bytes);
            done.push(part);
            rest = behind;
        }
    }
    Ok(done)
}
