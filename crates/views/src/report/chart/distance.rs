//! Distance of the masks of successive epochs, with the threshold of the early bird.

use plotters::prelude::*;

use super::{Area, Chart, ChartAxis, DrawingResult, Entry, MOST_LINES, Spot, apart, around, course, frame, picture};
use crate::report::sheet::Sheet;

/// The columns that say how masks are drawn, and those of them that are told even where all masks share them.
const TELLS: [&str; 8] =
    ["pruning-type", "criterion", "scope", "prune-layers", "output-rate", "streams", "round-channels", "ratio"];
const ALWAYS: [&str; 3] = ["pruning-type", "criterion", "ratio"];

/// A cell in words; values that are known by themselves stand alone.
fn told(hamming: &Sheet, row: &[String], column: &str) -> Option<String> {
    match (column, hamming.text(row, column)) {
        (_, "") => None,
        ("pruning-type" | "criterion", value) => Some(value.to_string()),
        (column, value) => Some(format!("{column} {value}")),
    }
}

/// A training in words.
pub(super) fn first_words(hamming: &Sheet, stage: &str) -> String {
    let row = hamming.rows.iter().find(|row| hamming.text(row, "stage") == stage);
    let cell = |name: &str| row.map_or("", |row| hamming.text(row, name));
    match cell("level") {
        "0" => format!("dense, trial {}", cell("trial")),
        level => format!("level {level}, trial {}", cell("trial")),
    }
}

/// One line a ratio, of the first watched training. `None` where no masks are watched.
pub fn distance(hamming: &Sheet, tickets: &Sheet) -> Option<Chart> {
    let (stage, _) = hamming.by("stage").into_iter().next()?;
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    let tells: Vec<&str> =
        TELLS.into_iter().filter(|name| ALWAYS.contains(name) || hamming.differs(&hamming.rows, name)).collect();
    for (_, rows) in hamming.by("track") {
        let points = rows.iter().filter(|row| hamming.text(row, "stage") == stage).filter_map(|row| {
            let (later, earlier) = (hamming.number(row, "epoch")?, hamming.number(row, "other_epoch")?);
            (later - earlier == 1.0).then(|| hamming.number(row, "distance").map(|distance| (later, distance)))?
        });
        let mut points: Vec<(f64, f64)> = points.collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        if !points.is_empty() {
            let name: Vec<String> = tells.iter().filter_map(|column| told(hamming, rows[0], column)).collect();
            lines.push((name.join(", "), points));
        }
    }
    lines.truncate(MOST_LINES);
    if lines.is_empty() {
        return None;
    }
    let own = tickets.rows.iter().filter(|row| tickets.text(row, "stage") == stage);
    let epsilons = apart(own.filter_map(|row| tickets.number(row, "epsilon")).collect(), f64::MIN_POSITIVE);
    let thresholds: Vec<String> = epsilons.iter().map(|epsilon| format!("threshold {epsilon}")).collect();
    let mut legend: Vec<Entry> =
        lines.iter().enumerate().map(|(index, line)| Entry { name: &line.0, index, dashed: false }).collect();
    legend.extend(thresholds.iter().map(|name| Entry { name, index: 0, dashed: true }));
    let (svg, spots, narrow) = picture(&legend, |area, spots| plot(area, &lines, &epsilons, spots))?;
    let points = lines.iter().flat_map(|(name, points)| points.iter().map(move |point| (name, point)));
    let rows = points.map(|(name, (epoch, distance))| [name.clone(), epoch.to_string(), distance.to_string()]);
    let data = Sheet::of(["mask", "epoch", "distance"], rows).whole_csv();
    Some(Chart {
        name: "mask-distance".into(),
        title: "How masks settle".into(),
        note: format!(
            "Share of bits in which the mask of an epoch differs from that of the epoch before, in the first training whose masks are \
             watched ({}).",
            first_words(hamming, stage)
        ),
        svg,
        data,
        spots,
        narrow,
    })
}

fn plot(area: &Area, lines: &[(String, Vec<(f64, f64)>)], epsilons: &[f64], spots: &mut Vec<Spot>) -> DrawingResult {
    let points = || lines.iter().flat_map(|line| &line.1);
    let (_, high) = around(points().map(|(_, distance)| *distance).chain(epsilons.iter().copied()), (0.0, 1.0));
    let last = points().map(|(epoch, _)| *epoch).fold(2.0, f64::max);
    let mut chart = frame(
        area,
        (ChartAxis::epochs(1.0, last + 0.5), 0.0..high),
        ("epoch", "distance"),
        (&|x| format!("{x:.0}"), &|y| format!("{y:.3}")),
    )?;
    for epsilon in epsilons {
        let ends = [(1.0, *epsilon), (last + 0.5, *epsilon)];
        chart.draw_series(DashedLineSeries::new(ends, 6, 4, BLACK.stroke_width(1)))?;
    }
    for (index, (name, points)) in lines.iter().enumerate() {
        course(area, &mut chart, (points, 1), index)?;
        let spot = |point: &(f64, f64)| {
            Spot::at(chart.backend_coord(point), format!("{name}: epoch {:.0}, distance {:.4}", point.0, point.1))
        };
        spots.extend(points.iter().map(spot));
    }
    Ok(())
}
