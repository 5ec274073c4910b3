//! Who took most of late and still holds something: an indexed binary heap over
//! the lanes of one class.
//!
//! Each lane knows its own rank, so a change of weight costs O(log lanes) and
//! no allocation. Equal weights are ordered by lane index, for the sake of
//! reproducible runs.

use core::cmp::Reverse;

use crate::queue::lanes::Lane;

/// A max-heap of lane indices by score.
#[derive(Debug)]
pub(super) struct Heaviest(Vec<u32>);

impl Heaviest {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(super) fn peek(&self) -> Option<u32> {
        self.0.first().copied()
    }

    /// Every lane, in no order.
    pub(super) fn lanes(&self) -> &[u32] {
        &self.0
    }

    /// Puts all lanes in order again, after many of them changed.
    pub(super) fn rebuild(&mut self, lanes: &mut [Lane]) {
        for rank in (0..self.0.len() / 2).rev() {
            self.sink(lanes, rank);
        }
    }

    pub(super) fn push(&mut self, lanes: &mut [Lane], lane: u32) {
        let rank = self.0.len();
        self.0.push(lane);
        lanes[lane as usize].rank = rank as u32;
        self.rise(lanes, rank);
    }

    pub(super) fn reorder(&mut self, lanes: &mut [Lane], lane: u32) {
        let rank = self.rise(lanes, lanes[lane as usize].rank as usize);
        self.sink(lanes, rank);
    }

    pub(super) fn remove(&mut self, lanes: &mut [Lane], lane: u32) {
        let rank = lanes[lane as usize].rank as usize;
        self.0.swap_remove(rank);
        if let Some(&moved) = self.0.get(rank) {
            lanes[moved as usize].rank = rank as u32;
            self.reorder(lanes, moved);
        }
    }

    fn key(&self, lanes: &[Lane], rank: usize) -> (u64, Reverse<u32>) {
        let lane = self.0[rank];
        // The bits of floats that are not negative are in their order.
        (lanes[lane as usize].score.to_bits(), Reverse(lane))
    }

    fn swap(&mut self, lanes: &mut [Lane], a: usize, b: usize) {
        self.0.swap(a, b);
        lanes[self.0[a] as usize].rank = a as u32;
        lanes[self.0[b] as usize].rank = b as u32;
    }

    fn rise(&mut self, lanes: &mut [Lane], mut rank: usize) -> usize {
        while rank > 0 {
            let parent = (rank - 1) / 2;
            if self.key(lanes, rank) <= self.key(lanes, parent) {
                break;
            }
            self.swap(lanes, rank, parent);
            rank = parent;
        }
        rank
    }

    fn sink(&mut self, lanes: &mut [Lane], mut rank: usize) {
        loop {
            let left = 2 * rank + 1;
            let Some(heavier) =
                (left..self.0.len().min(left + 2)).max_by_key(|&child| self.key(lanes, child))
            else {
                return;
            };
            if self.key(lanes, heavier) <= self.key(lanes, rank) {
                return;
            }
            self.swap(lanes, rank, heavier);
            rank = heavier;
        }
    }
}
