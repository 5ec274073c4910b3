//! The load generator.
//!
//! [`run`] prepares the server, drives the load and prints the report;
//! [`measure`] does the first two and leaves the report to the caller. Both block:
//! the generator has a thread and a single-threaded runtime of its own, so that
//! nothing it measures waits behind somebody else's task.
//!
//! **Open loop** (the default): requests are due when the schedule says so, a
//! request that finds no idle connection opens one, and latency counts from the
//! moment it was due. The generator reports its own lateness, so that a reader
//! can tell a slow server from a slow generator.
//!
//! **Closed loop** (`--closed-loop N`): N connections, each as fast as it can.
//! That measures capacity, not what clients feel.
//!
//! **With a client** (`--client`): what is due is a logical request, sent again and
//! again as that client does it, and counted once, by what became of it in the end.
//!
//! Each request is counted in the second in which it was *due*, whatever became
//! of it and whenever; the columns of a second add up to what was offered in it.

mod client;
mod closed;
mod error;
mod flow;
mod open;
mod operation;
mod options;
mod pacer;
mod pool;
mod print;
mod record;
mod report;
mod request;
mod setup;
mod target;

use std::{sync::Arc, thread};

use tokio::runtime::Builder;

use self::request::Requests;

pub use self::{
    client::Client,
    error::LoadError,
    flow::Flow,
    operation::{CustomOperation, Operation},
    options::LoadOptions,
    report::{FlowReport, Latency, Outcomes, Report, RetryReport, Second},
    target::Target,
};

/// Called about five times a second with how far the load has come.
pub type Progress<'a> = &'a (dyn Fn(&Outcomes) + Sync);

/// Prepares the server, drives the load, prints the report and writes the JSON.
///
/// # Errors
/// The options contradict each other, the server could not be prepared, or the
/// report could not be written. That requests fail is not an error: it is what
/// the report is about.
pub fn run(options: &LoadOptions) -> anyhow::Result<Report> {
    let bar = print::Bar::new(options)?;
    let report = measure(options, &|so_far| bar.show(so_far))?;
    bar.finish();
    print::report(&report);
    if let Some(path) = &options.json {
        print::json(&report, path)?;
    }
    Ok(report)
}

/// Prepares the server and drives the load.
///
/// # Errors
/// The options contradict each other or the server could not be prepared.
pub fn measure(options: &LoadOptions, progress: Progress<'_>) -> Result<Report, LoadError> {
    thread::scope(|scope| {
        let generator = scope.spawn(|| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            tokio::task::LocalSet::new().block_on(&runtime, drive(options, progress))
        });
        generator.join().map_err(|_| LoadError::Generator)?
    })
}

async fn drive(options: &LoadOptions, progress: Progress<'_>) -> Result<Report, LoadError> {
    let target = Target::resolve(&options.address)?;
    let requests = Arc::new(if options.no_setup {
        Requests::unprepared(&target, options)?
    } else {
        setup::prepare(&target, options).await?
    });
    match options.closed_loop {
        Some(connections) => closed::drive(options, connections, &target, requests, progress).await,
        None => open::drive(options, &target, requests, progress).await,
    }
}
