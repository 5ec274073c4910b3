//! Off, monitor, enforce.

use core::str::FromStr;
use core::sync::atomic::{AtomicU8, Ordering};

/// What a gate does with its own verdicts. Switchable at run time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Everything is let through and nothing is decided.
    Off,
    /// Everything is let through; what would have been refused is counted.
    Monitor,
    /// Verdicts stand.
    #[default]
    Enforce,
}

/// The text was none of `off`, `monitor`, `enforce`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown mode {0:?}: expected off, monitor or enforce")]
pub struct UnknownMode(String);

impl Mode {
    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Monitor => "monitor",
            Self::Enforce => "enforce",
        }
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        match text {
            "off" => Ok(Self::Off),
            "monitor" => Ok(Self::Monitor),
            "enforce" => Ok(Self::Enforce),
            _ => Err(UnknownMode(text.to_owned())),
        }
    }
}

/// A [`Mode`] that many threads read and one operator changes.
#[derive(Debug)]
pub(crate) struct AtomicMode(AtomicU8);

impl AtomicMode {
    pub(crate) const fn new(mode: Mode) -> Self {
        Self(AtomicU8::new(mode as u8))
    }

    pub(crate) fn load(&self) -> Mode {
        match self.0.load(Ordering::Relaxed) {
            0 => Mode::Off,
            1 => Mode::Monitor,
            _ => Mode::Enforce,
        }
    }

    pub(crate) fn store(&self, mode: Mode) {
        self.0.store(mode as u8, Ordering::Relaxed);
    }
}
