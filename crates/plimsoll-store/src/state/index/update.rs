//! Merging a checkpoint's changes into the index.

use core::cmp::Ordering;
use core::iter::Peekable;

use redb::Table;

use crate::state::base::{BaseError, failed};
use crate::state::index::Index;
use crate::state::index::block::{Entries, push, split};
use crate::state::values::Place;
use crate::store::Key;

/// With its key it fits into a page of the database.
const BLOCK_BYTES_MAX: usize = 3_900;

/// Applies changes, which come in the order of their keys, to `old` and leaves the
/// result in `new`. `decide` is told the place that a key has, a change, and answers
/// with the place that it has from then on.
pub(in crate::state) fn update<C>(
    old: &Index,
    new: &mut Table<'_, &'static [u8], &'static [u8]>,
    changes: impl Iterator<Item = Result<(Key, C), BaseError>>,
    mut decide: impl FnMut(&Key, C, Option<Place>) -> Result<Option<Place>, BaseError>,
) -> Result<(), BaseError> {
    let mut changes = changes.peekable();
    let (mut blocks, mut merged) = (old.blocks(), Vec::new());
    while let Some(first) = changes.peek() {
        let ((low, block), high) = match first {
            Ok((key, _)) => blocks.of(key)?,
            Err(error) => return Err(error.clone()),
        };
        merged.clear();
        merge(&block, &mut changes, high, &mut decide, &mut merged)?;
        if merged != block {
            replace(new, &low, &merged)?;
        }
    }
    Ok(())
}

/// The next change, if its key is `wanted`.
fn next_if<C>(
    changes: &mut Peekable<impl Iterator<Item = Result<(Key, C), BaseError>>>,
    wanted: impl FnOnce(&Key) -> bool,
) -> Result<Option<(Key, C)>, BaseError> {
    changes.next_if(|item| item.as_ref().map_or(true, |(key, _)| wanted(key))).transpose()
}

/// Merges the changes below `high` into a block.
fn merge<C>(
    block: &[u8],
    changes: &mut Peekable<impl Iterator<Item = Result<(Key, C), BaseError>>>,
    high: Option<&[u8]>,
    decide: &mut impl FnMut(&Key, C, Option<Place>) -> Result<Option<Place>, BaseError>,
    merged: &mut Vec<u8>,
) -> Result<(), BaseError> {
    let mut rest = block;
    while let Some((key, change)) = next_if(changes, |key| high.is_none_or(|high| **key < *high))? {
        let mut place = take_until(&mut rest, &key, merged)?;
        place = decide(&key, change, place)?;
        while let Some((_, change)) = next_if(changes, |other| *other == key)? {
            place = decide(&key, change, place)?;
        }
        if let Some(place) = place {
            push(merged, &key, place);
        }
    }
    merged.extend_from_slice(rest);
    Ok(())
}

/// Moves the entries before a key from `rest` to `merged` and takes that of the key
/// itself.
fn take_until(
    rest: &mut &[u8],
    key: &Key,
    merged: &mut Vec<u8>,
) -> Result<Option<Place>, BaseError> {
    let mut entries = Entries(rest);
    let (mut before, mut found) = (0, None);
    let mut after = *rest;
    while let Some((other, place)) = entries.next().transpose()? {
        match other.cmp(key) {
            Ordering::Less => before = rest.len() - entries.0.len(),
            Ordering::Equal => {
                (found, after) = (Some(place), entries.0);
                break;
            }
            Ordering::Greater => break,
        }
    }
    merged.extend_from_slice(&rest[..before]);
    *rest = if found.is_some() { after } else { &rest[before..] };
    Ok(found)
}

/// Puts a block back, in parts if it has grown.
fn replace(
    new: &mut Table<'_, &'static [u8], &'static [u8]>,
    low: &[u8],
    block: &[u8],
) -> Result<(), BaseError> {
    if block.is_empty() {
        new.remove(low).map_err(failed)?;
    }
    for (n, part) in split(block, BLOCK_BYTES_MAX)?.into_iter().enumerate() {
        // The first keeps the low key, so that keys before its first one have a block.
        let first = Entries(part).next().transpose()?;
        let low = if n == 0 { low } else { first.map_or(low, |(key, _)| key) };
        new.insert(low, part).map_err(failed)?;
    }
    Ok(())
}
