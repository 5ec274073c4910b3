//! A plot per case: goodput over time, and how long the accepted waited.

use plotters::{
    chart::{ChartBuilder, ChartContext, LabelAreaPosition},
    coord::{
        Shift,
        cartesian::Cartesian2d,
        combinators::IntoLogRange as _,
        ranged1d::{Ranged, ValueFormatter},
        types::RangedCoordf64,
    },
    drawing::{DrawingArea, IntoDrawingArea as _},
    prelude::SVGBackend,
    series::LineSeries,
    style::{Color as _, RGBColor},
};

use super::Oracle;
use crate::{
    opaque,
    picture::{Entry, GREY, GRID, INK, Legend, Mark, failed, register_font, text},
    sim::{Bin, Record, Timeline},
};

const WIDTH_PX: u32 = 1_100;
const HEIGHT_PX: u32 = 300;
const LABEL_PX: u32 = 13;
const AXIS_PX: u32 = 64;
const LEGEND_PX: u32 = 28;
const LEGEND: Legend = Legend { left_px: AXIS_PX.cast_signed(), label_px: LABEL_PX };
const ORACLE: RGBColor = RGBColor(190, 196, 204);
const OURS: RGBColor = RGBColor(30, 88, 160);
const OTHERS: [RGBColor; 4] =
    [RGBColor(176, 32, 48), RGBColor(214, 137, 16), RGBColor(46, 139, 105), RGBColor(110, 78, 150)];

/// The rivals that are drawn beside ours, the first four of those that ran.
const DRAWN: [&str; 6] = ["unbounded", "envoy", "codel", "pi-500ms", "gradient2", "failsafe"];

/// One controller's run as lines.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    name: String,
    seconds: f64,
    goodput: Vec<f64>,
    /// What it is measured by, and its goodput.
    yardstick: &'static str,
    oracle: Vec<f64>,
    /// 99th percentile in milliseconds; nothing where nothing was answered.
    p99_ms: Vec<Option<f64>>,
}

impl Curve {
    pub(super) fn new(name: &str, record: &Record, oracle: &Oracle) -> Self {
        let timeline = &record.timeline;
        let seconds = timeline.bin_seconds;
        let served = (0..timeline.bins.len() - 1).map(|index| {
            let begin = index as f64 * seconds;
            oracle.served(begin, begin + seconds) / seconds
        });
        Self::of(name, timeline, ("oracle", served.collect()))
    }

    /// A run before an opaque upstream, beside the best fixed limit's.
    pub(super) fn opaque(name: &str, record: &opaque::Record, best: &opaque::Record) -> Self {
        let goodput = per_second(&best.timeline).collect();
        Self::of(name, &record.timeline, ("best fixed limit", goodput))
    }

    fn of(name: &str, timeline: &Timeline, yardstick: (&'static str, Vec<f64>)) -> Self {
        let p99 = whole(timeline).map(|bin| (bin.good > 0).then_some(bin.p99 * 1e3));
        Self {
            name: name.to_owned(),
            seconds: timeline.bin_seconds,
            goodput: per_second(timeline).collect(),
            yardstick: yardstick.0,
            oracle: yardstick.1,
            p99_ms: p99.collect(),
        }
    }

    fn points(&self, values: &[f64]) -> Vec<(f64, f64)> {
        values.iter().enumerate().map(|(i, v)| ((i as f64 + 0.5) * self.seconds, *v)).collect()
    }
}

/// The last bin holds what came after the end.
fn whole(timeline: &Timeline) -> impl Iterator<Item = &Bin> {
    timeline.bins[..timeline.bins.len() - 1].iter()
}

fn per_second(timeline: &Timeline) -> impl Iterator<Item = f64> {
    whole(timeline).map(|bin| bin.good as f64 / timeline.bin_seconds)
}

/// The plot of one case as an SVG element.
pub(super) fn svg(curves: &[&Curve]) -> anyhow::Result<String> {
    register_font()?;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH_PX, HEIGHT_PX)).into_drawing_area();
        let (above, below) = root.split_vertically(LEGEND_PX);
        LEGEND.draw(&above, &legend(curves))?;
        let (left, right) = below.split_horizontally(WIDTH_PX / 2);
        goodput(&left, curves)?;
        latency(&right, curves)?;
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Ours last, so that it is on top.
fn drawn<'a>(curves: &[&'a Curve]) -> Vec<(&'a Curve, RGBColor, u32)> {
    let ran = DRAWN.iter().filter_map(|name| curves.iter().find(|curve| curve.name == *name));
    let others = ran.zip(OTHERS).map(|(curve, color)| (*curve, color, 1));
    let ours = curves.iter().filter(|c| c.name == "plimsoll").map(|curve| (*curve, OURS, 2));
    others.chain(ours).collect()
}

fn legend(curves: &[&Curve]) -> Vec<Entry> {
    let yardstick = curves.first().map(|first| (first.yardstick, ORACLE, Mark::Broad));
    let lines =
        drawn(curves).into_iter().map(|(curve, color, _)| (&*curve.name, color, Mark::Line));
    let entries = yardstick.into_iter().chain(lines);
    entries.map(|(name, color, mark)| Entry { name: name.to_owned(), mark, color }).collect()
}

fn goodput(area: &Area<'_>, curves: &[&Curve]) -> anyhow::Result<()> {
    let Some(first) = curves.first() else { return Ok(()) };
    let seconds = first.goodput.len() as f64 * first.seconds;
    let of_all = curves.iter().flat_map(|curve| curve.oracle.iter().chain(&curve.goodput));
    let most = of_all.copied().fold(1.0, f64::max) * 1.05;
    let mut chart = builder(area).build_cartesian_2d(0.0..seconds, 0.0..most).map_err(failed)?;
    mesh(&mut chart, "answers in time per second")?;
    let oracle = LineSeries::new(first.points(&first.oracle), ORACLE.stroke_width(5));
    chart.draw_series(oracle).map_err(failed)?;
    for (curve, color, width) in drawn(curves) {
        let line = LineSeries::new(curve.points(&curve.goodput), color.stroke_width(width));
        chart.draw_series(line).map_err(failed)?;
    }
    Ok(())
}

fn latency(area: &Area<'_>, curves: &[&Curve]) -> anyhow::Result<()> {
    let Some(first) = curves.first() else { return Ok(()) };
    let seconds = first.goodput.len() as f64 * first.seconds;
    let drawn = drawn(curves);
    let values = || drawn.iter().flat_map(|(curve, ..)| curve.p99_ms.iter().flatten().copied());
    let most = values().fold(1.0, f64::max) * 2.0;
    let least = values().filter(|ms| *ms > 0.0).fold(most / 4.0, f64::min) / 2.0;
    let mut chart = builder(area)
        .build_cartesian_2d(0.0..seconds, (least..most).log_scale())
        .map_err(failed)?;
    mesh(&mut chart, "99th percentile, ms")?;
    for (curve, color, width) in drawn {
        let points = curve.p99_ms.iter().enumerate();
        let points: Vec<_> = points
            .map(|(index, ms)| ms.map(|ms| ((index as f64 + 0.5) * curve.seconds, ms.max(least))))
            .collect();
        // Nothing is drawn where nothing was answered.
        for stretch in points.split(Option::is_none).filter(|stretch| stretch.len() > 1) {
            let line = stretch.iter().flatten().copied();
            chart.draw_series(LineSeries::new(line, color.stroke_width(width))).map_err(failed)?;
        }
    }
    Ok(())
}

fn builder<'a, 'b>(area: &'b Area<'a>) -> ChartBuilder<'b, 'b, SVGBackend<'a>>
where
    'a: 'b,
{
    let mut builder = ChartBuilder::on(area);
    builder
        .margin(8)
        .set_label_area_size(LabelAreaPosition::Left, AXIS_PX)
        .set_label_area_size(LabelAreaPosition::Bottom, 36);
    builder
}

/// The grid, the axes and what they say.
fn mesh<'a, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, Y>>,
    unit: &str,
) -> anyhow::Result<()>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(GRID.mix(0.0))
        .axis_style(GREY)
        .label_style(text(LABEL_PX, &INK))
        .y_labels(5)
        .x_labels(8)
        .x_desc("seconds")
        .y_desc(unit)
        .y_label_formatter(&|v| compact(*v))
        .draw()
        .map_err(failed)
}

fn compact(value: f64) -> String {
    if value >= 1e6 {
        format!("{:.1}M", value / 1e6)
    } else if value >= 1e4 {
        format!("{:.0}k", value / 1e3)
    } else if value >= 10.0 || value == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}
