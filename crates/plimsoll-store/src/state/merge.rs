//! Several sorted sources as one: the first that knows a key decides about it.

use core::iter::Peekable;

use crate::state::table::Version;
use crate::store::{Entry, Key, Range, StoreError};

type Item = Result<(Key, Version), StoreError>;
type Source<'a> = Peekable<Box<dyn Iterator<Item = Item> + 'a>>;

/// A merge of sources, the newest in front.
pub(crate) struct Merge<'a> {
    sources: Vec<Source<'a>>,
}

impl<'a> Merge<'a> {
    pub(crate) const fn new() -> Self {
        Self { sources: Vec::new() }
    }

    /// Adds a source that is older than those before.
    pub(crate) fn push(&mut self, source: impl Iterator<Item = Item> + 'a) {
        let boxed: Box<dyn Iterator<Item = Item> + 'a> = Box::new(source);
        self.sources.push(boxed.peekable());
    }

    /// The existing entries of a range.
    pub(crate) fn collect(mut self, range: Range<'_>) -> Result<Vec<(Key, Entry)>, StoreError> {
        let mut found = Vec::new();
        while found.len() < range.keys_max {
            let Some((key, version)) = self.next()? else { break };
            if !key.starts_with(range.prefix) {
                break;
            }
            if let Some(entry) = version {
                found.push((key, entry));
            }
        }
        Ok(found)
    }

    /// The newest version of the next key, a deletion included.
    pub(crate) fn next(&mut self) -> Result<Option<(Key, Version)>, StoreError> {
        let mut least: Option<(usize, Key)> = None;
        for (index, source) in self.sources.iter_mut().enumerate() {
            match source.peek() {
                Some(Err(error)) => return Err(error.clone()),
                Some(Ok((key, _))) if least.as_ref().is_none_or(|(_, least)| key < least) => {
                    least = Some((index, key.clone()));
                }
                _ => {}
            }
        }
        let Some((winner, key)) = least else { return Ok(None) };
        let item = self.sources[winner].next();
        for source in &mut self.sources[winner + 1..] {
            source.next_if(|item| item.as_ref().is_ok_and(|(other, _)| *other == key));
        }
        item.transpose()
    }
}
