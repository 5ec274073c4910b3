//! The rows of a file of values.

use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{File, read_exact_at};
use crate::state::base::BaseError;
use crate::state::values::{damaged, failed};
use crate::store::Key;

/// Checksum, length of the key, length of the value.
const HEADER_BYTES: usize = 12;
/// How much is read at a time: little enough that the allocator has it at hand, and the
/// processor's cache holds it.
const READ_BYTES: usize = 128 << 10;

/// One row, whole.
#[derive(Debug)]
pub(in crate::state) struct Row {
    pub(in crate::state) key: Key,
    pub(super) value: Bytes,
    pub(super) bytes: Bytes,
    /// Where it was read.
    pub(in crate::state) file: u32,
    pub(in crate::state) offset: u32,
}

/// Appends a row. Returns its length.
pub(super) fn push(buffer: &mut Vec<u8>, key: &[u8], value: &[u8]) -> usize {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&(key.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&(value.len() as u32).to_le_bytes());
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(value);
    let crc = crc32c::crc32c(&buffer[start + 4..]);
    buffer[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    buffer.len() - start
}

/// The row at the start of some bytes, if they hold all of it and it is whole.
pub(super) fn parse(bytes: &Bytes) -> Option<Row> {
    let (length, key_bytes) = (length(bytes)?, field(bytes, 4)?);
    let row = (length <= bytes.len()).then(|| bytes.slice(..length))?;
    if crc32c::crc32c(&row[4..]) != field(&row, 0)? as u32 {
        return None;
    }
    let key = row.slice(HEADER_BYTES..HEADER_BYTES + key_bytes);
    let value = row.slice(HEADER_BYTES + key_bytes..);
    Some(Row { key, value, bytes: row, file: 0, offset: 0 })
}

/// How long the row at the start of some bytes says that it is.
fn length(bytes: &[u8]) -> Option<usize> {
    HEADER_BYTES.checked_add(field(bytes, 4)?)?.checked_add(field(bytes, 8)?)
}

fn field(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at + 4)?;
    field.try_into().ok().map(|field| u32::from_le_bytes(field) as usize)
}

/// Reads a file from its start to its end.
#[derive(Debug)]
pub(in crate::state) struct Rows {
    number: u32,
    file: Arc<dyn File>,
    bytes: u64,
    /// Of the next row.
    offset: u64,
    /// What has been read from there on.
    ahead: Bytes,
}

impl Rows {
    pub(super) fn new(number: u32, file: Arc<dyn File>, bytes: u64) -> Self {
        Self { number, file, bytes, offset: 0, ahead: Bytes::new() }
    }

    fn read_next(&mut self) -> Result<Row, BaseError> {
        // First what shows how much is needed, if it is not there yet.
        self.read_ahead(HEADER_BYTES)?;
        let missing = || damaged(self.number, self.offset);
        let length = length(&self.ahead).ok_or_else(missing)?;
        self.read_ahead(length)?;
        let missing = || damaged(self.number, self.offset);
        let mut row = parse(&self.ahead).ok_or_else(missing)?;
        (row.file, row.offset) = (self.number, self.offset as u32);
        self.ahead = self.ahead.slice(length..);
        self.offset += length as u64;
        Ok(row)
    }

    /// Sees to it that so many bytes are there, if the file has them.
    fn read_ahead(&mut self, bytes: usize) -> Result<(), BaseError> {
        if self.ahead.len() >= bytes {
            return Ok(());
        }
        let left = self.bytes.saturating_sub(self.offset);
        let mut ahead = vec![0; left.min(bytes.max(READ_BYTES) as u64) as usize];
        read_exact_at(&*self.file, self.offset, &mut ahead)
            .map_err(|error| failed(self.number, &error))?;
        self.ahead = ahead.into();
        Ok(())
    }
}

impl Iterator for Rows {
    type Item = Result<Row, BaseError>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.offset < self.bytes).then(|| self.read_next())
    }
}
