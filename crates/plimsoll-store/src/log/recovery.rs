//! What the log holds after a stop of any kind.
//!
//! The walk follows the chain of sequences and checksums from the last group
//! that the state behind the log has, and ends at the first bad group. If a whole
//! group of a higher sequence exists anywhere, the bad one had been synced before
//! that one was written: it is damage, not a torn tail, and nothing may be served.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{Disk, File, read_exact_at, write_all_at};
use crate::log::BLOCK_BYTES;
use crate::log::group::{self, Group, GroupHeader, HEADER_BYTES};
use crate::log::history::History;
use crate::log::segment::{FreeFile, Segment, file_number};
use crate::log::segments::Inventory;
use crate::store::Revision;

/// How much is read at a time in search of groups.
const SCAN_BYTES: usize = 1 << 20;

/// A group, by what the next one must fit to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    /// Of its last transaction.
    pub(crate) revision: Revision,
    pub(crate) crc: u32,
    pub(crate) history: History,
}

/// A group that had been acknowledged is no longer readable.
#[derive(Debug, thiserror::Error)]
#[error(
    "log damaged: {} at offset {offset}: group {sequence} is not readable, \
     but the later group {later} is there", path.display()
)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where the bad group starts, in bytes.
    pub offset: u64,
    /// Its number.
    pub sequence: u64,
    /// The number of a whole group behind it.
    pub later: u64,
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverError {
    #[error(transparent)]
    Damage(#[from] Damage),
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// The log after recovery.
pub(crate) struct Recovered {
    pub(crate) inventory: Inventory,
    /// Where to go on: the segment and the offset in it.
    pub(crate) tail: Option<(Segment, u64)>,
    /// The last group.
    pub(crate) position: Position,
}

/// Hands every group after `applied` to `apply`, in order, and makes sure that
/// the last one is durable.
pub(crate) fn recover(
    disk: &dyn Disk,
    store_id: u64,
    applied: Position,
    apply: &mut dyn FnMut(&Group),
) -> Result<Recovered, RecoverError> {
    let mut walk = Walk::open(disk, store_id, applied)?;
    walk.run(apply)?;
    walk.refuse_damage()?;
    walk.finish()
}

/// A place, and the group there with its bytes.
type Fit = ((usize, u64), (Group, Vec<u8>));

/// A segment with a whole header, or a file without one.
struct Found {
    name: Arc<str>,
    file: Arc<dyn File>,
    bytes: u64,
    id: Option<u64>,
}

struct Walk<'a> {
    disk: &'a dyn Disk,
    store_id: u64,
    applied: Position,
    /// By id, those without a header first.
    files: Vec<Found>,
    next_number: u64,
    position: Position,
    /// The last group's file, its start, and its bytes.
    last: Option<(usize, u64, Vec<u8>)>,
    /// The file and the offset at which the walk ended.
    end: Option<(usize, u64)>,
    /// The last group of the chain; before the state's if the chain broke there.
    reached: u64,
    /// Files walked through to their end, with the last sequence in them.
    walked: Vec<(usize, u64)>,
}

impl<'a> Walk<'a> {
    fn open(disk: &'a dyn Disk, store_id: u64, applied: Position) -> Result<Self, RecoverError> {
        let in_dir = |error| RecoverError::Io { path: disk.path(""), error };
        let mut files = Vec::new();
        let mut next_number = 1;
        for name in disk.list().map_err(in_dir)? {
            let Some(number) = file_number(&name) else { continue };
            next_number = next_number.max(number + 1);
            let opened = disk.open(&name).and_then(|file| {
                let Some(file) = file else { return Ok(None) };
                let (bytes, id) = (file.len()?, Segment::read_id(&*file, store_id)?);
                Ok(Some(Found { name: name.as_str().into(), file, bytes, id }))
            });
            let opened =
                opened.map_err(|error| RecoverError::Io { path: disk.path(&name), error })?;
            files.extend(opened);
        }
        files.sort_by_key(|found| found.id);
        Ok(Self {
            disk,
            store_id,
            applied,
            files,
            next_number,
            position: applied,
            last: None,
            end: None,
            reached: 0,
            walked: Vec::new(),
        })
    }

    /// Follows the chain.
    fn run(&mut self, apply: &mut dyn FnMut(&Group)) -> Result<(), RecoverError> {
        let Some(start) = self.start()? else { return Ok(()) };
        let mut at = (start, Segment::START);
        let mut expected: Option<Position> = None;
        self.end = Some(at);
        loop {
            let next = match self.fits(at, expected)? {
                Some(group) => Some((at, group)),
                None if expected.is_some() => self.fits_later(at.0, expected)?,
                None => None,
            };
            let Some(((index, offset), (group, raw))) = next else { return Ok(()) };
            if index != at.0 {
                self.walked.push((at.0, expected.map_or(0, |last| last.sequence)));
            }
            let header = group.header;
            let here = Position {
                sequence: header.sequence,
                revision: header.last_revision(),
                crc: header.crc,
                history: header.history,
            };
            if header.sequence > self.applied.sequence {
                apply(&group);
                self.position = here;
            }
            expected = Some(here);
            self.reached = here.sequence;
            at = (index, offset + header.stored_bytes());
            self.last = Some((index, offset, raw));
            self.end = Some(at);
        }
    }

    /// The segment may be full: then the chain goes on at the start of a later one.
    /// Not always of the next: a segment that was made ready before a restart and
    /// not used keeps its id until its file is used.
    fn fits_later(
        &self,
        index: usize,
        expected: Option<Position>,
    ) -> Result<Option<Fit>, RecoverError> {
        for later in index + 1..self.files.len() {
            let start = (later, Segment::START);
            if let Some(group) = self.fits(start, expected)? {
                return Ok(Some((start, group)));
            }
        }
        Ok(None)
    }

    /// The newest segment whose first group is not after the first one needed.
    fn start(&self) -> Result<Option<usize>, RecoverError> {
        for index in (0..self.files.len()).rev() {
            let first = self.group((index, Segment::START))?;
            if first.is_some_and(|(group, _)| group.header.sequence <= self.applied.sequence + 1) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// The group at a place, if it is whole and follows `expected`.
    fn fits(
        &self,
        at: (usize, u64),
        expected: Option<Position>,
    ) -> Result<Option<(Group, Vec<u8>)>, RecoverError> {
        let found = self.group(at)?.filter(|(group, _)| {
            let header = group.header;
            expected.is_none_or(|last| {
                header.sequence == last.sequence + 1 && header.previous_crc == last.crc
            })
        });
        // The state behind the log may hold the group before the first of a segment.
        Ok(found.filter(|(group, _)| {
            let header = group.header;
            let follows = header.sequence == self.applied.sequence + 1;
            !follows || header.previous_crc == self.applied.crc
        }))
    }

    /// The group at a place, if it is whole and was written in this use of the
    /// file.
    fn group(
        &self,
        (index, offset): (usize, u64),
    ) -> Result<Option<(Group, Vec<u8>)>, RecoverError> {
        let found = &self.files[index];
        let Some(id) = found.id else { return Ok(None) };
        let group = self.read_group(found, offset)?;
        Ok(group.filter(|(group, _)| group.header.segment_id == id))
    }

    fn read_group(
        &self,
        found: &Found,
        offset: u64,
    ) -> Result<Option<(Group, Vec<u8>)>, RecoverError> {
        let io = |error| RecoverError::Io { path: self.disk.path(&found.name), error };
        let mut head = [0; HEADER_BYTES];
        if offset + HEADER_BYTES as u64 > found.bytes {
            return Ok(None);
        }
        read_exact_at(&*found.file, offset, &mut head).map_err(io)?;
        let Some(header) = GroupHeader::parse(&head) else { return Ok(None) };
        if header.store_id != self.store_id || offset + header.stored_bytes() > found.bytes {
            return Ok(None);
        }
        let mut raw = vec![0; HEADER_BYTES + header.payload_bytes as usize];
        read_exact_at(&*found.file, offset, &mut raw).map_err(io)?;
        if group::checksum(&raw) != header.crc {
            return Ok(None);
        }
        let payload = Bytes::copy_from_slice(&raw[HEADER_BYTES..]);
        Ok(Some((Group { header, payload }, raw)))
    }

    /// Looks for whole groups that the walk should have reached.
    fn refuse_damage(&self) -> Result<(), RecoverError> {
        let mut first: Option<(u64, usize, u64)> = None;
        for index in 0..self.files.len() {
            self.scan(index, &mut |sequence, offset| {
                if first.is_none_or(|(least, ..)| sequence < least) {
                    first = Some((sequence, index, offset));
                }
            })?;
        }
        let Some((later, index, offset)) = first else { return Ok(()) };
        // The missing group is where the walk ended, unless the one found is in a
        // later segment and not the first of it.
        let (bad, offset) = match self.end {
            Some(end) if end.0 == index || offset == Segment::START => end,
            Some(_) => (index, Segment::START),
            None => (index, if offset == Segment::START { 0 } else { Segment::START }),
        };
        let path = self.disk.path(&self.files[bad].name);
        Err(Damage { path, offset, sequence: self.position.sequence + 1, later }.into())
    }

    /// Calls `hit` for every whole group with a sequence after the last.
    fn scan(&self, index: usize, hit: &mut dyn FnMut(u64, u64)) -> Result<(), RecoverError> {
        let found = &self.files[index];
        let mut chunk = vec![0; SCAN_BYTES.min(found.bytes as usize)];
        let mut base = 0;
        while base < found.bytes {
            let bytes = (found.bytes - base).min(chunk.len() as u64) as usize;
            read_exact_at(&*found.file, base, &mut chunk[..bytes])
                .map_err(|error| RecoverError::Io { path: self.disk.path(&found.name), error })?;
            for block in (0..bytes).step_by(BLOCK_BYTES) {
                let Some(head) = chunk[..bytes].get(block..block + HEADER_BYTES) else { continue };
                let Some(header) = head.try_into().ok().and_then(GroupHeader::parse) else {
                    continue;
                };
                let offset = base + block as u64;
                if header.sequence > self.position.sequence
                    && self.read_group(found, offset)?.is_some()
                {
                    hit(header.sequence, offset);
                }
            }
            base += bytes as u64;
        }
        Ok(())
    }

    /// Files before the walk that hold the chain up to there, oldest first: what a
    /// follower may still want. Whoever reads them follows the chain once more.
    fn retained(&self) -> Result<Vec<usize>, RecoverError> {
        let first_walked = self.walked.first().map(|&(index, _)| index);
        let Some(start) = first_walked.or_else(|| self.end.map(|(index, _)| index)) else {
            return Ok(Vec::new());
        };
        let Some((first, _)) = self.group((start, Segment::START))? else { return Ok(Vec::new()) };
        let mut sequence = first.header.sequence;
        let mut retained = Vec::new();
        for index in (0..start).rev() {
            let first = self.group((index, Segment::START))?;
            let Some((group, _)) = first.filter(|(group, _)| group.header.sequence < sequence)
            else {
                continue;
            };
            sequence = group.header.sequence;
            retained.insert(0, index);
        }
        Ok(retained)
    }

    /// Sorts the files into those in use and those to use again.
    fn finish(self) -> Result<Recovered, RecoverError> {
        if let Some((index, offset, raw)) = &self.last {
            // It may sit in the page cache only, if the process was killed between
            // the write and the sync. Every group before it was synced.
            let found = &self.files[*index];
            write_all_at(&*found.file, *offset, raw)
                .and_then(|()| found.file.sync_data())
                .map_err(|error| RecoverError::Io { path: self.disk.path(&found.name), error })?;
        }
        let retained = self.retained()?;
        let mut inventory = Inventory {
            retained: VecDeque::new(),
            full: VecDeque::new(),
            free: Vec::new(),
            next_id: self.files.iter().filter_map(|found| found.id).max().unwrap_or(0) + 1,
            next_number: self.next_number,
        };
        // A chain that broke before what the state holds is not needed any more,
        // and must not be continued.
        let continued = self.reached == self.position.sequence;
        let mut tail = None;
        for (index, found) in self.files.into_iter().enumerate() {
            let Found { name, file, bytes, id } = found;
            let segment = Segment { name, file, id: id.unwrap_or(0), bytes };
            let end = self.end.filter(|&(last, _)| continued && last == index);
            let full = self.walked.iter().find(|&&(walked, _)| walked == index);
            match (end, full) {
                (Some((_, offset)), _) => tail = Some((segment, offset)),
                (None, Some(&(_, last))) => inventory.full.push_back((segment, last)),
                (None, None) if continued && retained.contains(&index) => {
                    inventory.retained.push_back(segment);
                }
                (None, None) => {
                    let Segment { name, file, bytes, .. } = segment;
                    inventory.free.push(FreeFile { name, file, bytes });
                }
            }
        }
        Ok(Recovered { inventory, tail, position: self.position })
    }
}
