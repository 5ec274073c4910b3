//! A legend in one row above its panel.

use plotters::{
    coord::Shift,
    drawing::DrawingArea,
    element::{PathElement, Rectangle, Text},
    prelude::DrawingBackend,
    style::{
        Color as _, RGBColor,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{INK, failed, text};

const MARK_PX: i32 = 22;
const GAP_PX: i32 = 8;
const NEXT_PX: i32 = 20;

/// How a thing is drawn in the panel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    Area,
    Line,
    Broad,
    Dashes,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) mark: Mark,
    pub(crate) color: RGBColor,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Legend {
    /// Where the first entry begins.
    pub(crate) left_px: i32,
    pub(crate) label_px: u32,
}

impl Legend {
    pub(crate) fn draw<DB: DrawingBackend>(
        self,
        area: &DrawingArea<DB, Shift>,
        entries: &[Entry],
    ) -> anyhow::Result<()> {
        let label = text(self.label_px, &INK).pos(Pos::new(HPos::Left, VPos::Center));
        let y = (area.dim_in_pixel().1 / 2).cast_signed();
        let mut x = self.left_px;
        for entry in entries {
            draw_mark(area, entry, x, y)?;
            x += MARK_PX + GAP_PX;
            area.draw(&Text::new(entry.name.clone(), (x, y), label.clone())).map_err(failed)?;
            let (width_px, _) = area.estimate_text_size(&entry.name, &label).map_err(failed)?;
            x += width_px.cast_signed() + NEXT_PX;
        }
        Ok(())
    }
}

fn draw_mark<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    entry: &Entry,
    x: i32,
    y: i32,
) -> anyhow::Result<()> {
    let stroke = |from: i32, to: i32, width_px: u32| {
        let style = entry.color.stroke_width(width_px);
        area.draw(&PathElement::new([(x + from, y), (x + to, y)], style)).map_err(failed)
    };
    match entry.mark {
        Mark::Line => stroke(0, MARK_PX, 3),
        Mark::Broad => stroke(0, MARK_PX, 6),
        Mark::Dashes => {
            stroke(0, 8, 2)?;
            stroke(14, MARK_PX, 2)
        }
        Mark::Area => {
            let corners = [(x, y - 7), (x + MARK_PX, y + 7)];
            area.draw(&Rectangle::new(corners, entry.color.filled())).map_err(failed)
        }
    }
}
