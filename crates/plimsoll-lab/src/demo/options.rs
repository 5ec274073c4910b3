//! What the demo is told.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::Storm;
use crate::schedule::{Schedule, parse_duration};

/// Drive the same login storm at a server without protection and with it, and draw both.
#[derive(Args, Clone, Debug)]
pub struct DemoOptions {
    /// Where demo.html, demo.png and demo.json go
    #[arg(long, default_value = "plimsoll-demo", value_name = "DIR")]
    pub out_dir: PathBuf,

    /// The server's program; by default this one
    #[arg(long, value_name = "FILE")]
    pub server_binary: Option<PathBuf>,

    /// The storm: duration:logins-per-second, separated by commas
    #[arg(long, default_value = "10s:380,20s:950,15s:380")]
    pub phases: Schedule,

    /// What the server can carry on the slowed disk, in logins per second
    #[arg(long, default_value_t = 475.0, value_name = "LOGINS")]
    pub capacity: f64,

    /// The slowed disk: what a sync costs, and each item in it
    #[arg(long, default_value = "sync=10ms,item=2ms", value_name = "DELAYS")]
    pub slow_disk: String,

    /// After this long without an answer a client gives up
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub timeout: Duration,

    /// No progress bar
    #[arg(long)]
    pub quiet: bool,
}

impl DemoOptions {
    pub(super) fn storm(&self) -> Storm {
        Storm {
            phases: self.phases.clone(),
            capacity_per_s: self.capacity,
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            slow_disk: self.slow_disk.clone(),
        }
    }
}
