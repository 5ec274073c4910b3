//! A group: the transactions of one commit, as bytes.

use bytes::Bytes;

use crate::log::BLOCK_BYTES;
use crate::log::history::{History, TxnDigest};
use crate::store::{Key, Revision, Txn};

const MAGIC: [u8; 4] = *b"PlG1";
/// Bytes before the first transaction.
pub(crate) const HEADER_BYTES: usize = 64;
/// Bytes that a transaction takes beside its operations.
const TXN_HEADER_BYTES: u64 = 4;
/// Bytes that an operation takes beside its key and value.
const OP_HEADER_BYTES: u64 = 12;

const OP_PUT: u8 = 1;
const OP_DELETE: u8 = 2;

/// What a transaction adds to a group, in bytes.
pub(crate) fn encoded_bytes(txn: &Txn) -> u64 {
    let ops = (txn.puts.len() + txn.deletes.len()) as u64;
    TXN_HEADER_BYTES + ops * OP_HEADER_BYTES + txn.bytes()
}

/// The header of a group, checked against its own checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    /// Checksum of everything behind it, and the link to the next group.
    pub(crate) crc: u32,
    pub(crate) store_id: u64,
    pub(crate) segment_id: u64,
    /// The number of the group, one more than that of the group before.
    pub(crate) sequence: u64,
    /// The revision of its first transaction.
    pub(crate) first_revision: Revision,
    pub(crate) payload_bytes: u32,
    pub(crate) txns: u32,
    /// The checksum of the group before.
    pub(crate) previous_crc: u32,
    /// After its last transaction.
    pub(crate) history: History,
}

impl GroupHeader {
    /// Reads the fields; says nothing about the checksum.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        if bytes[..4] != MAGIC {
            return None;
        }
        Some(Self {
            crc: u32_at(bytes, 4),
            store_id: u64_at(bytes, 8),
            segment_id: u64_at(bytes, 16),
            sequence: u64_at(bytes, 24),
            first_revision: u64_at(bytes, 32),
            payload_bytes: u32_at(bytes, 40),
            txns: u32_at(bytes, 44),
            previous_crc: u32_at(bytes, 48),
            history: History::from_bits(u64_at(bytes, 52)),
        })
    }

    fn write(&self, bytes: &mut [u8]) {
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.crc.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.store_id.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.segment_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_revision.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.txns.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.previous_crc.to_le_bytes());
        bytes[52..60].copy_from_slice(&self.history.to_bits().to_le_bytes());
        bytes[60..HEADER_BYTES].fill(0);
    }

    /// What the group takes in the log: whole blocks.
    pub(crate) fn stored_bytes(&self) -> u64 {
        stored_bytes(u64::from(self.payload_bytes))
    }

    /// The revision of its last transaction.
    pub(crate) fn last_revision(&self) -> Revision {
        (self.first_revision + u64::from(self.txns)).saturating_sub(1)
    }
}

/// What a payload takes in the log, header and padding included.
pub(crate) fn stored_bytes(payload_bytes: u64) -> u64 {
    (HEADER_BYTES as u64 + payload_bytes).next_multiple_of(BLOCK_BYTES as u64)
}

/// The checksum that a whole group, header first, ought to have.
pub(crate) fn checksum(group: &[u8]) -> u32 {
    crc32c::crc32c(&group[8..])
}

/// The whole group that a buffer begins with, if its checksum is right.
pub(crate) fn parse_group(buffer: &Bytes) -> Option<Group> {
    let header = GroupHeader::parse(buffer.first_chunk()?)?;
    let end = HEADER_BYTES.checked_add(header.payload_bytes as usize)?;
    let is_whole = checksum(buffer.get(..end)?) == header.crc;
    is_whole.then(|| Group { header, payload: buffer.slice(HEADER_BYTES..end) })
}

/// How long the group is that a buffer seems to begin with.
pub(crate) fn group_len(buffer: &[u8]) -> Option<usize> {
    GroupHeader::parse(buffer.first_chunk()?).map(|header| header.stored_bytes() as usize)
}

/// What a group takes in the log.
pub(crate) fn stored_len(group: &Group) -> u64 {
    group.header.stored_bytes()
}

/// The transactions of a payload, as encoded; `None` in the place of one that is
/// malformed, and nothing after it.
pub(crate) fn txns(payload: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = Some(payload);
    core::iter::from_fn(move || {
        let payload = rest.take().filter(|payload| !payload.is_empty())?;
        let split = txn_len(payload).and_then(|bytes| payload.split_at_checked(bytes));
        Some(split.map(|(txn, left)| {
            rest = Some(left);
            txn
        }))
    })
}

/// How long the transaction is that a payload begins with.
fn txn_len(payload: &[u8]) -> Option<usize> {
    let u32_at = |at: usize| {
        let field = payload.get(at..at.checked_add(4)?)?;
        field.try_into().ok().map(|field| u32::from_le_bytes(field) as usize)
    };
    let mut end = TXN_HEADER_BYTES as usize;
    for _ in 0..u32_at(0)? {
        let op = end.checked_add(OP_HEADER_BYTES as usize)?;
        end = op.checked_add(u32_at(end + 4)?)?.checked_add(u32_at(end + 8)?)?;
        if end > payload.len() {
            return None;
        }
    }
    Some(end)
}

/// Collects transactions. The buffer is kept from group to group.
#[derive(Debug)]
pub(crate) struct GroupBuilder {
    buffer: Vec<u8>,
    txns: Vec<TxnDigest>,
    /// Written to be measured: nobody replays it.
    probe: bool,
}

impl GroupBuilder {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; HEADER_BYTES], txns: Vec::new(), probe: false }
    }

    pub(crate) fn clear(&mut self) {
        self.buffer.truncate(HEADER_BYTES);
        self.txns.clear();
        self.probe = false;
    }

    /// Makes it a probe: its transactions will not count.
    pub(crate) const fn make_probe(&mut self) {
        self.probe = true;
    }

    pub(crate) const fn txns(&self) -> u32 {
        self.txns.len() as u32
    }

    /// Bytes of all transactions so far.
    pub(crate) fn payload_bytes(&self) -> u64 {
        (self.buffer.len() - HEADER_BYTES) as u64
    }

    pub(crate) fn push(&mut self, txn: &Txn) {
        let start = self.buffer.len();
        let ops = (txn.puts.len() + txn.deletes.len()) as u32;
        self.buffer.extend_from_slice(&ops.to_le_bytes());
        for (key, value) in &txn.puts {
            self.op(OP_PUT, key, value);
        }
        for key in &txn.deletes {
            self.op(OP_DELETE, key, &[]);
        }
        self.txns.push(TxnDigest::of(&self.buffer[start..]));
    }

    /// A transaction as it stood in another group.
    pub(crate) fn push_encoded(&mut self, txn: &[u8], digest: TxnDigest) {
        self.buffer.extend_from_slice(txn);
        self.txns.push(digest);
    }

    fn op(&mut self, kind: u8, key: &[u8], value: &[u8]) {
        self.buffer.extend_from_slice(&u32::from(kind).to_le_bytes());
        self.buffer.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(value);
    }

    /// The group as it goes to the disk, padded to whole blocks. `header` comes with
    /// the history before it and gets its lengths, its history and its checksum here.
    pub(crate) fn seal(&mut self, header: &mut GroupHeader) -> &[u8] {
        header.payload_bytes = self.payload_bytes() as u32;
        header.txns = 0;
        if !self.probe {
            header.txns = self.txns();
            header.history =
                self.txns.iter().fold(header.history, |history, txn| history.and(*txn));
        }
        header.write(&mut self.buffer);
        let end = HEADER_BYTES + header.payload_bytes as usize;
        header.crc = checksum(&self.buffer[..end]);
        self.buffer[4..8].copy_from_slice(&header.crc.to_le_bytes());
        self.buffer.resize(header.stored_bytes() as usize, 0);
        &self.buffer
    }

    /// A copy of the sealed transactions in one exact allocation, which the keys
    /// and values in the table are slices of.
    pub(crate) fn group(&self, header: GroupHeader) -> Group {
        let end = HEADER_BYTES + header.payload_bytes as usize;
        Group { header, payload: Bytes::copy_from_slice(&self.buffer[HEADER_BYTES..end]) }
    }
}

/// A group whose checksum is right.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) header: GroupHeader,
    pub(crate) payload: Bytes,
}

/// One operation of a group; a value of `None` deletes.
pub(crate) struct Op {
    pub(crate) key: Key,
    pub(crate) value: Option<Bytes>,
    pub(crate) revision: Revision,
}

impl Group {
    /// Its operations in order, as slices of the payload; none of a probe. Ends
    /// early where the payload is malformed, which a right checksum rules out but
    /// for a bug.
    pub(crate) fn ops(&self) -> Ops<'_> {
        let at = if self.header.txns == 0 { self.payload.len() } else { 0 };
        Ops { payload: &self.payload, at, ops: 0, next_revision: self.header.first_revision }
    }
}

/// See [`Group::ops`].
pub(crate) struct Ops<'a> {
    payload: &'a Bytes,
    at: usize,
    /// Left in the current transaction.
    ops: u32,
    next_revision: Revision,
}

impl Iterator for Ops<'_> {
    type Item = Op;

    fn next(&mut self) -> Option<Op> {
        while self.ops == 0 {
            self.ops = self.u32()?;
            self.next_revision += 1;
        }
        self.ops -= 1;
        let revision = self.next_revision - 1;
        let kind = self.u32()?;
        let key_bytes = self.u32()? as usize;
        let value_bytes = self.u32()? as usize;
        let key = self.slice(key_bytes)?;
        let value = self.slice(value_bytes)?;
        let value = (kind == u32::from(OP_PUT)).then_some(value);
        Some(Op { key, value, revision })
    }
}

impl Ops<'_> {
    fn u32(&mut self) -> Option<u32> {
        let bytes = self.payload.get(self.at..self.at.checked_add(4)?)?;
        self.at += 4;
        bytes.try_into().ok().map(u32::from_le_bytes)
    }

    fn slice(&mut self, bytes: usize) -> Option<Bytes> {
        let end = self.at.checked_add(bytes).filter(|&end| end <= self.payload.len())?;
        let slice = self.payload.slice(self.at..end);
        self.at = end;
        Some(slice)
    }
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}
