//! Every gate of the server, for whoever reports on them or switches them.

use std::sync::Arc;

use plimsoll::backlog::BacklogGate;
use plimsoll::capacity::CapacityGate;
use plimsoll::headroom::HeadroomGate;
use plimsoll::write::{Admission, WriteSnapshot};
use plimsoll::{Controller, Gate, GateSnapshot, Mode, Timestamp};
use plimsoll_http::door::{self, Turns};

/// The gates of what belongs to the machine, whichever store is in use.
#[derive(Clone, Debug)]
pub(crate) struct MachineGates {
    pub(crate) cpu: Turns,
    pub(crate) reads: CapacityGate,
    pub(crate) memory: CapacityGate,
    pub(crate) disk: Arc<HeadroomGate>,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Gates {
    pub(crate) write: Arc<dyn Admission>,
    pub(crate) crypto: CapacityGate,
    pub(crate) leases: Arc<BacklogGate>,
    pub(crate) machine: MachineGates,
    /// What the processors' gate does while the others enforce.
    pub(crate) processors: Mode,
}

impl Gates {
    /// Changes what they all do with their verdicts.
    pub(crate) fn set_mode(&self, mode: Mode) {
        self.write.set_mode(mode);
        for gate in self.others() {
            gate.set_mode(mode);
        }
        if mode == Mode::Enforce {
            self.machine.cpu.gate().set_mode(self.processors);
        }
    }

    /// All of them at this instant, the write gate first.
    pub(crate) fn snapshots(&self, now: Timestamp) -> Vec<GateSnapshot> {
        let write = common(self.write.mode(), &self.write.snapshot(now));
        let others = self.others().into_iter().map(|gate| gate.snapshot(now));
        core::iter::once(write).chain(others).collect()
    }

    fn others(&self) -> [&dyn Controller; 6] {
        let MachineGates { cpu, reads, memory, disk } = &self.machine;
        [cpu.gate(), &self.crypto, reads, memory, &**disk, &*self.leases]
    }

    /// What a door asks.
    pub(crate) fn of_a_door(&self) -> door::Gates {
        let MachineGates { cpu, reads, memory, disk } = self.machine.clone();
        let mut gates = door::Gates::from(Arc::clone(&self.write));
        gates.cpu = Some(cpu);
        gates.reads = Some(reads);
        gates.memory = Some(memory);
        gates.disk = Some(disk);
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
