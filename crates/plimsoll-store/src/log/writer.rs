//! The end of the log that groups are appended to.

use core::time::Duration;
use std::io;
use std::sync::Arc;

use crate::clock::Clock;
use crate::disk::write_all_at;
use crate::log::BLOCK_BYTES;
use crate::log::group::{Group, GroupBuilder, GroupHeader, stored_bytes};
use crate::log::recovery::Position;
use crate::log::segment::Segment;
use crate::log::segments::Segments;
use crate::store::Revision;

/// Why a group is not in the log, or may not be.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// It is not, and will not be found by any recovery.
    NotWritten(Arc<str>),
    /// It may be found by a recovery.
    Unknown(Arc<str>),
}

/// The writing end. Used by one thread.
#[derive(Debug)]
pub(crate) struct Log {
    segments: Arc<Segments>,
    clock: Clock,
    store_id: u64,
    current: Option<Segment>,
    offset: u64,
    /// Of the last group.
    position: Position,
}

/// A group that is on the disk.
pub(crate) struct Appended {
    pub(crate) group: Group,
    /// How long the sync took.
    pub(crate) flush: Duration,
}

impl Log {
    pub(crate) fn new(
        segments: Arc<Segments>,
        clock: Clock,
        store_id: u64,
        tail: Option<(Segment, u64)>,
        position: Position,
    ) -> Self {
        let (current, offset) = tail.map_or((None, 0), |(segment, at)| (Some(segment), at));
        if let Some(segment) = &current {
            segments.set_current(segment.clone());
        }
        Self { segments, clock, store_id, current, offset, position }
    }

    /// The last group that is in the log.
    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    /// Writes a group and makes it durable. After an error the log takes nothing
    /// more.
    pub(crate) fn append(
        &mut self,
        builder: &mut GroupBuilder,
        first_revision: Revision,
    ) -> Result<Appended, AppendError> {
        let segment = self.room_for(stored_bytes(builder.payload_bytes()))?;
        let mut header = GroupHeader {
            crc: 0,
            store_id: self.store_id,
            segment_id: segment.id,
            sequence: self.position.sequence + 1,
            first_revision,
            payload_bytes: 0,
            txns: 0,
            previous_crc: self.position.crc,
            history: self.position.history,
        };
        segment.file.begin_group(builder.txns());
        let bytes = builder.seal(&mut header);
        if let Err(error) = write_all_at(&*segment.file, self.offset, bytes) {
            return Err(self.take_back(&segment, &error));
        }
        let started = self.clock.now();
        if let Err(error) = segment.file.sync_data() {
            // The kernel may have dropped the pages and forgotten the error: no
            // later sync can be believed.
            let reason = format!("sync of log segment {} failed: {error}", segment.name);
            return Err(AppendError::Unknown(reason.into()));
        }
        let flush = self.clock.now() - started;
        self.offset += header.stored_bytes();
        self.position = Position {
            sequence: header.sequence,
            revision: header.last_revision(),
            crc: header.crc,
            history: header.history,
        };
        Ok(Appended { group: builder.group(header), flush })
    }

    /// Voids the header of a group that was written in part, durably, so that
    /// nobody finds it.
    fn take_back(&self, segment: &Segment, error: &io::Error) -> AppendError {
        let reason: Arc<str> =
            format!("write to log segment {} at {} failed: {error}", segment.name, self.offset)
                .into();
        let voided = write_all_at(&*segment.file, self.offset, &[0; BLOCK_BYTES])
            .and_then(|()| segment.file.sync_data());
        match voided {
            Ok(()) => AppendError::NotWritten(reason),
            Err(_) => AppendError::Unknown(reason),
        }
    }

    fn room_for(&mut self, bytes: u64) -> Result<Segment, AppendError> {
        if let Some(segment) = &self.current
            && self.offset + bytes <= segment.bytes
        {
            return Ok(segment.clone());
        }
        let next = self.segments.next().map_err(AppendError::NotWritten)?;
        if let Some(full) = self.current.replace(next.clone()) {
            self.segments.retire(full, self.position.sequence);
        }
        self.segments.set_current(next.clone());
        self.offset = Segment::START;
        Ok(next)
    }
}
