//! The page: the picture, what it shows in words, the figures.

use std::fmt::Write as _;

use super::{Comparison, Figures, Storm, picture};

/// One line of the table of figures.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) off: String,
    pub(super) on: String,
}

/// A page that needs nothing but itself.
pub(super) fn html(comparison: &Comparison) -> anyhow::Result<String> {
    let storm = &comparison.storm;
    let off = Figures::of(&comparison.off, storm);
    let on = Figures::of(&comparison.on, storm);
    let mut table = String::new();
    for Row { what, off, on } in rows(&off, &on, storm) {
        writeln!(table, "<tr><th scope=\"row\">{what}</th><td>{off}</td><td>{on}</td></tr>")?;
    }
    let (begin, end) = storm.seconds();
    Ok(format!(
        include_str!("page.html"),
        picture = picture::svg(comparison)?,
        table = table,
        capacity = round(storm.capacity_per_s),
        offered = round(on.offered_per_s),
        storm_seconds = end - begin,
        timeout_s = storm.timeout_ms as f64 / 1e3,
        slow_disk = escape(&storm.slow_disk),
        phases = escape(&storm.phases.to_string()),
        off_share = percent(off.goodput_late_of_capacity),
        on_share = percent(on.goodput_late_of_capacity),
        refusal = milliseconds(on.refusal_p99_ms),
    ))
}

/// The figures side by side.
pub(super) fn rows(off: &Figures, on: &Figures, storm: &Storm) -> Vec<Row> {
    let both = |what, show: &dyn Fn(&Figures) -> String| Row { what, off: show(off), on: show(on) };
    let rate = |of: fn(&Figures) -> f64| move |figures: &Figures| round(of(figures));
    let capacity = round(storm.capacity_per_s);
    vec![
        both("Logins asked for per second", &rate(|f| f.offered_per_s)),
        both("Logins that succeeded per second", &|f| {
            format!("{} ({} of {capacity})", round(f.goodput_per_s), percent(f.goodput_of_capacity))
        }),
        both("... in the second half of the storm", &|f| {
            format!("{} of {capacity}", percent(f.goodput_late_of_capacity))
        }),
        both("Refused at once (503) per second", &rate(|f| f.refused_per_s)),
        both("Clients that gave up waiting, per second", &rate(|f| f.timeout_per_s)),
        both("Successful login, median", &|f| milliseconds(f.p50_ms)),
        both("Successful login, 99th percentile (worst)", &|f| milliseconds(f.p99_ms)),
        both("Time to a refusal, 99th percentile (worst)", &|f| milliseconds(f.refusal_p99_ms)),
        both("Back to normal after the storm", &|f| match f.recovery_s {
            Some(0) => "at once".to_owned(),
            Some(seconds) => format!("within {seconds} s"),
            None => "not in this run".to_owned(),
        }),
    ]
}

fn round(value: f64) -> String {
    format!("{value:.0}")
}

fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) if ms < 1_000.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{:.1} s", ms / 1e3),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
