//! What the tests of this crate share.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, missing_docs)]

use bytes::Bytes;
use plimsoll::{Class, Cost, Demand, Flow};
use plimsoll_store::{Decide, Key, LogStore, Revision, Store, StoreError, Transact, Txn};
use tokio::sync::oneshot;

pub type Answer = oneshot::Receiver<Result<Revision, StoreError>>;

pub fn key(text: &str) -> Key {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn put(name: &str, value: &str) -> Txn {
    Txn { puts: vec![(key(name), key(value))], ..Txn::default() }
}

pub fn demand() -> Demand {
    Demand { class: Class::Normal, flow: Flow(1), cost: Cost::item(100), deadline: None }
}

/// A decision that is not made again.
pub fn once() -> Decide {
    Box::new(|_| Err(StoreError::Conflict))
}

pub fn submit(store: &LogStore, txn: Txn, decide: Decide) -> Answer {
    let place = Some(store.gate().admit(store.now(), &demand()).unwrap());
    store.submit(Transact { txn, decide, place })
}

pub fn commit(store: &LogStore, txn: Txn) -> Result<Revision, StoreError> {
    submit(store, txn, once()).blocking_recv().unwrap()
}

pub fn value(store: &dyn Store, name: &str) -> Option<String> {
    let entry = store.view().get(name.as_bytes()).unwrap()?;
    Some(String::from_utf8(entry.value.to_vec()).unwrap())
}
