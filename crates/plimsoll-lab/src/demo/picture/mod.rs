//! The picture: four panels, drawn once for the page and once as a bitmap.
//!
//! Left without protection, right with it; above what became of the requests of
//! each second, below how long the successful ones took. The scales of left and
//! right are the same, since the comparison is the point.

mod panel;
mod style;

use std::path::Path;

use anyhow::anyhow;
use plotters::{
    coord::Shift,
    prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea, SVGBackend, Text},
};

use self::style::{HEADING_PX, HEIGHT_PX, INK, PAPER, WIDTH_PX, text};
use super::Comparison;

type Area<DB> = DrawingArea<DB, Shift>;

/// The picture as an SVG element.
pub(super) fn svg(comparison: &Comparison) -> anyhow::Result<String> {
    let mut svg = String::new();
    draw(
        &SVGBackend::with_string(&mut svg, (WIDTH_PX, HEIGHT_PX)).into_drawing_area(),
        comparison,
    )?;
    Ok(svg)
}

/// The picture as a PNG file.
pub(super) fn png(comparison: &Comparison, path: &Path) -> anyhow::Result<()> {
    draw(&BitMapBackend::new(path, (WIDTH_PX, HEIGHT_PX)).into_drawing_area(), comparison)
}

fn draw<DB: DrawingBackend>(root: &Area<DB>, comparison: &Comparison) -> anyhow::Result<()> {
    style::register_font()?;
    let failed = |error: plotters::drawing::DrawingAreaErrorKind<DB::ErrorType>| {
        anyhow!("cannot draw the picture: {error}")
    };
    root.fill(&PAPER).map_err(failed)?;
    let scales = panel::Scales::of(comparison);
    let (left, right) = root.split_horizontally(WIDTH_PX / 2);
    for (area, heading, report) in
        [(left, "Protection off", &comparison.off), (right, "Protection on", &comparison.on)]
    {
        let (heading_area, panels) = area.split_vertically(HEADING_PX);
        let heading = Text::new(heading, (style::AXIS_PX, 16), text(26, &INK));
        heading_area.draw(&heading).map_err(failed)?;
        let (above, below) = panels.split_vertically((HEIGHT_PX - HEADING_PX) * 54 / 100);
        panel::outcomes(&above, report, &comparison.storm, &scales)?;
        panel::latency(&below, report, &comparison.storm, &scales)?;
    }
    root.present().map_err(failed)
}
