//! `tombola table`: accuracies by two settings, for a paper.

use clap::{Arg, ArgMatches, Command};

use super::folder;
use super::folder::Results;
use tombola_views::report::pivot::Pivot;
use tombola_views::report::sheet::Sheet;
use tombola_views::tables;
use tombola_words::error::{Error, Result};
use tombola_words::speech;

const EXAMPLES: &str = "\
Examples:
  tombola table results/quickstart
  tombola table results/quickstart --by density,prune-iterations --format latex > table.tex

Test accuracy in % at the chosen epoch, mean ± standard deviation over seeds.";

/// The verb.
pub fn command() -> Command {
    Command::new("table")
        .about("Print accuracies by two settings, as LaTeX or Markdown")
        .after_help(EXAMPLES)
        .arg(folder::argument().help("Results folder of a sweep, finished or not"))
        .arg(
            Arg::new("by")
                .long("by")
                .value_name("ROWS,COLUMNS")
                .default_value("density,reinit")
                .help("What rows and columns are by: density, level, or any setting"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(["markdown", "latex"])
                .default_value("markdown")
                .help("How to write it; LaTeX needs the package booktabs"),
        )
}

/// Prints it.
///
/// # Errors
/// When the folder holds no sweep, or a setting is unknown.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let by = text("by");
    let (rows, columns) = by.split_once(',').map(|(rows, columns)| (rows.trim(), columns.trim())).ok_or_else(|| {
        Error::input(format!("`--by`: found `{by}`, expected two names with a comma between"))
            .hint("such as `--by density,reinit`")
    })?;
    let results = Results::read(&folder::given(matches))?;
    let sheet = Sheet::parse(&tables::text("results.csv", &results.plan, &results.history)?)?;
    let pivot = Pivot::of(&sheet, (rows, columns))?;
    if !pivot.mixed.is_empty() {
        speech::say(format!("some cells are means over different {}, not over seeds alone", pivot.mixed.join(", ")));
    }
    match text("format") {
        "latex" => super::print(&pivot.latex()),
        _ => super::print(&pivot.markdown()),
    }
}
