//! The two kinds of panels.

use anyhow::anyhow;
use plotters::{
    chart::{ChartBuilder, ChartContext, LabelAreaPosition, SeriesLabelPosition},
    coord::{Shift, combinators::IntoLogRange as _, ranged1d::Ranged, types::RangedCoordf64},
    drawing::{DrawingArea, DrawingAreaErrorKind},
    element::{PathElement, Rectangle, Text},
    prelude::{Cartesian2d, DrawingBackend},
    series::{DashedLineSeries, LineSeries},
    style::{Color as _, RGBColor, ShapeStyle},
};

use super::{
    super::{Comparison, Storm},
    style::{self, text},
};
use crate::load::{Outcomes, Report, Second};

const LABEL_PX: u32 = 18;
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
            // Room above the storm for the legend.
            requests_per_s: (busiest as f64).max(comparison.storm.capacity_per_s) * 1.32,
            latency_ms: 10_f64.powf(ceiling_ms.log10().ceil()),
        }
    }
}

type Chart<'a, DB, Y> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, Y>>;

/// What became of the requests of each second, stacked.
pub(super) fn outcomes<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    report: &Report,
    storm: &Storm,
    scales: &Scales,
) -> anyhow::Result<()> {
    let mut chart = builder(area)
        .build_cartesian_2d(0.0..scales.seconds, 0.0..scales.requests_per_s)
        .map_err(failed)?;
    shade(&mut chart, storm, 0.0, scales.requests_per_s)?;
    mesh(&mut chart, "logins per second", &|rate| format!("{rate:.0}"))?;

    for (name, color, of) in KINDS {
        let bars = report.seconds.iter().filter_map(|second| bar(second, of, color));
        let series = chart.draw_series(bars).map_err(failed)?;
        series
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 7), (x + 22, y + 7)], color.filled()));
    }
    let capacity = [(0.0, storm.capacity_per_s), (scales.seconds, storm.capacity_per_s)];
    let style = line(&style::INK, 2);
    let series = DashedLineSeries::new(capacity, 8, 6, style);
    chart
        .draw_series(series)
        .map_err(failed)?
        .label(format!("what the disk can carry: {:.0}/s", storm.capacity_per_s))
        .legend(move |(x, y)| {
            PathElement::new([(x, y), (x + 8, y), (x + 14, y), (x + 22, y)], style)
        });
    legend(&mut chart, SeriesLabelPosition::UpperLeft)
}

/// How long the successful logins of each second took.
pub(super) fn latency<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    report: &Report,
    storm: &Storm,
    scales: &Scales,
) -> anyhow::Result<()> {
    let range = (LATENCY_MS_MIN..scales.latency_ms).log_scale();
    let mut chart = builder(area).build_cartesian_2d(0.0..scales.seconds, range).map_err(failed)?;
    shade(&mut chart, storm, LATENCY_MS_MIN, scales.latency_ms)?;
    mesh(&mut chart, "successful logins: latency", &|ms| latency_label(*ms))?;

    let patience_ms = storm.timeout_ms as f64;
    let style = line(&style::TIMEOUT, 2);
    let patience =
        DashedLineSeries::new([(0.0, patience_ms), (scales.seconds, patience_ms)], 8, 6, style);
    chart
        .draw_series(patience)
        .map_err(failed)?
        .label(format!("clients give up after {}", latency_label(patience_ms)))
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
    let curves: [(_, _, fn(&Second) -> f64); 2] = [
        ("99th percentile", style::TAIL, |second| second.accepted.p99_ms),
        ("median", style::MEDIAN, |second| second.accepted.p50_ms),
    ];
    for (name, color, of) in curves {
        let style = line(&color, 3);
        for (index, stretch) in stretches(&report.seconds, of).into_iter().enumerate() {
            let series = chart.draw_series(LineSeries::new(stretch, style)).map_err(failed)?;
            if index == 0 {
                series
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
            }
        }
    }
    note_silence(&mut chart, report)?;
    legend(&mut chart, SeriesLabelPosition::LowerRight)
}

type Kind = (&'static str, RGBColor, fn(&Outcomes) -> (u64, u64));

/// Each kind's share of a bar: what lies below it, and its own height.
const KINDS: [Kind; 4] = [
    ("succeeded", style::OK, |o| (0, o.ok)),
    ("refused at once (503)", style::REFUSED, |o| (o.ok, o.refused + o.throttled)),
    ("no answer in time", style::TIMEOUT, |o| {
        (o.ok + o.refused + o.throttled, o.timeout + o.dropped)
    }),
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
        let note =
            Text::new("nobody is answered in time", (begin, 60.0), text(LABEL_PX, &style::TIMEOUT));
        chart.draw_series([note]).map_err(failed)?;
    }
    Ok(())
}

fn builder<'a, 'b, DB: DrawingBackend>(
    area: &'a DrawingArea<DB, Shift>,
) -> ChartBuilder<'a, 'b, DB> {
    let mut builder = ChartBuilder::on(area);
    builder
        .margin_right(26)
        .margin_top(6)
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
        .light_line_style(style::PAPER.mix(0.0))
        .bold_line_style(style::GRID)
        .axis_style(style::GREY)
        .label_style(text(LABEL_PX, &style::INK))
        .axis_desc_style(text(LABEL_PX, &style::INK))
        .x_desc("seconds since the start (storm shaded)")
        .x_labels(10)
        .x_label_formatter(&|second| format!("{second:.0}"))
        .y_desc(unit)
        .y_labels(6)
        .y_label_formatter(label)
        .draw()
        .map_err(failed)
}

fn legend<'a, DB: DrawingBackend + 'a, Y: Ranged<ValueType = f64>>(
    chart: &mut Chart<'a, DB, Y>,
    position: SeriesLabelPosition,
) -> anyhow::Result<()> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(style::PAPER.mix(0.88))
        .border_style(style::GRID)
        .label_font(text(LABEL_PX, &style::INK))
        .legend_area_size(30)
        .margin(10)
        .draw()
        .map_err(failed)
}

fn line(color: &RGBColor, width_px: u32) -> ShapeStyle {
    color.stroke_width(width_px)
}

fn latency_label(ms: f64) -> String {
    if ms >= 1_000.0 { format!("{} s", ms / 1e3) } else { format!("{ms} ms") }
}

fn failed<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("cannot draw the picture: {error}")
}
