//! What a decision sees of the store, and what it wants written.
//!
//! A [`Context`] reads through one view, remembers the revision of everything
//! it read and collects what is to be written. At the end it becomes one
//! transaction: if anything that was read has changed by the time its batch is
//! committed, the decision is made again.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_store::{Entry, Key, Range, Revision, Txn, View};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::decoded::DecodedCache;
use crate::error::VaultError;
use crate::plaintext::Plaintext;

/// Turns values into what is stored and back. The barrier does it with
/// AES-256-GCM; tests may use another.
pub trait Cipher: Send + Sync {
    /// Encrypts `plain`, bound to the key it is stored under.
    ///
    /// # Errors
    /// The key has been used too often, or the cipher failed.
    fn seal(&self, key: &[u8], plain: &[u8]) -> Result<Bytes, VaultError>;

    /// Decrypts what [`Cipher::seal`] made for the same key.
    ///
    /// # Errors
    /// It was altered, moved to another key or encrypted under unknown keys.
    fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Plaintext, VaultError>;
}

/// Seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub Duration);

impl UnixTime {
    /// Whole seconds.
    pub const fn seconds(self) -> u64 {
        self.0.as_secs()
    }
}

/// One decision's reads and writes.
pub struct Context<'v> {
    view: &'v dyn View,
    cipher: &'v dyn Cipher,
    now: UnixTime,
    decoded: Option<&'v DecodedCache>,
    reads: BTreeMap<Key, Revision>,
    writes: BTreeMap<Key, Option<Bytes>>,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("reads", &self.reads.len())
            .field("writes", &self.writes.len())
            .finish_non_exhaustive()
    }
}

impl<'v> Context<'v> {
    /// Nothing read, nothing written.
    pub fn new(view: &'v dyn View, cipher: &'v dyn Cipher, now: UnixTime) -> Self {
        let (reads, writes) = (BTreeMap::new(), BTreeMap::new());
        Self { view, cipher, now, decoded: None, reads, writes }
    }

    /// With a cache for [`Context::get_shared`].
    #[must_use]
    pub const fn with_decoded(mut self, decoded: &'v DecodedCache) -> Self {
        self.decoded = Some(decoded);
        self
    }

    /// The time of the decision.
    pub const fn now(&self) -> UnixTime {
        self.now
    }

    /// The value of a key, as this decision would leave it.
    ///
    /// # Errors
    /// The store could not be read, or the value is not what it should be.
    pub fn get<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, VaultError> {
        let sealed = match self.writes.get(key.as_bytes()) {
            Some(written) => written.clone(),
            None => self.read(key)?.map(|entry| entry.value),
        };
        sealed.map(|sealed| self.decode(key, &sealed)).transpose()
    }

    /// As [`Context::get`], for what nearly every request reads: a value that
    /// was decoded before is shared instead of being decrypted and parsed
    /// again. Not for users' secrets: what is shared stays in memory.
    ///
    /// # Errors
    /// As there.
    pub fn get_shared<T>(&mut self, key: &str) -> Result<Option<Arc<T>>, VaultError>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        if self.writes.contains_key(key.as_bytes()) {
            return Ok(self.get(key)?.map(Arc::new));
        }
        let Some(entry) = self.read(key)? else { return Ok(None) };
        let known = self.decoded.and_then(|cache| cache.get(key.as_bytes(), entry.mod_revision));
        if known.is_some() {
            return Ok(known);
        }
        let value = Arc::new(self.decode(key, &entry.value)?);
        if let Some(cache) = self.decoded {
            let key = Bytes::copy_from_slice(key.as_bytes());
            cache.insert(key, entry.mod_revision, Arc::clone(&value));
        }
        Ok(Some(value))
    }

    /// The revision that wrote a key last, 0 if it does not exist, leaving
    /// aside what this decision writes. Counts as read.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn revision(&mut self, key: &str) -> Result<Revision, VaultError> {
        Ok(self.read(key)?.map_or(0, |entry| entry.mod_revision))
    }

    fn read(&mut self, key: &str) -> Result<Option<Entry>, VaultError> {
        let entry = self.view.get(key.as_bytes())?;
        let revision = entry.as_ref().map_or(0, |entry| entry.mod_revision);
        if !self.reads.contains_key(key.as_bytes()) {
            self.reads.insert(Bytes::copy_from_slice(key.as_bytes()), revision);
        }
        Ok(entry)
    }

    fn decode<T: DeserializeOwned>(&self, key: &str, sealed: &[u8]) -> Result<T, VaultError> {
        let plain = self.cipher.open(key.as_bytes(), sealed)?;
        serde_json::from_slice(&plain)
            .map_err(|error| VaultError::Internal(format!("undecodable entry {key}: {error}")))
    }

    /// Writes a value.
    ///
    /// # Errors
    /// It cannot be encoded or encrypted.
    pub fn put<T: Serialize>(&mut self, key: &str, value: &T) -> Result<(), VaultError> {
        let plain = serde_json::to_vec(value)
            .map(Plaintext::from)
            .map_err(|error| VaultError::Internal(format!("unencodable entry {key}: {error}")))?;
        let sealed = self.cipher.seal(key.as_bytes(), &plain)?;
        self.writes.insert(Bytes::copy_from_slice(key.as_bytes()), Some(sealed));
        Ok(())
    }

    /// Removes a key.
    pub fn delete(&mut self, key: &str) {
        self.writes.insert(Bytes::copy_from_slice(key.as_bytes()), None);
    }

    /// The names directly below `prefix` (which ends with a slash, or is
    /// empty), sorted; those with more below them end with a slash. At most
    /// `names_max`, strictly after `after`.
    ///
    /// Ranges are not compared at commit: no decision may rest on one being
    /// empty or complete.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn list(
        &self,
        prefix: &str,
        after: &str,
        names_max: usize,
    ) -> Result<Vec<String>, VaultError> {
        const PAGE_KEYS: usize = 256;
        let mut names: std::collections::BTreeSet<String> = self.written_names(prefix, after);
        let mut after_key = format!("{prefix}{after}").into_bytes();
        if after.ends_with('/') {
            after_key.push(0xff);
        }
        let mut found = 0;
        'pages: while found < names_max {
            let range = Range { prefix: prefix.as_bytes(), after: &after_key, keys_max: PAGE_KEYS };
            let page = self.view.range(range)?;
            let last_page = page.len() < PAGE_KEYS;
            for (key, _) in &page {
                let Ok(below) = core::str::from_utf8(&key[prefix.len()..]) else { continue };
                match below.split_once('/') {
                    Some((folder, _)) => {
                        names.insert(format!("{folder}/"));
                        found += 1;
                        // Skip the rest of the folder: 0xff sorts after UTF-8.
                        after_key = format!("{prefix}{folder}/").into_bytes();
                        after_key.push(0xff);
                        continue 'pages;
                    }
                    None if matches!(self.writes.get(key), Some(None)) => {}
                    None => {
                        names.insert(below.to_owned());
                        found += 1;
                    }
                }
                after_key = key.to_vec();
                if found >= names_max {
                    break 'pages;
                }
            }
            if last_page {
                break;
            }
        }
        Ok(names.into_iter().take(names_max).collect())
    }

    /// The keys below `prefix`, without it, however deep, as this decision would
    /// leave them: sorted, at most `keys_max`, strictly after `after`.
    ///
    /// As with [`Context::list`], ranges are not compared at commit.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn keys(
        &self,
        prefix: &str,
        after: &str,
        keys_max: usize,
    ) -> Result<Vec<String>, VaultError> {
        const PAGE_KEYS: usize = 256;
        let below = |key: &[u8]| -> Option<String> {
            let below = core::str::from_utf8(key).ok()?.strip_prefix(prefix)?;
            (below > after).then(|| below.to_owned())
        };
        let written = self.writes.iter().filter(|(_, value)| value.is_some());
        let mut keys: std::collections::BTreeSet<String> =
            written.filter_map(|(key, _)| below(key)).collect();
        let mut after_key = Bytes::from(format!("{prefix}{after}"));
        let mut found = 0;
        while found < keys_max {
            let page_keys = PAGE_KEYS.min(keys_max - found);
            let range = Range { prefix: prefix.as_bytes(), after: &after_key, keys_max: page_keys };
            let page = self.view.range(range)?;
            let is_last = page.len() < page_keys;
            for (key, _) in page {
                if !self.writes.contains_key(&key) {
                    keys.extend(below(&key));
                    found += 1;
                }
                after_key = key;
            }
            if is_last {
                break;
            }
        }
        Ok(keys.into_iter().take(keys_max).collect())
    }

    /// A value as it is in the store, for what is not behind the barrier.
    ///
    /// # Errors
    /// The store could not be read.
    pub(crate) fn get_raw(&mut self, key: &str) -> Result<Option<Bytes>, VaultError> {
        match self.writes.get(key.as_bytes()) {
            Some(written) => Ok(written.clone()),
            None => Ok(self.read(key)?.map(|entry| entry.value)),
        }
    }

    /// Writes a value as it is.
    pub(crate) fn put_raw(&mut self, key: &str, value: Bytes) {
        self.writes.insert(Bytes::copy_from_slice(key.as_bytes()), Some(value));
    }

    /// Everything written so far, to come back to.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.writes.clone())
    }

    /// Forgets what was written since; what was read stays read.
    pub fn roll_back(&mut self, savepoint: Savepoint) {
        self.writes = savepoint.0;
    }

    /// A part of the key space, as an engine sees it.
    pub fn scope<'c>(&'c mut self, prefix: &str) -> Scope<'c, 'v> {
        Scope { context: self, prefix: prefix.to_owned() }
    }

    /// The transaction that makes the decision true.
    pub fn into_txn(self) -> Txn {
        let mut txn = Txn { compares: self.reads.into_iter().collect(), ..Txn::default() };
        for (key, value) in self.writes {
            match value {
                Some(value) => txn.puts.push((key, value)),
                None => txn.deletes.push(key),
            }
        }
        txn
    }

    fn written_names(&self, prefix: &str, after: &str) -> std::collections::BTreeSet<String> {
        self.writes
            .iter()
            .filter(|(_, value)| value.is_some())
            .filter_map(|(key, _)| core::str::from_utf8(key).ok()?.strip_prefix(prefix))
            .map(|below| match below.split_once('/') {
                Some((folder, _)) => format!("{folder}/"),
                None => below.to_owned(),
            })
            .filter(|name| name.as_str() > after)
            .collect()
    }
}

/// See [`Context::savepoint`].
#[derive(Debug)]
pub struct Savepoint(BTreeMap<Key, Option<Bytes>>);

/// The keys below one prefix.
pub struct Scope<'c, 'v> {
    context: &'c mut Context<'v>,
    prefix: String,
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Scope<'_, '_> {
    /// See [`Context::now`].
    pub const fn now(&self) -> UnixTime {
        self.context.now
    }

    /// See [`Context::get`].
    ///
    /// # Errors
    /// As there.
    pub fn get<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, VaultError> {
        self.context.get(&format!("{}{key}", self.prefix))
    }

    /// See [`Context::get_shared`].
    ///
    /// # Errors
    /// As there.
    pub fn get_shared<T>(&mut self, key: &str) -> Result<Option<Arc<T>>, VaultError>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.context.get_shared(&format!("{}{key}", self.prefix))
    }

    /// See [`Context::put`].
    ///
    /// # Errors
    /// As there.
    pub fn put<T: Serialize>(&mut self, key: &str, value: &T) -> Result<(), VaultError> {
        self.context.put(&format!("{}{key}", self.prefix), value)
    }

    /// See [`Context::delete`].
    pub fn delete(&mut self, key: &str) {
        self.context.delete(&format!("{}{key}", self.prefix));
    }

    /// See [`Context::list`].
    ///
    /// # Errors
    /// As there.
    pub fn list(
        &self,
        prefix: &str,
        after: &str,
        names_max: usize,
    ) -> Result<Vec<String>, VaultError> {
        self.context.list(&format!("{}{prefix}", self.prefix), after, names_max)
    }
}
