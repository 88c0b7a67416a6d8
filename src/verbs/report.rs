//! `tombola report`: the page of one sweep or several.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use time::OffsetDateTime;
use time::macros::format_description;

use super::folder::Results;
use tombola_core::folder::write_atomically;
use tombola_exports::pdf;
use tombola_views::report::chart::Chart;
use tombola_views::report::{Report, ReportSource, compared, page};
use tombola_words::error::{Error, Result};
use tombola_words::speech;

const EXAMPLES: &str = "\
Examples:
  tombola report results/quickstart
  tombola report results/quickstart --out quickstart.html --figures figures
  tombola report results/experiment1 results/experiment2 --out both.html

The page is one file that needs nothing else: no network, no other files. It only reads the results, so it can be made while
the sweep runs.";

/// The verb.
pub fn command() -> Command {
    Command::new("report")
        .about("Make a page of a sweep: what was found, charts, failures, and a table to sort and filter")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("folder")
                .value_name("RESULTS")
                .required(true)
                .num_args(1..)
                .value_parser(value_parser!(PathBuf))
                .help("Results folders of sweeps, finished or not"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The page to write [default: report.html in the first folder]"),
        )
        .arg(
            Arg::new("figures")
                .long("figures")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("Write each chart as an SVG and a PDF file, and its numbers as a CSV file, too"),
        )
}

/// Makes the page.
///
/// # Errors
/// When a folder holds no sweep, or a file cannot be written.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let folders: Vec<&PathBuf> = matches.get_many("folder").into_iter().flatten().collect();
    let reports: Result<Vec<Report>> = folders.iter().map(|folder| report_of(folder)).collect();
    let reports = reports?;
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // A clock beyond the year 9999 has no date that could be written.
    let date = OffsetDateTime::from_unix_timestamp(now.as_secs() as i64).ok();
    let date = date.and_then(|date| date.format(format).ok()).unwrap_or_default();
    let html = page(&reports, &format!("Made by Tombola {} on {date}.", env!("CARGO_PKG_VERSION")));
    let default = folders.first().map(|folder| folder.join("report.html")).unwrap_or_default();
    let path = matches.get_one::<PathBuf>("out").unwrap_or(&default);
    write_atomically(path, |file| file.write_all(html.as_bytes()))?;
    super::print(&format!("{}\n", path.display()))?;
    match matches.get_one::<PathBuf>("figures") {
        Some(folder) => figures(&reports, folder),
        None => Ok(()),
    }
}

/// The report of a results folder.
///
/// # Errors
/// When it holds no sweep.
pub fn report_of(folder: &Path) -> Result<Report> {
    let results = Results::read(folder)?;
    let name = results.spec.name.clone();
    let name = name.unwrap_or_else(|| folder.file_name().unwrap_or_default().to_string_lossy().to_string());
    Report::of(&ReportSource {
        name: &name,
        folder,
        stores: &results.stores(),
        spec: &results.spec,
        plan: &results.plan,
        history: &results.history,
    })
}

fn figures(reports: &[Report], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| Error::file("make", folder, &error))?;
    // Several sweeps have charts of the same names.
    let named = |report: &Report, chart: &Chart| match reports.len() {
        1 => chart.name.clone(),
        _ => format!("{}-{}", report.name, chart.name),
    };
    let own = reports.iter().flat_map(|report| report.charts.iter().map(|chart| (named(report, chart), chart.clone())));
    let compared = compared(reports).into_iter().map(|chart| (chart.name.clone(), chart));
    let mut no_font = false;
    for (stem, chart) in compared.chain(own) {
        let pdf = pdf::bytes(&chart.svg)?;
        no_font |= pdf.is_none();
        let files = [("svg", Some(chart.svg.into_bytes())), ("csv", Some(chart.data.into_bytes())), ("pdf", pdf)];
        for (extension, bytes) in files {
            let Some(bytes) = bytes else { continue };
            write_atomically(&folder.join(format!("{stem}.{extension}")), |file| file.write_all(&bytes))?;
        }
        super::print(&format!("{}\n", folder.join(format!("{stem}.svg")).display()))?;
    }
    if no_font {
        speech::say("no PDF files: this machine has no fonts to write the letters with");
    }
    Ok(())
}
