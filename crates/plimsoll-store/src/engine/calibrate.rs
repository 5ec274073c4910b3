//! What a commit costs, measured before the first client comes.
//!
//! A server at rest commits groups of one transaction, which do not show how much
//! of their work is the group's and how much the transaction's; the first burst
//! would meet a load line drawn on a guess. So a few groups of one and of many
//! transactions go the real way through the log, as *probes*: groups that say that
//! they hold no transaction, so that no recovery replays what is in them.

use core::time::Duration;

use bytes::Bytes;
use plimsoll::write::Calibration;
use tokio::sync::oneshot;

use crate::engine::committer::{Committer, answer, apply};
use crate::engine::pending::{Pending, Reply};
use crate::log::{AppendError, GroupHeader};
use crate::state::{Snapshot, Table};
use crate::store::{StoreError, Txn};

/// Transactions of a large probe.
const TXNS: u32 = 32;
/// Pairs of a small and a large probe.
const PAIRS_MAX: usize = 7;
/// No further pair after so much time: the start is not to wait for a slow disk.
const TIME_MAX: Duration = Duration::from_secs(1);
/// The value that a transaction writes.
const VALUE: Bytes = Bytes::from_static(&[0; 512]);

/// Below these, a cost is not believed: the clock is too coarse for it.
const FIXED_MIN: Duration = Duration::from_micros(1);
const PER_UNIT_MIN: Duration = Duration::from_nanos(200);

/// A probe's sync, and the work around it.
#[derive(Clone, Copy)]
struct Probe {
    flush: Duration,
    work: Duration,
}

impl Committer {
    /// Tells the gate what commits cost. A disk that fails here fails the store, as
    /// it would in the first commit.
    pub(crate) fn calibrate(&mut self) {
        match self.probe_pairs() {
            Ok((small, large)) => self.shared.gate.calibrate(&split(small, large)),
            Err(AppendError::NotWritten(reason) | AppendError::Unknown(reason)) => {
                self.shared.fail(reason);
            }
        }
    }

    fn probe_pairs(&mut self) -> Result<(Probe, Probe), AppendError> {
        let snapshot = self.shared.published.latest();
        let table = Table::default();
        // The first finds everything cold, and may wait for a segment.
        self.probe(&snapshot, &table, 1)?;
        let started = self.shared.clock.now();
        let (mut small, mut large) = (Vec::new(), Vec::new());
        while small.len() < PAIRS_MAX && self.shared.clock.now() - started < TIME_MAX {
            small.push(self.probe(&snapshot, &table, 1)?);
            large.push(self.probe(&snapshot, &table, TXNS)?);
        }
        Ok((median(&small), median(&large)))
    }

    /// Commits so many transactions for nobody, into a table of no consequence.
    fn probe(
        &mut self,
        snapshot: &Snapshot,
        table: &Table,
        txns: u32,
    ) -> Result<Probe, AppendError> {
        let clock = self.shared.clock;
        let pending: Vec<_> = (0..txns).map(pending).collect();
        let started = clock.now();
        self.batch.clear(snapshot.revision);
        for pending in pending {
            self.batch.take(snapshot, pending, false);
        }
        self.batch.builder.make_probe();
        let mut appended = self.log.append(&mut self.batch.builder, snapshot.revision + 1)?;
        appended.group.header = GroupHeader { txns, ..appended.group.header };
        apply(&appended.group, table);
        answer(self.batch.accepted.drain(..), Ok);
        let flush = appended.flush;
        Ok(Probe { flush, work: (clock.now() - started).saturating_sub(flush) })
    }
}

fn pending(number: u32) -> Pending {
    let key = Bytes::from(format!("probe/{number:08}"));
    let txn = Txn { puts: vec![(key, VALUE)], ..Txn::default() };
    let decide = Box::new(|_: &dyn crate::store::View| Err(StoreError::Conflict));
    Pending { txn, decide, reply: Reply::new(oneshot::channel().0), units: 1 }
}

/// Of the syncs and of the work, each for itself.
fn median(probes: &[Probe]) -> Probe {
    let middle = |field: fn(&Probe) -> Duration| {
        let mut sorted: Vec<_> = probes.iter().map(field).collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    };
    Probe { flush: middle(|probe| probe.flush), work: middle(|probe| probe.work) }
}

/// The line through the two points.
fn split(small: Probe, large: Probe) -> Calibration {
    let per_unit = (large.work.saturating_sub(small.work) / (TXNS - 1)).max(PER_UNIT_MIN);
    let fixed = small.work.saturating_sub(per_unit).max(FIXED_MIN);
    Calibration { flush: small.flush, fixed, per_unit }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    fn probe(flush: u32, work: u32) -> Probe {
        Probe { flush: flush * US, work: work * US }
    }

    #[test]
    fn the_work_is_split_between_the_group_and_its_transactions() {
        let Calibration { flush, fixed, per_unit } = split(probe(100, 27), probe(300, 27 + 62));
        assert_eq!((flush, fixed, per_unit), (100 * US, 25 * US, 2 * US));
    }

    #[test]
    fn a_measurement_that_makes_no_sense_stays_above_zero() {
        let Calibration { fixed, per_unit, .. } = split(probe(100, 1), probe(100, 0));
        assert_eq!((fixed, per_unit), (FIXED_MIN, PER_UNIT_MIN));
    }

    #[test]
    fn one_stall_is_not_the_disk() {
        let Probe { flush, work } = median(&[probe(9000, 1), probe(70, 800), probe(80, 2)]);
        assert_eq!((flush, work), (80 * US, 2 * US));
    }
}
