//! Group-commit storage: a log that acknowledges after fdatasync, and the state
//! behind it.

#![deny(unsafe_code)]

mod store;

pub use crate::store::{
    Decide, Entry, Key, Range, Revision, Store, StoreError, Transact, Txn, View,
};
