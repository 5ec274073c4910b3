//! Frames: what the primary sends, and what the secondary says back.
//!
//! `docs/log-format.md` has the bytes. A frame has a checksum of its own, beside that
//! of TLS: a fault between the two ends is found before anything is applied.

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use plimsoll_store::ship::Shipment;
use plimsoll_store::{History, Revision};

/// What the two ends must have in common.
pub(super) const PROTOCOL: &str = "plimsoll-replication 3, log 4";

const MAGIC: &[u8; 4] = b"PlR1";
const HEADER_BYTES: usize = 48;
/// No frame is longer.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// Of an acknowledgement: a revision.
pub(super) const ACK_BYTES: usize = 8;

const GROUP: u32 = 1;
const HEARTBEAT: u32 = 2;

/// What is needed to read what comes after it.
const TAKEN_OVER: [&[u8]; 4] =
    [b"core/keyring", b"core/audit", b"core/quotas", b"core/maintenance"];

/// Whether a group is shipped and applied alone, before anything that comes after it.
pub(super) fn stands_alone(shipment: &Shipment) -> bool {
    TAKEN_OVER.iter().any(|key| shipment.mentions(key))
}

/// What comes from the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The next transactions.
    Group(Shipment),
    /// Where the primary is.
    Heartbeat {
        /// Its latest revision.
        revision: Revision,
        /// Its digest there.
        history: History,
    },
}

/// A frame, and the primary's wall clock when it was sent.
pub(super) type Stamped = (Frame, Duration);

/// Of what says how long a frame is: nobody waits for the rest of one that never comes.
fn length_sum(header: &[u8]) -> u32 {
    crc32c::crc32c(&header[8..28])
}

/// The frame in one piece: each piece costs a frame of HTTP/2 and a record of TLS.
pub(super) fn encode(frame: &Frame, wall: Duration) -> Bytes {
    let (kind, payload, revision, txns, history) = match frame {
        Frame::Group(shipment) => {
            (GROUP, &*shipment.payload, shipment.first_revision, shipment.txns, shipment.history)
        }
        Frame::Heartbeat { revision, history } => (HEARTBEAT, &[][..], *revision, 0, *history),
    };
    let mut bytes = BytesMut::with_capacity(HEADER_BYTES + payload.len());
    bytes.put_slice(MAGIC);
    bytes.put_u32_le(0);
    bytes.put_u32_le(kind);
    bytes.put_u32_le(payload.len() as u32);
    bytes.put_u64_le(revision);
    bytes.put_u32_le(txns);
    bytes.put_u32_le(length_sum(&bytes));
    bytes.put_u64_le(history.to_bits());
    bytes.put_u64_le(wall.as_millis() as u64);
    bytes.put_slice(payload);
    let crc = crc32c::crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes.freeze()
}

/// Puts frames together from pieces of any length.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: BytesMut,
}

impl Frames {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> io::Result<Option<Stamped>> {
        let Some(header) = self.buffer.get(..HEADER_BYTES) else { return Ok(None) };
        let mut fields = header;
        let (mut magic, bad) = ([0; 4], |what: &str| io::Error::other(format!("a frame {what}")));
        fields.copy_to_slice(&mut magic);
        let crc = fields.get_u32_le();
        let (kind, payload_bytes) = (fields.get_u32_le(), fields.get_u32_le() as usize);
        let (revision, txns) = (fields.get_u64_le(), fields.get_u32_le());
        let length_crc = fields.get_u32_le();
        let history = History::from_bits(fields.get_u64_le());
        let wall = Duration::from_millis(fields.get_u64_le());
        if magic != *MAGIC {
            return Err(bad("of something else"));
        }
        if length_sum(header) != length_crc {
            return Err(bad("that was altered on its way"));
        }
        if payload_bytes > PAYLOAD_BYTES_MAX {
            return Err(bad("that is too long"));
        }
        if self.buffer.len() < HEADER_BYTES + payload_bytes {
            self.buffer.reserve(HEADER_BYTES + payload_bytes - self.buffer.len());
            return Ok(None);
        }
        let frame = self.buffer.split_to(HEADER_BYTES + payload_bytes).freeze();
        if crc32c::crc32c(&frame[8..]) != crc {
            return Err(bad("that was altered on its way"));
        }
        let payload = frame.slice(HEADER_BYTES..);
        let frame = match kind {
            GROUP => Frame::Group(Shipment {
                first_revision: revision,
                txns,
                payload,
                history,
                committed: None,
            }),
            HEARTBEAT => Frame::Heartbeat { revision, history },
            _ => return Err(bad("of an unknown kind")),
        };
        Ok(Some((frame, wall)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn group() -> Frame {
        Frame::Group(Shipment {
            first_revision: 7,
            txns: 2,
            payload: Bytes::from_static(b"transactions"),
            history: History::from_bits(9),
            committed: None,
        })
    }

    fn bytes(frame: &Frame) -> Vec<u8> {
        encode(frame, Duration::from_millis(123)).to_vec()
    }

    #[test]
    fn frames_come_out_as_they_went_in_whatever_the_pieces() {
        let heartbeat = Frame::Heartbeat { revision: 8, history: History::from_bits(1) };
        let sent = [group(), heartbeat, group()];
        let stream: Vec<u8> = sent.iter().flat_map(bytes).collect();
        for size in [1, 5, 48, 61, stream.len()] {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in stream.chunks(size) {
                frames.push(piece);
                while let Some((frame, wall)) = frames.next().unwrap() {
                    assert_eq!(wall, Duration::from_millis(123));
                    found.push(frame);
                }
            }
            assert_eq!(found, sent);
        }
    }

    #[test]
    fn a_flipped_bit_is_an_error_and_never_another_frame() {
        let sent = bytes(&group());
        for bit in 0..sent.len() * 8 {
            let mut altered = sent.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let mut frames = Frames::default();
            frames.push(&altered);
            assert!(frames.next().is_err(), "bit {bit}");
        }
    }
}
