//! Says when the next request is due, from a thread of its own.
//!
//! The runtime's timer ticks once a millisecond; a thread that sleeps on the
//! kernel's is some fifty microseconds late. It hands over what is due in one
//! go, at most ten thousand times a second.

use std::{cmp::Reverse, collections::BinaryHeap, thread, time::Duration};

use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::Instant,
};

use super::LoadOptions;
use crate::schedule::Arrivals;

/// Waiting for less than this would cost more than it gains.
const WAIT_MIN: Duration = Duration::from_micros(100);
/// Requests due that the generator has not taken yet.
const DUE_MAX: usize = 65_536;

/// A request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Whose it is.
    pub(super) flow: usize,
    /// When it is due, from the start.
    pub(super) at: Duration,
}

/// The arrivals of all flows, merged in order.
struct Merged {
    flows: Vec<Arrivals>,
    next: BinaryHeap<Reverse<(Duration, usize)>>,
}

impl Merged {
    fn new(mut flows: Vec<Arrivals>) -> Self {
        let heads = flows.iter_mut().map(Iterator::next).enumerate();
        let next = heads.filter_map(|(flow, at)| Some(Reverse((at?, flow)))).collect();
        Self { flows, next }
    }
}

impl Iterator for Merged {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        let Reverse((at, flow)) = self.next.pop()?;
        if let Some(following) = self.flows[flow].next() {
            self.next.push(Reverse((following, flow)));
        }
        Some(Due { flow, at })
    }
}

/// Starts the thread; the receiver ends when everything has been due.
pub(super) fn start(options: &LoadOptions, begin: Instant) -> Receiver<Due> {
    let flows = options.expanded_flows();
    let arrivals = flows
        .iter()
        .enumerate()
        .map(|(index, flow)| flow.schedule.arrivals(options.spacing(index)))
        .collect();
    let (sender, receiver) = mpsc::channel(DUE_MAX);
    thread::spawn(move || pace(Merged::new(arrivals), begin, &sender));
    receiver
}

fn pace(arrivals: Merged, begin: Instant, sender: &Sender<Due>) {
    for due in arrivals {
        let wait = (begin + due.at).saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait.max(WAIT_MIN));
        }
        // The generator is gone: nobody wants to know any more.
        if sender.blocking_send(due).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::schedule::{Schedule, Spacing};

    #[test]
    fn the_arrivals_of_all_flows_come_in_order() {
        let arrivals = |text: &str, spacing| text.parse::<Schedule>().unwrap().arrivals(spacing);
        let flows = vec![
            arrivals("1s:50", Spacing::Constant),
            arrivals("1s:0", Spacing::Constant),
            arrivals("1s:100", Spacing::Poisson(3)),
        ];
        let expected = flows.iter().cloned().map(Iterator::count).sum::<usize>();
        let due: Vec<_> = Merged::new(flows).collect();
        assert!(due.is_sorted_by_key(|due| due.at));
        assert_eq!(due.len(), expected);
        assert_eq!(due.iter().filter(|due| due.flow == 0).count(), 50);
    }
}
