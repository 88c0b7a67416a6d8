//! Charts as SVG. Colours are those of Okabe and Ito, which people with any colour vision can tell apart; lines also differ in
//! their marks. It may not know of pages.

mod cost;
mod curves;
mod density;
mod distance;
mod gantt;
mod heat;
mod layers;
mod overlap;

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

pub use cost::cost;
pub use curves::curves;
pub use density::density;
pub use distance::distance;
pub use gantt::{Bar, gantt};
pub use heat::heat;
pub use layers::{LayerDensities, layers};
pub use overlap::overlap;

/// What drawing may fail with; the canvas is a text, so only a chart without room does.
type DrawingResult = Result<(), DrawingAreaErrorKind<std::io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// How a number is written at an axis.
type Labeller<'w> = &'w dyn Fn(&f64) -> String;
/// A drawn frame, to draw lines into.
type Framed<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<ChartAxis, RangedCoordf64>>;

const WIDTH: u32 = 760;
const PLOT_HEIGHT: u32 = 380;
const LEGEND_LINE: u32 = 20;
const LABEL: i32 = 13;
/// More lines than this cannot be told apart, and are not drawn.
pub const MOST_LINES: usize = 8;

/// Okabe and Ito, "Color universal design" (2008), without black and yellow.
const PALETTE: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// The colour of line `index`.
fn colour(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

/// An axis that says where it is written at.
struct ChartAxis {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for ChartAxis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        low + (f64::from(high - low) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ChartAxis {
    /// Epochs from `first` to `last`, written in steps of 1, 2 or 5 times a power of ten.
    fn epochs(first: f64, last: f64) -> Self {
        let steps = (0..6).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(power)));
        let step = steps.into_iter().find(|step| (last - first) / step <= 12.0).unwrap_or(last);
        let ticks = (0..=13).map(|tick| step * f64::from(tick)).filter(|tick| (first..=last).contains(tick)).collect();
        Self { range: first..last, ticks }
    }
}

/// A chart: its name, and its picture.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Name of its file.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// What a reader should know to read it.
    pub note: String,
    /// The picture.
    pub svg: String,
    /// Its numbers as CSV.
    pub data: String,
}

/// An entry of a legend.
struct Entry<'a> {
    name: &'a str,
    index: usize,
    dashed: bool,
}

/// Draws on an empty canvas with room for a legend below. `None` where it could not be drawn.
fn picture(legend: &[Entry], plot: impl FnOnce(&Area) -> DrawingResult) -> Option<String> {
    let height = PLOT_HEIGHT + LEGEND_LINE * legend.len() as u32 + 6;
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        let (upper, lower) = root.split_vertically(PLOT_HEIGHT);
        plot(&upper).ok()?;
        key(&lower, legend).ok()?;
        root.present().ok()?;
    }
    Some(text)
}

/// Axes with their names, and a line across at each number that is written. `words` write numbers at either axis.
fn frame<'a>(
    area: &Area<'a>,
    (x, y): (ChartAxis, Range<f64>),
    names: (&str, &str),
    words: (Labeller, Labeller),
) -> Result<Framed<'a>, DrawingAreaErrorKind<std::io::Error>> {
    let mut chart =
        ChartBuilder::on(area).margin(12).x_label_area_size(44).y_label_area_size(58).build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .axis_style(BLACK.mix(0.5))
        .label_style(("sans-serif", LABEL))
        .x_desc(names.0)
        .y_desc(names.1)
        .x_label_formatter(&words.0)
        .y_label_formatter(&words.1)
        .draw()?;
    Ok(chart)
}

/// The legend: a line for each entry.
fn key(area: &Area, entries: &[Entry]) -> DrawingResult {
    for (line, entry) in entries.iter().enumerate() {
        let y = LEGEND_LINE as i32 * line as i32 + LEGEND_LINE as i32 / 2;
        let colour = if entry.dashed { BLACK } else { colour(entry.index) };
        let width = if entry.dashed { 1 } else { 2 };
        let parts: &[(i32, i32)] = if entry.dashed { &[(62, 68), (72, 78), (82, 88)] } else { &[(62, 88)] };
        for (from, to) in parts {
            area.draw(&PathElement::new(vec![(*from, y), (*to, y)], colour.stroke_width(width)))?;
        }
        if !entry.dashed {
            mark(area, (75, y), entry.index)?;
        }
        let style = ("sans-serif", LABEL).into_font().color(&BLACK);
        area.draw(&Text::new(entry.name.to_string(), (98, y - LABEL / 2), style))?;
    }
    Ok(())
}

/// The mark of line `index` at a place in pixels: circle, square, triangle or cross.
fn mark(area: &Area, (x, y): (i32, i32), index: usize) -> DrawingResult {
    let style = colour(index).filled();
    match index % 4 {
        0 => area.draw(&Circle::new((x, y), 4, style)),
        1 => area.draw(&Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], style)),
        2 => area.draw(&TriangleMarker::new((x, y), 6, style)),
        _ => area.draw(&Cross::new((x, y), 4, colour(index).stroke_width(2))),
    }
}

/// The smallest interval around some values, wider by a twentieth on either side, within `limits`.
fn around(values: impl Iterator<Item = f64>, limits: (f64, f64)) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return limits;
    }
    let margin = ((high - low) / 20.0).max(0.002);
    ((low - margin).max(limits.0), (high + margin).min(limits.1))
}

/// Numbers, the smallest first, without those that stand closer than `gap` behind another.
fn apart(mut values: Vec<f64>, gap: f64) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    let mut kept: Vec<f64> = Vec::new();
    for value in values {
        if kept.last().is_none_or(|last| value - last >= gap) {
            kept.push(value);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_values_and_stay_within_limits() {
        let (low, high) = around([0.5, 0.9, f64::NAN].into_iter(), (0.0, 1.0));
        assert!(low < 0.5 && high > 0.9 && high <= 1.0);
        assert_eq!(around(std::iter::empty(), (0.0, 1.0)), (0.0, 1.0));
        assert_eq!(ChartAxis::epochs(0.0, 20.0).ticks, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0]);
        assert_eq!(ChartAxis::epochs(0.5, 3.5).ticks, [1.0, 2.0, 3.0]);
        assert_eq!(apart(vec![3.0, 1.0, 1.2, 2.0], 0.5), [1.0, 2.0, 3.0]);
    }
}
