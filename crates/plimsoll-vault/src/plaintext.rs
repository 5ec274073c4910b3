//! What an entry says, erased when nobody needs it any more.
//!
//! Entries may be large, and are read on every request that is about them: so they are
//! erased at once, not byte by byte by volatile writes, which takes longer than to
//! decrypt them.

use core::fmt;
use core::ops::{Deref, DerefMut};

use zeroize::optimization_barrier;

/// Decrypted bytes, or bytes to be encrypted.
#[derive(Default)]
pub struct Plaintext(Vec<u8>);

impl Plaintext {
    /// Keeps the first `bytes` of them.
    pub(crate) fn truncate(&mut self, bytes: usize) {
        // The rest is erased with them, and not passed over.
        if let Some(rest) = self.0.get_mut(bytes..) {
            rest.fill(0);
        }
        self.0.truncate(bytes);
    }
}

impl From<Vec<u8>> for Plaintext {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Plaintext {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        self.0.fill(0);
        // Whoever frees memory may leave out what nobody reads of it.
        optimization_barrier(&*self.0);
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_not_shown_and_can_be_shortened() {
        let mut plain = Plaintext::from(b"secret and tag".to_vec());
        plain.truncate(100);
        plain.truncate(6);
        assert_eq!(&*plain, b"secret");
        assert_eq!(format!("{plain:?}"), "Plaintext(6 bytes)");
    }
}
