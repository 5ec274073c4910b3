//! Sizes and colours.

use plotters::style::RGBColor;

pub(super) const WIDTH_PX: u32 = 1_600;
pub(super) const HEIGHT_PX: u32 = 1_000;
pub(super) const HEADING_PX: u32 = 76;
/// The room for the labels of a vertical axis, and so the left edge of the plots.
pub(super) const AXIS_PX: i32 = 92;

pub(super) const MARGIN_PX: i32 = 18;
pub(super) const LABEL_PX: u32 = 18;

pub(super) const STORM: RGBColor = RGBColor(238, 241, 245);
// Told apart by people who do not see red and green as different, too: they
// differ in lightness.
pub(super) const OK: RGBColor = RGBColor(46, 139, 105);
pub(super) const REFUSED: RGBColor = RGBColor(244, 190, 83);
pub(super) const TIMEOUT: RGBColor = RGBColor(176, 32, 48);
pub(super) const ERROR: RGBColor = RGBColor(82, 56, 110);
pub(super) const MEDIAN: RGBColor = RGBColor(46, 139, 105);
pub(super) const TAIL: RGBColor = RGBColor(30, 88, 160);
