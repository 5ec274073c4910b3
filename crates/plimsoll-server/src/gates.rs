//! Every gate of the server, for whoever reports on them or switches them.

use std::sync::Arc;

use plimsoll::capacity::CapacityGate;
use plimsoll::headroom::HeadroomGate;
use plimsoll::write::{Admission, WriteSnapshot};
use plimsoll::{Controller, Gate, GateSnapshot, Mode, Timestamp};

/// The write gate and those beside it.
#[derive(Clone, Debug)]
pub(crate) struct Gates {
    pub(crate) write: Arc<dyn Admission>,
    pub(crate) crypto: CapacityGate,
    pub(crate) disk: Arc<HeadroomGate>,
}

impl Gates {
    /// Changes what they all do with their verdicts.
    pub(crate) fn set_mode(&self, mode: Mode) {
        self.write.set_mode(mode);
        for gate in self.others() {
            gate.set_mode(mode);
        }
    }

    /// All of them at this instant, the write gate first.
    pub(crate) fn snapshots(&self, now: Timestamp) -> Vec<GateSnapshot> {
        let write = common(self.write.mode(), &self.write.snapshot(now));
        let others = self.others().into_iter().map(|gate| gate.snapshot(now));
        core::iter::once(write).chain(others).collect()
    }

    fn others(&self) -> [&dyn Controller; 2] {
        [&self.crypto, &*self.disk]
    }

    /// What a door asks.
    pub(crate) fn of_a_door(&self) -> plimsoll_http::door::Gates {
        let mut gates = plimsoll_http::door::Gates::from(Arc::clone(&self.write));
        gates.disk = Some(Arc::clone(&self.disk));
        gates
    }
}

/// What the write gate has in common with the others.
fn common(mode: Mode, write: &WriteSnapshot) -> GateSnapshot {
    GateSnapshot {
        gate: Gate::Write,
        mode,
        saturation: write.saturation,
        reject_fraction: write.reject_fraction,
        offered: write.counters.offered,
        refused: write.counters.refused,
    }
}
