//! Quotas: what one client may ask, whether or not there is room for it.
//!
//! A gate protects the server and needs no configuration; a quota is a rule that
//! an operator sets for a client. A refusal by a gate is a 503, one by a quota a
//! 429, and the two do not know each other.
//!
//! # The window
//! A fixed window lets twice its quota through at its edge, and a bucket as much
//! again after idle time; neither is what an operator means by "100 a minute". A
//! [`Window`] slides: its interval is cut into ten sub-windows, and a request fits
//! if the last ten of them, the running one included, hold less than the quota.
//! So a client that keeps its rate is never refused, and in no nine tenths of an
//! interval does more than the quota pass.
//!
//! # Several windows
//! A request may have to fit several windows ("10 a second and 100 a minute"; a
//! vault's and its subscription's). All are looked at before any is charged, under
//! one lock: a request that is refused by one has used up nothing of the others.
//! What was charged can be given back with [`QuotaTable::refund`], for a request
//! that was then refused elsewhere without being executed.
//!
//! # The table
//! Clients are many and chosen by clients, so the [`QuotaTable`] is bounded, and
//! its memory is told in advance. It is built like a processor's cache: two sets of
//! sixteen slots for each client. A slot is free again when its windows are empty.
//! If all 32 are in use, the client that has asked least is forgotten, and the
//! newcomer *inherits what it had used*. So an error is always on the side of the
//! quota: nobody gets a fresh start by being forgotten, and to have a client
//! forgotten that has spent n, each of the others must have spent as much. What a
//! flood of made-up clients costs an honest newcomer is that it starts with the
//! little that the least of them has used.
//!
//! # Key Vault
//! [`Tariff`] is the second kind of policy: operations of different classes weigh
//! differently and share one window.

mod limit;
mod slot;
mod table;
mod tariff;
#[cfg(test)]
mod tests;

pub use crate::quota::limit::{InvalidLimit, Limit, WINDOWS_MAX, Window, Windows};
pub use crate::quota::table::{Charge, Exceeded, QuotaTable, Usage};
pub use crate::quota::tariff::{
    InvalidTariff, KEY_VAULT_CLASSES, OperationClass, SUBSCRIPTION_VAULTS, Tariff,
};
