//! Writing a file of values.

use std::sync::Arc;

use crate::disk::{Disk, File, write_all_at};
use crate::state::base::BaseError;
use crate::state::values::rows::push;
use crate::state::values::{Place, Row, failed, file_name};
use crate::store::Revision;

/// A longer one is followed by another. An offset has 32 bits.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Written at a time, while the next is made: a sync of the log waits behind one.
const WRITE_BYTES: usize = 256 << 10;

/// Writes what a checkpoint adds, into new files.
pub(in crate::state) struct ValueWriter<'d> {
    disk: &'d dyn Disk,
    next_number: u32,
    open: Option<Output>,
    done: Vec<Written>,
}

/// A file that is whole and durable, but for its name.
#[derive(Debug)]
pub(in crate::state) struct Written {
    pub(in crate::state) number: u32,
    pub(in crate::state) file: Arc<dyn File>,
    pub(in crate::state) bytes: u64,
}

struct Output {
    number: u32,
    file: Arc<dyn File>,
    written_bytes: u64,
    buffer: Vec<u8>,
}

impl<'d> ValueWriter<'d> {
    pub(in crate::state) fn new(disk: &'d dyn Disk, next_number: u32) -> Self {
        Self { disk, next_number, open: None, done: Vec::new() }
    }

    /// Where the value now is.
    pub(in crate::state) fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        revision: Revision,
    ) -> Result<Place, BaseError> {
        self.append(revision, |buffer| push(buffer, key, value))
    }

    /// Writes a row again.
    pub(in crate::state) fn copy(
        &mut self,
        row: &Row,
        revision: Revision,
    ) -> Result<Place, BaseError> {
        self.append(revision, |buffer| {
            buffer.extend_from_slice(&row.bytes);
            row.bytes.len()
        })
    }

    fn append(
        &mut self,
        revision: Revision,
        push: impl FnOnce(&mut Vec<u8>) -> usize,
    ) -> Result<Place, BaseError> {
        let mut output = match self.open.take() {
            Some(output) => output,
            None => self.create()?,
        };
        let offset = output.bytes() as u32;
        let bytes = push(&mut output.buffer) as u32;
        let place = Place { file: output.number, offset, bytes, revision };
        if output.buffer.len() >= WRITE_BYTES {
            output.flush()?;
        }
        if output.bytes() < FILE_BYTES_MAX {
            self.open = Some(output);
        } else {
            self.done.push(output.close()?);
        }
        Ok(place)
    }

    fn create(&mut self) -> Result<Output, BaseError> {
        let number = self.next_number;
        self.next_number += 1;
        let name = file_name(number);
        // An interrupted checkpoint may have left one.
        let file = self.disk.create(&name).and_then(|file| file.set_len(0).map(|()| file));
        let file = file.map_err(|error| failed(number, &error))?;
        Ok(Output { number, file, written_bytes: 0, buffer: Vec::with_capacity(2 * WRITE_BYTES) })
    }

    /// All files, durable.
    pub(in crate::state) fn finish(mut self) -> Result<Vec<Written>, BaseError> {
        if let Some(output) = self.open.take() {
            self.done.push(output.close()?);
        }
        if !self.done.is_empty() {
            self.disk.sync_dir().map_err(|error| BaseError::new(error.to_string()))?;
        }
        Ok(self.done)
    }
}

impl Output {
    fn bytes(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }

    fn flush(&mut self) -> Result<(), BaseError> {
        let Self { number, file, written_bytes, buffer } = self;
        write_all_at(&**file, *written_bytes, buffer).map_err(|error| failed(*number, &error))?;
        file.write_back(*written_bytes, buffer.len() as u64);
        *written_bytes += buffer.len() as u64;
        buffer.clear();
        Ok(())
    }

    fn close(mut self) -> Result<Written, BaseError> {
        self.flush()?;
        self.file.sync_data().map_err(|error| failed(self.number, &error))?;
        Ok(Written { number: self.number, file: self.file, bytes: self.written_bytes })
    }
}
