//! The two kinds of panels.

use plotters::{
    chart::{ChartBuilder, ChartContext, LabelAreaPosition},
    coord::{Shift, combinators::IntoLogRange as _, ranged1d::Ranged, types::RangedCoordf64},
    drawing::DrawingArea,
    element::{Rectangle, Text},
    prelude::{Cartesian2d, DrawingBackend},
    series::{DashedLineSeries, LineSeries},
    style::{Color as _, RGBColor},
};

use super::{
    super::{Comparison, Storm},
    style,
};
use crate::{
    load::{Outcomes, Report, Second},
    picture::{self, Entry, Legend, Mark, failed},
};

/// The strip above a panel in which its legend is.
const LEGEND_PX: u32 = 34;
const LEGEND: Legend =
    Legend { left_px: style::MARGIN_PX + style::AXIS_PX, label_px: style::LABEL_PX };
const LATENCY_MS_MIN: f64 = 1.0;

/// What left and right have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales {
    seconds: f64,
    requests_per_s: f64,
    latency_ms: f64,
}

impl Scales {
    pub(super) fn of(comparison: &Comparison) -> Self {
        let both = || comparison.off.seconds.iter().chain(&comparison.on.seconds);
        let busiest = both().map(|second| second.outcomes.offered()).max().unwrap_or(0);
        let slowest_ms = both().map(|second| second.accepted.p99_ms).fold(0.0, f64::max);
        let ceiling_ms = slowest_ms.max(comparison.storm.timeout_ms as f64).max(10.0);
        Self {
            seconds: comparison.storm.phases.duration().as_secs_f64().ceil(),
            requests_per_s: (busiest as f64).max(comparison.storm.capacity_per_s) * 1.08,
            latency_ms: 10_f64.powf(ceiling_ms.log10().ceil()),
        }
    }
}

type Chart<'a, DB, Y> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, Y>>;

/// What became of the requests of each second, stacked.
pub(super) fn outcomes<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    comparison: &Comparison,
    report: &Report,
    scales: &Scales,
) -> anyhow::Result<()> {
    let storm = &comparison.storm;
    let (legend_area, area) = area.split_vertically(LEGEND_PX);
    let mut chart = builder(&area)
        .build_cartesian_2d(0.0..scales.seconds, 0.0..scales.requests_per_s)
        .map_err(failed)?;
    shade(&mut chart, storm, 0.0, scales.requests_per_s)?;
    mesh(&mut chart, "logins per second", &|rate| format!("{rate:.0}"))?;

    let mut entries = Vec::new();
    for (name, color, of) in KINDS {
        let bars = report.seconds.iter().filter_map(|second| bar(second, of, color));
        chart.draw_series(bars).map_err(failed)?;
        let runs = [&comparison.off, &comparison.on];
        if runs.iter().any(|run| of(&run.outcomes).1 > 0) {
            entries.push(Entry { name: name.to_owned(), mark: Mark::Area, color });
        }
    }
    level(&mut chart, scales, storm.capacity_per_s, &picture::INK)?;
    entries.push(Entry {
        name: format!("the disk carries {:.0}/s", storm.capacity_per_s),
        mark: Mark::Dashes,
        color: picture::INK,
    });
    LEGEND.draw(&legend_area, &entries)
}

/// How long the successful logins of each second took.
pub(super) fn latency<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    comparison: &Comparison,
    report: &Report,
    scales: &Scales,
) -> anyhow::Result<()> {
    let storm = &comparison.storm;
    let (legend_area, area) = area.split_vertically(LEGEND_PX);
    let range = (LATENCY_MS_MIN..scales.latency_ms).log_scale();
    let mut chart =
        builder(&area).build_cartesian_2d(0.0..scales.seconds, range).map_err(failed)?;
    shade(&mut chart, storm, LATENCY_MS_MIN, scales.latency_ms)?;
    mesh(&mut chart, "time to a successful login", &|ms| latency_label(*ms))?;

    let patience_ms = storm.timeout_ms as f64;
    level(&mut chart, scales, patience_ms, &style::TIMEOUT)?;
    let curves: [Curve; 2] = [
        ("median", style::MEDIAN, |second| second.accepted.p50_ms),
        ("99th percentile", style::TAIL, |second| second.accepted.p99_ms),
    ];
    let mut entries = Vec::new();
    for (name, color, of) in curves {
        for stretch in stretches(&report.seconds, of) {
            let curve = LineSeries::new(stretch, color.stroke_width(3));
            chart.draw_series(curve).map_err(failed)?;
        }
        entries.push(Entry { name: name.to_owned(), mark: Mark::Line, color });
    }
    note_silence(&mut chart, report)?;
    entries.push(Entry {
        name: format!("clients give up after {}", latency_label(patience_ms)),
        mark: Mark::Dashes,
        color: style::TIMEOUT,
    });
    LEGEND.draw(&legend_area, &entries)
}

/// A curve's name, its colour, and its value in a second.
type Curve = (&'static str, RGBColor, fn(&Second) -> f64);
type Kind = (&'static str, RGBColor, fn(&Outcomes) -> (u64, u64));

/// Each kind's share of a bar: what lies below it, and its own height.
const KINDS: [Kind; 4] = [
    ("succeeded", style::OK, |o| (0, o.ok)),
    ("refused (503)", style::REFUSED, |o| (o.ok, o.refused + o.throttled)),
    ("timed out", style::TIMEOUT, |o| (o.ok + o.refused + o.throttled, o.timeout + o.dropped)),
    ("failed", style::ERROR, |o| (o.offered() - o.error, o.error)),
];

fn bar(
    second: &Second,
    of: fn(&Outcomes) -> (u64, u64),
    color: RGBColor,
) -> Option<Rectangle<(f64, f64)>> {
    let (below, height) = of(&second.outcomes);
    let begin = second.second as f64;
    (height > 0).then(|| {
        let corners = [(begin, below as f64), (begin + 1.0, (below + height) as f64)];
        Rectangle::new(corners, color.filled())
    })
}

/// The curve in pieces: where nothing succeeded there is nothing to draw.
fn stretches(seconds: &[Second], of: fn(&Second) -> f64) -> Vec<Vec<(f64, f64)>> {
    seconds
        .chunk_by(|a, b| (a.accepted.count > 0) == (b.accepted.count > 0))
        .filter(|stretch| stretch[0].accepted.count > 0)
        .map(|stretch| {
            stretch.iter().map(|s| (s.second as f64 + 0.5, of(s).max(LATENCY_MS_MIN))).collect()
        })
        .collect()
}

/// Says why the curve is missing where it is missing for long.
fn note_silence<'a, DB: DrawingBackend + 'a, Y: Ranged<ValueType = f64>>(
    chart: &mut Chart<'a, DB, Y>,
    report: &Report,
) -> anyhow::Result<()> {
    const WORTH_A_NOTE_S: usize = 8;
    let silences = report.seconds.chunk_by(|a, b| (a.accepted.count > 0) == (b.accepted.count > 0));
    for silence in silences.filter(|s| s[0].accepted.count == 0 && s.len() >= WORTH_A_NOTE_S) {
        let begin = silence[0].second as f64 + 0.5;
        let note = Text::new(
            "nobody is answered in time",
            (begin, 60.0),
            picture::text(style::LABEL_PX, &style::TIMEOUT),
        );
        chart.draw_series([note]).map_err(failed)?;
    }
    Ok(())
}

fn builder<'a, 'b, DB: DrawingBackend>(
    area: &'a DrawingArea<DB, Shift>,
) -> ChartBuilder<'a, 'b, DB> {
    let mut builder = ChartBuilder::on(area);
    builder
        .margin_left(style::MARGIN_PX)
        .margin_right(26)
        .set_label_area_size(LabelAreaPosition::Left, style::AXIS_PX)
        .set_label_area_size(LabelAreaPosition::Bottom, 58);
    builder
}

fn shade<'a, DB: DrawingBackend + 'a, Y: Ranged<ValueType = f64>>(
    chart: &mut Chart<'a, DB, Y>,
    storm: &Storm,
    low: f64,
    high: f64,
) -> anyhow::Result<()> {
    let (begin, end) = storm.seconds();
    let corners = [(begin as f64, low), (end as f64, high)];
    chart.draw_series([Rectangle::new(corners, style::STORM.filled())]).map_err(failed)?;
    Ok(())
}

fn mesh<'a, DB: DrawingBackend + 'a, Y>(
    chart: &mut Chart<'a, DB, Y>,
    unit: &str,
    label: &dyn Fn(&f64) -> String,
) -> anyhow::Result<()>
where
    Y: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(picture::PAPER.mix(0.0))
        .bold_line_style(picture::GRID)
        .axis_style(picture::GREY)
        .label_style(picture::text(style::LABEL_PX, &picture::INK))
        .axis_desc_style(picture::text(style::LABEL_PX, &picture::INK))
        .x_desc("seconds since the start (storm shaded)")
        .x_labels(10)
        .x_label_formatter(&|second| format!("{second:.0}"))
        .y_desc(unit)
        .y_labels(6)
        .y_label_formatter(label)
        .draw()
        .map_err(failed)
}

/// A dashed line across the panel.
fn level<'a, DB: DrawingBackend + 'a, Y: Ranged<ValueType = f64>>(
    chart: &mut Chart<'a, DB, Y>,
    scales: &Scales,
    value: f64,
    color: &RGBColor,
) -> anyhow::Result<()> {
    let ends = [(0.0, value), (scales.seconds, value)];
    chart.draw_series(DashedLineSeries::new(ends, 8, 6, color.stroke_width(2))).map_err(failed)?;
    Ok(())
}

fn latency_label(ms: f64) -> String {
    if ms >= 1_000.0 { format!("{} s", ms / 1e3) } else { format!("{ms} ms") }
}
