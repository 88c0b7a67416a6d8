//! What the tickets of two seeds have in common, against chance.

use plotters::prelude::*;

use super::{
    Area, Chart, ChartAxis, DrawingResult, Entry, Spot, apart, around, density, frame, mark, most_labels, picture,
};
use crate::report::findings::percent;
use crate::report::sheet::Sheet;

/// A pair of tickets: density, shared part, and what two random masks share, with its 95 % interval.
struct TicketPair {
    name: String,
    place: f64,
    shared: f64,
    chance: f64,
    interval: (f64, f64),
}

/// One mark a pair. `overlap` is the table of that name. `None` where no two seeds are compared.
pub fn overlap(overlap: &Sheet) -> Option<Chart> {
    let rows: Vec<&Vec<String>> = overlap.rows.iter().filter(|row| overlap.text(row, "differs") == "seed").collect();
    let pair = |row: &&Vec<String>| {
        let number = |name: &str| overlap.number(row, name);
        let alive = number("alive")?.min(number("other_alive")?);
        let text = |name: &str| overlap.text(row, name);
        Some(TicketPair {
            name: format!("trials {} and {}, level {}", text("trial"), text("other_trial"), text("level")),
            place: density::place(alive / number("bits")?.max(1.0)),
            shared: number("overlap")?,
            chance: number("overlap_chance")?,
            interval: (number("overlap_chance_low")?, number("overlap_chance_high")?),
        })
    };
    let mut pairs: Vec<TicketPair> = rows.iter().filter_map(pair).collect();
    if pairs.is_empty() {
        return None;
    }
    pairs.sort_by(|one, other| one.place.total_cmp(&other.place));
    let legend = [
        Entry { name: "tickets of two seeds", index: 0, dashed: false },
        Entry { name: "two random masks with as many ones in each layer", index: 0, dashed: true },
    ];
    let (svg, spots, narrow) = picture(&legend, |area, spots| plot(area, &pairs, spots))?;
    let data = overlap.csv(rows);
    Some(Chart {
        name: "seed-overlap".into(),
        title: "Overlap of tickets of different seeds".into(),
        note:
            "Share of the ones of the sparser of two masks that the other has too; bars are 95 % intervals of chance."
                .into(),
        svg,
        data,
        spots,
        narrow,
    })
}

fn plot(area: &Area, pairs: &[TicketPair], spots: &mut Vec<Spot>) -> DrawingResult {
    let values = pairs.iter().flat_map(|pair| [pair.shared, pair.interval.0, pair.interval.1]);
    let (low, high) = around(values, (0.0, 1.0));
    let (first, last) = (pairs[0].place, pairs[pairs.len() - 1].place);
    let margin = (0.08 * (last - first)).max(0.1);
    let ticks =
        apart(pairs.iter().map(|pair| pair.place).collect(), ((last - first) / (most_labels(area) - 2.0)).max(0.02));
    let mut chart = frame(
        area,
        (ChartAxis { range: first - margin..last + margin, ticks }, low..high),
        ("density", "overlap"),
        (&|x| percent((-x).exp()), &|y| format!("{:.1} %", 100.0 * y)),
    )?;
    let chance = pairs.iter().map(|pair| (pair.place, pair.chance));
    chart.draw_series(DashedLineSeries::new(chance, 6, 4, BLACK.stroke_width(1)))?;
    let bar =
        |pair: &TicketPair| PathElement::new(vec![(pair.place, pair.interval.0), (pair.place, pair.interval.1)], BLACK);
    chart.draw_series(pairs.iter().map(bar))?;
    for pair in pairs {
        let at = chart.backend_coord(&(pair.place, pair.shared));
        mark(area, at, 0)?;
        spots.push(Spot::at(
            at,
            format!(
                "{}: density {}, overlap {:.2} %, by chance {:.2} % ({:.2} to {:.2})",
                pair.name,
                percent((-pair.place).exp()),
                100.0 * pair.shared,
                100.0 * pair.chance,
                100.0 * pair.interval.0,
                100.0 * pair.interval.1
            ),
        ));
    }
    Ok(())
}
