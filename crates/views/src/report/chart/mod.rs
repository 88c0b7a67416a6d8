//! Charts as SVG. Colours are those of Okabe and Ito, which people with any colour vision can tell apart; lines also differ in
//! their marks and dashes, so that no two of a chart look alike. It may not know of pages.

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
pub use density::{DENSITY, density};
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
/// Of a picture for telephones, whose letters would be too small in the other.
const NARROW_WIDTH: u32 = 390;
const PLOT_HEIGHT: u32 = 380;
const LEGEND_LINE: u32 = 20;
const LABEL: i32 = 13;
/// More lines than this cannot be told apart: they are drawn in another chart, or not at all.
pub const MOST_LINES: usize = 12;
/// Pixels of a letter of a label, on average and a little more.
const LETTER: u32 = 7;

/// Okabe and Ito, "Color universal design" (2008), without black and yellow.
const PALETTE: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// Lengths of a dash and of the gap behind it, in pixels; none for a line without gaps.
const DASHES: [Option<(i32, i32)>; 3] = [None, Some((9, 4)), Some((2, 4))];

/// The dashes of line `index`: with its colour they tell it from all others of its chart.
fn dashes(index: usize) -> Option<(i32, i32)> {
    DASHES[index / PALETTE.len() % DASHES.len()]
}

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
    /// What the pointer can be at, in the order in which keys go through it.
    pub spots: Vec<Spot>,
    /// The same picture for a narrow screen, and its points.
    pub narrow: (String, Vec<Spot>),
}

/// A point of a chart that says what it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Spot(pub i32, pub i32, pub String);

impl Spot {
    /// At a place in pixels of the picture.
    fn at((x, y): (i32, i32), text: String) -> Self {
        Self(x, y, text)
    }
}

impl Chart {
    /// As one of several of its kind, each about a part of the sweep.
    #[must_use]
    pub fn of_part(mut self, name: &str, title: &str) -> Self {
        if !name.is_empty() {
            self.name = format!("{}-{name}", self.name);
            self.title = format!("{}: {title}", self.title);
        }
        self
    }
}

/// An entry of a legend.
struct Entry<'a> {
    name: &'a str,
    index: usize,
    dashed: bool,
}

/// A picture, and where its points are.
type SpottedPicture = (String, Vec<Spot>);

/// Draws on empty canvases, a wide and a narrow one, with room for a legend below: the picture, its points, and the same for a narrow
/// screen. `None` where it could not be drawn.
fn picture(
    legend: &[Entry],
    plot: impl Fn(&Area, &mut Vec<Spot>) -> DrawingResult,
) -> Option<(String, Vec<Spot>, SpottedPicture)> {
    let one = |width: u32| {
        let lines: usize = legend.iter().map(|entry| legend_lines(entry.name, width).len()).sum();
        let height = PLOT_HEIGHT + LEGEND_LINE * lines as u32 + 6;
        let (mut text, mut spots) = (String::new(), Vec::new());
        {
            let root = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
            let (upper, lower) = root.split_vertically(PLOT_HEIGHT);
            plot(&upper, &mut spots).ok()?;
            key(&lower, legend, width).ok()?;
            root.present().ok()?;
        }
        Some((text, spots))
    };
    let (svg, spots) = one(WIDTH)?;
    Some((svg, spots, one(NARROW_WIDTH)?))
}

/// How many labels fit below a plot.
fn most_labels(area: &Area) -> f64 {
    f64::from(area.dim_in_pixel().0) / 54.0
}

/// Where the names of a legend begin.
fn legend_left(width: u32) -> i32 {
    if width < WIDTH { 52 } else { 104 }
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

/// A name in lines that fit beside its mark.
fn legend_lines(name: &str, width: u32) -> Vec<String> {
    let most = ((width - legend_left(width) as u32) / LETTER) as usize;
    let mut lines = vec![String::new()];
    for word in name.split(' ') {
        let last = lines.len() - 1;
        if lines[last].is_empty() || lines[last].chars().count() + 1 + word.chars().count() <= most {
            let gap = if lines[last].is_empty() { "" } else { " " };
            lines[last].push_str(&format!("{gap}{word}"));
        } else {
            lines.push(word.to_string());
        }
    }
    lines
}

/// The legend: a line or more for each entry.
fn key(area: &Area, entries: &[Entry], width: u32) -> DrawingResult {
    let left = legend_left(width);
    let mut y = LEGEND_LINE as i32 / 2;
    for entry in entries {
        let (dashes, colour, thick) = match entry.dashed {
            true => (Some((6, 4)), BLACK, 1),
            false => (dashes(entry.index), colour(entry.index), 2),
        };
        let (from, to) = (left - 48, left - 10);
        let (dash, gap) = dashes.unwrap_or((to - from, 0));
        for start in (from..to).step_by((dash + gap).max(1) as usize) {
            let end = (start + dash).min(to);
            area.draw(&PathElement::new(vec![(start, y), (end, y)], colour.stroke_width(thick)))?;
        }
        if !entry.dashed {
            mark(area, ((from + to) / 2, y), entry.index)?;
        }
        for line in legend_lines(entry.name, width) {
            let style = ("sans-serif", LABEL).into_font().color(&BLACK);
            area.draw(&Text::new(line, (left, y - LABEL / 2), style))?;
            y += LEGEND_LINE as i32;
        }
    }
    Ok(())
}

/// Line `index` through some points, in its colour and dashes, with a mark at each `every`th.
fn course(area: &Area, chart: &mut Framed, (points, every): (&[(f64, f64)], usize), index: usize) -> DrawingResult {
    let style = colour(index).stroke_width(2);
    match dashes(index) {
        None => chart.draw_series(LineSeries::new(points.iter().copied(), style)).map(|_| ())?,
        Some((dash, gap)) => {
            chart.draw_series(DashedLineSeries::new(points.iter().copied(), dash, gap, style)).map(|_| ())?;
        }
    }
    points.iter().step_by(every.max(1)).try_for_each(|point| mark(area, chart.backend_coord(point), index))
}

/// The mark of line `index` at a place in pixels: circle, square, triangle, cross, diamond or ring.
fn mark(area: &Area, (x, y): (i32, i32), index: usize) -> DrawingResult {
    let style = colour(index).filled();
    // Another mark for each colour, and other pairs for each kind of dash.
    match (index + index / PALETTE.len()) % 6 {
        0 => area.draw(&Circle::new((x, y), 4, style)),
        1 => area.draw(&Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], style)),
        2 => area.draw(&TriangleMarker::new((x, y), 6, style)),
        3 => area.draw(&Cross::new((x, y), 4, colour(index).stroke_width(2))),
        4 => area.draw(&Polygon::new(vec![(x - 5, y), (x, y - 5), (x + 5, y), (x, y + 5)], style)),
        _ => area.draw(&Circle::new((x, y), 4, colour(index).stroke_width(2))),
    }
}

/// Parts of some lines that can be told apart in one chart, of about one size.
fn panels<T>(lines: &[T]) -> impl Iterator<Item = &[T]> {
    let count = lines.len().div_ceil(MOST_LINES).max(1);
    lines.chunks(lines.len().div_ceil(count).max(1))
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

    #[test]
    fn no_two_lines_of_a_chart_look_alike() {
        let looks: std::collections::HashSet<String> =
            (0..MOST_LINES).map(|index| format!("{:?} {:?}", colour(index), dashes(index))).collect();
        assert_eq!(looks.len(), MOST_LINES);
        let sizes = |count: usize| panels(&vec![0; count]).map(<[i32]>::len).collect::<Vec<_>>();
        assert_eq!((sizes(12), sizes(13), sizes(25), sizes(1)), (vec![12], vec![7, 6], vec![9, 9, 7], vec![1]));
    }

    #[test]
    fn long_names_take_several_lines_of_a_legend() {
        let name = "reinit init, ".repeat(20);
        for (width, most) in [(WIDTH, 93), (NARROW_WIDTH, 48)] {
            let lines = legend_lines(name.trim_end(), width);
            assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= most), "{lines:?}");
            assert_eq!(lines.join(" "), name.trim_end());
        }
    }
}
