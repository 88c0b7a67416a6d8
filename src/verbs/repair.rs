//! `tombola repair`: mends a results folder that was damaged, and says what is lost.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::folder;
use super::print;
use tombola_core::folder::repair::{Repaired, repair, repair_joined};
use tombola_words::error::{Kind, Result};

const EXAMPLES: &str = "\
Examples:
  tombola repair results/quickstart --check
  tombola repair results/quickstart

Every sound record of the journal and every sound snapshot stays. What is damaged is moved aside, next to the journal and to
`damaged/`; nothing is deleted. The next `tombola run` of the same sweep trains again what is lost.

Exit codes: 0 the folder is sound, or is now; with --check, 3 if something is damaged";

/// The verb.
pub fn command() -> Command {
    let check = Arg::new("check").long("check").action(ArgAction::SetTrue);
    Command::new("repair")
        .about("Mend a results folder that was damaged")
        .after_help(EXAMPLES)
        .arg(folder::argument().help("Results folder of a sweep, or of its shards"))
        .arg(check.help("Only say what is damaged, and change nothing"))
}

/// Mends the folder that was given, or those of its shards, and says what was found.
///
/// # Errors
/// As [`repair`].
pub fn run(matches: &ArgMatches) -> Result<u8> {
    let (given, only_look) = (folder::given(matches), matches.get_flag("check"));
    let mut sound = true;
    let parts = folder::parts(&given)?;
    if !parts.contains(&given) {
        let found = repair_joined(&given, only_look)?;
        if !found.is_sound() {
            print(&told(&given, &found, only_look, &format!("`tombola tables {}` writes it anew", given.display())))?;
            sound = false;
        }
    }
    for part in &parts {
        if parts.len() > 1 && !folder::has_run(part)? {
            let words = "there is no journal: its run has not begun, or what it told of is lost";
            print(&format!("{}: {words}\n", part.display()))?;
            sound = false;
            continue;
        }
        let found = repair(part, only_look)?;
        print(&told(
            part,
            &found,
            only_look,
            "run the same sweep again: what is lost is trained anew, and nothing else",
        ))?;
        sound &= found.is_sound();
    }
    // That of every verb that meets damage.
    Ok(if only_look && !sound { Kind::Environment.exit_code() } else { 0 })
}

/// What was found and done, in words, and the cure for what repair cannot make again.
fn told(folder: &Path, found: &Repaired, only_look: bool, cure: &str) -> String {
    let Repaired { sound, damaged, cut, snapshots, spoilt, missing, moved, foreign } = found;
    let mut lines = vec![format!("{}: {sound} records and {snapshots} snapshots are sound", folder.display())];
    for range in damaged {
        lines.push(match range.len() {
            1 => format!("  byte {} of the journal is no record", range.start),
            _ => format!("  bytes {} to {} of the journal are no record", range.start, range.end - 1),
        });
    }
    if *cut > 0 {
        lines.push(format!("  the last {cut} bytes of the journal are missing"));
    }
    lines.extend(missing.iter().map(|path| format!("  `{}` is missing: it was removed, or lost", path.display())));
    lines.extend(spoilt.iter().map(|(_, why)| format!("  {why}")));
    if *foreign {
        lines.push("  the journal tells of none of the trainings in `stages`".to_string());
    }
    let verb = if only_look { "would move" } else { "moved" };
    lines.extend(moved.iter().map(|(from, to)| format!("  {verb} {} to {}", from.display(), to.display())));
    lines.push(match (found.is_sound(), only_look) {
        (true, _) => "nothing to mend".to_string(),
        (false, true) if found.can_be_mended() => "nothing was changed; without `--check` this is mended".to_string(),
        (false, _) => cure.to_string(),
    });
    lines.join("\n") + "\n"
}
