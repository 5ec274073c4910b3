//! What a door asks: the debt gate in front of the write gate.

use std::sync::Arc;

use plimsoll::write::{Admission, Place, WriteSnapshot};
use plimsoll::{Demand, Mode, Reason, Rejection, Timestamp};

use crate::engine::shared::Shared;
use crate::state::ENTRY_OVERHEAD_BYTES;

/// Both gates as one.
#[derive(Debug)]
pub(crate) struct StoreAdmission(pub(crate) Arc<Shared>);

impl StoreAdmission {
    /// What a request adds to the debt: its bytes, and an entry at least.
    fn debt_bytes(demand: &Demand) -> u64 {
        demand.cost.bytes + u64::from(demand.cost.items) * ENTRY_OVERHEAD_BYTES
    }

    fn too_deep_in_debt(
        &self,
        now: Timestamp,
        demand: &Demand,
        wait: core::time::Duration,
    ) -> Rejection {
        let rejection = self.0.gate.refuse(now, demand, Reason::Checkpoint);
        Rejection { retry_after: rejection.retry_after.max(wait), ..rejection }
    }
}

impl Admission for StoreAdmission {
    fn peek(&self, now: Timestamp, demand: &Demand) -> Result<(), Rejection> {
        if self.mode() == Mode::Enforce {
            self.0
                .debt_gate
                .peek(now, demand.class, Self::debt_bytes(demand))
                .map_err(|wait| self.too_deep_in_debt(now, demand, wait))?;
        }
        self.0.gate.peek(now, demand)
    }

    fn admit(&self, now: Timestamp, demand: &Demand) -> Result<Place, Rejection> {
        let bytes = Self::debt_bytes(demand);
        if self.mode() != Mode::Off {
            let verdict = self.0.debt_gate.admit(now, demand.class, bytes);
            if let (Err(wait), Mode::Enforce) = (verdict, self.mode()) {
                return Err(self.too_deep_in_debt(now, demand, wait));
            }
        }
        self.0.gate.admit(now, demand).inspect_err(|_| self.0.debt_gate.refund(bytes))
    }

    fn refuse(&self, now: Timestamp, demand: &Demand, reason: Reason) -> Rejection {
        self.0.gate.refuse(now, demand, reason)
    }

    fn mode(&self) -> Mode {
        self.0.gate.mode()
    }

    fn set_mode(&self, mode: Mode) {
        self.0.gate.set_mode(mode);
    }

    fn snapshot(&self, now: Timestamp) -> WriteSnapshot {
        self.0.gate.snapshot(now)
    }
}
