//! The demo: the same storm twice, without protection and with it.
//!
//! A server is started on a slowed disk, clients log in at a rate it can carry,
//! then at twice that, then at the first rate again. [`run`] does that with the
//! protection off and then on, and writes what happened as one page
//! (`demo.html`, complete in itself), one picture (`demo.png`) and the figures
//! (`demo.json`).
//!
//! The capacity is not measured but computed from the slowed disk, so neither
//! run can flatter itself: a commit of b logins takes s0 + s1 * b, and the
//! batch at which 95 % of the asymptotic rate 1 / s1 is reached carries .95 / s1.

mod figures;
mod options;
mod page;
mod picture;
mod print;
mod server;

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::Serialize;

use crate::load::{LoadOptions, Operation, Report, measure};

use self::{
    print::Bar,
    server::{Protection, Server},
};

pub use self::{figures::Figures, options::DemoOptions};

/// The same storm twice.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What was driven, and against what.
    pub storm: Storm,
    /// What happened without protection.
    pub off: Report,
    /// What happened with it.
    pub on: Report,
}

/// What both runs have in common.
#[derive(Clone, Debug, Serialize)]
pub struct Storm {
    /// The phases of the load.
    pub phases: crate::schedule::Schedule,
    /// What the server can carry on its slowed disk, in logins per second.
    pub capacity_per_s: f64,
    /// After how long a client gives up, in milliseconds.
    pub timeout_ms: u64,
    /// The slowed disk, as given to the server.
    pub slow_disk: String,
}

/// Drives both runs, writes page, picture and figures, and prints a summary.
///
/// # Errors
/// A server did not start, could not be prepared, or a file could not be written.
pub fn run(options: &DemoOptions) -> anyhow::Result<()> {
    fs::create_dir_all(&options.out_dir)
        .with_context(|| format!("cannot create {}", options.out_dir.display()))?;
    let off = drive(options, Protection::Off)?;
    let on = drive(options, Protection::Enforce)?;
    let comparison = Comparison { storm: options.storm(), off, on };
    write(&comparison, &options.out_dir)?;
    print::summary(&comparison, &options.out_dir);
    Ok(())
}

/// Writes `demo.html`, `demo.png` and `demo.json` into a directory that exists.
///
/// # Errors
/// A file could not be written.
pub fn write(comparison: &Comparison, out_dir: &Path) -> anyhow::Result<()> {
    let put = |name: &str, content: &[u8]| {
        let path = out_dir.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    };
    put("demo.html", page::html(comparison)?.as_bytes())?;
    put("demo.json", serde_json::to_string_pretty(comparison)?.as_bytes())?;
    picture::png(comparison, &out_dir.join("demo.png"))
}

fn drive(options: &DemoOptions, protection: Protection) -> anyhow::Result<Report> {
    let server = Server::start(options, protection)?;
    let mut load = LoadOptions::new(
        Operation::ApproleLogin,
        server.address(),
        server::ROOT_TOKEN.to_owned(),
        options.phases.clone(),
    );
    load.timeout = options.timeout;
    let bar = Bar::new(options, protection)?;
    let report = measure(&load, &|so_far| bar.show(so_far));
    bar.finish();
    report.map_err(|error| server.explain(error.into()))
}
