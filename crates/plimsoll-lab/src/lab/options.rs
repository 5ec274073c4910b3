//! What the lab is told.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};
use plimsoll::write::{InvalidWriteGate, WriteGateConfig};

use crate::{schedule::parse_duration, sim::RetryAfter};

/// Put the controller and its rivals through the same storms
#[derive(Args, Clone, Debug)]
pub struct LabOptions {
    #[command(subcommand)]
    pub(super) command: LabCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum LabCommand {
    /// Run scenarios and score them
    Run(RunOptions),
    /// Show what changed from one result to another
    Compare {
        /// lab.json before
        before: PathBuf,
        /// lab.json after
        after: PathBuf,
    },
    /// List the rivals and where their formulas are published
    List,
}

/// What to run.
#[derive(Args, Clone, Debug)]
pub struct RunOptions {
    /// Scenario files; see lab/scenarios for examples
    #[arg(value_name = "SCENARIO.toml", required_unless_present_any = ["all", "full"])]
    pub scenarios: Vec<PathBuf>,

    /// Every scenario that ships
    #[arg(long)]
    pub all: bool,

    /// Every scenario, over five seeds, each rival also tuned in hindsight
    #[arg(long)]
    pub full: bool,

    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,

    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// How many seeds; 5 with --full unless said otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: Option<u64>,

    /// Without the rivals
    #[arg(long)]
    pub alone: bool,

    /// With the mutants, which must fail
    #[arg(long)]
    pub mutants: bool,

    /// Fail if a pass mark is missed
    #[arg(long)]
    pub check: bool,

    /// Other constants than those that ship: burst=25ms,efficiency=0.9,retry-after=doubling
    #[arg(long, value_name = "LAW", default_value = "")]
    pub law: Law,

    /// Where lab.html and lab.json go
    #[arg(long, default_value = "plimsoll-lab", value_name = "DIR")]
    pub out_dir: PathBuf,

    /// No progress bar
    #[arg(long)]
    pub quiet: bool,
}

/// The constants of the law that a run may change.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Law {
    /// f.
    pub efficiency: Option<f64>,
    /// tau.
    pub burst: Option<std::time::Duration>,
    /// What the refused are told.
    pub retry_after: RetryAfter,
}

impl Law {
    pub(super) fn apply(
        &self,
        mut config: WriteGateConfig,
    ) -> Result<WriteGateConfig, InvalidWriteGate> {
        if let Some(burst) = self.burst {
            config = config.with_burst(burst);
        }
        self.efficiency.map_or(Ok(config), |f| config.with_efficiency(f))
    }
}

impl FromStr for Law {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut law = Self::default();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("{part:?} is not key=value"))?;
            let number = || value.parse::<f64>().map_err(|_| format!("{value:?} is no number"));
            match key.trim() {
                "burst" => law.burst = Some(parse_duration(value).map_err(|e| e.to_string())?),
                "efficiency" => law.efficiency = Some(number()?),
                "retry-after" => law.retry_after = retry_after(value)?,
                other => return Err(format!("no constant is called {other:?}")),
            }
        }
        law.apply(WriteGateConfig::default()).map_err(|error| error.to_string())?;
        Ok(law)
    }
}

fn retry_after(text: &str) -> Result<RetryAfter, String> {
    let seconds = |text: &str| match parse_duration(text) {
        Ok(duration) => Ok(duration.as_secs_f64()),
        Err(error) => Err(error.to_string()),
    };
    match text.split_once(':') {
        None if text == "appointment" => Ok(RetryAfter::Appointment),
        None if text == "doubling" => Ok(RetryAfter::Doubling),
        Some(("constant", time)) => seconds(time).map(RetryAfter::Constant),
        Some(("spread", time)) => seconds(time).map(RetryAfter::Spread),
        _ => Err(format!("{text:?} is none of appointment, doubling, constant:1s and spread:10s")),
    }
}
