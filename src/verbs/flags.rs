//! Turns every setting into a flag. It may not know any setting by name.

use clap::{Arg, ArgAction, ArgMatches, Command};

use tombola_core::sweep::spec::said_twice;
use tombola_core::sweep::{Decides, FIELDS, Field, Flag, NAME_FILES, SPELLINGS, Settings, Spelling};
use tombola_words::error::{Error, Result};

/// Adds a flag for each setting, under the headings of its group.
pub fn add(command: Command) -> Command {
    SPELLINGS.iter().fold(add_some(command, |_| true), |command, spelling| command.arg(argument_of(spelling)))
}

/// The flag of a word whose values mean others.
fn argument_of(spelling: &'static Spelling) -> Arg {
    let heading = spelling.field().map_or("Settings", |field| field.group);
    let argument = Arg::new(spelling.word).long(spelling.word).help(spelling.help).help_heading(heading);
    let argument = argument.value_name("VALUE").action(ArgAction::Append);
    match (spelling.bare, spelling.takes_value) {
        (Some(bare), true) => argument.num_args(0..=1).default_missing_value(bare),
        (Some(bare), false) => argument.num_args(0..=1).require_equals(true).default_missing_value(bare),
        (None, _) => argument.num_args(1).allow_hyphen_values(true),
    }
}

/// Adds a flag for some of the settings.
pub fn add_some(command: Command, which: impl Fn(&Field) -> bool) -> Command {
    FIELDS.iter().filter(|field| which(field)).fold(command, |command, field| command.arg(argument(field)))
}

fn argument(field: &'static Field) -> Arg {
    let default = (field.show)(&Settings::default());
    let mut help = field.help.trim().replace('\n', " ").replace("  ", " ");
    let words = (field.words)();
    if words.len() > 2 && !field.list {
        help.push_str(&format!(" [one of: {}]", words.join(", ")));
    }
    help.push_str(&format!(" [default: {default}]"));
    let mut argument = Arg::new(field.key)
        .long(field.key)
        .help(help)
        .help_heading(field.group)
        .value_name(if field.list { "LIST" } else { "VALUE" })
        .action(ArgAction::Append);
    for alias in field.aliases {
        argument = argument.visible_alias(alias);
    }
    if field.flag {
        argument.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else if field.list {
        argument.num_args(1..).allow_negative_numbers(true)
    } else {
        // So that the setting itself says what is wrong with `-0.1`; a flag in its place is refused below.
        argument.num_args(1).allow_hyphen_values(true)
    }
}

/// The settings given as flags. A flag given twice wins the second time, unless its values are lists and it can be an
/// axis: then each time is one value of that axis. So a line that a shell or a script has can be changed by what is put
/// behind it.
///
/// # Errors
/// When a value is none of its setting, or a flag is given by two of its names, of which nobody can say that the second was
/// put behind the first on purpose; the message names flags as they stand in `words`, the command line.
pub fn read(matches: &ArgMatches, words: &[String]) -> Result<Vec<Flag>> {
    let mut flags = Vec::new();
    for field in FIELDS {
        // A verb need not have all of them.
        let Ok(Some(times)) = matches.try_get_occurrences::<String>(field.key) else { continue };
        if let [one, other, ..] = spellings(field, words).as_slice() {
            return Err(said_twice(&format!("`{one}`"), &format!("`{other}`"), field));
        }
        let times: Vec<Vec<&str>> = times.map(|values| values.map(String::as_str).collect()).collect();
        let is_axis = field.decides != Decides::Run && !NAME_FILES.contains(&field.key);
        let values: Vec<String> = if field.list && is_axis {
            let apart = |values: &Vec<&str>| {
                let items: Vec<&str> = values.iter().flat_map(|value| value.split([',', ' '])).collect();
                let whole = items.iter().all(|item| field.whole.contains(item));
                whole.then(|| items.iter().map(ToString::to_string).collect::<Vec<String>>())
            };
            match times.iter().map(apart).collect::<Option<Vec<_>>>().and_then(|mut all| all.pop()) {
                Some(last) => last,
                None => times.iter().map(|values| values.join(" ")).collect(),
            }
        } else {
            let last = times.last().map_or_else(String::new, |values| values.join(" "));
            // One path may hold commas; a setting that is no axis has one value.
            match is_axis {
                true => last.split(',').map(|value| value.trim().to_string()).collect(),
                false => vec![last],
            }
        };
        for value in &values {
            let spelling = spelling(field, words);
            if value.starts_with("--") {
                return Err(Error::input(format!("`{spelling}` has no value: the flag `{value}` stands behind it"))
                    .hint(format!("write `{spelling} VALUE`")));
            }
            field.assign_as(&spelling, &mut Settings::default(), value)?;
        }
        flags.push(Flag { field, values });
    }
    read_spellings(matches, words, &mut flags)?;
    Ok(flags)
}

/// Adds the settings given by words whose values mean others.
fn read_spellings(matches: &ArgMatches, words: &[String], flags: &mut Vec<Flag>) -> Result<()> {
    for spelling in SPELLINGS {
        let Ok(Some(mut times)) = matches.try_get_occurrences::<String>(spelling.word) else { continue };
        let Some(field) = spelling.field() else { continue };
        let flag = format!("--{}", spelling.word);
        if flags.iter().any(|other| other.field.key == field.key) {
            return Err(said_twice(&format!("`{}`", self::spelling(field, words)), &format!("`{flag}`"), field));
        }
        let last = times.next_back().into_iter().flatten().next_back().map_or("", String::as_str);
        let mut values = Vec::new();
        for text in last.split(',').map(str::trim) {
            let meant = spelling.meaning(text);
            let meant =
                meant.map_err(|expected| Error::input(format!("`{flag}`: found `{text}`, expected {expected}")))?;
            field.assign_as(&flag, &mut Settings::default(), &meant).map_err(|error| {
                match text.ends_with(".toml") {
                    true => error.hint(format!("put `{flag}` behind the sweep file")),
                    false => error,
                }
            })?;
            values.push(meant);
        }
        flags.push(Flag { field, values });
    }
    Ok(())
}

/// The flag as the user wrote it, else by its own name.
fn spelling(field: &Field, words: &[String]) -> String {
    spellings(field, words).pop().unwrap_or_else(|| format!("--{}", field.key))
}

/// The different words of the command line that mean this setting, in their order.
fn spellings(field: &Field, words: &[String]) -> Vec<String> {
    let flag = |word: &String| {
        let flag = word.strip_prefix("--")?.split('=').next()?;
        (flag == field.key || field.aliases.contains(&flag)).then(|| format!("--{flag}"))
    };
    let mut found: Vec<String> = Vec::new();
    for spelling in words.iter().filter_map(flag) {
        if !found.contains(&spelling) {
            found.push(spelling);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Vec<(String, Vec<String>)> {
        let command = add(Command::new("test").no_binary_name(true).arg(Arg::new("file")));
        let flags = read(&command.try_get_matches_from(words).unwrap(), &[]).unwrap();
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
    fn words_whose_values_mean_others_are_flags_of_their_settings() {
        assert_eq!(
            parse(&["--density", "0.1,0.0352"]),
            [("pruning-ratio".into(), vec!["0.9".into(), "0.9648".into()])]
        );
        assert_eq!(parse(&["--sr", "--epochs", "3"])[1], ("slimming".into(), vec!["0.01".into()]));
        assert_eq!(parse(&["--sr", "1e-4"])[0].1, ["1e-4"]);
        assert_eq!(parse(&["--nest", "0"]), [("nesterov".into(), vec!["false".into()])]);
        assert_eq!(parse(&["--no-cuda", "sweep.toml"]), [("device".into(), vec!["cpu".into()])]);
        let command = add(Command::new("test").no_binary_name(true));
        let matches = command.try_get_matches_from(["--pr", "0.5", "--density", "0.5"]).unwrap();
        assert!(read(&matches, &[]).unwrap_err().message.contains("`--density` are one setting"));
    }

    #[test]
    fn wrong_values_name_the_flag_as_it_was_written() {
        let error = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_string).collect();
            let command = add(Command::new("test").no_binary_name(true));
            read(&command.try_get_matches_from(&words).unwrap(), &words).unwrap_err()
        };
        assert_eq!(error("--pr 0.5,-0.1").message, "`--pr`: found `-0.1`, expected a ratio of at least 0 and below 1");
        assert_eq!(error("--seed -1").message, "`--seed`: found `-1`, expected a whole number");
        assert_eq!(error("--lr 0.1 --lr=x").message, "`--lr`: found `x`, expected a number");
        assert_eq!(error("--pr --save").message, "`--pr` has no value: the flag `--save` stands behind it");
        assert_eq!(error("--o sdg").hint.unwrap(), "did you mean `sgd`?");
    }

    #[test]
    fn two_names_of_one_flag_are_refused_and_both_are_named() {
        let line = "--lr 0.1 --epochs 3 --learning-rate=0.2";
        let words: Vec<String> = line.split(' ').map(str::to_string).collect();
        let matches = add(Command::new("test").no_binary_name(true)).try_get_matches_from(&words).unwrap();
        let error = read(&matches, &words).unwrap_err();
        assert_eq!(error.message, "`--lr` and `--learning-rate` are one setting, `learning-rate`, given twice");
    }

    #[test]
    fn a_flag_given_twice_wins_the_second_time() {
        assert_eq!(parse(&["--epochs", "160", "--epochs", "2"])[0].1, ["2"]);
        assert_eq!(parse(&["--epochs-save", "10", "30", "--epochs-save", "1", "2"])[0].1, ["1 2"]);
    }
}
