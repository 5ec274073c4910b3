//! Where the values are: in files of their own, each written once, in the order of
//! its keys, by one checkpoint.
//!
//! A tree that holds the values is rewritten almost whole by every checkpoint, since
//! random keys touch nearly all of its pages. So the tree holds only where a value
//! is. Whatever is overwritten there is dead. When more than half of everything is,
//! the next checkpoint moves what is alive in the deadest files along with what it
//! writes anyway: rows and changes come in the same order, so each part of the tree is
//! read and written once for both. The old files are removed once that is durable.

mod rows;
mod usage;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{Disk, File, read_exact_at};
use crate::state::base::BaseError;
use crate::state::values::rows::parse;
use crate::store::{Key, Revision};

pub(super) use crate::state::values::rows::{Row, Rows};
pub(super) use crate::state::values::usage::{FILES, Usage};
pub(super) use crate::state::values::writer::ValueWriter;

const SUFFIX: &str = ".val";

fn file_name(number: u32) -> String {
    format!("{number:08}{SUFFIX}")
}

fn failed(number: u32, error: &io::Error) -> BaseError {
    BaseError::new(format!("{}: {error}", file_name(number)))
}

fn damaged(number: u32, offset: u64) -> BaseError {
    BaseError::new(format!("{}: no value at {offset}", file_name(number)))
}

/// Where the row of a key is, and the revision that wrote its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: u32,
    pub(super) offset: u32,
    /// Of the whole row.
    pub(super) bytes: u32,
    pub(super) revision: Revision,
}

/// The files of one checkpoint, open. One that is removed meanwhile can still be read.
#[derive(Clone, Debug, Default)]
pub(super) struct ValueFiles(BTreeMap<u32, Arc<dyn File>>);

impl ValueFiles {
    /// Opens those that are in use, and removes those that an interrupted checkpoint
    /// has left.
    pub(super) fn open(disk: &dyn Disk, usage: &Usage) -> Result<Self, BaseError> {
        let mut files = BTreeMap::new();
        for number in usage.numbers() {
            let file = disk
                .open(&file_name(number))
                .and_then(|file| file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)));
            files.insert(number, file.map_err(|error| failed(number, &error))?);
        }
        let names = disk.list().map_err(|error| BaseError::new(error.to_string()))?;
        for name in names {
            let number = name.strip_suffix(SUFFIX).and_then(|number| number.parse().ok());
            if let Some(number) = number.filter(|number| !files.contains_key(number)) {
                disk.remove(&name).map_err(|error| failed(number, &error))?;
            }
        }
        Ok(Self(files))
    }

    pub(super) fn add(&mut self, number: u32, file: Arc<dyn File>) {
        self.0.insert(number, file);
    }

    /// Forgets a file and takes its name away. One that cannot be removed is in nobody's
    /// way, and the next start tries again.
    pub(super) fn remove(&mut self, disk: &dyn Disk, number: u32) {
        self.0.remove(&number);
        if let Err(error) = disk.remove(&file_name(number)) {
            tracing::warn!(number, %error, "a file of dead values cannot be removed");
        }
    }

    /// All rows of a file.
    pub(super) fn rows(&self, number: u32, bytes: u64) -> Result<Rows, BaseError> {
        let file = self.0.get(&number).ok_or_else(|| damaged(number, 0))?;
        Ok(Rows::new(number, Arc::clone(file), bytes))
    }

    /// The value of a key.
    pub(super) fn read(&self, key: &[u8], place: Place) -> Result<Bytes, BaseError> {
        let Place { file: number, offset, bytes, .. } = place;
        let missing = || damaged(number, offset.into());
        let file = self.0.get(&number).ok_or_else(missing)?;
        let mut row = vec![0; bytes as usize];
        read_exact_at(&**file, offset.into(), &mut row).map_err(|error| failed(number, &error))?;
        let row = parse(&row.into()).filter(|row| row.key == key).ok_or_else(missing)?;
        Ok(row.value)
    }
}

/// What a checkpoint does to a key.
#[derive(Debug)]
pub(super) enum Change {
    Put(Bytes, Revision),
    Delete,
    /// Write this row again if it is what the key points to.
    Move(Row),
}

/// Changes and rows to be moved, in the order of their keys. Of one key, the change
/// comes first.
pub(super) struct Changes<T: Iterator<Item = (Key, Change)>> {
    table: core::iter::Peekable<T>,
    moves: Vec<core::iter::Peekable<Rows>>,
}

impl<T: Iterator<Item = (Key, Change)>> Changes<T> {
    pub(super) fn new(table: T, moves: Vec<Rows>) -> Self {
        let moves = moves.into_iter().map(Iterator::peekable).collect();
        Self { table: table.peekable(), moves }
    }
}

impl<T: Iterator<Item = (Key, Change)>> Iterator for Changes<T> {
    type Item = Result<(Key, Change), BaseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut least = self.table.peek().map(|(key, _)| key);
        let mut from = None;
        for (index, rows) in self.moves.iter_mut().enumerate() {
            match rows.peek() {
                Some(Ok(row)) if least.is_none_or(|least| row.key < *least) => {
                    (least, from) = (Some(&row.key), Some(index));
                }
                Some(Err(error)) => return Some(Err(error.clone())),
                _ => {}
            }
        }
        match from {
            None => self.table.next().map(Ok),
            Some(index) => {
                let row = self.moves[index].next()?;
                Some(row.map(|row| (row.key.clone(), Change::Move(row))))
            }
        }
    }
}
