//! Distance of the masks of successive epochs, with the threshold of the early bird.

use plotters::prelude::*;

use super::{Area, Chart, ChartAxis, DrawingResult, Entry, MOST_LINES, around, colour, frame, mark, picture};
use crate::report::sheet::Sheet;

/// One line a ratio, of the first watched training. `None` where no masks are watched.
pub fn distance(hamming: &Sheet, tickets: &Sheet) -> Option<Chart> {
    let (stage, _) = hamming.by("stage").into_iter().next()?;
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for (_, rows) in hamming.by("track") {
        let points = rows.iter().filter(|row| hamming.text(row, "stage") == stage).filter_map(|row| {
            let (later, earlier) = (hamming.number(row, "epoch")?, hamming.number(row, "other_epoch")?);
            (later - earlier == 1.0).then(|| hamming.number(row, "distance").map(|distance| (later, distance)))?
        });
        let mut points: Vec<(f64, f64)> = points.collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        if !points.is_empty() {
            let kind = (hamming.text(rows[0], "pruning-type"), hamming.text(rows[0], "criterion"));
            lines.push((format!("{}, {}, ratio {}", kind.0, kind.1, hamming.text(rows[0], "ratio")), points));
        }
    }
    lines.truncate(MOST_LINES);
    if lines.is_empty() {
        return None;
    }
    let epsilon = tickets.rows.first().and_then(|row| tickets.number(row, "epsilon"));
    let threshold = epsilon.map(|epsilon| format!("threshold {epsilon}"));
    let mut legend: Vec<Entry> =
        lines.iter().enumerate().map(|(index, line)| Entry { name: &line.0, index, dashed: false }).collect();
    legend.extend(threshold.iter().map(|name| Entry { name, index: 0, dashed: true }));
    let svg = picture(&legend, |area| plot(area, &lines, epsilon))?;
    let points = lines.iter().flat_map(|(name, points)| points.iter().map(move |point| (name, point)));
    let rows = points.map(|(name, (epoch, distance))| [name.clone(), epoch.to_string(), distance.to_string()]);
    let data = Sheet::of(["mask", "epoch", "distance"], rows).whole_csv();
    Some(Chart {
        name: "mask-distance".into(),
        title: "How masks settle".into(),
        note: "Share of bits in which the mask of an epoch differs from that of the epoch before.".into(),
        svg,
        data,
    })
}

fn plot(area: &Area, lines: &[(String, Vec<(f64, f64)>)], epsilon: Option<f64>) -> DrawingResult {
    let points = || lines.iter().flat_map(|line| &line.1);
    let (_, high) = around(points().map(|(_, distance)| *distance).chain(epsilon), (0.0, 1.0));
    let last = points().map(|(epoch, _)| *epoch).fold(2.0, f64::max);
    let mut chart = frame(
        area,
        (ChartAxis::epochs(1.0, last + 0.5), 0.0..high),
        ("epoch", "distance"),
        (&|x| format!("{x:.0}"), &|y| format!("{y:.3}")),
    )?;
    if let Some(epsilon) = epsilon {
        let ends = [(1.0, epsilon), (last + 0.5, epsilon)];
        chart.draw_series(DashedLineSeries::new(ends, 6, 4, BLACK.stroke_width(1)))?;
    }
    for (index, (_, points)) in lines.iter().enumerate() {
        chart.draw_series(LineSeries::new(points.iter().copied(), colour(index).stroke_width(2)))?;
        for point in points {
            mark(area, chart.backend_coord(point), index)?;
        }
    }
    Ok(())
}
