//! What every picture of this crate shares: ink, font, and a legend that hides nothing.

mod legend;

use anyhow::anyhow;
use plotters::style::{Color as _, FontStyle, IntoFont as _, RGBColor, TextStyle};

pub(crate) use self::legend::{Entry, Legend, Mark};

pub(crate) const PAPER: RGBColor = RGBColor(255, 255, 255);
pub(crate) const INK: RGBColor = RGBColor(31, 41, 51);
pub(crate) const GREY: RGBColor = RGBColor(123, 135, 148);
pub(crate) const GRID: RGBColor = RGBColor(228, 232, 236);

const FAMILY: &str = "sans-serif";
/// DejaVu Sans, the Latin part of it; its licence is beside it.
static FONT: &[u8] = include_bytes!("../../assets/DejaVuSans-Latin.ttf");

/// Makes the embedded font known; bitmaps have no other.
pub(crate) fn register_font() -> anyhow::Result<()> {
    plotters::style::register_font(FAMILY, FontStyle::Normal, FONT)
        .map_err(|_| anyhow!("the embedded font is damaged"))
}

pub(crate) fn text(size_px: u32, color: &RGBColor) -> TextStyle<'static> {
    (FAMILY, size_px).into_font().color(&color.to_rgba())
}

pub(crate) fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw the picture: {error}")
}
