//! The queue that every rival shares: FIFO, greedy batches, nothing skipped.

use std::collections::VecDeque;

use plimsoll::Timestamp;

use super::{Dequeue, Finished, Limiter, View};
use crate::sim::{Commit, Controller, Offer, Refusal};

/// The published limiters say nothing of when to come back: a second.
const RETRY_AFTER: f64 = 1.0;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    units: u32,
    arrived: f64,
    queued: f64,
    in_flight: u32,
}

/// A law with a queue behind it.
#[derive(Debug)]
pub struct Rival {
    limiter: Box<dyn Limiter>,
    batch_units: u32,
    queue: VecDeque<u32>,
    entries: Vec<Entry>,
    in_flight: u32,
    waiting_units: u64,
    turned_away: Vec<(u32, Refusal)>,
}

impl Rival {
    /// `limiter` in front of a queue whose batches hold `batch_units`.
    pub fn new(limiter: Box<dyn Limiter>, batch_units: u32) -> Self {
        Self {
            limiter,
            batch_units,
            queue: VecDeque::new(),
            entries: Vec::new(),
            in_flight: 0,
            waiting_units: 0,
            turned_away: Vec::new(),
        }
    }

    fn leave(&mut self, now: f64, newest: bool) -> Option<(u32, Dequeue)> {
        let id = if newest { self.queue.pop_back() } else { self.queue.pop_front() }?;
        let entry = self.entries[id as usize];
        self.waiting_units -= u64::from(entry.units);
        let fate = self.limiter.leaving(now, now - entry.queued);
        if fate == Dequeue::Drop {
            self.in_flight -= 1;
            self.turned_away.push((id, Refusal { late: true, retry_after: RETRY_AFTER }));
        }
        Some((id, fate))
    }
}

fn seconds(now: Timestamp) -> f64 {
    now.as_nanos() as f64 / 1e9
}

impl Controller for Rival {
    fn arrive(&mut self, now: Timestamp, id: u32, offer: &Offer) -> Result<(), Refusal> {
        let now = seconds(now);
        let (in_flight, waiting) = (self.in_flight, self.queue.len() as u32);
        let Offer { flow, class, units, .. } = *offer;
        if !self.limiter.admit(&View { now, in_flight, waiting, flow, class }) {
            return Err(Refusal { late: false, retry_after: RETRY_AFTER });
        }
        self.in_flight += 1;
        if self.entries.len() <= id as usize {
            self.entries.resize(id as usize + 1, Entry::default());
        }
        self.entries[id as usize] =
            Entry { units, arrived: now, queued: now, in_flight: self.in_flight };
        Ok(())
    }

    fn enqueue(&mut self, now: Timestamp, id: u32) -> Result<(), Refusal> {
        let entry = &mut self.entries[id as usize];
        entry.queued = seconds(now);
        self.waiting_units += u64::from(entry.units);
        self.queue.push_back(id);
        Ok(())
    }

    fn take(&mut self, now: Timestamp, batch: &mut Vec<u32>) {
        let now = seconds(now);
        let newest = self.limiter.newest_first(now, self.queue.len() as u32);
        let mut units = 0;
        loop {
            let next = if newest { self.queue.back() } else { self.queue.front() };
            let Some(&next) = next else { break };
            let heavier = units + self.entries[next as usize].units;
            if heavier > self.batch_units && units > 0 {
                break;
            }
            if let Some((id, Dequeue::Serve)) = self.leave(now, newest) {
                units = heavier;
                batch.push(id);
            }
        }
        // Served from the other end, the oldest expire where they are.
        while newest
            && let Some(&oldest) = self.queue.front()
            && self.limiter.leaving(now, now - self.entries[oldest as usize].queued)
                == Dequeue::Drop
        {
            self.leave(now, false);
        }
    }

    fn committed(&mut self, now: Timestamp, commit: &Commit<'_>) {
        let now = seconds(now);
        let took = (commit.sample.flush + commit.sample.work).as_secs_f64();
        self.limiter.committed(now, took, commit.ids.len() as u32);
        for &id in commit.ids {
            let Entry { arrived, in_flight, .. } = self.entries[id as usize];
            self.in_flight -= 1;
            self.limiter.finished(&Finished { now, rtt: now - arrived, in_flight });
        }
    }

    fn turned_away(&mut self, out: &mut Vec<(u32, Refusal)>) {
        out.append(&mut self.turned_away);
    }

    fn waiting_units(&self, _now: Timestamp) -> u64 {
        self.waiting_units
    }
}
