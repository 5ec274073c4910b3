//! The fair queue: who holds a place, who is next, who gives way.
//!
//! A place is *reserved* when its ticket is given out and *waiting* from the
//! moment its work is in the queue until a batch takes it. Both count, both can
//! be displaced.
//!
//! - Dequeue: the classes in order, and within a class deficit round robin over
//!   the flows (Shreedhar and Varghese, "Efficient Fair Queueing Using Deficit
//!   Round Robin", 1996).
//! - Displacement: the *newest* place of the flow that holds most, the lowest
//!   class first. It needs no rates and no configuration, wastes no capacity, and
//!   leaves a quiet flow beside a greedy one with all it asks for; drop-from-the-
//!   longest is due to McKenney, "Stochastic Fairness Queueing", 1990.

mod heaviest;
mod lanes;
mod links;
mod slots;
#[cfg(test)]
mod tests;

use crate::Timestamp;
use crate::demand::{Class, Flow};
use crate::verdict::Rejection;
use crate::write::queue::lanes::{Lane, Lanes};
use crate::write::queue::links::{LinksOf, List, NONE};
use crate::write::queue::slots::{Slot, Slots, Use};

pub(crate) use crate::write::queue::slots::SlotId;

/// Units a lane may send per turn. The smallest possible: batches are short
/// next to the number of flows, and a heavy item only waits a few turns more.
const QUANTUM_UNITS: u32 = 1;
/// How many places one newcomer may push out.
const VICTIMS_MAX: usize = 16;
/// Places and lanes that need no allocation.
const CAPACITY: usize = 4096;

/// The places that give way to a newcomer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Victims {
    ids: [Option<SlotId>; VICTIMS_MAX],
}

impl Victims {
    pub(crate) fn iter(&self) -> impl Iterator<Item = SlotId> {
        self.ids.iter().map_while(|id| *id)
    }
}

/// Whose place it was and what it weighed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) class: Class,
    pub(crate) flow: Flow,
    pub(crate) units: u32,
}

/// Work taken from the queue.
#[derive(Debug)]
pub(crate) struct Popped<T> {
    pub(crate) payload: T,
    pub(crate) holder: Holder,
    pub(crate) deadline: Option<Timestamp>,
}

/// Everything that holds a place.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    slots: Slots<T>,
    lanes: Lanes,
    /// Per class, the lanes with work waiting, the one whose turn it is in front.
    rings: [List; Class::COUNT],
    reserved_units: u64,
    waiting_units: u64,
}

fn held<T>(slot: &mut Slot<T>) -> &mut links::Links {
    &mut slot.held
}

fn waiting<T>(slot: &mut Slot<T>) -> &mut links::Links {
    &mut slot.waiting
}

const RING: LinksOf<Lane> = |lane| &mut lane.ring;

impl<T> FairQueue<T> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Slots::with_capacity(CAPACITY),
            lanes: Lanes::with_capacity(CAPACITY),
            rings: [List::EMPTY; Class::COUNT],
            reserved_units: 0,
            waiting_units: 0,
        }
    }

    pub(crate) const fn reserved_units(&self) -> u64 {
        self.reserved_units
    }

    pub(crate) const fn waiting_units(&self) -> u64 {
        self.waiting_units
    }

    pub(crate) const fn held_units(&self) -> u64 {
        self.reserved_units + self.waiting_units
    }

    /// Takes a place.
    pub(crate) fn reserve(
        &mut self,
        holder: Holder,
        now: Timestamp,
        deadline: Option<Timestamp>,
    ) -> SlotId {
        let lane = self.lanes.find_or_insert(holder.class, holder.flow);
        let id = self.slots.insert(lane, holder.units, now, deadline);
        let list = &mut self.lanes.entries[lane as usize].held;
        list.push_back(self.slots.entries(), id.index, held);
        self.lanes.weigh(lane, i64::from(holder.units));
        self.reserved_units += u64::from(holder.units);
        id
    }

    /// Moves a reserved place into the queue at its real weight and tells when
    /// it was reserved.
    ///
    /// # Errors
    /// The payload, with the rejection if the place was displaced meanwhile;
    /// the place is given back. A place that is not reserved is `None`.
    pub(crate) fn wait(
        &mut self,
        id: SlotId,
        units: u32,
        payload: T,
    ) -> Result<Timestamp, (T, Option<Rejection>)> {
        let reserved = match self.slots.get(id) {
            Some(slot) => match slot.usage {
                Use::Reserved => slot.units,
                Use::Displaced(rejection) => {
                    self.slots.remove(id.index);
                    return Err((payload, Some(rejection)));
                }
                _ => return Err((payload, None)),
            },
            None => return Err((payload, None)),
        };
        let slot = self.slots.at(id.index);
        slot.usage = Use::Waiting(payload);
        slot.units = units;
        let (lane, reserved_at) = (slot.lane, slot.reserved_at);
        self.reserved_units -= u64::from(reserved);
        self.waiting_units += u64::from(units);
        self.lanes.weigh(lane, i64::from(units) - i64::from(reserved));
        let entry = &mut self.lanes.entries[lane as usize];
        let idle = entry.waiting.is_empty();
        entry.waiting.push_back(self.slots.entries(), id.index, waiting);
        if idle {
            let class = entry.class.index();
            self.rings[class].push_back(&mut self.lanes.entries, lane, RING);
        }
        Ok(reserved_at)
    }

    /// Gives a place back that never reached the queue. False if it is not
    /// held any more.
    pub(crate) fn release(&mut self, id: SlotId) -> bool {
        match self.slots.get(id).map(|slot| &slot.usage) {
            Some(Use::Reserved) => {
                self.detach(id.index);
                self.slots.remove(id.index);
                true
            }
            Some(Use::Displaced(_)) => {
                self.slots.remove(id.index);
                true
            }
            _ => false,
        }
    }

    /// Pushes a place out. Waiting work comes back to be answered; a reserved
    /// place is marked and told at its next step.
    pub(crate) fn displace(&mut self, id: SlotId, rejection: Rejection) -> (Holder, Option<T>) {
        let holder = self.detach(id.index);
        if matches!(self.slots.at(id.index).usage, Use::Waiting(_))
            && let Use::Waiting(payload) = self.slots.remove(id.index)
        {
            return (holder, Some(payload));
        }
        self.slots.at(id.index).usage = Use::Displaced(rejection);
        (holder, None)
    }

    /// The places that would give way to `newcomer`: those of a lower class,
    /// or the newest of the heaviest flow of its own class as long as the
    /// newcomer's flow then holds no more than the victim's.
    pub(crate) fn victims(&mut self, newcomer: Holder) -> Option<Victims> {
        let below = Class::ALL.into_iter().take_while(|class| *class < newcomer.class);
        for class in below {
            if let Some(lane) = self.lanes.heaviest[class.index()].peek()
                && let Some((victims, _)) = self.newest(lane, newcomer.units)
            {
                return Some(victims);
            }
        }
        let lane = self.lanes.heaviest[newcomer.class.index()].peek()?;
        let own = self.lanes.find(newcomer.class, newcomer.flow).map_or(0, |lane| lane.units);
        let heaviest = &self.lanes.entries[lane as usize];
        if heaviest.flow == newcomer.flow {
            return None;
        }
        let theirs = heaviest.units;
        let (victims, freed) = self.newest(lane, newcomer.units)?;
        (u64::from(own) + u64::from(newcomer.units) <= u64::from(theirs) - freed).then_some(victims)
    }

    /// The newest place of the heaviest flow of the lowest class below
    /// `Critical`.
    pub(crate) fn heaviest(&self) -> Option<SlotId> {
        let classes = Class::ALL.into_iter().filter(|class| *class != Class::Critical);
        let lane = classes.filter_map(|class| self.lanes.heaviest[class.index()].peek()).next()?;
        Some(self.slots.id(self.lanes.entries[lane as usize].held.tail))
    }

    /// The next piece of work that fits into `room` units; the first of a
    /// batch always fits.
    pub(crate) fn pop(&mut self, room: u32, first: bool) -> Option<Popped<T>> {
        let class = Class::ALL.into_iter().rev().find(|c| !self.rings[c.index()].is_empty())?;
        let ring = class.index();
        loop {
            let lane = self.rings[ring].head;
            let entry = &mut self.lanes.entries[lane as usize];
            let index = entry.waiting.head;
            let units = self.slots.at(index).units;
            if units > room && !first {
                return None;
            }
            if entry.deficit < units {
                entry.deficit += QUANTUM_UNITS;
                if entry.deficit < units {
                    self.rings[ring].unlink(&mut self.lanes.entries, lane, RING);
                    self.rings[ring].push_back(&mut self.lanes.entries, lane, RING);
                    continue;
                }
            }
            entry.deficit -= units;
            let turn_over = entry.deficit == 0;
            let deadline = self.slots.at(index).deadline;
            let holder = self.detach(index);
            if turn_over && self.lanes.entries[lane as usize].ring_member() {
                self.rings[ring].unlink(&mut self.lanes.entries, lane, RING);
                self.rings[ring].push_back(&mut self.lanes.entries, lane, RING);
            }
            if let Use::Waiting(payload) = self.slots.remove(index) {
                return Some(Popped { payload, holder, deadline });
            }
        }
    }

    /// Walks a lane from its newest place until `units` are found.
    fn newest(&mut self, lane: u32, units: u32) -> Option<(Victims, u64)> {
        let mut victims = Victims { ids: [None; VICTIMS_MAX] };
        let mut freed = 0;
        let mut index = self.lanes.entries[lane as usize].held.tail;
        for id in &mut victims.ids {
            if index == NONE {
                return None;
            }
            *id = Some(self.slots.id(index));
            let slot = self.slots.at(index);
            freed += u64::from(slot.units);
            if freed >= u64::from(units) {
                return Some((victims, freed));
            }
            index = slot.held.previous;
        }
        None
    }

    /// Takes a place out of its lane and of every sum; the slot itself stays.
    fn detach(&mut self, index: u32) -> Holder {
        let slot = self.slots.at(index);
        let (lane, units) = (slot.lane, slot.units);
        let was_waiting = matches!(slot.usage, Use::Waiting(_));
        let entry = &mut self.lanes.entries[lane as usize];
        let holder = Holder { class: entry.class, flow: entry.flow, units };
        entry.held.unlink(self.slots.entries(), index, held);
        if was_waiting {
            self.waiting_units -= u64::from(units);
            entry.waiting.unlink(self.slots.entries(), index, waiting);
            if entry.waiting.is_empty() {
                entry.deficit = 0;
                let class = entry.class.index();
                self.rings[class].unlink(&mut self.lanes.entries, lane, RING);
            }
        } else {
            self.reserved_units -= u64::from(units);
        }
        self.lanes.weigh(lane, -i64::from(units));
        if self.lanes.entries[lane as usize].held.is_empty() {
            self.lanes.remove(lane);
        }
        holder
    }
}

impl Lane {
    /// Lanes with work waiting, and only they, stand in their class's ring.
    const fn ring_member(&self) -> bool {
        !self.waiting.is_empty()
    }
}
