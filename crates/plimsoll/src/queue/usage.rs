//! What each flow took lately.
//!
//! What a flow holds at this instant says little about it: a quiet one happens to
//! send three requests into one commit, a greedy one has just been served. So
//! flows are compared by what they were admitted, weighted so that a batch counts
//! less by a 32nd with every batch after it. A place that is held longer than a
//! batch counts again with every batch: who sits on places while a password is
//! hashed takes more of them than who is served at once.
//!
//! Memory must not grow with the number of flows, so the sums stand in a sketch
//! of two rows (Cormode and Muthukrishnan, "An Improved Data Stream Summary: The
//! Count-Min Sketch", 2005): a flow is as heavy as the lighter of its two cells.
//! And nothing is aged cell by cell: new work is counted larger instead, which
//! orders flows the same way and lets an order once established stand.

use crate::demand::{Class, Flow};

const CELLS: usize = 2048;
/// How much more the work of the next batch counts.
const GROWTH: f64 = 1.0 + 1.0 / 32.0;
/// Sums are scaled back before they lose digits.
const SCALE_MAX: f64 = 1e60;

/// Sums in units, times the scale of the moment.
#[derive(Debug)]
pub(super) struct Usage {
    rows: [Vec<f64>; 2],
    scale: f64,
}

impl Usage {
    pub(super) fn new() -> Self {
        Self { rows: [vec![0.0; CELLS], vec![0.0; CELLS]], scale: 1.0 }
    }

    /// What a unit counts at present.
    pub(super) const fn scale(&self) -> f64 {
        self.scale
    }

    pub(super) fn of(&self, class: Class, flow: Flow) -> f64 {
        let [a, b] = cells(class, flow);
        self.rows[0][a].min(self.rows[1][b])
    }

    /// Adds units, or takes them back, and returns the flow's sum.
    pub(super) fn add(&mut self, class: Class, flow: Flow, units: f64) -> f64 {
        let change = units * self.scale;
        let [a, b] = cells(class, flow);
        let [one, two] = &mut self.rows;
        let (first, second) = (&mut one[a], &mut two[b]);
        *first = (*first + change).max(0.0);
        *second = (*second + change).max(0.0);
        first.min(*second)
    }

    /// A batch was taken. The factor by which sums kept elsewhere are to be
    /// scaled as well, if the scale started again.
    pub(super) fn age(&mut self) -> Option<f64> {
        self.scale *= GROWTH;
        if self.scale < SCALE_MAX {
            return None;
        }
        let factor = 1.0 / self.scale;
        self.rows.iter_mut().flatten().for_each(|cell| *cell *= factor);
        self.scale = 1.0;
        Some(factor)
    }
}

/// Two independent cells, by the halves of one multiplication.
fn cells(class: Class, flow: Flow) -> [usize; 2] {
    let mixed = (flow.0 ^ (class.index() as u64) << 62).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    [(mixed >> 53) as usize % CELLS, (mixed >> 32) as usize % CELLS]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_long_ago_counts_less() {
        let mut usage = Usage::new();
        usage.add(Class::Normal, Flow(1), 10.0);
        for _ in 0..64 {
            assert!(usage.age().is_none());
        }
        let recent = usage.add(Class::Normal, Flow(2), 10.0);
        let long_ago = usage.of(Class::Normal, Flow(1));
        assert!(long_ago < recent / 5.0, "{long_ago} {recent}");
    }

    #[test]
    fn a_new_scale_keeps_the_order() {
        let mut usage = Usage::new();
        let factor = (0..10_000).find_map(|_| {
            usage.add(Class::Normal, Flow(1), 2.0);
            usage.add(Class::Normal, Flow(2), 1.0);
            usage.age()
        });
        assert!(factor.is_some_and(|factor| factor < 1e-50));
        let [one, two] = [1, 2].map(|flow| usage.of(Class::Normal, Flow(flow)));
        assert!(one > 1.9 * two && two > 0.0, "{one} {two}");
    }
}
