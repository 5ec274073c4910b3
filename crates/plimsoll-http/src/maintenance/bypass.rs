//! The secret that lets an operator's tools through a closed door.

use core::fmt;

use subtle::ConstantTimeEq as _;

/// The shortest secret: one that can be guessed is none.
const BYTES_MIN: usize = 16;
/// The longest.
const BYTES_MAX: usize = 256;

/// A bypass token. Neither printed nor compared in a time that tells anything.
#[derive(Clone, PartialEq, Eq)]
pub struct Bypass(String);

/// Not a token that can be sent in a header, or one that could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a bypass token is {BYTES_MIN} to {BYTES_MAX} visible ASCII characters")]
pub struct InvalidBypass;

impl Bypass {
    /// From a text.
    ///
    /// # Errors
    /// It is too short, too long, or not visible ASCII.
    pub fn new(token: String) -> Result<Self, InvalidBypass> {
        let fits = (BYTES_MIN..=BYTES_MAX).contains(&token.len());
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if fits && visible { Ok(Self(token)) } else { Err(InvalidBypass) }
    }

    /// Whether this is the token.
    pub fn is(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }
}

impl fmt::Debug for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bypass")
    }
}
