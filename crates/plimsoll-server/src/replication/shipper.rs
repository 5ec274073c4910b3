//! The thread that ships the log to one secondary.
//!
//! A fast disk commits groups of a few writes, ten thousand a second. Each as a frame of
//! its own would wake five threads on its way, take the committer's processor from it, and
//! be written and synced alone by the secondary. So frames are at least [`GATHER`] apart,
//! and what was committed within that time travels in one. A group that comes alone does
//! not wait; nor do those of a slow disk, and they are not put together either: two of its
//! groups in one would only wait for one another.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_daemon::clock;
use plimsoll_store::LogStore;
use plimsoll_store::ship::{LogReader, ReadLogError, Shipment};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::replication::status::Shipping;
use crate::replication::wire::{Frame, encode, stands_alone};

/// Between signs of life.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(200);
/// Between frames, and from the first to the last commit in one.
const GATHER: Duration = Duration::from_micros(500);
/// Of what is put together.
const GATHERED_BYTES_MAX: usize = 64 << 10;

/// See the module.
pub(super) struct Shipper {
    pub(super) store: Arc<LogStore>,
    pub(super) reader: LogReader,
    /// Read, and not sent yet.
    pub(super) next: Option<Shipment>,
    pub(super) shipping: Arc<Shipping>,
    pub(super) pieces: mpsc::Sender<io::Result<Bytes>>,
    pub(super) role: CancellationToken,
    /// What is shipped is not the primary's data any more.
    pub(super) retired: CancellationToken,
    /// The secondary has closed its end.
    pub(super) gone: CancellationToken,
}

impl Shipper {
    /// Until one of the two ends does not want it any more.
    pub(super) fn run(mut self, waits: &Runtime) {
        let mut spoken = None;
        loop {
            if spoken.is_none_or(|spoken| self.store.now().since(spoken) >= HEARTBEAT) {
                let (revision, history) = self.store.position();
                spoken = Some(self.store.now());
                if !self.send(&Frame::Heartbeat { revision, history }) {
                    return;
                }
            }
            match self.gather() {
                Ok(None) if !waits.block_on(self.wait()) => return,
                Ok(None) => {}
                Ok(Some(shipment)) => {
                    if !self.send(&Frame::Group(shipment)) {
                        return;
                    }
                    if self.next.is_none() {
                        std::thread::sleep(GATHER);
                    }
                }
                Err(error) => {
                    let _ = self.pieces.blocking_send(Err(io::Error::other(error)));
                    return;
                }
            }
        }
    }

    /// What the next frame holds, if something is committed.
    fn gather(&mut self) -> Result<Option<Shipment>, ReadLogError> {
        let Some(mut gathered) = self.next_group()? else { return Ok(None) };
        self.note(&gathered);
        let alone = stands_alone(&gathered);
        while let Some(next) = self.next_group()? {
            if alone || !may_join(&gathered, &next) {
                self.next = Some(next);
                break;
            }
            self.note(&next);
            gathered = gathered.joined(&next);
        }
        Ok(Some(gathered))
    }

    fn next_group(&mut self) -> Result<Option<Shipment>, ReadLogError> {
        match self.next.take() {
            Some(next) => Ok(Some(next)),
            None => self.reader.next_group(),
        }
    }

    /// Its lag begins with its own commit, whatever it is put together with.
    fn note(&self, group: &Shipment) {
        let bytes = group.payload.len() as u64;
        self.shipping.sent(group.last_revision(), bytes, group.committed);
    }

    /// Until there may be something to send; `false` when nobody wants it.
    async fn wait(&mut self) -> bool {
        tokio::select! {
            () = self.reader.changed() => true,
            () = tokio::time::sleep(HEARTBEAT) => true,
            () = self.role.cancelled() => false,
            () = self.retired.cancelled() => false,
            () = self.gone.cancelled() => false,
        }
    }

    fn send(&self, frame: &Frame) -> bool {
        !self.role.is_cancelled()
            && !self.retired.is_cancelled()
            && self.pieces.blocking_send(Ok(encode(frame, clock::unix()))).is_ok()
    }
}

/// Whether a group goes into the frame of those before it.
fn may_join(gathered: &Shipment, next: &Shipment) -> bool {
    let (Some(first), Some(then)) = (gathered.committed, next.committed) else { return false };
    then.since(first) <= GATHER
        && gathered.payload.len() + next.payload.len() <= GATHERED_BYTES_MAX
        && !stands_alone(next)
}

#[cfg(test)]
mod tests {
    use plimsoll::Timestamp;
    use plimsoll_store::History;

    use super::*;

    fn group(payload: &'static [u8], committed: Option<Timestamp>) -> Shipment {
        let (txns, history) = (1, History::from_bits(0));
        let payload = Bytes::from_static(payload);
        Shipment { first_revision: 1, txns, payload, history, committed }
    }

    #[test]
    fn groups_of_a_fast_disk_share_a_frame_and_those_of_a_slow_one_do_not() {
        let at = |micros: u64| Some(Timestamp::from_nanos(micros * 1000));
        let first = group(b"a", at(1000));
        assert!(may_join(&first, &group(b"b", at(1100))));
        assert!(may_join(&first, &group(b"b", at(1500))));
        assert!(!may_join(&first, &group(b"b", at(1501))));
        // Read from the files, by a secondary that is far behind.
        assert!(!may_join(&group(b"a", None), &group(b"b", None)));
    }

    #[test]
    fn what_is_needed_to_read_the_next_group_travels_alone() {
        let at = Some(Timestamp::from_nanos(0));
        assert!(!may_join(&group(b"a", at), &group(b"...core/keyring...", at)));
        assert!(stands_alone(&group(b"...core/keyring...", at)));
    }
}
