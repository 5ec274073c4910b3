//! What tests put in the place of the barrier, and how they use a store without a disk.

use bytes::Bytes;
use plimsoll_store::{MemoryStore, Range, Store, StoreError, Transact, Txn, View};

use crate::context::Cipher;
use crate::error::VaultError;
use crate::plaintext::Plaintext;

/// Commits a decision; false if something that it read has changed since.
pub(crate) fn commit(store: &MemoryStore, txn: Txn) -> bool {
    let decide = Box::new(|_: &dyn View| Err(StoreError::Conflict));
    let mut committed = store.submit(Transact { txn, decide, place: None });
    match committed.try_recv().expect("executed by now") {
        Ok(_) => true,
        Err(StoreError::Conflict) => false,
        Err(error) => panic!("{error}"),
    }
}

/// All keys, in their order.
pub(crate) fn keys(store: &MemoryStore) -> Vec<String> {
    let range = Range { prefix: b"", after: b"", keys_max: usize::MAX };
    let entries = store.view().range(range).expect("no disk, no error").into_iter();
    entries.map(|(key, _)| String::from_utf8(key.to_vec()).expect("keys are text")).collect()
}

/// No encryption.
pub(crate) struct Plain;

impl Cipher for Plain {
    fn seal(&self, _key: &[u8], plain: &[u8]) -> Result<Bytes, VaultError> {
        Ok(Bytes::copy_from_slice(plain))
    }

    fn open(&self, _key: &[u8], sealed: &[u8]) -> Result<Plaintext, VaultError> {
        Ok(sealed.to_vec().into())
    }
}
