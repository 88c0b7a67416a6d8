//! `tombola completions` and `tombola man`: what shells and readers of manuals want, made from the command line itself.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use tombola_words::error::{Error, Result};

const COMPLETIONS: &str = "\
Examples:
  tombola completions bash > ~/.local/share/bash-completion/completions/tombola
  tombola completions zsh > ~/.zfunc/_tombola
  tombola completions fish > ~/.config/fish/completions/tombola.fish";

const MAN: &str = "\
Examples:
  tombola man ~/.local/share/man/man1 && man tombola-run";

/// The verb `completions`.
pub fn completions_command() -> Command {
    Command::new("completions")
        .about("Print what a shell needs to complete verbs and flags")
        .after_help(COMPLETIONS)
        .arg(
            Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)).help("Which shell"),
        )
}

/// The verb `man`.
pub fn man_command() -> Command {
    Command::new("man").about("Write a manual page for each verb").after_help(MAN).arg(
        Arg::new("folder")
            .value_name("FOLDER")
            .required(true)
            .value_parser(value_parser!(PathBuf))
            .help("Where to write them; it is made if need be"),
    )
}

/// Prints them.
///
/// # Errors
/// When standard output cannot be written to.
pub fn completions(matches: &ArgMatches) -> Result<()> {
    let Some(shell) = matches.get_one::<Shell>("shell") else { return Ok(()) };
    let mut bytes = Vec::new();
    clap_complete::generate(*shell, &mut super::command(), "tombola", &mut bytes);
    super::print(&String::from_utf8_lossy(&bytes))
}

/// Writes them.
///
/// # Errors
/// When a file cannot be written.
pub fn man(matches: &ArgMatches) -> Result<()> {
    let folder = matches.get_one::<PathBuf>("folder").cloned().unwrap_or_default();
    let fail = |error: std::io::Error| Error::file("write", &folder, &error);
    std::fs::create_dir_all(&folder).map_err(fail)?;
    clap_mangen::generate_to(super::command(), &folder).map_err(fail)?;
    super::print(&format!("{}\n", folder.join("tombola.1").display()))
}
