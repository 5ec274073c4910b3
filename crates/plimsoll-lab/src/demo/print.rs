//! What the demo tells a person: the bar while it runs, the figures afterwards.
//!
//! The one place of the demo that writes to standard output.

#![allow(clippy::print_stdout, reason = "the summary is this module's purpose")]

use std::path::Path;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::{Comparison, DemoOptions, Figures, page, server::Protection};
use crate::load::Outcomes;

#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    begin: Instant,
}

impl Bar {
    pub(super) fn new(options: &DemoOptions, protection: Protection) -> anyhow::Result<Self> {
        let target =
            if options.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("protection {prefix:<7} [{wide_bar}] {msg}")
            .context("the progress bar's template")?
            .progress_chars("=> ");
        let length_ms = u64::try_from(options.phases.duration().as_millis()).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(length_ms), target)
            .with_style(style)
            .with_prefix(protection.to_string());
        Ok(Self { bar, begin: Instant::now() })
    }

    pub(super) fn show(&self, so_far: &Outcomes) {
        self.bar.set_position(u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.bar.set_message(format!(
            "ok {}  503 {}  timeout {}",
            so_far.ok, so_far.refused, so_far.timeout
        ));
    }

    pub(super) fn finish(&self) {
        self.bar.finish();
    }
}

pub(super) fn summary(comparison: &Comparison, out_dir: &Path) {
    let figures = |report| Figures::of(report, &comparison.storm);
    let rows = page::rows(&figures(&comparison.off), &figures(&comparison.on), &comparison.storm);
    println!("{:<44} {:>22} {:>22}", "in the storm", "protection off", "protection on");
    for row in rows {
        println!("{:<44} {:>22} {:>22}", row.what, row.off, row.on);
    }
    for name in ["demo.html", "demo.png", "demo.json"] {
        println!("wrote {}", out_dir.join(name).display());
    }
}
