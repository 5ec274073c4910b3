//! What the command line adds to a configuration.

use std::time::Duration;

use crate::config::Config;

/// A disk made slow on purpose, so that an overload can be watched on a laptop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowDiskSpec {
    /// Added to every flush.
    pub sync: Duration,
    /// Added for every transaction written.
    pub item: Duration,
    /// Added once, to the next flush.
    pub hang: Duration,
}

/// The text was not `sync=10ms,item=2ms`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("expected e.g. sync=10ms,item=2ms, found {0:?}")]
pub struct InvalidSlowDisk(String);

impl core::str::FromStr for SlowDiskSpec {
    type Err = InvalidSlowDisk;

    fn from_str(text: &str) -> Result<Self, InvalidSlowDisk> {
        let invalid = || InvalidSlowDisk(text.to_owned());
        let mut spec = Self::default();
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or_else(invalid)?;
            let duration = match value.trim() {
                "0" => Duration::ZERO,
                value => humantime::parse_duration(value).map_err(|_| invalid())?,
            };
            match name.trim() {
                "sync" => spec.sync = duration,
                "item" => spec.item = duration,
                "hang" => spec.hang = duration,
                _ => return Err(invalid()),
            }
        }
        Ok(spec)
    }
}

/// A server to run.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// What it runs on.
    pub config: Config,
    /// Where that came from, to be read again on SIGHUP.
    pub config_file: Option<std::path::PathBuf>,
    /// Dev mode: initialised and unsealed at the start, slow disk adjustable.
    pub dev: Option<DevOptions>,
    /// A slow disk, in dev mode.
    pub slow_disk: Option<SlowDiskSpec>,
    /// What a request costs of a processor besides, in dev mode.
    pub cpu_cost: Option<Duration>,
    /// Bytes of the disk that are kept free, instead of 100 MB or a twentieth.
    pub disk_floor_bytes: Option<u64>,
}

/// Dev mode's own.
#[derive(Clone, Debug, Default)]
pub struct DevOptions {
    /// The root token; a random one unless given.
    pub root_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_is_two_durations() {
        let spec: SlowDiskSpec = "sync=10ms,item=200us".parse().expect("valid");
        assert_eq!(spec.sync, Duration::from_millis(10));
        assert_eq!(spec.item, Duration::from_micros(200));
        let spec: SlowDiskSpec = "sync=0".parse().expect("valid");
        assert_eq!(spec, SlowDiskSpec::default());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "10ms", "sync=ten", "fsync=10ms", "sync=10ms;item=2ms"] {
            assert!(text.parse::<SlowDiskSpec>().is_err(), "{text}");
        }
    }
}
