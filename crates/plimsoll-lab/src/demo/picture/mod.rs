//! The picture: four panels, drawn once for the page and once as a bitmap.
//!
//! Left without protection, right with it; above what became of the requests of
//! each second, below how long the successful ones took. The scales of left and
//! right are the same, since the comparison is the point.

mod panel;
mod style;

use std::path::Path;

use plotters::{
    coord::Shift,
    prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea, SVGBackend, Text},
};

use self::style::{HEADING_PX, HEIGHT_PX, LABEL_PX, WIDTH_PX};
use super::{Comparison, Figures};
use crate::picture::{GREY, INK, PAPER, failed, register_font, text};

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
    register_font()?;
    root.fill(&PAPER).map_err(failed)?;
    let scales = panel::Scales::of(comparison);
    let (left, right) = root.split_horizontally(WIDTH_PX / 2);
    for (area, protection, report) in
        [(left, "off", &comparison.off), (right, "on", &comparison.on)]
    {
        let (heading, panels) = area.split_vertically(HEADING_PX);
        let begin_px = style::MARGIN_PX + style::AXIS_PX;
        let title = Text::new(format!("Protection {protection}"), (begin_px, 14), text(28, &INK));
        heading.draw(&title).map_err(failed)?;
        let share = Figures::of(report, &comparison.storm).goodput_late_of_capacity * 100.0;
        let finding = format!(
            "Second half of the storm: logins succeed at {share:.0} % of what the disk can carry"
        );
        let finding = Text::new(finding, (begin_px, 48), text(LABEL_PX, &GREY));
        heading.draw(&finding).map_err(failed)?;
        let (above, below) = panels.split_vertically((HEIGHT_PX - HEADING_PX) * 54 / 100);
        panel::outcomes(&above, comparison, report, &scales)?;
        panel::latency(&below, comparison, report, &scales)?;
    }
    root.present().map_err(failed)
}
