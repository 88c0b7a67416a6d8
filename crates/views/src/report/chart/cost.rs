//! What smaller networks gain: how much faster they train than dense ones, against their multiply-adds.

use std::collections::HashMap;

use plotters::prelude::*;

use super::{Area, Chart, ChartAxis, DrawingResult, Entry, Spot, apart, frame, mark, most_labels, picture};
use crate::report::findings::percent;
use crate::report::sheet::Sheet;

/// A ticket: its share of the multiply-adds of the dense network, and times as fast.
struct Gain {
    name: String,
    share: f64,
    speed: f64,
}

/// One mark a ticket of channels. `None` where there is none that has been trained.
pub fn cost(results: &Sheet, timing: &Sheet) -> Option<Chart> {
    let rate: HashMap<&str, f64> = timing
        .rows
        .iter()
        .filter_map(|row| Some((timing.text(row, "stage"), timing.number(row, "images_per_second")?)))
        .filter(|(_, rate)| *rate > 0.0)
        .collect();
    let mut dense: HashMap<&str, f64> = HashMap::new();
    let mut gains = Vec::new();
    let mut rows = Vec::new();
    for row in &results.rows {
        let text = |name: &str| results.text(row, name);
        let Some(own) = rate.get(text("stage")) else { continue };
        if text("level") == "0" {
            dense.insert(text("trial"), *own);
        }
        let (Some(share), Some(dense)) = (results.number(row, "density_macs"), dense.get(text("trial"))) else {
            continue;
        };
        if text("pruning-type") != "structured" || share <= 0.0 {
            continue;
        }
        let name = format!("trial {}, level {}", text("trial"), text("level"));
        gains.push(Gain { name, share, speed: own / dense });
        let known = ["stage", "trial", "level", "density_macs"].map(|name| text(name).to_string());
        let [stage, trial, level, density] = known;
        rows.push([stage, trial, level, density, own.to_string(), (own / dense).to_string()]);
    }
    if gains.is_empty() {
        return None;
    }
    let legend = [
        Entry { name: "tickets of channels, trained without the pruned ones", index: 0, dashed: false },
        Entry { name: "as much faster as there is less to compute", index: 0, dashed: true },
    ];
    let (svg, spots, narrow) = picture(&legend, |area, spots| plot(area, &gains, spots))?;
    Some(Chart {
        name: "channel-speed".into(),
        title: "Speed of smaller networks".into(),
        note: "Images trained a second, as times those of the dense network of the same trial, as measured in this sweep; where trainings \
               ran side by side or on different devices, so do these numbers."
            .into(),
        svg,
        data: Sheet::of(["stage", "trial", "level", "density_macs", "images_per_second", "times_dense"], rows).whole_csv(),
        spots,
        narrow,
    })
}

fn plot(area: &Area, gains: &[Gain], spots: &mut Vec<Spot>) -> DrawingResult {
    let smallest = gains.iter().map(|gain| gain.share).fold(1.0, f64::min);
    let low = (0.8 * smallest).max(0.01);
    let high = 1.08 * gains.iter().map(|gain| gain.speed).fold(1.0 / low, f64::max).min(2.0 / low);
    let ticks = apart(gains.iter().map(|gain| gain.share).chain([1.0]).collect(), (1.0 - low) / most_labels(area));
    let mut chart = frame(
        area,
        (ChartAxis { range: low..1.02, ticks }, 0.0..high),
        ("multiply-adds of the dense network", "times as fast"),
        (&|x| percent(*x), &|y| format!("{y:.1}")),
    )?;
    let ideal = (0..=60).map(|step| low + (1.0 - low) * f64::from(step) / 60.0).map(|share| (share, 1.0 / share));
    chart.draw_series(DashedLineSeries::new(ideal, 6, 4, BLACK.stroke_width(1)))?;
    for gain in gains {
        let at = chart.backend_coord(&(gain.share, gain.speed));
        mark(area, at, 0)?;
        let share = percent(gain.share);
        spots.push(Spot::at(
            at,
            format!("{}: {share} of the multiply-adds, {:.2} times as fast", gain.name, gain.speed),
        ));
    }
    Ok(())
}
