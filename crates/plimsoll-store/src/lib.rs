//! Group-commit storage: a log that acknowledges after fdatasync, and the state
//! behind it.

#![deny(unsafe_code)]

pub mod disk;

mod clock;
mod engine;
mod log;
mod memory;
pub mod ship;
pub mod snapshot;
mod state;
mod store;

pub use crate::clock::Clock;
pub use crate::engine::{LogStore, OpenError, OpenOptions, Pending};
pub use crate::log::{Damage, History};
pub use crate::memory::MemoryStore;
pub use crate::store::{
    Decide, Entry, Key, Range, Revision, Store, StoreError, Transact, Txn, View,
};
