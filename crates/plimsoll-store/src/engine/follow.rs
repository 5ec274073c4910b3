//! The committer of a store that follows another: no gate, no compares, no decisions.

use std::sync::Arc;

use plimsoll::{Cost, Timestamp};

use crate::engine::committer::Committer;
use crate::log::{AppendError, History, TxnDigest, txns};
use crate::ship::{FollowError, Followed, Shipment};
use crate::store::Revision;

impl Committer {
    /// One group of the log, of as many of the primary's as wait and fit.
    pub(super) fn commit_followed(&mut self) {
        if !self.shared.inbox.is_following() {
            return self.shared.inbox.refuse_all(&FollowError::NotFollowing);
        }
        // An error is a failure of the store: whoever waits is told in the next turn.
        if self.make_room().is_err() {
            return;
        }
        let started = self.shared.clock.now();
        let first_revision = self.shared.published.latest().revision + 1;
        let (taken, units) = self.take_followed(first_revision);
        if taken.is_empty() {
            return;
        }
        let outcome = self.write_followed(first_revision, units, started);
        let outcome = outcome.map_err(FollowError::Stopped);
        for followed in taken {
            let revision = followed.shipment.last_revision();
            // Whoever handed it over may be gone.
            let _ = followed.reply.send(outcome.clone().map(|()| revision));
        }
        self.shared.tail.announce();
    }

    /// Puts what waits into the builder; answers what cannot be taken. Gives the weight
    /// of what was taken.
    ///
    /// Several groups share a sync up to the load line: on a disk whose syncs are what
    /// costs, that is how a follower catches up; beyond the line they would wait for
    /// one another and gain nothing.
    fn take_followed(&mut self, first_revision: Revision) -> (Vec<Followed>, u32) {
        self.batch.clear(first_revision - 1);
        let (mut next, mut history) = (first_revision, self.log.position().history);
        let (mut taken, mut units) = (Vec::new(), 0_u32);
        let bytes_max = self.limits.group_bytes_max;
        let gate = &self.shared.gate;
        let units_max = gate.snapshot(self.shared.clock.now()).batch_units;
        loop {
            let (is_first, bytes) = (taken.is_empty(), self.batch.builder.payload_bytes());
            let fits = |Cost { items, bytes: more }| {
                let after = units.saturating_add(gate.units(Cost { items, bytes: more }));
                after <= units_max && bytes + more <= bytes_max
            };
            let wanted = |next: &Shipment| is_first || fits(next.cost());
            let Some(followed) = self.shared.inbox.pop_if(wanted) else {
                return (taken, units);
            };
            match check(&followed.shipment, next, history, bytes_max) {
                Ok(digests) => {
                    let encoded = txns(&followed.shipment.payload).flatten();
                    for (txn, digest) in encoded.zip(digests) {
                        self.batch.builder.push_encoded(txn, digest);
                    }
                    units = units.saturating_add(gate.units(followed.shipment.cost()));
                    next = followed.shipment.last_revision() + 1;
                    history = followed.shipment.history;
                    taken.push(followed);
                }
                Err(error) => {
                    let _ = followed.reply.send(Err(error));
                }
            }
        }
    }

    fn write_followed(
        &mut self,
        first_revision: Revision,
        units: u32,
        started: Timestamp,
    ) -> Result<(), Arc<str>> {
        match self.log.append(&mut self.batch.builder, first_revision) {
            Ok(appended) => {
                self.apply(&appended.group);
                // The gate learns the disk from these commits too: its line bounds them,
                // and a follower that is promoted knows its disk at once.
                let took = self.shared.clock.now() - started;
                self.committed(units, appended.flush, took.saturating_sub(appended.flush));
                Ok(())
            }
            Err(AppendError::NotWritten(reason) | AppendError::Unknown(reason)) => {
                self.shared.fail(Arc::clone(&reason));
                Err(reason)
            }
        }
    }
}

/// The digests of its transactions, if it is whole, the next, and of the same history.
fn check(
    shipment: &Shipment,
    next: Revision,
    history: History,
    bytes_max: u64,
) -> Result<Vec<TxnDigest>, FollowError> {
    if shipment.first_revision != next {
        return Err(FollowError::OutOfOrder { wanted: next, found: shipment.first_revision });
    }
    let malformed = FollowError::Malformed { bytes_max };
    let digests: Option<Vec<_>> =
        txns(&shipment.payload).map(|txn| txn.map(TxnDigest::of)).collect();
    let digests = digests
        .filter(|digests| !digests.is_empty() && digests.len() as u64 == u64::from(shipment.txns))
        .filter(|_| shipment.payload.len() as u64 <= bytes_max)
        .ok_or(malformed)?;
    let ours = digests.iter().fold(history, |history, txn| history.and(*txn));
    if ours != shipment.history {
        let (revision, theirs) = (shipment.last_revision(), shipment.history);
        return Err(FollowError::Diverged { revision, theirs, ours });
    }
    Ok(digests)
}
