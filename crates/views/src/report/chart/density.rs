//! Accuracy against density: the curve of the lottery-ticket papers (Frankle and Carbin 2019, figure 1).

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, Chart, ChartAxis, DrawingResult, Entry, MOST_LINES, Spot};
use super::{apart, around, colour, course, frame, most_labels, panels, picture};
use crate::report::findings::percent;
use crate::report::lines::{Line, Lines};
use crate::report::sheet::Sheet;
use tombola_core::plan::estimate::many;

/// What names of these charts begin with.
pub const DENSITY: &str = "accuracy-density";

/// Densities on the axis that are closer than this are not both written: a quarter of a factor of two.
const GAP: f64 = 0.28;

/// Size of the names of dense networks.
const SMALL: i32 = 11;

/// More methods than this have bars in place of bands.
const MOST_BANDS: usize = 4;

/// Charts of more methods than can be told apart in so many are left out; their numbers are not.
const MOST_CHARTS: usize = 8;

/// One line a method, a band over seeds, the dense network for reference; several charts of one scale where there are more methods
/// than can be told apart. Nothing where there is no ticket.
pub fn density(lines: &Lines) -> Vec<Chart> {
    let dense: Vec<(&str, f64)> =
        lines.dense.iter().filter_map(|line| Some((line.name.as_str(), line.points.first()?.accuracy))).collect();
    if lines.tickets.is_empty() || dense.is_empty() {
        return Vec::new();
    }
    let parts: Vec<&[Line]> = panels(&lines.tickets).take(MOST_CHARTS).collect();
    let shown: usize = parts.iter().map(|part| part.len()).sum();
    let unseen = lines.tickets.len() - shown;
    let left_out = match unseen {
        0 => String::new(),
        count => format!(" {count} more methods are in the numbers of the first chart."),
    };
    let one = |(number, part): (usize, &&[Line])| {
        let mut legend: Vec<Entry> =
            part.iter().enumerate().map(|(index, line)| Entry { name: &line.name, index, dashed: false }).collect();
        legend.push(Entry { name: "dense", index: 0, dashed: true });
        let (svg, spots, narrow) = picture(&legend, |area, spots| plot(area, lines, (part, &dense), spots))?;
        let own = Lines { dense: lines.dense.clone(), tickets: part.to_vec() };
        let chart = Chart {
            name: DENSITY.into(),
            title: match parts.len() {
                1 => "Accuracy against density".into(),
                count => format!("Accuracy against density, part {} of {count}", number + 1),
            },
            note: format!(
                "Test accuracy at the chosen epoch, mean over seeds, against the share of prunable weights that masks keep; bands and bars are 95 % \
                 confidence intervals of the mean (Student's t), none for one seed. The axis is logarithmic.{left_out}"
            ),
            svg,
            data: data(if number == 0 && unseen > 0 { lines } else { &own }),
            spots,
            narrow,
        };
        let name = match parts.len() {
            1 => chart.name.clone(),
            _ => format!("{}-{}", chart.name, number + 1),
        };
        Some(Chart { name, ..chart })
    };
    parts.iter().enumerate().filter_map(one).collect()
}

/// A density's place on the axis: sparser to the right.
pub(super) fn place(density: f64) -> f64 {
    -density.max(1e-6).ln()
}

/// Draws some of the methods on axes that hold all of them.
fn plot(area: &Area, all: &Lines, (lines, dense): (&[Line], &[(&str, f64)]), spots: &mut Vec<Spot>) -> DrawingResult {
    let points = || all.tickets.iter().flat_map(|line| &line.points);
    let end = points().map(|point| place(point.density)).fold(0.5, f64::max);
    // A band of two seeds can be wider than all accuracies: what is outside is cut off.
    let (low, high) =
        around(points().map(|point| point.accuracy).chain(dense.iter().map(|(_, accuracy)| *accuracy)), (0.0, 1.0));
    let (low, high) = ((low - 0.2 * (high - low)).max(0.0), (high + 0.2 * (high - low)).min(1.0));
    let ticks =
        apart(points().map(|point| place(point.density)).chain([0.0]).collect(), GAP.max(end / most_labels(area)));
    let mut chart = frame(
        area,
        (ChartAxis { range: -0.05 * end..1.05 * end, ticks }, low..high),
        ("density", "test accuracy"),
        (&|x| percent((-x).exp()), &|y| format!("{:.1} %", 100.0 * y)),
    )?;
    for (name, accuracy) in dense.iter().take(MOST_LINES) {
        let ends = [(-0.05 * end, *accuracy), (1.05 * end, *accuracy)];
        chart.draw_series(DashedLineSeries::new(ends, 6, 4, BLACK.stroke_width(1)))?;
        // One needs no name: the legend has it.
        if dense.len() > 1 {
            let place = Pos::new(HPos::Left, VPos::Bottom);
            let style = ("sans-serif", SMALL).into_font().color(&BLACK).pos(place);
            chart.draw_series([Text::new((*name).to_string(), (-0.04 * end, *accuracy), style)])?;
        }
    }
    for (index, line) in lines.iter().enumerate() {
        let banded: Vec<(f64, f64, f64)> = line
            .points
            .iter()
            .filter_map(|point| {
                let half = point.half_width?;
                let cut = |value: f64| value.clamp(low, high);
                Some((place(point.density), cut(point.accuracy - half), cut(point.accuracy + half)))
            })
            .collect();
        // Bands of many methods would lie over each other.
        if lines.len() > MOST_BANDS {
            let bar =
                |(x, high, low): (f64, f64, f64)| PathElement::new(vec![(x, low), (x, high)], colour(index).mix(0.6));
            chart.draw_series(banded.iter().map(|(x, low, high)| bar((*x, *high, *low))))?;
        } else if banded.len() > 1 {
            let upper = banded.iter().map(|(x, _, high)| (*x, *high));
            let outline: Vec<(f64, f64)> = upper.chain(banded.iter().rev().map(|(x, low, _)| (*x, *low))).collect();
            chart.draw_series([Polygon::new(outline, colour(index).mix(0.15))])?;
        }
        let through: Vec<(f64, f64)> = line.points.iter().map(|point| (place(point.density), point.accuracy)).collect();
        course(area, &mut chart, (&through, 1), index)?;
        for (place, point) in through.iter().zip(&line.points) {
            let half = point.half_width.map_or(String::new(), |half| format!(" ± {:.2}", 100.0 * half));
            spots.push(Spot::at(
                chart.backend_coord(place),
                format!(
                    "{}: density {}, accuracy {:.2}{half} %, {}",
                    line.name,
                    percent(point.density),
                    100.0 * point.accuracy,
                    many(point.n, "seed")
                ),
            ));
        }
    }
    Ok(())
}

fn data(lines: &Lines) -> String {
    let points =
        lines.dense.iter().chain(&lines.tickets).flat_map(|line| line.points.iter().map(move |point| (line, point)));
    let rows = points.map(|(line, point)| {
        let half = point.half_width.map(|half| half.to_string()).unwrap_or_default();
        [line.name.clone(), point.density.to_string(), point.accuracy.to_string(), half, point.n.to_string()]
    });
    Sheet::of(["method", "density", "accuracy", "half_width_95", "n"], rows).whole_csv()
}
