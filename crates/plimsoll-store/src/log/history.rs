//! The rolling digest of a log: two stores with the same digest at a revision were
//! told the same, transaction by transaction, however either grouped its commits.
//!
//! It is what a primary and its secondary compare. A step is a bijection of the
//! digest before, so that two histories which once differed do not agree again by
//! being told the same afterwards. It guards against faults, not against forgers:
//! they are kept out by the keys of the connection.

use core::fmt;

/// See the module. Zero before the first transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct History(u64);

impl History {
    /// As it is stored and sent.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// As it is stored and sent.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Of these parts alone, in this order.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        parts.iter().fold(Self::default(), |history, part| history.and(TxnDigest::of(part)))
    }

    /// After one more transaction.
    pub(crate) const fn and(self, txn: TxnDigest) -> Self {
        // The finaliser of splitmix64.
        let mut bits = self.0.rotate_left(7) ^ txn.0;
        bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self(bits ^ (bits >> 31))
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What one transaction adds: its length and its checksum, as encoded in a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TxnDigest(u64);

impl TxnDigest {
    pub(crate) fn of(encoded: &[u8]) -> Self {
        Self(((encoded.len() as u64) << 32) ^ u64::from(crc32c::crc32c(encoded)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(txns: &[&str]) -> History {
        txns.iter()
            .fold(History::default(), |history, txn| history.and(TxnDigest::of(txn.as_bytes())))
    }

    #[test]
    fn histories_that_differ_once_differ_for_good() {
        assert_eq!(after(&["a", "b", "c"]), after(&["a", "b", "c"]));
        assert_ne!(after(&["a", "b", "c"]), after(&["b", "a", "c"]));
        assert_ne!(after(&["a", "x", "c", "d", "e"]), after(&["a", "b", "c", "d", "e"]));
        assert_ne!(after(&["ab"]), after(&["a", "b"]));
    }
}
