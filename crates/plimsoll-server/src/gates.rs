//! Every gate of the server, for whoever reports on them or switches them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use plimsoll::backlog::BacklogGate;
use plimsoll::capacity::CapacityGate;
use plimsoll::headroom::HeadroomGate;
use plimsoll::write::{Admission, WriteSnapshot};
use plimsoll::{Controller, Gate, GateSnapshot, Mode, Timestamp};
use plimsoll_http::door::{self, Turns};

use crate::config::Protection;
use crate::connections;

/// The gates of what belongs to the machine, whichever store is in use.
#[derive(Clone, Debug)]
pub(crate) struct MachineGates {
    pub(crate) cpu: Turns,
    pub(crate) reads: CapacityGate,
    pub(crate) memory: CapacityGate,
    pub(crate) disk: Arc<HeadroomGate>,
    pub(crate) connections: CapacityGate,
    /// What each of all gates does, those of a stack included.
    pub(crate) protection: Arc<ArcSwap<Protection>>,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Gates {
    pub(crate) write: Arc<dyn Admission>,
    pub(crate) crypto: CapacityGate,
    pub(crate) leases: Arc<BacklogGate>,
    pub(crate) machine: MachineGates,
}

impl Gates {
    /// Changes what they all do with their verdicts.
    pub(crate) fn protect(&self, protection: Protection) {
        self.write.set_mode(protection.of(Gate::Write));
        for (gate, controller) in self.others() {
            controller.set_mode(protection.of(gate));
        }
        self.machine.protection.store(Arc::new(protection));
    }

    /// What they do unless they have a mode of their own.
    pub(crate) fn mode(&self) -> Mode {
        self.machine.protection.load().mode
    }

    /// All of them at this instant, the write gate first.
    pub(crate) fn snapshots(&self, now: Timestamp) -> Vec<GateSnapshot> {
        let write = common(self.write.mode(), &self.write.snapshot(now));
        let others = self.others().into_iter().map(|(_, gate)| gate.snapshot(now));
        core::iter::once(write).chain(others).collect()
    }

    fn others(&self) -> [(Gate, &dyn Controller); 7] {
        let MachineGates { cpu, reads, memory, disk, connections, .. } = &self.machine;
        [
            (Gate::Cpu, cpu.gate()),
            (Gate::Crypto, &self.crypto),
            (Gate::Reads, reads),
            (Gate::Memory, memory),
            (Gate::Disk, &**disk),
            (Gate::Leases, &*self.leases),
            (Gate::Connections, connections),
        ]
    }

    /// What a door asks.
    pub(crate) fn of_a_door(&self) -> door::Gates {
        let MachineGates { cpu, reads, memory, disk, .. } = self.machine.clone();
        let mut gates = door::Gates::from(Arc::clone(&self.write));
        gates.cpu = Some(cpu);
        gates.reads = Some(reads);
        gates.memory = Some(memory);
        gates.memory_share = Some(connections::memory_of);
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
