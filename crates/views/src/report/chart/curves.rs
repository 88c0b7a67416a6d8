//! Training curves: validation and training accuracy over the epochs of the dense networks and of the last levels.

use super::{Area, Chart, ChartAxis, DrawingResult, Entry, MOST_LINES, Spot, around, course, frame, picture};
use crate::report::sheet::Sheet;

/// The course of one training.
struct Curve<'a> {
    name: String,
    /// Epoch and accuracy on the part that epochs are chosen by, or on the training images where there is none.
    points: Vec<(f64, f64)>,
    rows: Vec<&'a Vec<String>>,
}

/// The trainings of the first trials. `None` before the first epoch.
pub fn curves(epochs: &Sheet) -> Option<Chart> {
    let value = |row: &Vec<String>| {
        let test = epochs.number(row, "test_accuracy");
        test.or_else(|| epochs.number(row, "validation_accuracy"))
    };
    let courses: Vec<Curve> = epochs
        .by("stage")
        .into_iter()
        .map(|(_, rows)| {
            let (level, trial) = (epochs.text(rows[0], "level"), epochs.text(rows[0], "trial"));
            let name = match level {
                "0" => format!("dense, trial {trial}"),
                level => format!("level {level}, trial {trial}"),
            };
            let points = rows.iter().filter_map(|row| Some((epochs.number(row, "epoch")?, value(row)?))).collect();
            Curve { name, points, rows }
        })
        .collect();
    let shown: Vec<&Curve> = courses.iter().filter(|course| course.points.len() > 1).take(MOST_LINES).collect();
    if shown.is_empty() {
        return None;
    }
    let legend: Vec<Entry> =
        shown.iter().enumerate().map(|(index, course)| Entry { name: &course.name, index, dashed: false }).collect();
    let (svg, spots, narrow) = picture(&legend, |area, spots| plot(area, &shown, spots))?;
    let more = courses.len() - shown.len();
    let more = if more > 0 { format!(" {more} more trainings are in `epochs.csv`.") } else { String::new() };
    Some(Chart {
        name: "training-curves".into(),
        title: "Training curves".into(),
        note: format!(
            "Accuracy after each epoch on the part of the data that epochs are chosen by, of the first trainings.{more}"
        ),
        svg,
        data: epochs.csv(shown.iter().flat_map(|course| course.rows.iter().copied())),
        spots,
        narrow,
    })
}

fn plot(area: &Area, courses: &[&Curve], spots: &mut Vec<Spot>) -> DrawingResult {
    let points = || courses.iter().flat_map(|course| &course.points);
    let (low, high) = around(points().map(|(_, accuracy)| *accuracy), (0.0, 1.0));
    let last = points().map(|(epoch, _)| *epoch).fold(1.0, f64::max);
    let mut chart = frame(
        area,
        (ChartAxis::epochs(0.0, last * 1.02), low..high),
        ("epoch", "accuracy"),
        (&|x| format!("{x:.0}"), &|y| format!("{:.1} %", 100.0 * y)),
    )?;
    for (index, curve) in courses.iter().enumerate() {
        // Some ten marks are enough to tell lines from each other.
        course(area, &mut chart, (&curve.points, curve.points.len().div_ceil(10)), index)?;
        let spot = |point: &(f64, f64)| {
            let text = format!("{}: epoch {:.0}, accuracy {:.2} %", curve.name, point.0, 100.0 * point.1);
            Spot::at(chart.backend_coord(point), text)
        };
        spots.extend(curve.points.iter().map(spot));
    }
    Ok(())
}
