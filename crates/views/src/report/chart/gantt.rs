//! Who trained what when in the last run, and when they had nothing to do.

use plotters::prelude::*;

use super::{Area, Chart, ChartAxis, DrawingResult, Entry, LABEL, Spot, colour, picture};
use crate::report::sheet::Sheet;
use tombola_core::plan::estimate::{human, many};

/// A bar narrower than one part in so many of the whole cannot be seen.
const NARROW: f64 = 400.0;
/// More trainings than this do not answer the pointer.
const MOST_SPOTS: usize = 2_000;
/// More workers than this are thinner than a line.
const MOST_WORKERS: usize = 64;

/// A training in the hands of a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// The worker's number.
    pub worker: usize,
    /// Where it was, in words.
    pub place: String,
    /// Name of the training.
    pub stage: String,
    /// Its level; 0 for a dense one.
    pub level: usize,
    /// Seconds since the run began.
    pub from: f64,
    /// The same.
    pub to: f64,
}

/// One line a worker, also for those `present` that trained nothing. `None` where the journal does not tell.
pub fn gantt(bars: &[Bar], present: &[usize]) -> Option<Chart> {
    let mut workers: Vec<usize> = bars.iter().map(|bar| bar.worker).chain(present.iter().copied()).collect();
    workers.sort_unstable();
    workers.dedup();
    let end = bars.iter().map(|bar| bar.to).fold(0.0, f64::max);
    if workers.is_empty() || end <= 0.0 {
        return None;
    }
    let all = workers.len();
    let busy: f64 = bars.iter().map(|bar| bar.to - bar.from).sum();
    let idle = 1.0 - busy / (end * all as f64);
    workers.truncate(MOST_WORKERS);
    let levels = bars.iter().map(|bar| bar.level).max().unwrap_or(0);
    let names = ["dense", "level 1", "level 2", "level 3", "level 4", "level 5 and further"];
    let legend: Vec<Entry> = names
        .iter()
        .take(levels.min(5) + 1)
        .enumerate()
        .map(|(index, name)| Entry { name, index, dashed: false })
        .collect();
    let (svg, spots, narrow) = picture(&legend, |area, spots| plot(area, bars, &workers, end, spots))?;
    let rows = bars.iter().map(|Bar { worker, place, stage, level, from, to }| {
        let (from, to) = (format!("{from:.3}"), format!("{to:.3}"));
        [worker.to_string(), place.clone(), stage.clone(), level.to_string(), from, to]
    });
    let data = Sheet::of(["worker", "place", "stage", "level", "from_seconds", "to_seconds"], rows).whole_csv();
    let left_out = if all > MOST_WORKERS {
        format!(" {} more workers are in the numbers.", all - MOST_WORKERS)
    } else {
        String::new()
    };
    Some(Chart {
        name: "workers".into(),
        title: "Who trained what when".into(),
        note: format!(
            "The last run: {} on {}, which had nothing to train for {:.1} % of that time.{left_out}",
            human(end),
            many(all, "worker"),
            100.0 * idle.max(0.0)
        ),
        svg,
        data,
        spots,
        narrow,
    })
}

fn plot(area: &Area, bars: &[Bar], workers: &[usize], end: f64, spots: &mut Vec<Spot>) -> DrawingResult {
    // Seconds, minutes or hours, whichever give numbers of a few digits.
    let (unit, length) = match end {
        end if end < 180.0 => ("seconds", 1.0),
        end if end < 3.0 * 3600.0 => ("minutes", 60.0),
        _ => ("hours", 3600.0),
    };
    let count = workers.len() as f64;
    let mut ticks = ChartAxis::epochs(0.0, end / length);
    ticks.range = 0.0..end / length * 1.01;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d(ticks, 0.0..count)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .axis_style(BLACK.mix(0.5))
        .label_style(("sans-serif", LABEL))
        .x_desc(unit)
        .y_desc("workers")
        .y_labels(0)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .draw()?;
    for (row, worker) in workers.iter().enumerate() {
        let (top, bottom) = (count - row as f64 - 0.1, count - row as f64 - 0.9);
        let shape = |(from, to, level): (f64, f64, usize)| {
            Rectangle::new([(from / length, bottom), (to / length, top)], colour(level.min(5)).filled())
        };
        let own = bars.iter().filter(|bar| bar.worker == *worker).map(|bar| (bar.from, bar.to, bar.level));
        chart.draw_series(visible(own.collect(), end / NARROW).into_iter().map(shape))?;
        for bar in bars.iter().filter(|bar| bar.worker == *worker && bars.len() <= MOST_SPOTS) {
            let at = chart.backend_coord(&((bar.from + bar.to) / 2.0 / length, f64::midpoint(top, bottom)));
            let (what, seconds) =
                (if bar.level == 0 { "dense".into() } else { format!("level {}", bar.level) }, bar.to - bar.from);
            spots.push(Spot::at(at, format!("worker {worker}: {what}, {} s, {}", seconds.round(), bar.stage)));
        }
    }
    Ok(())
}

/// Bars from, to, level without those that cannot be seen: what is narrower than `width` takes in what follows it closely.
fn visible(mut bars: Vec<(f64, f64, usize)>, width: f64) -> Vec<(f64, f64, usize)> {
    bars.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut seen: Vec<(f64, f64, usize)> = Vec::new();
    for (from, to, level) in bars {
        match seen.last_mut() {
            Some(last) if last.1 - last.0 < width && from - last.1 < width => last.1 = last.1.max(to),
            _ => seen.push((from, to, level)),
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_that_are_too_narrow_to_be_seen_are_joined() {
        let many = (0..10_000).map(|index| (f64::from(index), f64::from(index) + 1.0, 0)).collect();
        let seen = visible(many, 100.0);
        assert!(seen.len() <= 100 && seen[0].0 == 0.0 && seen[seen.len() - 1].1 == 10_000.0);
        let few = vec![(50.0, 90.0, 1), (0.0, 40.0, 0)];
        assert_eq!(visible(few, 1.0), [(0.0, 40.0, 0), (50.0, 90.0, 1)]);
    }

    #[test]
    fn idle_time_is_that_of_all_workers() {
        let bar = |worker, from, to| Bar { worker, place: String::new(), stage: "s".into(), level: 0, from, to };
        let chart = gantt(&[bar(0, 0.0, 10.0), bar(1, 0.0, 5.0)], &[0]).unwrap();
        assert!(chart.note.contains("on 2 workers, which had nothing to train for 25.0 %"), "{}", chart.note);
        // One that trained nothing had nothing to train all the time.
        let chart = gantt(&[bar(0, 0.0, 10.0)], &[0, 1]).unwrap();
        assert!(chart.note.contains("on 2 workers, which had nothing to train for 50.0 %"), "{}", chart.note);
        assert!(gantt(&[], &[]).is_none());
    }
}
