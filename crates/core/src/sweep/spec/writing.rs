//! Writes the complete sweep file: every setting of every block, defaults written out. It may not know what settings mean.

use super::{COMPLETE, Spec};
use crate::net::custom::OwnForm;
use crate::sweep::grid::Axis;
use crate::sweep::settings::{Decides, FIELDS, Field, Settings};

impl Spec {
    /// The complete sweep file: every setting of every block, defaults written out.
    pub fn to_toml(&self) -> String {
        let mut text = format!("{COMPLETE}\n");
        if let Some(name) = &self.name {
            text.push_str(&format!("name = {}\n", toml::Value::from(name.as_str())));
        }
        for field in FIELDS.iter().filter(|field| field.decides == Decides::Run) {
            let shown = (field.show)(&self.run);
            text.push_str(&format!("{} = {}\n", field.key, literal(field, &shown)));
        }
        for grid in &self.grids {
            text.push_str("\n[[grid]]\n");
            if !grid.zip.is_empty() {
                text.push_str(&format!("zip = {}\n", toml::Value::from(grid.zip.clone())));
            }
            let keys = |axes: &[Axis]| axes.iter().map(|axis| assignment(axis, true)).collect::<Vec<_>>().join(", ");
            if !grid.exclude.is_empty() {
                let tables: Vec<String> = grid.exclude.iter().map(|axes| format!("{{ {} }}", keys(axes))).collect();
                text.push_str(&format!("exclude = [{}]\n", tables.join(", ")));
            }
            if !grid.conditions.is_empty() {
                let texts: Vec<String> =
                    grid.conditions.iter().map(|one| toml::Value::from(one.text()).to_string()).collect();
                text.push_str(&format!("where = [{}]\n", texts.join(", ")));
            }
            if let Some(sample) = grid.sample {
                text.push_str(&format!("sample = {}\nsample-seed = {}\n", sample.count, sample.seed));
            }
            // Axes first and in their order, which decides the order of the trials.
            for axis in &grid.axes {
                text.push_str(&assignment(axis, false));
                text.push('\n');
            }
            let rest = |field: &&Field| {
                // Beside a rate or a target, the ratio follows.
                let says = |axis: &Axis| match axis.field.key {
                    "prune-rate" => true,
                    "target" => axis.values.iter().all(|value| value != "none"),
                    _ => false,
                };
                let follows = field.key == "pruning-ratio" && grid.axes.iter().any(says);
                field.decides != Decides::Run && !follows && grid.axes.iter().all(|axis| axis.field.key != field.key)
            };
            for field in FIELDS.iter().filter(rest) {
                let shown = (field.show)(&Settings::default());
                text.push_str(&format!("{} = {}\n", field.key, literal(field, &shown)));
            }
        }
        for data in self.datasets.values() {
            text.push_str(&data.to_toml());
        }
        if let Some(networks) = &self.network_tables {
            let mut table = toml::Table::new();
            table.insert("networks".to_string(), networks.clone());
            text.push_str(&format!("\n{table}"));
        }
        for network in self.networks.values() {
            if let OwnForm::Nodes(nodes) = &network.form {
                let name = toml::Value::from(network.name.as_str());
                text.push_str(&format!("\n[networks.{name}]\n{}", nodes.to_toml()));
            }
        }
        text
    }
}

/// `key = value` or `key = [values]`, in TOML.
fn assignment(axis: &Axis, several: bool) -> String {
    let items: Vec<String> = axis.values.iter().map(|value| literal(axis.field, value)).collect();
    // Among several, a word that stands for a list is a list of itself: two such words would read as one list.
    let words: Vec<&str> = axis.values.iter().map(String::as_str).collect();
    let is_list = axis.field.list && axis.field.apart(&words).is_none();
    let nested = |item: String| if is_list && !item.starts_with('[') { format!("[{item}]") } else { item };
    match items.as_slice() {
        [one] if !several => format!("{} = {one}", axis.field.key),
        _ => {
            let items: Vec<String> = items.into_iter().map(nested).collect();
            format!("{} = [{}]", axis.field.key, items.join(", "))
        }
    }
}

/// A value as a TOML literal: lists as they are, everything else quoted unless it is a number or a truth value.
fn literal(field: &Field, shown: &str) -> String {
    let items: Vec<&str> = shown.trim_matches(['[', ']']).split([',', ' ']).filter(|item| !item.is_empty()).collect();
    let quoted = |text: &str| toml::Value::String(text.to_string()).to_string();
    let one = |text: &str| if is_plain(text) { text.to_string() } else { quoted(text) };
    match field.list && (shown.starts_with('[') || items.iter().all(|item| is_plain(item))) {
        true => format!("[{}]", items.into_iter().map(one).collect::<Vec<_>>().join(", ")),
        // A word that stands for a list, too.
        false => one(shown),
    }
}

/// Whether a text is a number or a truth value in TOML that reads as the same text: settings also read `1.`, `007` and numbers
/// that TOML has no room for, and a path may look like a number.
fn is_plain(text: &str) -> bool {
    let whole = || text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
    let broken = || text.parse::<f64>().is_ok_and(|number| number.is_finite() && format!("{number:?}") == text);
    text == "true" || text == "false" || whole() || broken()
}
