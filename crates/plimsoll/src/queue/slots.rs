//! The places of a gate: a slab whose indices carry a generation, so that a
//! place given back twice is noticed instead of freeing somebody else's.

use core::time::Duration;

use crate::Timestamp;
use crate::queue::links::{Links, NONE};
use crate::verdict::Rejection;

/// Names one place for as long as it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId {
    pub(super) index: u32,
    generation: u32,
}

/// What a place is used for at present.
#[derive(Debug)]
pub(super) enum Use<T> {
    Free {
        next: u32,
    },
    /// Ticketed, its work not yet in the queue.
    Reserved,
    /// In the queue.
    Waiting(T),
    /// Displaced while reserved; told at its next step.
    Displaced(Rejection),
}

/// One place.
#[derive(Debug)]
pub(super) struct Slot<T> {
    generation: u32,
    pub(super) usage: Use<T>,
    pub(super) lane: u32,
    pub(super) units: u32,
    pub(super) deadline: Option<Timestamp>,
    pub(super) reserved_at: Timestamp,
    /// From then to the queue, once it is there.
    pub(super) before: Duration,
    /// Among all places its lane holds, oldest first.
    pub(super) held: Links,
    /// Among those of them that wait in the queue.
    pub(super) waiting: Links,
}

/// All places, free ones threaded into a list.
#[derive(Debug)]
pub(super) struct Slots<T> {
    entries: Vec<Slot<T>>,
    free: u32,
}

impl<T> Slots<T> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), free: NONE }
    }

    pub(super) fn insert(
        &mut self,
        lane: u32,
        units: u32,
        reserved_at: Timestamp,
        deadline: Option<Timestamp>,
    ) -> SlotId {
        let index = match self.free {
            NONE => {
                self.entries.push(Slot {
                    generation: 0,
                    usage: Use::Reserved,
                    lane,
                    units,
                    deadline,
                    reserved_at,
                    before: Duration::ZERO,
                    held: Links::UNLINKED,
                    waiting: Links::UNLINKED,
                });
                (self.entries.len() - 1) as u32
            }
            free => {
                let slot = &mut self.entries[free as usize];
                if let Use::Free { next } = slot.usage {
                    self.free = next;
                }
                slot.usage = Use::Reserved;
                (slot.lane, slot.units) = (lane, units);
                (slot.deadline, slot.reserved_at) = (deadline, reserved_at);
                free
            }
        };
        SlotId { index, generation: self.entries[index as usize].generation }
    }

    /// The place, unless it has been given back since.
    pub(super) fn get(&self, id: SlotId) -> Option<&Slot<T>> {
        self.entries.get(id.index as usize).filter(|slot| slot.generation == id.generation)
    }

    pub(super) fn at(&mut self, index: u32) -> &mut Slot<T> {
        &mut self.entries[index as usize]
    }

    pub(super) fn entries(&mut self) -> &mut [Slot<T>] {
        &mut self.entries
    }

    pub(super) fn id(&self, index: u32) -> SlotId {
        SlotId { index, generation: self.entries[index as usize].generation }
    }

    /// Frees the place and hands out what it was used for.
    pub(super) fn remove(&mut self, index: u32) -> Use<T> {
        let next = self.free;
        self.free = index;
        let slot = &mut self.entries[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        core::mem::replace(&mut slot.usage, Use::Free { next })
    }
}
