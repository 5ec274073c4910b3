//! All clients of all windows.

use core::alloc::Layout;
use core::time::Duration;
use std::alloc::handle_alloc_error;
use std::sync::PoisonError;

use zerocopy::FromZeros;

use crate::Timestamp;
use crate::quota::limit::{Limit, WINDOWS_MAX, Window, Windows};
use crate::quota::slot::Slot;
use crate::sync::{Mutex, MutexGuard};

/// Slots of a set.
const WAYS: usize = 16;
/// Slots that are kept vacant in a client's first set while its second has more.
const VACANCIES_SPARED: usize = 6;
/// Locks; two requests rarely want the same one.
const SHARDS: usize = 64;
/// Slots for each client that is to be kept: with a choice of two sets of sixteen,
/// four fifths of the slots can be filled before anybody must be forgotten.
const SLOTS_PER_4_CLIENTS: usize = 5;
/// See the [module](super).
#[derive(Debug)]
pub struct QuotaTable {
    shards: Box<[Mutex<Shard>]>,
    sets: usize,
}

/// What a window still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Which of the request's windows.
    pub window: usize,
    /// Units allowed in an interval.
    pub units_max: u32,
    /// Units left.
    pub remaining: u32,
    /// Until some come back; zero if none are missing.
    pub reset: Duration,
}

/// A request that fitted, and has been charged.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    at_ms: u64,
    /// The window that is nearest to its end.
    pub usage: Option<Usage>,
}

/// A request that did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The window that takes longest to have room again.
    pub window: usize,
    /// When it has; never zero.
    pub retry_after: Duration,
    /// What the window holds; `None` while the client is blocked.
    pub usage: Option<Usage>,
}

impl QuotaTable {
    /// Keeps `clients_max` clients apart, counting a client of two windows twice.
    /// More are still counted, together with others. Memory is taken when it is
    /// first needed, and never more than [`QuotaTable::bytes_max`].
    pub fn new(clients_max: usize) -> Self {
        let slots = clients_max.max(1).saturating_mul(SLOTS_PER_4_CLIENTS).div_ceil(4);
        let sets = slots.div_ceil(SHARDS * WAYS).max(1);
        Self { shards: (0..SHARDS).map(|_| Mutex::new(Shard::new(sets))).collect(), sets }
    }

    /// Bytes that it takes once every slot has been used, before the allocator rounds up.
    pub const fn bytes_max(&self) -> usize {
        SHARDS * self.sets * size_of::<Set>()
    }

    /// Charges a request to all of its windows, or to none and says when to retry.
    /// Windows with `count_rejected` are charged in any case.
    ///
    /// # Errors
    /// It does not fit into one of them.
    pub fn charge(&self, now: Timestamp, windows: &Windows) -> Result<Charge, Exceeded> {
        let now_ms = now.as_nanos() / 1_000_000;
        let mut places = [Place::default(); WINDOWS_MAX];
        for (place, window) in places.iter_mut().zip(windows.iter()) {
            *place = self.place(window.key);
        }
        let places = &places[..windows.len()];
        let mut locked = self.lock(places);
        let mut found = [None; WINDOWS_MAX];
        let mut exceeded: Option<Exceeded> = None;
        for (at, (window, place)) in windows.iter().zip(places).enumerate() {
            let slot = locked.find(*place, window, now_ms, &found[..at]);
            if let Some(this) = exceeds(at, window, &slot.slot, now_ms)
                && exceeded.is_none_or(|other| other.retry_after < this.retry_after)
            {
                exceeded = Some(this);
            }
            found[at] = Some(slot);
        }
        let mut usage: Option<Usage> = None;
        for (at, (window, found)) in windows.iter().zip(found.iter_mut().flatten()).enumerate() {
            if exceeded.is_none() {
                found.slot.add(window.cost);
                let left = left(at, &window.limit, &found.slot, now_ms);
                usage = Some(usage.map_or(left, |other| tighter(other, left)));
            } else if !found.reject(window, now_ms) {
                continue;
            }
            locked.store(window.key, found);
        }
        exceeded.map_or(Ok(Charge { at_ms: now_ms, usage }), Err)
    }

    /// Gives back what a request was charged for `windows` that was not executed
    /// after all.
    pub fn refund(&self, windows: &Windows, charge: &Charge) {
        for window in windows.iter() {
            let place = self.place(window.key);
            let mut shard = lock(&self.shards[place.shard]);
            if let Some((set, way)) = position(&shard.0, window.key, place.sets) {
                shard.0[set].slots[way].take_back(charge.at_ms, window.cost);
            }
        }
    }

    /// Locks the shards of `places`, in one order for everybody.
    fn lock(&self, places: &[Place]) -> Locked<'_> {
        let mut wanted = [usize::MAX; WINDOWS_MAX];
        for (wanted, place) in wanted.iter_mut().zip(places) {
            *wanted = place.shard;
        }
        let wanted = &mut wanted[..places.len()];
        wanted.sort_unstable();
        let mut locked = Locked([const { None }; WINDOWS_MAX]);
        let mut last = usize::MAX;
        for (slot, shard) in locked.0.iter_mut().zip(wanted) {
            if *shard != last {
                last = *shard;
                *slot = Some((last, lock(&self.shards[last])));
            }
        }
        locked
    }

    /// Where a key may be. The caller's hash is spread over shard and sets once
    /// more, so that each takes bits of its own.
    #[expect(clippy::cast_possible_truncation, reason = "remainders")]
    fn place(&self, key: u64) -> Place {
        let first = mix(key);
        let second = mix(first);
        Place {
            shard: (first >> 58) as usize % SHARDS,
            // The upper half of a product: a remainder without a division.
            sets: [first, second]
                .map(|bits| ((u64::from(bits as u32) * self.sets as u64) >> 32) as usize),
        }
    }
}

/// Where a key may be.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    shard: usize,
    sets: [usize; 2],
}

/// A client's slot, taken out to be changed.
#[derive(Clone, Copy, Debug)]
struct Found {
    shard: usize,
    set: usize,
    way: usize,
    slot: Slot,
}

impl Found {
    /// What a refused request changes; false if nothing.
    fn reject(&mut self, window: &Window, now_ms: u64) -> bool {
        let exceeds = !fits(window, &self.slot);
        let blocks = exceeds && window.limit.block_s > 0 && self.slot.blocked_ms(now_ms).is_none();
        if blocks {
            self.slot.block(now_ms, window.limit.block_ms());
        }
        if window.limit.count_rejected {
            self.slot.add(window.cost);
        }
        blocks || window.limit.count_rejected
    }
}

/// The shards that one request needs, locked.
struct Locked<'t>([Option<(usize, MutexGuard<'t, Shard>)>; WINDOWS_MAX]);

impl Locked<'_> {
    fn shard(&mut self, shard: usize) -> Option<&mut Shard> {
        let guards = self.0.iter_mut().flatten();
        guards.into_iter().find(|(index, _)| *index == shard).map(|(_, guard)| &mut **guard)
    }

    /// The client's slot as it is now, or one that it may have.
    fn find(
        &mut self,
        place: Place,
        window: &Window,
        now_ms: u64,
        taken: &[Option<Found>],
    ) -> Found {
        let sub_ms = window.limit.sub_ms;
        let mut found = Found { shard: place.shard, set: 0, way: 0, slot: Slot::default() };
        let Some(shard) = self.shard(place.shard) else { return found };
        if let Some((set, way)) = position(&shard.0, window.key, place.sets) {
            (found.set, found.way) = (set, way);
            found.slot = shard.0[set].slots[way].at(now_ms, sub_ms);
            return found;
        }
        let is_free = |set: usize, way: usize| {
            let mut taken = taken.iter().flatten().map(|found| (found.shard, found.set, found.way));
            taken.all(|taken| taken != (place.shard, set, way))
        };
        if let Some((set, way)) = vacant(&shard.0, place.sets, now_ms, is_free) {
            (found.set, found.way) = (set, way);
            found.slot = Slot::default().at(now_ms, sub_ms);
        } else {
            let (set, way, standing) = least(&shard.0, place.sets, now_ms, is_free);
            (found.set, found.way) = (set, way);
            found.slot = Slot::inheriting(now_ms, sub_ms, standing);
        }
        found
    }

    fn store(&mut self, key: u64, found: &Found) {
        let Some(shard) = self.shard(found.shard) else { return };
        let set = &mut shard.0[found.set];
        set.keys[found.way] = key.max(1);
        set.ends_s[found.way] = ends_s(&found.slot);
        set.slots[found.way] = found.slot;
    }
}

/// A part of the table behind one lock.
#[derive(Debug)]
struct Shard(Vec<Set>);

/// Sixteen slots. Their keys and their ends are three cache lines, so that looking
/// for a client or for a vacant slot touches little else.
#[derive(Debug, FromZeros)]
struct Set {
    /// 0 is nobody.
    keys: [u64; WAYS],
    /// When a slot's window is empty, in seconds since the clock's origin.
    ends_s: [u32; WAYS],
    slots: [Slot; WAYS],
}

impl Shard {
    /// All zeroes: pages that nobody has written to are not there.
    fn new(sets: usize) -> Self {
        let zeroed = Set::new_vec_zeroed(sets);
        // As every vector does.
        Self(zeroed.unwrap_or_else(|_| handle_alloc_error(Layout::new::<Set>())))
    }
}

fn position(all: &[Set], key: u64, sets: [usize; 2]) -> Option<(usize, usize)> {
    let key = key.max(1);
    sets.into_iter().find_map(|set| {
        let way = all[set].keys.iter().position(|taken| *taken == key)?;
        Some((set, way))
    })
}

/// A slot that nobody needs: in the first set as long as that has some to spare,
/// so that most clients are found where they are looked for first.
fn vacant(
    all: &[Set],
    sets: [usize; 2],
    now_ms: u64,
    is_free: impl Fn(usize, usize) -> bool,
) -> Option<(usize, usize)> {
    let now_s = now_ms / 1000;
    let is_vacant = |end: &u32| u64::from(*end) <= now_s;
    let vacancies = |set: usize| all[set].ends_s.iter().filter(|end| is_vacant(end)).count();
    let [first, second] = sets;
    let in_first = vacancies(first);
    let prefers_second = in_first < VACANCIES_SPARED && vacancies(second) > in_first;
    let order = if prefers_second { [second, first] } else { sets };
    order.into_iter().find_map(|set| {
        let mut vacant = all[set].ends_s.iter().enumerate().filter(|(_, end)| is_vacant(end));
        vacant.find(|(way, _)| is_free(set, *way)).map(|(way, _)| (set, way))
    })
}

/// The slot of the client that has used least, and how much that is.
fn least(
    all: &[Set],
    sets: [usize; 2],
    now_ms: u64,
    is_free: impl Fn(usize, usize) -> bool,
) -> (usize, usize, u64) {
    let slots = sets.into_iter().flat_map(|set| (0..WAYS).map(move |way| (set, way)));
    let slots = slots.filter(|(set, way)| is_free(*set, *way));
    let standings = slots.map(|(set, way)| (set, way, all[set].slots[way].standing(now_ms)));
    // There are more slots than a request has windows.
    standings.min_by_key(|(_, _, units)| *units).unwrap_or((sets[0], 0, 0))
}

fn fits(window: &Window, slot: &Slot) -> bool {
    slot.used() + u64::from(window.cost) <= u64::from(window.limit.units_max)
}

fn exceeds(at: usize, window: &Window, slot: &Slot, now_ms: u64) -> Option<Exceeded> {
    let wait = |ms: u64| Duration::from_millis(ms.max(1));
    if let Some(blocked_ms) = slot.blocked_ms(now_ms) {
        return Some(Exceeded { window: at, retry_after: wait(blocked_ms), usage: None });
    }
    if fits(window, slot) {
        return None;
    }
    let limit = &window.limit;
    let over = slot.used() + u64::from(window.cost) - u64::from(limit.units_max);
    let retry_after = match limit.block_ms() {
        0 => wait(slot.frees_after_ms(now_ms, over)),
        block_ms => wait(block_ms),
    };
    Some(Exceeded { window: at, retry_after, usage: Some(left(at, limit, slot, now_ms)) })
}

fn left(window: usize, limit: &Limit, slot: &Slot, now_ms: u64) -> Usage {
    let used = slot.used();
    let remaining = u64::from(limit.units_max).saturating_sub(used);
    let reset_ms = if used == 0 { 0 } else { slot.frees_after_ms(now_ms, 1) };
    Usage {
        window,
        units_max: limit.units_max,
        remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
        reset: Duration::from_millis(reset_ms),
    }
}

/// The one of which the smaller part is left.
fn tighter(a: Usage, b: Usage) -> Usage {
    let part =
        |usage: &Usage, other: &Usage| u64::from(usage.remaining) * u64::from(other.units_max);
    if part(&b, &a) < part(&a, &b) { b } else { a }
}

fn ends_s(slot: &Slot) -> u32 {
    u32::try_from(slot.ends_ms().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// Stafford's thirteenth mixer, as in SplitMix64.
const fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
