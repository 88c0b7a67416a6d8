//! The networks and data sets of a sweep: what belongs to which, so that each has charts and findings of its own.

use std::collections::HashMap;

use super::sheet::Sheet;

/// The settings that make another network, or other images.
const TELLS: [&str; 6] = ["network", "depth", "width", "hidden", "shortcut", "dataset"];

/// One network on one data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportPart {
    /// What tells it from the others in words; empty where it is the only one.
    pub title: String,
    /// The same for names of files.
    pub name: String,
    /// Values of those of its settings that the tables have.
    cells: Vec<String>,
}

/// All of them, and which training belongs to which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportParts {
    /// In the order of their first trial.
    pub all: Vec<ReportPart>,
    columns: Vec<&'static str>,
    of_stage: HashMap<String, usize>,
}

impl ReportParts {
    /// Those that `results.csv` has.
    pub fn of(results: &Sheet) -> Self {
        let columns: Vec<&'static str> = TELLS.into_iter().filter(|name| results.column(name).is_some()).collect();
        let mut parts = Self { columns, ..Self::default() };
        for row in &results.rows {
            let cells = parts.cells(results, row);
            let place = parts.all.iter().position(|part| part.cells == cells).unwrap_or_else(|| {
                parts.all.push(ReportPart { title: String::new(), name: String::new(), cells });
                parts.all.len() - 1
            });
            parts.of_stage.insert(results.text(row, "stage").to_string(), place);
        }
        for place in 0..parts.all.len() {
            let words = parts.words(place);
            let plain = |letter: char| if letter.is_alphanumeric() || "-.".contains(letter) { letter } else { '-' };
            let name: String = words.replace(", ", "-").chars().map(plain).collect();
            (parts.all[place].title, parts.all[place].name) = (words, name);
        }
        parts
    }

    fn cells(&self, sheet: &Sheet, row: &[String]) -> Vec<String> {
        self.columns.iter().map(|name| sheet.text(row, name).to_string()).collect()
    }

    /// Its network, and the settings in which it differs from another: of those of the network from one with that network.
    fn words(&self, place: usize) -> String {
        let own = &self.all[place].cells;
        let differs = |column: usize| {
            let beside = |cells: &[String]| self.columns[column] == "dataset" || cells.first() == own.first();
            self.all.iter().any(|part| beside(&part.cells) && part.cells[column] != own[column])
        };
        if self.all.len() < 2 {
            return String::new();
        }
        let told = self.columns.iter().zip(own).enumerate();
        let told =
            told.filter(|(column, (name, value))| !value.is_empty() && (differs(*column) || **name == "network"));
        let words = told.map(|(_, (name, value))| match *name {
            "network" => value.clone(),
            "dataset" => format!("on {value}"),
            name => format!("{name} {value}"),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// The rows of a table whose column `stage` names trainings of a part.
    pub fn by_stage(&self, sheet: &Sheet, part: usize) -> Sheet {
        sheet.only(|row| self.holds(sheet.text(row, "stage"), part))
    }

    /// Whether a training belongs to a part.
    pub fn holds(&self, stage: &str, part: usize) -> bool {
        self.of_stage.get(stage) == Some(&part)
    }

    /// The rows of `summary.csv` that are about a part.
    pub fn by_settings(&self, summary: &Sheet, part: usize) -> Sheet {
        // That table lacks settings that act nowhere, which are empty in the other.
        summary.only(|row| self.cells(summary, row) == self.all[part].cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = "trial,stage,network,depth,dataset\n1,a,resnet,20,mnist\n1,b,resnet,20,mnist\n2,c,lenet-5,,mnist\n3,d,resnet,8,mnist\n";

    #[test]
    fn each_network_is_a_part_with_the_settings_that_tell_it_from_others() {
        let parts = ReportParts::of(&Sheet::parse(RESULTS).unwrap());
        let titles: Vec<&str> = parts.all.iter().map(|part| part.title.as_str()).collect();
        assert_eq!(titles, ["resnet, depth 20", "lenet-5", "resnet, depth 8"]);
        assert_eq!(parts.all[0].name, "resnet-depth-20");
        let epochs = Sheet::parse("stage,epoch\na,1\nc,1\nb,1\n").unwrap();
        assert_eq!(parts.by_stage(&epochs, 0).rows.len(), 2);
        let summary = Sheet::parse("level,network,depth,n\n0,resnet,20,1\n0,lenet-5,,1\n").unwrap();
        assert_eq!(parts.by_settings(&summary, 1).rows.len(), 0, "a table of other data sets");
        let summary = Sheet::parse("level,network,depth,dataset,n\n0,resnet,20,mnist,1\n0,lenet-5,,mnist,1\n").unwrap();
        assert_eq!(parts.by_settings(&summary, 1).rows, [["0", "lenet-5", "", "mnist", "1"]]);
    }

    #[test]
    fn a_depth_that_all_networks_of_a_kind_have_is_not_told() {
        let parts = ReportParts::of(&Sheet::parse("trial,stage,network,depth\n1,a,lenet-5,\n2,b,resnet,20\n").unwrap());
        let titles: Vec<&str> = parts.all.iter().map(|part| part.title.as_str()).collect();
        assert_eq!(titles, ["lenet-5", "resnet"]);
    }

    #[test]
    fn one_network_alone_needs_no_name() {
        let parts = ReportParts::of(&Sheet::parse("trial,stage,network\n1,a,lenet-5\n2,b,lenet-5\n").unwrap());
        assert_eq!((parts.all.len(), parts.all[0].title.as_str()), (1, ""));
    }
}
