//! The fair queue: who holds a place, who is next, who gives way.
//!
//! A place is *reserved* when its ticket is given out and *waiting* from the
//! moment its work is in the queue until a batch takes it. Both count, both can
//! be displaced.
//!
//! - Dequeue: the classes in order, and within a class deficit round robin over
//!   the flows (Shreedhar and Varghese, "Efficient Fair Queueing Using Deficit
//!   Round Robin", 1996).
//! - Displacement: the *newest* place of the flow that took most of late, the
//!   lowest class first, and only for a newcomer whose flow took less by more than
//!   chance explains. It needs no rates and no configuration, wastes no capacity,
//!   and leaves a quiet flow beside a greedy one with all it asks for; drop from
//!   the longest is due to McKenney, "Stochastic Fairness Queueing", 1990.

mod heaviest;
mod lanes;
mod links;
mod slots;
#[cfg(test)]
mod tests;
mod usage;

use core::time::Duration;

use crate::Timestamp;
use crate::demand::{Class, Flow};
use crate::queue::lanes::{Lane, Lanes};
use crate::queue::links::{LinksOf, List, NONE};
use crate::queue::slots::{Slot, Slots, Use};
use crate::verdict::Rejection;

pub(crate) use crate::queue::slots::SlotId;

/// Units a lane may send per turn. The smallest possible: batches are short
/// next to the number of flows, and a heavy item only waits a few turns more.
const QUANTUM_UNITS: u32 = 1;
/// How many places one newcomer may push out.
const VICTIMS_MAX: usize = 16;
/// Lanes whose next item does not fit into the rest of a batch and which others
/// may overtake to fill it. Their turn comes first in the next batch.
const OVERTAKEN_MAX: u32 = 16;
/// How many standard deviations of a count apart two flows must be before one
/// gives way to the other: flows that ask alike must not displace each other.
const APART: f64 = 2.0;
/// Places and lanes that need no allocation.
const CAPACITY: usize = 4096;

/// The places that give way to a newcomer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Victims {
    ids: [Option<SlotId>; VICTIMS_MAX],
    freed: u64,
}

impl Victims {
    pub(crate) fn iter(&self) -> impl Iterator<Item = SlotId> {
        self.ids.iter().map_while(|id| *id)
    }

    /// The units they hold.
    pub(crate) const fn freed(&self) -> f64 {
        self.freed as f64
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
    /// From its ticket to the queue.
    pub(crate) before: Duration,
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
        self.lanes.weigh(lane, i64::from(holder.units), false);
        self.reserved_units += u64::from(holder.units);
        id
    }

    /// Moves a reserved place into the queue at its real weight.
    ///
    /// # Errors
    /// The payload, with the rejection if the place was displaced meanwhile;
    /// the place is given back. A place that is not reserved is `None`.
    pub(crate) fn wait(
        &mut self,
        now: Timestamp,
        id: SlotId,
        units: u32,
        payload: T,
    ) -> Result<(), (T, Option<Rejection>)> {
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
        slot.before = now.since(slot.reserved_at);
        let lane = slot.lane;
        self.reserved_units -= u64::from(reserved);
        self.waiting_units += u64::from(units);
        self.lanes.weigh(lane, i64::from(units) - i64::from(reserved), false);
        let entry = &mut self.lanes.entries[lane as usize];
        let idle = entry.waiting.is_empty();
        entry.waiting.push_back(self.slots.entries(), id.index, waiting);
        if idle {
            let class = entry.class.index();
            self.rings[class].push_back(&mut self.lanes.entries, lane, RING);
        }
        Ok(())
    }

    /// Gives a place back that never reached the queue. False if it is not
    /// held any more.
    pub(crate) fn release(&mut self, id: SlotId) -> bool {
        match self.slots.get(id).map(|slot| &slot.usage) {
            Some(Use::Reserved) => {
                self.detach(id.index, false);
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

    /// Takes work out of the queue whose owner no longer wants it. `None` if it
    /// does not wait any more.
    pub(crate) fn withdraw(&mut self, id: SlotId) -> Option<(Holder, T)> {
        if !matches!(self.slots.get(id)?.usage, Use::Waiting(_)) {
            return None;
        }
        let holder = self.detach(id.index, false);
        match self.slots.remove(id.index) {
            Use::Waiting(payload) => Some((holder, payload)),
            _ => None,
        }
    }

    /// Pushes a place out. Waiting work comes back to be answered; a reserved
    /// place is marked and told at its next step.
    pub(crate) fn displace(&mut self, id: SlotId, rejection: Rejection) -> (Holder, Option<T>) {
        let holder = self.detach(id.index, false);
        if matches!(self.slots.at(id.index).usage, Use::Waiting(_))
            && let Use::Waiting(payload) = self.slots.remove(id.index)
        {
            return (holder, Some(payload));
        }
        self.slots.at(id.index).usage = Use::Displaced(rejection);
        (holder, None)
    }

    /// The places that would give way to `newcomer`: those of a lower class,
    /// or the newest of the flow of its own class that took most, if the
    /// newcomer's flow took less.
    pub(crate) fn victims(&mut self, newcomer: Holder) -> Option<Victims> {
        let below = Class::ALL.into_iter().take_while(|class| *class < newcomer.class);
        for class in below {
            if let Some(lane) = self.lanes.heaviest[class.index()].peek()
                && let Some(victims) = self.newest(lane, newcomer.units)
            {
                return Some(victims);
            }
        }
        let lane = self.lighter(newcomer, u64::from(newcomer.units))?;
        let victims = self.newest(lane, newcomer.units)?;
        self.lighter(newcomer, victims.freed).is_some().then_some(victims)
    }

    /// The oldest place of the flow of the newcomer's class that took most, if
    /// it is older than `age` and no smaller than the newcomer.
    pub(crate) fn oldest(
        &self,
        newcomer: Holder,
        now: Timestamp,
        age: Duration,
    ) -> Option<Victims> {
        let lane = self.lanes.heaviest[newcomer.class.index()].peek()?;
        let id = self.slots.id(self.lanes.entries[lane as usize].held.head);
        let slot = self.slots.get(id)?;
        let old = now.since(slot.reserved_at) > age && slot.units >= newcomer.units;
        let mut ids = [None; VICTIMS_MAX];
        ids[0] = Some(id);
        old.then_some(Victims { ids, freed: u64::from(slot.units) })
    }

    /// Whether somebody would give way to `newcomer` if the queue were full.
    pub(crate) fn is_light(&self, newcomer: Holder) -> bool {
        let mut below = Class::ALL.into_iter().take_while(|class| *class < newcomer.class);
        below.any(|class| self.lanes.heaviest[class.index()].peek().is_some())
            || self.lighter(newcomer, u64::from(newcomer.units)).is_some()
    }

    /// The lane that took most of the newcomer's class, if the newcomer's flow
    /// took less by more than chance even after `freed` units changed hands.
    fn lighter(&self, newcomer: Holder, freed: u64) -> Option<u32> {
        let Holder { class, flow, units } = newcomer;
        let lane = self.lanes.heaviest[class.index()].peek()?;
        let heaviest = &self.lanes.entries[lane as usize];
        let scale = self.lanes.usage.scale();
        let theirs = heaviest.score / scale - freed as f64;
        let own = self.lanes.usage.of(class, flow) / scale + f64::from(units);
        (heaviest.flow != flow && took_less(own, theirs)).then_some(lane)
    }

    /// What a flow took of late, in units.
    pub(crate) fn usage(&self, holder: Holder) -> f64 {
        self.lanes.usage.of(holder.class, holder.flow) / self.lanes.usage.scale()
    }

    /// A flow took more, or less, than it was counted for.
    pub(crate) fn charge(&mut self, holder: Holder, units: f64) {
        self.lanes.charge(holder.class, holder.flow, units);
    }

    /// A batch was taken: what flows took before it counts a little less, and
    /// what they still hold counts `again`.
    pub(crate) fn age(&mut self, again: f64) {
        self.lanes.age(again);
    }

    /// The oldest place of the flow that took most, of the lowest class below
    /// `Critical`: what waited longest is least likely to be waited for still.
    pub(crate) fn heaviest(&self) -> Option<SlotId> {
        let classes = Class::ALL.into_iter().filter(|class| *class != Class::Critical);
        let lane = classes.filter_map(|class| self.lanes.heaviest[class.index()].peek()).next()?;
        Some(self.slots.id(self.lanes.entries[lane as usize].held.head))
    }

    /// The next piece of work that fits into `room` units; the first of a
    /// batch always fits.
    pub(crate) fn pop(&mut self, room: u32, first: bool) -> Option<Popped<T>> {
        let classes = Class::ALL.into_iter().rev();
        classes.map(Class::index).find_map(|class| self.pop_of(class, room, first))
    }

    fn pop_of(&mut self, class: usize, room: u32, first: bool) -> Option<Popped<T>> {
        let mut lane = self.rings[class].head;
        let mut overtaken = 0;
        while lane != NONE {
            let entry = &mut self.lanes.entries[lane as usize];
            let (index, next) = (entry.waiting.head, entry.ring.next);
            let units = self.slots.at(index).units;
            if units > room && !first {
                overtaken += 1;
                if overtaken > OVERTAKEN_MAX {
                    return None;
                }
                lane = next;
                continue;
            }
            if entry.deficit < units {
                entry.deficit += QUANTUM_UNITS;
            }
            if entry.deficit < units {
                self.rings[class].unlink(&mut self.lanes.entries, lane, RING);
                self.rings[class].push_back(&mut self.lanes.entries, lane, RING);
                // Alone in the rest of the ring, it takes turns with itself.
                lane = if next == NONE { lane } else { next };
                continue;
            }
            return self.serve(class, lane, index, units);
        }
        None
    }

    fn serve(&mut self, class: usize, lane: u32, index: u32, units: u32) -> Option<Popped<T>> {
        self.lanes.entries[lane as usize].deficit -= units;
        let Slot { deadline, before, .. } = *self.slots.at(index);
        let holder = self.detach(index, true);
        if self.lanes.entries[lane as usize].ring_member() {
            self.rings[class].unlink(&mut self.lanes.entries, lane, RING);
            self.rings[class].push_back(&mut self.lanes.entries, lane, RING);
        }
        match self.slots.remove(index) {
            Use::Waiting(payload) => Some(Popped { payload, holder, deadline, before }),
            _ => None,
        }
    }

    /// Walks a lane from its newest place until `units` are found.
    fn newest(&mut self, lane: u32, units: u32) -> Option<Victims> {
        let mut victims = Victims { ids: [None; VICTIMS_MAX], freed: 0 };
        let mut index = self.lanes.entries[lane as usize].held.tail;
        for id in &mut victims.ids {
            if index == NONE {
                return None;
            }
            *id = Some(self.slots.id(index));
            let slot = self.slots.at(index);
            victims.freed += u64::from(slot.units);
            if victims.freed >= u64::from(units) {
                return Some(victims);
            }
            index = slot.held.previous;
        }
        None
    }

    /// Takes a place out of its lane and of every sum; the slot itself stays.
    /// What was `served` stays counted as taken.
    fn detach(&mut self, index: u32, served: bool) -> Holder {
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
        self.lanes.weigh(lane, -i64::from(units), served);
        if self.lanes.entries[lane as usize].held.is_empty() {
            self.lanes.remove(lane);
        }
        holder
    }
}

/// Whether `own` units are fewer than `theirs` by more than chance explains.
pub(crate) fn took_less(own: f64, theirs: f64) -> bool {
    own + APART * theirs.max(0.0).sqrt() <= theirs
}

impl Lane {
    /// Lanes with work waiting, and only they, stand in their class's ring.
    const fn ring_member(&self) -> bool {
        !self.waiting.is_empty()
    }
}
