//! Compare, decide again, compare again.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use crate::store::{Decide, StoreError, Txn, View};

/// How often a transaction is decided again before it is a conflict.
const REDO_MAX: u32 = 3;

/// Decides again until the compares hold.
pub(crate) fn settle(
    view: &dyn View,
    mut txn: Txn,
    decide: &mut Decide,
    txn_bytes_max: u64,
) -> Result<Txn, StoreError> {
    for _ in 0..REDO_MAX {
        if compares_hold(view, &txn)? {
            return Ok(txn);
        }
        txn = catch_unwind(AssertUnwindSafe(|| decide(view)))
            .unwrap_or_else(|_| Err(StoreError::Internal("the decision panicked".into())))?;
        let bytes = txn.bytes();
        if bytes > txn_bytes_max {
            return Err(StoreError::TooLarge { bytes, bytes_max: txn_bytes_max });
        }
    }
    if compares_hold(view, &txn)? { Ok(txn) } else { Err(StoreError::Conflict) }
}

pub(crate) fn compares_hold(view: &dyn View, txn: &Txn) -> Result<bool, StoreError> {
    for (key, revision) in &txn.compares {
        if view.get(key)?.map_or(0, |entry| entry.mod_revision) != *revision {
            return Ok(false);
        }
    }
    Ok(true)
}
