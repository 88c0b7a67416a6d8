//! The early-bird triangle: distances between the masks of each two epochs (You et al. 2020, figure 3).

use plotters::prelude::*;

use super::distance::first_words;
use super::{Area, Chart, ChartAxis, DrawingResult, LABEL, Spot, picture};
use crate::report::sheet::Sheet;

/// Columns by which masks are told apart beside their kind and ratio.
const TELLS: [&str; 5] = ["scope", "prune-layers", "output-rate", "streams", "round-channels"];

/// More squares than this do not answer the pointer.
const MOST_SPOTS: usize = 2_000;

/// What the distances of one kind of mask of one training look like.
struct Square {
    epochs: usize,
    /// Later epoch, earlier epoch, distance.
    cells: Vec<(usize, usize, f64)>,
    drawn: Option<usize>,
}

/// One picture for each ratio of the first watched training. `hamming` and `tickets` are the tables of these names.
pub fn heat(hamming: &Sheet, tickets: &Sheet) -> Vec<Chart> {
    let Some((stage, rows)) = hamming.by("stage").into_iter().next() else { return Vec::new() };
    let own = Sheet { columns: hamming.columns.clone(), rows: rows.into_iter().cloned().collect() };
    let chart = |(track, rows): (&str, Vec<&Vec<String>>)| -> Option<Chart> {
        let number = |row: &[String], name: &str| own.number(row, name);
        let cells: Vec<(usize, usize, f64)> = rows
            .iter()
            .filter_map(|row| {
                let (later, earlier) = (number(row, "epoch")?, number(row, "other_epoch")?);
                Some((later as usize, earlier as usize, number(row, "distance")?))
            })
            .collect();
        let bird = tickets
            .rows
            .iter()
            .find(|row| tickets.text(row, "stage") == stage && tickets.text(row, "track") == track)
            .and_then(|row| tickets.number(row, "epoch"));
        let epochs = cells.iter().map(|(later, _, _)| *later).max()?;
        let square = Square { epochs, cells, drawn: bird.map(|epoch| epoch as usize) };
        let ratio = own.text(rows[0], "ratio").to_string();
        let mut kind = format!("{}-{}", own.text(rows[0], "pruning-type"), own.text(rows[0], "criterion"));
        // What else tells masks of one kind and ratio apart.
        let same = |row: &&Vec<String>| {
            ["pruning-type", "criterion", "ratio"].iter().all(|name| own.text(row, name) == own.text(rows[0], name))
        };
        for column in TELLS.into_iter().filter(|name| own.differs(own.rows.iter().filter(same), name)) {
            let value = own.text(rows[0], column);
            if !value.is_empty() {
                kind.push_str(&format!("-{column}-{value}"));
            }
        }
        let largest = square.cells.iter().map(|(_, _, distance)| *distance).fold(0.0, f64::max);
        let (svg, spots, narrow) = picture(&[], |area, spots| plot(area, &square, largest.max(1e-9), spots))?;
        let drawn = square.drawn.map_or(String::new(), |epoch| format!(" The frame is the early bird, epoch {epoch}."));
        let data = own.csv(rows);
        Some(Chart {
            name: format!("early-bird-{kind}-{ratio}"),
            title: format!("Masks of each two epochs: {kind}, ratio {ratio}"),
            note: format!(
                "Share of bits in which the masks of two epochs differ: white is 0, the darkest blue is {largest:.3}. Of \
                 the first training whose masks are watched ({}).{drawn}",
                first_words(&own, stage)
            ),
            svg,
            data,
            spots,
            narrow,
        })
    };
    // Where early birds are drawn, masks of other kinds are beside the point.
    let birds: Vec<&str> = tickets.rows.iter().map(|row| tickets.text(row, "track")).collect();
    let tracks = own.by("track").into_iter().filter(|(track, _)| birds.is_empty() || birds.contains(track));
    tracks.filter_map(chart).collect()
}

fn plot(area: &Area, square: &Square, largest: f64, spots: &mut Vec<Spot>) -> DrawingResult {
    let end = square.epochs as f64 + 0.5;
    // Cells should be square.
    let side = (area.dim_in_pixel().0.saturating_sub(420) / 2) as i32;
    let area = area.margin(6, 6, side, side);
    let mut chart = ChartBuilder::on(&area)
        .margin(4)
        .x_label_area_size(38)
        .y_label_area_size(46)
        .build_cartesian_2d(ChartAxis::epochs(0.5, end), ChartAxis::epochs(0.5, end))?;
    chart
        .configure_mesh()
        .disable_mesh()
        .axis_style(BLACK.mix(0.5))
        .label_style(("sans-serif", LABEL))
        .x_desc("epoch")
        .y_desc("earlier epoch")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    let cell = |later: usize, earlier: usize, distance: f64| {
        let (x, y) = (later as f64, earlier as f64);
        // From white to the blue of the palette.
        let share = (distance / largest).clamp(0.0, 1.0);
        let tone = |to: f64| (255.0 + share * (to - 255.0)).round() as u8;
        let colour = RGBColor(tone(0.0), tone(80.0), tone(140.0));
        Rectangle::new([(x - 0.5, y - 0.5), (x + 0.5, y + 0.5)], colour.filled())
    };
    chart.draw_series(square.cells.iter().map(|(later, earlier, distance)| cell(*later, *earlier, *distance)))?;
    // A page with each of the squares of very many epochs would be large.
    if square.cells.len() <= MOST_SPOTS {
        spots.extend(square.cells.iter().map(|(later, earlier, distance)| {
            let at = chart.backend_coord(&(*later as f64, *earlier as f64));
            Spot::at(at, format!("epochs {earlier} and {later}: distance {distance:.4}"))
        }));
    }
    if let Some(epoch) = square.drawn {
        let (x, style) = (epoch as f64, RGBColor(213, 94, 0).stroke_width(2));
        chart.draw_series([Rectangle::new([(x - 0.5, 0.5), (x + 0.5, x + 0.5)], style)])?;
    }
    Ok(())
}
