//! `tombola retry`: trains again what failed in a results folder.

use std::collections::HashSet;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::flags;
use super::folder;
use super::folder::Results;
use tombola_cluster::coordinator::Loudness;
use tombola_core::folder::journal::History;
use tombola_core::plan::Asked;
use tombola_core::plan::Plan;
use tombola_core::sweep::{Decides, Field};
use tombola_core::trainable;
use tombola_views::tables::{Standing, TrainingState};
use tombola_words::error::{Error, Result};

/// Settings that say what is run or what is kept of it, and so are the folder's own.
const FIXED: [&str; 6] = ["out", "shard", "save", "epochs-save", "log-train", "keep"];

const EXAMPLES: &str = "\
Examples:
  tombola retry results/quickstart
  tombola retry results/quickstart --stage 3f2a91c0 --device cpu
  tombola retry results/quickstart/shard-2-of-8 --workers 2 --retries 3

It trains what failed, what was skipped because of that, and nothing else. What was asked is in the folder's `sweep.toml`;
flags only say how it is run.";

/// The verb.
pub fn command() -> Command {
    let stage = Arg::new("stage").long("stage").value_name("ID").action(ArgAction::Append);
    let quiet = Arg::new("quiet").long("quiet").short('q').action(ArgAction::SetTrue).conflicts_with("verbose");
    let verbose = Arg::new("verbose").long("verbose").short('v').action(ArgAction::SetTrue);
    let command = Command::new("retry")
        .about("Train again what failed in a results folder")
        .after_help(EXAMPLES)
        .arg(folder::argument().help("Results folder of a sweep, or of one shard of it"))
        .arg(stage.help("Only this training, by its name or the beginning of it; may be given several times"))
        .arg(quiet.help("Print nothing but errors and the final table"))
        .arg(verbose.help("Print a line for every epoch"))
        .arg(super::run::log_argument());
    flags::add_some(command, is_open)
}

fn is_open(field: &Field) -> bool {
    field.decides == Decides::Run && !FIXED.contains(&field.key)
}

/// What is to be trained again: the sweep that the folder is of, run as the flags say, and its failed stages.
///
/// # Errors
/// When the folder holds no sweep, nothing in it failed, or a stage that is named did not.
pub fn read(matches: &ArgMatches) -> Result<(Asked, Loudness, HashSet<usize>)> {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().to_string()).collect();
    let flags = flags::read(matches, &words)?;
    let Results { folder, mut spec, plan, history, runs, joined, .. } = Results::read(&folder::given(matches))?;
    if joined {
        let shards: Vec<String> = runs.iter().filter_map(|run| run.shard).map(|shard| shard.folder()).collect();
        return Err(Error::input(format!(
            "`{}` holds the shards of a sweep: each is tried again by itself",
            folder.display()
        ))
        .hint(format!("give the folder of one: {}", shards.join(", "))));
    }
    // None of the flags decides what is trained, so the plan stays as it is.
    for flag in &flags {
        flag.values.iter().try_for_each(|value| flag.field.assign(&mut spec.run, value))?;
    }
    trainable::check(&plan, &spec)?;
    let named: Vec<String> = matches.get_many::<String>("stage").into_iter().flatten().cloned().collect();
    let chosen = chosen(&plan, &history, &named).map_err(|error| error.at(format!("`{}`", folder.display())))?;
    Ok((Asked { spec, plan: Arc::new(plan), folder }, super::run::loudness(matches), chosen))
}

/// The stages to be trained again: the failed ones, or those of them that are named by the beginning of their names, and
/// those that were skipped because of them.
///
/// # Errors
/// When none failed, or one that is named did not.
pub fn chosen(plan: &Plan, history: &History, named: &[String]) -> Result<HashSet<usize>> {
    let all = Standing::of(plan, history);
    let failed: HashSet<usize> = match named {
        [] => (0..all.len()).filter(|stage| all[*stage].state == TrainingState::Failed).collect(),
        _ => named.iter().map(|word| failed_stage(plan, &all, word)).collect::<Result<_>>()?,
    };
    if failed.is_empty() {
        let count = |state: TrainingState| all.iter().filter(|standing| standing.state == state).count();
        let open = count(TrainingState::Waiting) + count(TrainingState::Training);
        let error = Error::input(format!(
            "none of {} trainings failed: {} are done, {open} are not finished",
            all.len(),
            count(TrainingState::Done)
        ));
        return Err(match open {
            0 => error.hint("there is nothing to try again"),
            _ => error.hint("run the same command again to go on with what is not finished"),
        });
    }
    let because = |stage: &usize| {
        let standing: &Standing = &all[*stage];
        standing.state == TrainingState::Skipped && standing.blame.is_some_and(|blame| failed.contains(&blame))
    };
    Ok((0..all.len()).filter(|stage| failed.contains(stage) || because(stage)).collect())
}

/// The failed stage that a word names.
fn failed_stage(plan: &Plan, all: &[Standing], word: &str) -> Result<usize> {
    let stage = folder::stage_of(plan, word)?;
    let error =
        |state: &str| Error::input(format!("`--stage {word}`: this training {state}, expected one that failed"));
    match all[stage].state {
        TrainingState::Failed => Ok(stage),
        TrainingState::Done => Err(error("is done").hint("what is done is not trained again")),
        TrainingState::Skipped => Err(match all[stage].blame {
            Some(blame) => error("was skipped because another failed")
                .hint(format!("name that one, and this follows: `--stage {}`", plan.stages[blame].id)),
            None => error("was skipped"),
        }),
        TrainingState::Spared => Err(error("is not needed")
            .hint("results of others answer what the sweep asks; `--find none --halving 0` trains all")),
        TrainingState::Training | TrainingState::Waiting => {
            Err(error("is not finished").hint("run the same command again to go on with it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_core::folder::journal::Journal;
    use tombola_core::plan::outside::Outside;
    use tombola_core::sweep::Spec;
    use tombola_words::error::Kind;
    use tombola_words::record::Record;

    const SWEEP: &str = "dataset = \"synthetic\"\nseed = [1, 2, 3]\npr = 0.75\npriter = 2";

    fn plan() -> Plan {
        let spec = Spec::read(Some(SWEEP), &[]).unwrap();
        Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap()
    }

    fn failed(plan: &Plan, stage: usize) -> Record {
        Record::Failed { stage: plan.stages[stage].id, reason: "none".into(), again: false, time: 1.0 }
    }

    fn history(records: impl IntoIterator<Item = Record>) -> History {
        let mut history = History::default();
        records.into_iter().for_each(|record| history.add(record));
        history
    }

    #[test]
    fn what_failed_is_chosen_with_what_was_skipped_because_of_it() {
        let plan = plan();
        let history = history([failed(&plan, 1), failed(&plan, 3)]);
        let of = |named: &[String]| {
            let mut stages: Vec<usize> = chosen(&plan, &history, named).unwrap().into_iter().collect();
            stages.sort_unstable();
            stages
        };
        assert_eq!(of(&[]), [1, 2, 3, 4, 5]);
        assert_eq!(of(&[plan.stages[1].id.to_string()[..10].to_string()]), [1, 2]);
        let error = |stage: usize| chosen(&plan, &history, &[plan.stages[stage].id.to_string()]).unwrap_err();
        assert!(error(2).hint.unwrap().contains(&plan.stages[1].id.to_string()));
        assert!(error(6).message.contains("is not finished, expected one that failed"));
    }

    #[test]
    fn where_nothing_failed_the_error_says_how_it_stands() {
        let error = chosen(&plan(), &History::default(), &[]).unwrap_err();
        assert_eq!(error.kind, Kind::Input);
        assert_eq!(error.message, "none of 9 trainings failed: 0 are done, 9 are not finished");
    }

    #[test]
    fn flags_say_how_it_is_run_and_nothing_else() {
        let (folder, plan) = (tempfile::tempdir().unwrap(), plan());
        let path = folder.path().display().to_string();
        std::fs::write(folder.path().join("sweep.toml"), Spec::read(Some(SWEEP), &[]).unwrap().to_toml()).unwrap();
        Journal::open(&folder.path().join("journal"), 0).unwrap().append(&failed(&plan, 1)).unwrap();
        let parse = |words: &[&str]| {
            let words = ["retry", &path].into_iter().chain(words.iter().copied());
            command().try_get_matches_from(words)
        };
        let (asked, loudness, chosen) = read(&parse(&["--workers", "2", "-q", "--retries", "3"]).unwrap()).unwrap();
        assert_eq!((asked.spec.run.workers, asked.spec.run.retries, loudness), (Some(2), 3, Loudness::Quiet));
        assert_eq!((asked.folder.as_path(), chosen), (folder.path(), HashSet::from([1, 2])));
        for wrong in ["--epochs", "--save", "--out", "--shard"] {
            assert!(parse(&[wrong, "1"]).is_err(), "{wrong}");
        }
    }
}
