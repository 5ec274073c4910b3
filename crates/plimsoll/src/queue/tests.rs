use proptest::prelude::*;

use super::*;
use crate::verdict::{Gate, Reason};

const NOW: Timestamp = Timestamp::ZERO;

fn holder(flow: u64, units: u32) -> Holder {
    Holder { class: Class::Normal, flow: Flow(flow), units }
}

fn queue_up(queue: &mut FairQueue<u64>, flow: u64, units: u32, payload: u64) {
    let id = queue.reserve(holder(flow, units), NOW, None);
    assert!(queue.wait(NOW, id, units, payload).is_ok());
}

fn order(queue: &mut FairQueue<u64>) -> Vec<u64> {
    core::iter::from_fn(|| queue.pop(u32::MAX, true)).map(|popped| popped.payload).collect()
}

#[test]
fn flows_take_turns_and_each_is_served_in_order() {
    let mut queue = FairQueue::new();
    for payload in 0..3 {
        queue_up(&mut queue, 1, 1, 10 + payload);
    }
    queue_up(&mut queue, 2, 1, 20);
    queue_up(&mut queue, 3, 1, 30);
    assert_eq!(order(&mut queue), [10, 20, 30, 11, 12]);
}

#[test]
fn a_heavy_item_waits_its_turns_and_is_not_starved() {
    let mut queue = FairQueue::new();
    queue_up(&mut queue, 1, 3, 10);
    for payload in 0..5 {
        queue_up(&mut queue, 2, 1, 20 + payload);
    }
    assert_eq!(order(&mut queue), [20, 21, 10, 22, 23, 24]);
}

#[test]
fn higher_classes_are_served_first() {
    let mut queue = FairQueue::new();
    for (payload, class) in [(1, Class::Low), (2, Class::Critical), (3, Class::High)] {
        let id = queue.reserve(Holder { class, flow: Flow(1), units: 1 }, NOW, None);
        assert!(queue.wait(NOW, id, 1, payload).is_ok());
    }
    assert_eq!(order(&mut queue), [2, 3, 1]);
}

#[test]
fn what_does_not_fit_is_overtaken_and_loses_no_turn() {
    let mut queue = FairQueue::new();
    queue_up(&mut queue, 1, 5, 10);
    for payload in 20..30 {
        queue_up(&mut queue, 2, 1, payload);
    }
    let mut pop = |room| queue.pop(room, false).map(|popped| popped.payload);
    // No room for the large one: the batch is filled all the same.
    assert_eq!([pop(4), pop(3), pop(2), pop(1)], [Some(20), Some(21), Some(22), Some(23)]);
    // The next batch: the large one takes its turns and is in it.
    let batch: Vec<_> = core::iter::from_fn(|| pop(9)).take(5).collect();
    assert_eq!(batch, [24, 25, 26, 27, 10]);
}

#[test]
fn a_place_is_given_back_once_whatever_its_index_is_used_for_since() {
    let mut queue = FairQueue::<u64>::new();
    let first = queue.reserve(holder(1, 1), NOW, None);
    assert!(queue.release(first));
    let second = queue.reserve(holder(2, 1), NOW, None);
    assert!(!queue.release(first));
    assert_eq!(queue.reserved_units(), 1);
    assert!(queue.release(second));
}

proptest! {
    /// The heap agrees with looking at every lane, after any sequence of changes.
    #[test]
    fn the_one_trimmed_is_the_oldest_place_of_the_heaviest_flow(
        changes in prop::collection::vec((0..8u64, 1..20u32, any::<bool>()), 1..200),
    ) {
        let mut queue = FairQueue::<u64>::new();
        let mut places: Vec<(SlotId, u64, u32)> = Vec::new();
        for (flow, units, leave) in changes {
            if leave && !places.is_empty() {
                let (id, ..) = places.remove(units as usize % places.len());
                prop_assert!(queue.release(id));
            } else {
                places.push((queue.reserve(holder(flow, units), NOW, None), flow, units));
            }
            let held = |flow| -> u32 {
                places.iter().filter(|place| place.1 == flow).map(|place| place.2).sum()
            };
            let most = (0..8).map(held).max().unwrap_or(0);
            match queue.heaviest() {
                None => prop_assert!(places.is_empty()),
                Some(id) => {
                    let found = places.iter().find(|place| place.0 == id).expect("held");
                    prop_assert_eq!(held(found.1), most);
                    let oldest = places.iter().find(|place| place.1 == found.1).expect("held");
                    prop_assert_eq!(oldest.0, id);
                }
            }
            let sum: u32 = places.iter().map(|place| place.2).sum();
            prop_assert_eq!(queue.held_units(), u64::from(sum));
        }
        let rejection = Rejection {
            gate: Gate::Write,
            reason: Reason::Displaced,
            retry_after: Duration::from_secs(1),
        };
        while let Some(id) = queue.heaviest() {
            queue.displace(id, rejection);
            prop_assert!(queue.release(id), "a displaced place is still there to be told");
        }
        prop_assert_eq!(queue.held_units(), 0);
    }

    /// Deficit round robin: over a busy period no flow gets ahead of another by
    /// more than the heaviest item.
    #[test]
    fn flows_with_work_share_by_weight_not_by_count(
        weights in prop::collection::vec(1..16u32, 2..6),
    ) {
        let mut queue = FairQueue::new();
        for (flow, weight) in weights.iter().enumerate() {
            for _ in 0..200 {
                queue_up(&mut queue, flow as u64, *weight, flow as u64);
            }
        }
        let mut served = vec![0u32; weights.len()];
        while served.iter().all(|units| *units < 100) {
            let popped = queue.pop(u32::MAX, true).expect("work is left");
            served[popped.payload as usize] += popped.holder.units;
        }
        let (least, most) = (served.iter().min(), served.iter().max());
        prop_assert!(most.expect("flows") - least.expect("flows") <= 32, "{served:?}");
    }
}
