//! Reading the log from a revision on: files first, then memory.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::disk::{File, read_exact_at};
use crate::engine::Shared;
use crate::log::{Group, History, Segment, Segments, parse_group, stored_len};
use crate::ship::shipment::Shipment;
use crate::ship::tail::TailReader;
use crate::store::Revision;

/// Read from a file at a time, in bytes; more for a group that is longer.
const WINDOW_BYTES: usize = 1 << 20;

/// Why the log cannot be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadLogError {
    /// The log does not go back that far any more: begin with a snapshot.
    #[error("the log does not hold revision {wanted} any more")]
    Recycled {
        /// The first revision that was wanted.
        wanted: Revision,
    },
    /// What the other store was told is not what this one was told.
    #[error(
        "diverged: the other store's digest at revision {revision} is {theirs}, which is not \
         the one here"
    )]
    Diverged {
        /// Where they were compared.
        revision: Revision,
        /// The other's digest there.
        theirs: History,
    },
    /// A file could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// See the module. Reads block on files for a moment.
#[derive(Debug)]
pub struct LogReader {
    shared: Arc<Shared>,
    segments: Arc<Segments>,
    tail: TailReader,
    /// The last transaction that was read.
    after: Revision,
    /// Claimed by who reads, until the first group has shown that it is right.
    claimed: Option<History>,
    place: Option<Place>,
}

/// Where in the files it reads.
#[derive(Debug)]
struct Place {
    segment: Segment,
    offset: u64,
    /// Of the last group, once one was read here.
    sequence: Option<u64>,
    window: Bytes,
}

impl LogReader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        segments: Arc<Segments>,
        after: Revision,
        history: History,
    ) -> Result<Self, ReadLogError> {
        // Subscribed before anything is looked at: nothing falls between.
        let tail = shared.tail.subscribe();
        let latest = shared.published.latest();
        let diverged = ReadLogError::Diverged { revision: after, theirs: history };
        let claimed = match after.cmp(&latest.revision) {
            core::cmp::Ordering::Less => Some(history),
            core::cmp::Ordering::Equal if latest.history == history => None,
            _ => return Err(diverged),
        };
        Ok(Self { shared, segments, tail, after, claimed, place: None })
    }

    /// The last revision that was read.
    pub const fn position(&self) -> Revision {
        self.after
    }

    /// The next group, if one is committed.
    ///
    /// # Errors
    /// See [`ReadLogError`]; nothing more can be read then.
    pub fn next_group(&mut self) -> Result<Option<Shipment>, ReadLogError> {
        let committed = self.shared.published.latest().revision;
        if self.after >= committed {
            return Ok(None);
        }
        let shipment = match self.tail.get(self.after + 1) {
            Some(shipment) => {
                self.place = None;
                shipment
            }
            None => self.read_files(committed)?,
        };
        if let Some(claimed) = self.claimed.take()
            && shipment.history_after(claimed) != Some(shipment.history)
        {
            return Err(ReadLogError::Diverged { revision: self.after, theirs: claimed });
        }
        self.after = shipment.last_revision();
        Ok(Some(shipment))
    }

    /// Waits until something is committed.
    pub async fn changed(&mut self) {
        self.tail.changed().await;
    }

    fn read_files(&mut self, committed: Revision) -> Result<Shipment, ReadLogError> {
        let recycled = ReadLogError::Recycled { wanted: self.after + 1 };
        if self.place.is_none() {
            self.place = self.seek()?;
        }
        loop {
            let Some(place) = &mut self.place else { return Err(recycled) };
            match place.next(self.segments.store_id())? {
                Some(group) => {
                    let shipment = Shipment::of(&group, None);
                    // A probe has no transactions; what is not synced is not read.
                    if shipment.last_revision() > committed {
                        return Err(recycled);
                    }
                    if shipment.first_revision > self.after + 1 {
                        return Err(recycled);
                    }
                    if let Some(shipment) = shipment.after(self.after) {
                        return Ok(shipment);
                    }
                }
                None => self.place = self.next_place()?,
            }
        }
    }

    /// The newest segment that does not begin after what is wanted.
    fn seek(&self) -> Result<Option<Place>, ReadLogError> {
        for segment in self.segments.readable().into_iter().rev() {
            let mut place = Place::new(segment.clone());
            if let Some(group) = place.next(self.segments.store_id())?
                && group.header.first_revision <= self.after + 1
            {
                return Ok(Some(Place::new(segment)));
            }
        }
        Ok(None)
    }

    /// The start of the segment behind this one, if its first group follows.
    fn next_place(&self) -> Result<Option<Place>, ReadLogError> {
        let Some(place) = &self.place else { return Ok(None) };
        let Some(sequence) = place.sequence else { return Ok(None) };
        for segment in self.segments.readable() {
            if segment.id <= place.segment.id {
                continue;
            }
            let mut next = Place::new(segment);
            let first = next.next(self.segments.store_id())?;
            if first.is_some_and(|group| group.header.sequence == sequence + 1) {
                return Ok(Some(Place::new(next.segment)));
            }
        }
        Ok(None)
    }
}

impl Place {
    fn new(segment: Segment) -> Self {
        Self { segment, offset: Segment::START, sequence: None, window: Bytes::new() }
    }

    /// The next whole group of this use of the segment. A file that is used again
    /// meanwhile gives none: its groups name another use.
    fn next(&mut self, store_id: u64) -> io::Result<Option<Group>> {
        let parsed = self.parse(store_id);
        let parsed = match parsed {
            Some(group) => Some(group),
            None => {
                self.refill()?;
                self.parse(store_id)
            }
        };
        Ok(parsed.inspect(|group| {
            let bytes = stored_len(group);
            self.offset += bytes;
            self.window = self.window.slice((bytes as usize).min(self.window.len())..);
            self.sequence = Some(group.header.sequence);
        }))
    }

    fn parse(&self, store_id: u64) -> Option<Group> {
        let group = parse_group(&self.window)?;
        let header = group.header;
        let follows = self.sequence.is_none_or(|last| header.sequence == last + 1);
        let here = header.store_id == store_id && header.segment_id == self.segment.id;
        (here && follows).then_some(group)
    }

    fn refill(&mut self) -> io::Result<()> {
        let room = self.segment.bytes.saturating_sub(self.offset) as usize;
        let read = |bytes: usize| read_at(&*self.segment.file, self.offset, bytes.min(room));
        self.window = read(WINDOW_BYTES)?;
        if let Some(bytes) = crate::log::group_len(&self.window)
            && bytes > self.window.len()
            && bytes <= room
        {
            self.window = read(bytes)?;
        }
        Ok(())
    }
}

fn read_at(file: &dyn File, offset: u64, bytes: usize) -> io::Result<Bytes> {
    let mut buffer = BytesMut::zeroed(bytes);
    read_exact_at(file, offset, &mut buffer)?;
    Ok(buffer.freeze())
}
