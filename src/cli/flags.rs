//! Turns every setting into a flag. It may not know any setting by name.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::error::Result;
use crate::sweep::{FIELDS, Field, Flag};

/// Adds a flag for each setting, under the headings of its group.
pub fn add(command: Command) -> Command {
    FIELDS.iter().fold(command, |command, field| command.arg(argument(field)))
}

fn argument(field: &'static Field) -> Arg {
    let default = (field.show)(&crate::sweep::Settings::default());
    let mut help = field.help.trim().replace('\n', " ").replace("  ", " ");
    let words = (field.words)();
    if words.len() > 2 {
        help.push_str(&format!(" [one of: {}]", words.join(", ")));
    }
    help.push_str(&format!(" [default: {default}]"));
    let mut argument = Arg::new(field.key)
        .long(field.key)
        .help(help)
        .help_heading(field.group)
        .value_name(if field.list { "LIST" } else { "VALUE" })
        .action(ArgAction::Append)
        .allow_hyphen_values(false);
    for alias in field.aliases {
        argument = argument.visible_alias(alias);
    }
    if field.flag {
        argument.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else if field.list {
        argument.num_args(1..)
    } else {
        argument.num_args(1)
    }
}

/// The settings given as flags. A flag given twice wins the second time, unless its values are lists: then each time
/// is one value of an axis.
///
/// # Errors
/// When a flag has no value.
pub fn read(matches: &ArgMatches) -> Result<Vec<Flag>> {
    let mut flags = Vec::new();
    for field in FIELDS {
        let Some(times) = matches.get_occurrences::<String>(field.key) else { continue };
        let times: Vec<Vec<&str>> = times.map(|values| values.map(String::as_str).collect()).collect();
        let values: Vec<String> = if field.list {
            times.iter().map(|values| values.join(" ")).collect()
        } else {
            let last = times.last().map_or("", |values| values.first().copied().unwrap_or(""));
            // One path may hold commas; a setting that is no axis has one value.
            match field.decides == crate::sweep::Decides::Run || field.key == "load" {
                true => vec![last.to_string()],
                false => last.split(',').map(|value| value.trim().to_string()).collect(),
            }
        };
        flags.push(Flag { field, values });
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Vec<(String, Vec<String>)> {
        let command = add(Command::new("test").no_binary_name(true).arg(Arg::new("file")));
        let flags = read(&command.try_get_matches_from(words).unwrap()).unwrap();
        flags.into_iter().map(|flag| (flag.field.key.to_string(), flag.values)).collect()
    }

    #[test]
    fn several_values_are_an_axis_and_lists_stay_lists() {
        assert_eq!(parse(&["--pr", "0.5,0.7"]), [("pruning-ratio".into(), vec!["0.5".into(), "0.7".into()])]);
        assert_eq!(
            parse(&["--lr-update-epochs", "[80,", "120]"]),
            [("lr-milestones".into(), vec!["[80, 120]".into()])]
        );
        assert_eq!(parse(&["--epochs-save", "10", "30"])[0].1, ["10 30"]);
        assert_eq!(parse(&["--lr-milestones", "1,2", "--lr-milestones", "3"])[0].1, ["1,2", "3"]);
    }

    #[test]
    fn bare_flags_mean_yes_and_take_no_file_name() {
        assert_eq!(parse(&["--save", "sweep.toml"]), [("save".into(), vec!["true".into()])]);
        assert_eq!(parse(&["--nesterov=false"])[0].1, ["false"]);
    }

    #[test]
    fn a_flag_given_twice_wins_the_second_time() {
        assert_eq!(parse(&["--epochs", "160", "--epochs", "2"])[0].1, ["2"]);
    }
}
