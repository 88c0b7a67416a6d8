//! A table for a paper: accuracies by two settings, mean and standard deviation over seeds.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::percent;
use super::sheet::Sheet;
use crate::tables::repeats::are_paired;
use tombola_core::sweep::{Decides, Field};
use tombola_words::error::{Error, Result};
use tombola_words::statistics::Sample;

/// A row and a column.
type Cell = (usize, usize);

/// Rows, columns and what stands where they meet.
#[derive(Debug, Clone, PartialEq)]
pub struct Pivot {
    /// What rows and columns are by.
    pub names: (String, String),
    /// Names of the columns.
    pub columns: Vec<String>,
    /// A name and a cell for each column.
    pub rows: Vec<(String, Vec<Option<Sample>>)>,
    /// Settings in which the trainings of one cell differ, other than seeds: their accuracies are thrown together.
    pub mixed: Vec<String>,
}

impl Pivot {
    /// From `results.csv`: test accuracies at the chosen epoch by `by.0` (rows) and `by.1` (columns). Each is `density`, `level`
    /// or a setting, by any of its names; dense trainings are a row or column `dense` of their own.
    ///
    /// # Errors
    /// When a name is none of these.
    pub fn of(results: &Sheet, by: (&str, &str)) -> Result<Self> {
        let names = (column(results, by.0)?, column(results, by.1)?);
        let key = |row: &[String], name: &str| match (name, results.text(row, "level")) {
            ("density", _) => results.number(row, "density").map(percent).unwrap_or_default(),
            ("level", level) => level.to_string(),
            (name, _) if results.text(row, name).is_empty() => "dense".to_string(),
            (name, _) => results.text(row, name).to_string(),
        };
        let settings: Vec<&str> = tombola_core::sweep::FIELDS
            .iter()
            .filter(|field| field.decides != Decides::Run && !field.key.contains("seed"))
            .map(|field| field.key)
            .filter(|key| results.column(key).is_some() && *key != names.0 && *key != names.1)
            .collect();
        let mut cells: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
        let mut kinds: BTreeMap<Cell, BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
        let mut files: BTreeMap<Cell, BTreeSet<([String; 1], String)>> = BTreeMap::new();
        let (mut row_names, mut column_names) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for row in &results.rows {
            let Some(accuracy) = results.number(row, "best_test_accuracy") else { continue };
            let (row_name, column_name) = (key(row, &names.0), key(row, &names.1));
            let place = (place(&mut row_names, row_name), place(&mut column_names, column_name));
            // A training that several trials share counts once.
            if !seen.insert((place, results.text(row, "stage"))) {
                continue;
            }
            cells.entry(place).or_default().push(accuracy);
            let pair = ([results.text(row, "seed").to_string()], results.text(row, "load").to_string());
            files.entry(place).or_default().insert(pair);
            let kinds = kinds.entry(place).or_default();
            for setting in &settings {
                kinds.entry(setting).or_default().insert(results.text(row, setting).to_string());
            }
        }
        let mixed: BTreeSet<&str> = kinds
            .iter()
            .flat_map(|(place, kinds)| {
                // One file a seed is what the mean is over.
                let repeats = |setting: &str| setting == "load" && files.get(place).is_some_and(are_paired);
                let several = kinds.iter().filter(|(_, values)| values.len() > 1).map(|(setting, _)| *setting);
                several.filter(move |setting| !repeats(setting))
            })
            .collect();
        let row_order = order(&row_names);
        let column_order = order(&column_names);
        let rows = row_order.iter().map(|row| {
            let cell = |column: &usize| cells.get(&(*row, *column)).and_then(|values| Sample::of(values));
            (row_names[*row].clone(), column_order.iter().map(cell).collect())
        });
        Ok(Self {
            rows: rows.collect(),
            columns: column_order.iter().map(|column| column_names[*column].clone()).collect(),
            names,
            mixed: mixed.into_iter().map(str::to_string).collect(),
        })
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let escaped = |text: &str| text.replace('|', "\\|");
        let mut text = format!("| {} |", escaped(&self.names.0));
        self.columns.iter().for_each(|name| text.push_str(&format!(" {} |", escaped(name))));
        text.push_str(&format!("\n| --- |{}\n", " ---: |".repeat(self.columns.len())));
        for (name, cells) in &self.rows {
            text.push_str(&format!("| {} |", escaped(name)));
            cells.iter().for_each(|cell| text.push_str(&format!(" {} |", words(*cell, "±"))));
            text.push('\n');
        }
        text
    }

    /// As LaTeX, for the package `booktabs`.
    pub fn latex(&self) -> String {
        let mut text = String::from("% needs \\usepackage{booktabs}\n");
        text.push_str(&format!("\\begin{{tabular}}{{l{}}}\n\\toprule\n", "r".repeat(self.columns.len())));
        text.push_str(&latex(&self.names.0));
        self.columns.iter().for_each(|name| text.push_str(&format!(" & {}", latex(name))));
        text.push_str(" \\\\\n\\midrule\n");
        for (name, cells) in &self.rows {
            text.push_str(&latex(name));
            cells.iter().for_each(|cell| text.push_str(&format!(" & {}", words(*cell, "$\\pm$"))));
            text.push_str(" \\\\\n");
        }
        text.push_str("\\bottomrule\n\\end{tabular}\n");
        text
    }
}

/// The column of a name that a user gave.
fn column(results: &Sheet, name: &str) -> Result<String> {
    let key = match name {
        "density" | "level" => name,
        name => Field::find(name).map_or(name, |field| field.key),
    };
    match results.column(key) {
        Some(_) => Ok(key.to_string()),
        None => {
            let error = Error::input(format!("`--by`: found `{name}`, expected `density`, `level` or a setting"));
            let near = tombola_words::error::nearest(name, results.columns.iter().map(String::as_str));
            Err(match near {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("settings are the columns of `results.csv`"),
            })
        }
    }
}

fn place(names: &mut Vec<String>, name: String) -> usize {
    match names.iter().position(|known| *known == name) {
        Some(place) => place,
        None => {
            names.push(name);
            names.len() - 1
        }
    }
}

/// Numbers from large to small, as densities are read; other names as they came.
fn order(names: &[String]) -> Vec<usize> {
    let number = |name: &String| name.trim_end_matches(" %").parse::<f64>().ok();
    let mut order: Vec<usize> = (0..names.len()).collect();
    if names.iter().all(|name| number(name).is_some()) {
        order.sort_by(|one, other| {
            number(&names[*other]).partial_cmp(&number(&names[*one])).unwrap_or(std::cmp::Ordering::Equal)
        });
    }
    order
}

fn words(cell: Option<Sample>, plus_minus: &str) -> String {
    match cell {
        None => String::new(),
        Some(Sample { mean, deviation: None, .. }) => format!("{:.2}", 100.0 * mean),
        Some(Sample { mean, deviation: Some(deviation), .. }) => {
            format!("{:.2} {plus_minus} {:.2}", 100.0 * mean, 100.0 * deviation)
        }
    }
}

/// A text as LaTeX.
fn latex(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '%' | '&' | '_' | '#' | '$' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = "\
trial,level,stage,seed,pruning-ratio,criterion,reinit,density,best_test_accuracy
1,0,a,1,,,,1.0,0.9
1,1,b,1,0.9,magnitude,init,0.1,0.8
2,0,a,1,,,,1.0,0.9
2,1,c,1,0.9,magnitude,lr,0.1,0.85
3,0,d,2,,,,1.0,0.92
3,1,e,2,0.9,magnitude,init,0.1,0.82
4,1,f,1,0.5,magnitude,init,0.5,
5,1,g,1,0.5,random,init,0.5,0.7
6,1,h,1,0.5,magnitude,init,0.5,0.75
";

    #[test]
    fn accuracies_stand_where_their_settings_meet() {
        let pivot = Pivot::of(&Sheet::parse(RESULTS).unwrap(), ("density", "rewind")).unwrap();
        assert_eq!(pivot.columns, ["dense", "init", "lr"]);
        let names: Vec<&str> = pivot.rows.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["100 %", "50 %", "10 %"]);
        let means: Vec<Option<f64>> = pivot.rows[2].1.iter().map(|cell| cell.map(|cell| cell.mean)).collect();
        assert_eq!(means[0], None);
        assert!((means[1].unwrap() - 0.81).abs() < 1e-12 && means[2] == Some(0.85));
        // The dense training of the first two trials is one.
        assert_eq!(pivot.rows[0].1[0].unwrap().n, 2);
        assert_eq!(pivot.mixed, ["criterion"]);
    }

    #[test]
    fn tables_are_written_for_papers_and_pages() {
        let pivot = Pivot::of(&Sheet::parse(RESULTS).unwrap(), ("density", "reinit")).unwrap();
        let markdown = pivot.markdown();
        assert!(markdown.starts_with("| density | dense | init | lr |\n| --- | ---: | ---: | ---: |\n"), "{markdown}");
        assert!(markdown.contains("| 10 % |  | 81.00 ± 1.41 | 85.00 |"), "{markdown}");
        let latex = pivot.latex();
        assert!(latex.contains("10 \\% &  & 81.00 $\\pm$ 1.41 & 85.00 \\\\"), "{latex}");
    }

    #[test]
    fn an_unknown_name_is_refused_with_a_near_one() {
        let error = Pivot::of(&Sheet::parse(RESULTS).unwrap(), ("densty", "reinit")).unwrap_err();
        assert!(error.message.contains("`densty`") && error.hint.unwrap().contains("`density`"));
    }
}
