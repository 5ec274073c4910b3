//! What a person reads: the bar while it runs, the tables afterwards.
//!
//! The one place of the load generator that writes to standard output.

#![allow(clippy::print_stdout, reason = "the report is this module's purpose")]

use std::{fs, path::Path};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::{Latency, LoadOptions, Outcomes, Report};

/// More flows than this are summed up by the JSON report only.
const FLOWS_SHOWN_MAX: usize = 40;

/// The progress bar, on standard error.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    begin: Instant,
}

impl Bar {
    pub(super) fn new(options: &LoadOptions) -> anyhow::Result<Self> {
        let target =
            if options.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let length_ms = u64::try_from(options.load_duration().as_millis()).unwrap_or(u64::MAX);
        let style = ProgressStyle::with_template("{elapsed:>4} [{wide_bar}] {msg}")
            .context("the progress bar's template")?
            .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(length_ms), target).with_style(style);
        Ok(Self { bar, begin: Instant::now() })
    }

    pub(super) fn show(&self, so_far: &Outcomes) {
        self.bar.set_position(u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.bar.set_message(format!(
            "ok {}  503 {}  429 {}  timeout {}  error {}",
            so_far.ok, so_far.refused, so_far.throttled, so_far.timeout, so_far.error
        ));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

pub(super) fn report(report: &Report) {
    println!("{} at {}", report.operation, report.address);
    seconds(report);
    if report.flows.len() > 1 {
        flows(report);
    }
    totals(report);
}

fn seconds(report: &Report) {
    println!(
        "\n{:>6} {:>8} {:>8} {:>7} {:>8} {:>8} {:>7} {:>8} {:>9} {:>9} {:>9}",
        "second",
        "offered",
        "ok",
        "429",
        "503",
        "timeout",
        "error",
        "dropped",
        "p50 ms",
        "p99 ms",
        "max ms"
    );
    for second in &report.seconds {
        let Outcomes { ok, throttled, refused, error, timeout, dropped } = second.outcomes;
        let latency = second.accepted;
        println!(
            "{:>6} {:>8} {ok:>8} {throttled:>7} {refused:>8} {timeout:>8} {error:>7} {dropped:>8} \
             {:>9.1} {:>9.1} {:>9.1}",
            second.second,
            second.outcomes.offered(),
            latency.p50_ms,
            latency.p99_ms,
            latency.max_ms
        );
    }
}

fn flows(report: &Report) {
    println!(
        "\n{:<20} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7} {:>9} {:>9}",
        "flow", "offered", "ok", "ok %", "503", "timeout", "429", "p50 ms", "p99 ms"
    );
    for flow in report.flows.iter().take(FLOWS_SHOWN_MAX) {
        let outcomes = flow.outcomes;
        println!(
            "{:<20} {:>9} {:>9} {:>7.2} {:>9} {:>9} {:>7} {:>9.1} {:>9.1}",
            flow.name,
            outcomes.offered(),
            outcomes.ok,
            percent(outcomes.ok, outcomes.offered()),
            outcomes.refused,
            outcomes.timeout,
            outcomes.throttled,
            flow.accepted.p50_ms,
            flow.accepted.p99_ms
        );
    }
    if report.flows.len() > FLOWS_SHOWN_MAX {
        println!("... and {} more in the JSON report", report.flows.len() - FLOWS_SHOWN_MAX);
    }
}

fn totals(report: &Report) {
    let outcomes = report.outcomes;
    let offered = outcomes.offered();
    println!("\n{:<10} {:>10} {:>8} {:>10}", "outcome", "requests", "%", "per second");
    for (name, count) in [
        ("offered", offered),
        ("ok", outcomes.ok),
        ("429", outcomes.throttled),
        ("503", outcomes.refused),
        ("timeout", outcomes.timeout),
        ("error", outcomes.error),
        ("dropped", outcomes.dropped),
    ] {
        let per_second = count as f64 / report.duration_s;
        println!("{name:<10} {count:>10} {:>8.2} {per_second:>10.1}", percent(count, offered));
    }
    println!(
        "\n{:<10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "ms", "count", "p50", "p90", "p99", "p99.9", "max"
    );
    latency("accepted", &report.accepted);
    latency("refused", &report.refused);
    if report.closed_loop_connections.is_none() {
        latency("lateness", &report.lateness);
    }
    if let Some(retries) = &report.retries {
        latency("to success", &retries.time_to_success);
        println!(
            "\n{:.2} attempts a request, {:.1} successes a second, {} given up",
            retries.attempts_per_request, retries.successes_per_s, retries.gave_up
        );
    }
    if let Some(error) = &report.first_error {
        println!("\nfirst error: {error}");
    }
}

fn latency(name: &str, of: &Latency) {
    println!(
        "{name:<10} {:>9} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2}",
        of.count, of.p50_ms, of.p90_ms, of.p99_ms, of.p999_ms, of.max_ms
    );
}

pub(super) fn json(report: &Report, path: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { 100.0 * part as f64 / of as f64 }
}
