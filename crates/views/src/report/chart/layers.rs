//! Density layer by layer: where a criterion takes weights from.

use super::{Area, Chart, ChartAxis, DrawingResult, Entry, MOST_LINES, Spot, course, frame, most_labels, picture};
use crate::report::findings::percent;
use crate::report::sheet::Sheet;

/// What a ticket keeps of each layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerDensities {
    /// Its name.
    pub name: String,
    /// Name of its training.
    pub stage: String,
    /// Name of each layer with connections, and the share of them that is alive; the input first.
    pub layers: Vec<(String, f64)>,
}

/// One line a ticket. `None` where there is none.
pub fn layers(tickets: &[LayerDensities]) -> Option<Chart> {
    let shown: Vec<&LayerDensities> =
        tickets.iter().filter(|ticket| ticket.layers.len() > 1).take(MOST_LINES).collect();
    if shown.is_empty() {
        return None;
    }
    let legend: Vec<Entry> =
        shown.iter().enumerate().map(|(index, ticket)| Entry { name: &ticket.name, index, dashed: false }).collect();
    let (svg, spots, narrow) = picture(&legend, |area, spots| plot(area, &shown, spots))?;
    let all = shown.iter().flat_map(|ticket| ticket.layers.iter().map(move |layer| (&ticket.name, layer)));
    let rows = all.map(|(ticket, (layer, density))| [ticket.clone(), layer.clone(), density.to_string()]);
    let data = Sheet::of(["ticket", "layer", "density"], rows).whole_csv();
    Some(Chart {
        name: "layer-density".into(),
        title: "Density layer by layer".into(),
        note: "Share of the connections of each layer that is alive, from the input to the output; the numbers have the layers' names."
            .into(),
        svg,
        data,
        spots,
        narrow,
    })
}

fn plot(area: &Area, tickets: &[&LayerDensities], spots: &mut Vec<Spot>) -> DrawingResult {
    let longest = tickets.iter().map(|ticket| ticket.layers.len()).max().unwrap_or(1);
    let names: Vec<&str> = match tickets.iter().all(|ticket| ticket.layers.len() == longest) && longest <= 6 {
        true => tickets[0].layers.iter().map(|(name, _)| name.as_str()).collect(),
        false => Vec::new(),
    };
    // They do not fit on a narrow screen.
    let names = if most_labels(area) < 10.0 { Vec::new() } else { names };
    let word = |x: &f64| names.get(*x as usize - 1).map_or_else(|| format!("{x:.0}"), |name| (*name).to_string());
    let high = tickets.iter().flat_map(|ticket| &ticket.layers).map(|(_, density)| *density).fold(0.0, f64::max);
    let mut chart = frame(
        area,
        (ChartAxis::epochs(0.7, longest as f64 + 0.3), 0.0..(1.05 * high).clamp(0.001, 1.0)),
        ("layer", "density"),
        (&word, &|y| format!("{:.1} %", 100.0 * y)),
    )?;
    for (index, ticket) in tickets.iter().enumerate() {
        let through: Vec<(f64, f64)> =
            ticket.layers.iter().enumerate().map(|(layer, (_, density))| (layer as f64 + 1.0, *density)).collect();
        course(area, &mut chart, (&through, 1), index)?;
        let spot = |(point, (layer, density)): (&(f64, f64), &(String, f64))| {
            Spot::at(chart.backend_coord(point), format!("{}: `{layer}`, density {}", ticket.name, percent(*density)))
        };
        spots.extend(through.iter().zip(&ticket.layers).map(spot));
    }
    Ok(())
}
