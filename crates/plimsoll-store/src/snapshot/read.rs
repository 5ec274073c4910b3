//! Reading a snapshot, from its first byte to its last.

use std::io::Read;

use bytes::Bytes;

use crate::snapshot::archive::{ArchiveReader, Sums};
use crate::snapshot::format::{
    FORMAT, META_FILE, Meta, SEALED_SUMS_FILE, STATE_DIR, SUMMARY_FILE, SUMS_FILE, SnapshotError,
    Summary, Tally, take_row,
};
use crate::store::{Entry, Key};

/// Entries of one file of a snapshot.
pub type Entries = Vec<(Key, Entry)>;

/// Reads and checks.
pub struct SnapshotReader<R: Read> {
    archive: ArchiveReader<R>,
    meta: Meta,
    sums: Sums,
    tally: Tally,
    /// Set when everything was there and right.
    end: Option<(Summary, Vec<u8>)>,
}

impl<R: Read> core::fmt::Debug for SnapshotReader<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SnapshotReader").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl<R: Read> SnapshotReader<R> {
    /// Reads what it is of.
    ///
    /// # Errors
    /// It is no snapshot.
    pub fn open(input: R) -> Result<Self, SnapshotError> {
        let mut archive = ArchiveReader::new(input);
        let (mut sums, tally) = Default::default();
        let meta = match archive.next()? {
            Some((name, content)) if name == META_FILE => {
                Sums::add(&mut sums, META_FILE, &content);
                serde_json::from_slice::<Meta>(&content)
                    .map_err(|_| SnapshotError::Format("its meta.json is not ours".to_owned()))?
            }
            _ => return Err(SnapshotError::Format("it does not begin with meta.json".to_owned())),
        };
        if meta.format != FORMAT {
            return Err(SnapshotError::Format(format!("found {:?}", meta.format)));
        }
        Ok(Self { archive, meta, sums, tally, end: None })
    }

    /// What it is of.
    pub const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The next entries; `None` at the end, when every checksum was right. Nothing of
    /// what came before is to be believed until then.
    ///
    /// # Errors
    /// It is cut short or altered.
    pub fn next_entries(&mut self) -> Result<Option<Entries>, SnapshotError> {
        if self.end.is_some() {
            return Ok(None);
        }
        let (name, content) = self.archive.next()?.ok_or(SnapshotError::Truncated)?;
        if name.starts_with(STATE_DIR) {
            self.sums.add(&name, &content);
            return self.entries(&name, content.into()).map(Some);
        }
        if name != SUMMARY_FILE {
            return Err(SnapshotError::altered(&name));
        }
        self.sums.add(&name, &content);
        let summary: Summary =
            serde_json::from_slice(&content).map_err(|_| SnapshotError::altered(&name))?;
        let sealed = self.check_sums()?;
        if summary != self.tally.summary() {
            return Err(SnapshotError::altered("the digest of all entries"));
        }
        self.end = Some((summary, sealed));
        Ok(None)
    }

    /// Reads to the end. What was in it, and the sealed sums.
    ///
    /// # Errors
    /// As [`SnapshotReader::next_entries`].
    pub fn verify(mut self) -> Result<(Meta, Summary), SnapshotError> {
        while self.next_entries()?.is_some() {}
        let (summary, _) = self.end.ok_or(SnapshotError::Truncated)?;
        Ok((self.meta, summary))
    }

    /// The sums and their sealed form, once the end was reached.
    pub fn sealed_sums(&self) -> Option<(&[u8], &[u8])> {
        self.end.as_ref().map(|(_, sealed)| (self.sums.text(), &**sealed))
    }

    /// What was in it, once the end was reached.
    pub fn summary(&self) -> Option<&Summary> {
        self.end.as_ref().map(|(summary, _)| summary)
    }

    fn entries(&mut self, name: &str, mut rows: Bytes) -> Result<Entries, SnapshotError> {
        let mut entries = Entries::new();
        while !rows.is_empty() {
            let row = take_row(&mut rows).ok_or_else(|| SnapshotError::altered(name))?;
            self.tally.add(&row.0, &row.1);
            entries.push(row);
        }
        Ok(entries)
    }

    fn check_sums(&mut self) -> Result<Vec<u8>, SnapshotError> {
        let (name, sums) = self.archive.next()?.ok_or(SnapshotError::Truncated)?;
        if name != SUMS_FILE || sums != self.sums.text() {
            return Err(SnapshotError::altered("a checksum in SHA256SUMS"));
        }
        let (name, sealed) = self.archive.next()?.ok_or(SnapshotError::Truncated)?;
        if name != SEALED_SUMS_FILE || self.archive.next()?.is_some() {
            return Err(SnapshotError::altered("the end of the archive"));
        }
        Ok(sealed)
    }
}
