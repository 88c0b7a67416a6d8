//! `tombola data`: gets, verifies and looks at the files of data sets.

use std::io;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::data_look;
use tombola_data::{check, fetch, own};
use tombola_words::catalogue::{CATALOGUE, Source, find};
use tombola_words::error::{Error, Result};

/// What `tombola data` was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataArgs {
    /// Get what is missing or wrong.
    Fetch {
        /// Data sets, at least one.
        names: Vec<String>,
        /// Where they go, instead of the usual place.
        data_dir: Option<PathBuf>,
        /// Where the files come from, instead of their publisher.
        base_url: Option<String>,
    },
    /// Verify what is there.
    Check {
        /// Data sets; all that are found if there are none.
        names: Vec<String>,
        /// Where they lie, instead of the usual places.
        data_dir: Option<PathBuf>,
    },
    /// Say what data of the user's own are.
    Look {
        /// Where they lie.
        path: PathBuf,
    },
    /// Take away what was decoded.
    Clear,
}

const LOOK_EXAMPLES: &str = "\
Examples:
  tombola data look photos/birds
  tombola data look train-00000-of-00003.parquet";

const CLEAR_EXAMPLES: &str = "\
Examples:
  tombola data clear
  tombola data clear && tombola run sweep.toml";

const FETCH_EXAMPLES: &str = "\
Examples:
  tombola data fetch fashion-mnist
  tombola data fetch cifar-10 cifar-100 --data-dir /scratch/data
  tombola data fetch mnist --base-url https://example.org/mirror/mnist/";

const CHECK_EXAMPLES: &str = "\
Examples:
  tombola data check
  tombola data check fashion-mnist --data-dir /scratch/data";

const DATA_EXAMPLES: &str = "\
Examples:
  tombola data fetch fashion-mnist
  tombola data check
  tombola data look photos/birds";

/// Run time builds the list, so that it cannot differ from the catalogue.
fn known_sets() -> String {
    let sets = CATALOGUE.iter().filter(|known| known.source != Source::Made);
    sets.fold(String::from("Data sets:"), |list, known| format!("{list}\n  {:<15} {}", known.name, known.about))
}

impl Args for DataArgs {
    fn augment_args(command: Command) -> Command {
        let data_dir = || Arg::new("data-dir").long("data-dir").value_name("DIR").value_parser(value_parser!(PathBuf));
        let names = || Arg::new("names").value_name("NAME").num_args(0..);
        let fetch = Command::new("fetch")
            .about("Get the public files of data sets: only what is missing or wrong")
            .arg(names().required(true).num_args(1..).help("Data sets to get"))
            .arg(data_dir().help("Put them below this directory [default: $TOMBOLA_DATA or the user's data folder]"))
            .arg(
                Arg::new("base-url")
                    .long("base-url")
                    .value_name("URL")
                    .help("Get the files from below this address instead of from their publisher"),
            )
            .after_help(format!("{}\n\n{FETCH_EXAMPLES}", known_sets()));
        let check = Command::new("check")
            .about("Verify the files of data sets: checksums, and that they can be read")
            .arg(names().help("Data sets to verify [default: all that are found]"))
            .arg(data_dir().help("Search only this directory [default: the usual places]"))
            .after_help(CHECK_EXAMPLES);
        let look = Command::new("look")
            .about("Say what data of your own are: format, parts, classes, sizes, what is odd; and the block to train on them")
            .arg(
                Arg::new("path")
                    .value_name("PATH")
                    .required(true)
                    .value_parser(value_parser!(PathBuf))
                    .help("A folder or a file: images in a folder a class, arrays, Parquet, tar shards, CSV, …"),
            )
            .after_help(LOOK_EXAMPLES);
        let clear = Command::new("clear")
            .about("Take away what was decoded of data of your own; the next run decodes them again")
            .after_help(CLEAR_EXAMPLES);
        command
            .about("Get, verify and look at the files of data sets")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(fetch)
            .subcommand(check)
            .subcommand(look)
            .subcommand(clear)
            .after_help(format!("{}\n\n{DATA_EXAMPLES}", known_sets()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for DataArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let names = |matches: &ArgMatches| matches.get_many("names").into_iter().flatten().cloned().collect();
        let data_dir = |matches: &ArgMatches| matches.get_one("data-dir").cloned();
        match matches.subcommand() {
            Some(("fetch", found)) => Ok(Self::Fetch {
                names: names(found),
                data_dir: data_dir(found),
                base_url: found.get_one("base-url").cloned(),
            }),
            Some(("check", found)) => Ok(Self::Check { names: names(found), data_dir: data_dir(found) }),
            Some(("look", found)) => Ok(Self::Look { path: found.get_one("path").cloned().unwrap_or_default() }),
            Some(("clear", _)) => Ok(Self::Clear),
            _ => Err(clap::Error::raw(
                clap::error::ErrorKind::MissingSubcommand,
                "expected `fetch`, `check`, `look` or `clear`\n",
            )),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Does it. What `check` finds goes to standard output; what `fetch` says, to standard error.
///
/// # Errors
/// Unknown names, and whatever [`fetch::fetch`] and [`check::check`] report.
pub fn run(args: &DataArgs) -> Result<()> {
    match args {
        DataArgs::Fetch { names, data_dir, base_url } => {
            // All names first, so that a mistyped one is not found out after a long download.
            let sets = names.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?;
            if let (Some(url), true) = (base_url, sets.len() > 1) {
                return Err(Error::input(format!(
                    "`--base-url {url}` is given for {} data sets; expected one",
                    sets.len()
                ))
                .hint("fetch one data set at a time: some have files of the same names"));
            }
            let mut out = io::stderr();
            sets.into_iter()
                .try_for_each(|known| fetch::fetch(known, data_dir.as_deref(), base_url.as_deref(), &mut out))
        }
        DataArgs::Check { names, data_dir } => check::check(names, data_dir.as_deref(), &mut io::stdout()),
        DataArgs::Look { path } => super::print(&data_look::look(path)?),
        DataArgs::Clear => {
            let cache = own::Cache::of_user()?;
            let freed = cache.clear()?;
            super::print(&format!("{:.1} MB freed in {}\n", freed as f64 / 1e6, cache.root().display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<DataArgs, clap::Error> {
        let command = DataArgs::augment_args(Command::new("data").no_binary_name(true));
        DataArgs::from_arg_matches(&command.try_get_matches_from(line.split_whitespace())?)
    }

    #[test]
    fn commands_are_understood() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            parse("fetch cifar-10 mnist --data-dir /d").unwrap(),
            DataArgs::Fetch { names: names(&["cifar-10", "mnist"]), data_dir: Some("/d".into()), base_url: None }
        );
        assert_eq!(
            parse("fetch mnist --base-url http://x/").unwrap(),
            DataArgs::Fetch { names: names(&["mnist"]), data_dir: None, base_url: Some("http://x/".into()) }
        );
        assert_eq!(parse("look a/b").unwrap(), DataArgs::Look { path: "a/b".into() });
        assert_eq!(parse("clear").unwrap(), DataArgs::Clear);
        assert_eq!(parse("check").unwrap(), DataArgs::Check { names: vec![], data_dir: None });
        for wrong in ["", "fetch", "check --base-url x", "burn mnist"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_help_text_ends_with_examples_and_the_sets_are_listed() {
        for line in ["--help", "fetch --help", "check --help", "look --help", "clear --help"] {
            let help = parse(line).unwrap_err().to_string();
            let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
            assert!(!examples.is_empty() && examples.lines().all(|line| line.starts_with("  tombola data ")), "{help}");
        }
        let help = parse("fetch --help").unwrap_err().to_string();
        assert!(help.contains("fashion-mnist") && !help.contains("synthetic"), "{help}");
    }

    #[test]
    fn names_are_checked_before_anything_is_fetched() {
        let fetch = |names: &[&str], base_url: Option<&str>| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            run(&DataArgs::Fetch { names, data_dir: Some("/nowhere".into()), base_url: base_url.map(Into::into) })
                .unwrap_err()
        };
        assert_eq!(fetch(&["mnist", "cifar-11"], None).hint.unwrap(), "did you mean `cifar-10`?");
        assert!(
            fetch(&["mnist", "cifar-10"], Some("http://127.0.0.1:1")).message.contains("2 data sets; expected one")
        );
        assert!(fetch(&["synthetic"], None).message.contains("nothing to fetch"));
    }

    #[test]
    fn checking_an_empty_directory_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = run(&DataArgs::Check { names: vec![], data_dir: Some(folder.path().into()) }).unwrap_err();
        assert!(error.message.contains(&folder.path().display().to_string()), "{error}");
        assert_eq!(error.kind.exit_code(), 2);
    }
}
