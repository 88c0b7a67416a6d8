//! Why one training stands where it stands, in words.
//!
//! Who is asked for is a stage: its own state and the reason for it, its chain back to the dense training, what sets it
//! apart from its parent, and the files that it left. It may not know of files: they are told.

use super::text::columns;
use super::view::View;
use crate::tables::TrainingState;
use tombola_core::mask::ChangeRule;
use tombola_core::plan::Stage;
use tombola_core::plan::estimate::{human, many};
use tombola_core::sweep::{Decides, FIELDS, Settings};
use tombola_words::record::EpochRecord;
use tombola_words::value::{MaybeTarget, Moment, Rewind, Value};

/// Trials beyond this are counted.
const MOST_TRIALS: usize = 8;

/// What is known of a stage, ending with a line break. `files` are those in its folder, with their sizes in bytes.
pub fn text(view: &View, stage: usize, files: &[(String, u64)]) -> String {
    let plan = view.facts.plan;
    let mut text = format!("{}  {}\n{}\n", plan.stages[stage].id, plan.label(stage), trials(view, stage));
    let mut why = reasons(view, stage);
    if let Some(setback) = view.known(stage).and_then(|known| known.setback.as_ref())
        && view.standings[stage].state != TrainingState::Failed
    {
        why.push(format!("the attempt before came to nothing: {setback}"));
    }
    let why = why.join("\n  ");
    text.push_str(&format!("\n{why}\n"));

    let mut chain: Vec<usize> = std::iter::successors(Some(stage), |stage| plan.stages[*stage].parent).collect();
    chain.reverse();
    let rows: Vec<Vec<String>> = chain.into_iter().map(|stage| link(view, stage)).collect();
    text.push_str(&format!("\nfrom the dense training to here\n{}", columns(&rows, "  ")));

    let (title, rows) = settings(view, stage);
    text.push_str(&format!("\n{title}\n{}", columns(&rows, "  ")));

    if files.is_empty() {
        text.push_str("\nno files\n");
    } else {
        let rows: Vec<Vec<String>> = files.iter().map(|(name, bytes)| vec![name.clone(), size(*bytes)]).collect();
        text.push_str(&format!(
            "\nfiles in {}/stages/{}\n{}",
            folder_of(view, stage),
            plan.stages[stage].id,
            columns(&rows, "  ")
        ));
    }
    text
}

/// The folder whose `stages` has a stage's files.
pub fn folder_of(view: &View, stage: usize) -> String {
    let folder = view.facts.folder.trim_end_matches('/');
    match view.run_of(stage).and_then(|run| run.shard).filter(|_| view.facts.whole) {
        Some(shard) => format!("{folder}/{}", shard.folder()),
        None => folder.to_string(),
    }
}

fn trials(view: &View, stage: usize) -> String {
    let chains = view.facts.plan.chains.iter().filter(|chain| chain.stages.contains(&stage));
    let numbers: Vec<String> = chains.map(|chain| chain.trial.number.to_string()).collect();
    match numbers.as_slice() {
        [one] => format!("of trial {one}"),
        few if few.len() <= MOST_TRIALS => format!("of trials {}", few.join(", ")),
        several => {
            format!("of trials {} and {} more", several[..MOST_TRIALS].join(", "), several.len() - MOST_TRIALS)
        }
    }
}

/// The state of a stage and why it is in it: a line of its own, then more about it.
fn reasons(view: &View, stage: usize) -> Vec<String> {
    let known = view.known(stage);
    let (trained, epochs) = view.epochs(stage);
    let folder = view.facts.folder;
    match view.standings[stage].state {
        TrainingState::Done => done(view, stage),
        TrainingState::Failed => {
            let known = known.cloned().unwrap_or_default();
            vec![
                format!("failed: {}", known.failure.unwrap_or_default()),
                format!("after {trained} of {}, in {}", many(epochs, "epoch"), many(known.attempts, "attempt")),
                format!("the next run tries it again, as does `tombola retry {folder} --stage {}`", view.short(stage)),
            ]
        }
        TrainingState::Skipped if view.standings[stage].blame.is_none() => {
            let error = view.standings[stage].error(view.facts.plan, &view.standings);
            let cure = "train longer, give a larger `early-bird-epsilon`, or draw at a fixed epoch";
            vec![error.unwrap_or_else(|| "skipped".to_string()), cure.to_string()]
        }
        TrainingState::Skipped => {
            let blamed = view.standings[stage].blame.unwrap_or(stage);
            let reason = view.known(blamed).and_then(|known| known.failure.clone()).unwrap_or_default();
            vec![
                format!("skipped: {} failed: {reason}", name(view, blamed)),
                format!("try that again: `tombola retry {folder} --stage {}`", view.short(blamed)),
            ]
        }
        TrainingState::Spared => {
            vec![
                "spared: results of others say that it is not needed for what the sweep asks (`find`, `halving`)"
                    .to_string(),
                "`--find none --halving 0` trains all".to_string(),
            ]
        }
        TrainingState::Training | TrainingState::Waiting if view.running(stage).is_some() => {
            vec![format!("training: {}", at_work(view, stage))]
        }
        TrainingState::Training if trained > 0 => {
            let progress = known.and_then(|known| known.progress);
            let from = match progress {
                Some((epoch, _)) => format!("it goes on after epoch {epoch}"),
                None => "it begins again: no snapshot to go on from is there".to_string(),
            };
            let mut lines = vec![format!("half way: {trained} of {} are trained; {from}", many(epochs, "epoch"))];
            lines.extend(obstacles(view, stage));
            lines
        }
        TrainingState::Training | TrainingState::Waiting => {
            let mut lines = obstacles(view, stage);
            if let Some(first) = lines.first_mut() {
                let word = if view.lacks(stage).is_empty() { "ready" } else { "waiting" };
                *first = format!("{word}: {first}");
            }
            lines
        }
    }
}

fn done(view: &View, stage: usize) -> Vec<String> {
    let Some(known) = view.known(stage) else { return vec!["done".to_string()] };
    let mut lines = Vec::new();
    if let Some(outcome) = &known.outcome {
        lines.push(format!(
            "done: test accuracy {:.2} % at epoch {}, chosen on {}; {:.2} % after the last epoch",
            100.0 * outcome.best.test.accuracy(),
            outcome.best_epoch,
            view.facts.plan.stages[stage].settings.select.show(),
            100.0 * outcome.last.test.accuracy()
        ));
    }
    if let Some(drawn) = &known.drawn {
        let channels = drawn.channels.map(|count| format!(", {} of {} channels", count.alive, count.prunable));
        let channels = channels.unwrap_or_default();
        lines.push(format!("{} of {} prunable weights are alive{channels}", drawn.alive, drawn.prunable));
    }
    lines.push(format!("trained on {}, in {}", known.place, many(known.attempts, "attempt")));
    lines
}

/// What keeps a stage that nobody trains from being trained.
fn obstacles(view: &View, stage: usize) -> Vec<String> {
    let Some(run) = view.run_of(stage) else {
        let missing = view.missing().into_iter().find(|shard| view.facts.plan.in_shard(*shard)[stage]);
        let shard = missing.map_or_else(|| "another shard".to_string(), |shard| format!("shard {}", shard.show()));
        return vec![format!("it belongs to {shard}, which is not there")];
    };
    let lacks = view.lacks(stage);
    let mut lines: Vec<String> = lacks.iter().map(|(source, moment)| needs(view, *source, *moment)).collect();
    if lacks.is_empty() {
        lines.push("all that it starts from is there".to_string());
    } else if let Some(courses) = view.courses().filter(|_| view.is_tended(stage)) {
        let seconds = courses[stage].ready;
        lines.push(format!("that is there in about {} if no training waits for a worker", human(seconds)));
    }
    if !view.is_tended(stage) {
        lines.push("no run is at work: run the same command again".to_string());
    } else if lacks.is_empty() {
        let present = view.present(run);
        let busy = view
            .stages()
            .filter(|other| view.running(*other).is_some_and(|running| run.workers.contains(&running.worker)));
        lines.push(format!("it waits for a free worker: {} of {present} are busy", busy.count()));
    }
    lines
}

/// One snapshot that is not there, and who has to give it.
fn needs(view: &View, source: usize, moment: Moment) -> String {
    let wanted = match moment.is_early_bird() {
        true => "the early bird".to_string(),
        false => format!("`{moment}`"),
    };
    let what = format!("it needs {wanted} of {}", name(view, source));
    match view.standings[source].state {
        TrainingState::Done => format!("{what}, which is no longer on disk: that is trained again"),
        TrainingState::Failed | TrainingState::Skipped => {
            let error = view.standings[source].error(view.facts.plan, &view.standings);
            let verb = if view.standings[source].state == TrainingState::Failed { "failed" } else { "was left out" };
            format!("{what}, which {verb}: {}", error.unwrap_or_default())
        }
        _ if view.running(source).is_some() => format!("{what}: {}", at_work(view, source)),
        _ => {
            // The first of its chain that is not held up by another.
            let mut first = source;
            while let Some((before, _)) = view.lacks(first).first()
                && view.running(first).is_none()
            {
                first = *before;
            }
            if first == source {
                let trained = view.epochs(source);
                return format!("{what}, which is ready itself, with {} of {} epochs trained", trained.0, trained.1);
            }
            let holds = match (view.running(first), view.standings[first].state) {
                (Some(_), _) => at_work(view, first),
                (None, TrainingState::Done) => "which is trained again".to_string(),
                (None, TrainingState::Failed | TrainingState::Skipped) => "which failed".to_string(),
                (None, _) => "which nobody trains yet".to_string(),
            };
            format!("{what}, which waits itself for {}: {holds}", name(view, first))
        }
    }
}

/// Who trains a stage and how far that is.
fn at_work(view: &View, stage: usize) -> String {
    let Some(running) = view.running(stage) else { return String::new() };
    let (trained, epochs) = view.epochs(stage);
    let workers = &view.facts.history.workers;
    let place = workers.get(&running.worker).map_or_else(String::new, |worker| format!(" ({})", worker.place));
    let first = view.run_of(stage).map_or(0, |run| run.workers.start);
    let held_out = view.last_epoch(stage).and_then(|epoch| Some((epoch.epoch, epoch.held_out()?)));
    let accuracy = held_out.map_or_else(String::new, |(epoch, (part, found))| {
        format!(", {:.2} % of the {part} images right after epoch {epoch}", 100.0 * found.accuracy())
    });
    format!(
        "worker {}{place} trains it for {}, {trained} of {} done{accuracy}",
        running.worker - first + 1,
        human(view.facts.now - running.since),
        many(epochs, "epoch")
    )
}

/// A stage as one that another speaks of.
fn name(view: &View, stage: usize) -> String {
    match view.facts.plan.stages[stage].level {
        0 => format!("the dense training {}", view.short(stage)),
        level => format!("level {level}, {}", view.short(stage)),
    }
}

/// A line of the chain.
fn link(view: &View, stage: usize) -> Vec<String> {
    let (trained, epochs) = view.epochs(stage);
    let state = match view.standings[stage].state {
        TrainingState::Training if view.running(stage).is_none() => "half way".to_string(),
        state => state.to_string(),
    };
    let outcome = view.known(stage).and_then(|known| known.outcome.as_ref());
    let accuracy = match (outcome, view.last_epoch(stage).and_then(EpochRecord::held_out)) {
        (Some(outcome), _) => format!("test {:.2} %", 100.0 * outcome.best.test.accuracy()),
        (None, Some((part, found))) => format!("{part} {:.2} %", 100.0 * found.accuracy()),
        (None, None) => String::new(),
    };
    let kept = view.known(stage).map(|known| known.kept.iter().map(Value::show).collect::<Vec<_>>().join(", "));
    vec![
        format!("level {}", view.facts.plan.stages[stage].level),
        view.short(stage),
        state,
        match outcome.and_then(|outcome| outcome.stopped_at) {
            Some(_) => {
                format!("{trained} of {} epochs, all early birds drawn", view.facts.plan.stages[stage].epochs().len())
            }
            None => format!("{trained}/{epochs} epochs"),
        },
        accuracy,
        kept.filter(|kept| !kept.is_empty()).map_or_else(String::new, |kept| format!("has {kept}")),
    ]
}

/// The settings in which a stage differs from its parent, or a dense training from the defaults.
fn settings(view: &View, stage: usize) -> (String, Vec<Vec<String>>) {
    let own = &view.facts.plan.stages[stage];
    let Some(parent) = own.parent.map(|parent| &view.facts.plan.stages[parent]) else {
        let default = Settings::default();
        let differs = FIELDS.iter().filter(|field| {
            let acts = field.decides == Decides::Training && (field.matters)(&own.settings);
            acts && (field.show)(&own.settings) != (field.show)(&default)
        });
        let rows: Vec<Vec<String>> =
            differs.map(|field| vec![field.key.to_string(), (field.show)(&own.settings)]).collect();
        return match rows.is_empty() {
            true => ("all settings are at their defaults".to_string(), rows),
            false => ("settings that are not at their defaults".to_string(), rows),
        };
    };
    let before = pruning(parent);
    let known = |key: &str| before.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str());
    let rows: Vec<Vec<String>> = pruning(own)
        .into_iter()
        .filter(|(key, value)| known(key) != Some(value))
        .map(|(key, value)| {
            let before = known(key).map_or_else(String::new, |before| format!("not {before}"));
            vec![key.to_string(), value, before]
        })
        .collect();
    match (parent.level, rows.is_empty()) {
        (0, _) => ("how it comes from the dense training".to_string(), rows),
        (level, true) => (format!("pruned and trained once more, in the same way as level {level}"), rows),
        (level, false) => (format!("what differs from level {level}"), rows),
    }
}

/// What happens between a stage's parent and its own training, by the settings' keys.
fn pruning(stage: &Stage) -> Vec<(&'static str, String)> {
    let Some(pruning) = &stage.pruning else { return Vec::new() };
    let [first, second] = match pruning.channels {
        true => [("streams", pruning.streams.show()), ("round-channels", pruning.round_channels.to_string())],
        false => [("prune-layers", pruning.layers.kind.show()), ("output-rate", pruning.output_rate.show())],
    };
    let much = match pruning.target {
        Some(_) => ("target", MaybeTarget(pruning.target).show()),
        None => ("rate", pruning.rate.show()),
    };
    let mut all = vec![
        much,
        ("criterion", pruning.criterion.show()),
        ("scope", pruning.scope.show()),
        first,
        second,
        ("draw", pruning.drawn_at()),
        ("reinit", pruning.rewind.show()),
        ("control", pruning.control.show()),
    ];
    if !pruning.layers.spared.is_empty() {
        all.push(("spare", pruning.layers.spared.show()));
    }
    if !pruning.layer_rates.is_empty() {
        let rates = pruning.layer_rates.iter().map(|(layer, rate)| format!("{}={}", layer.text(), rate.show()));
        all.push(("ratios", rates.collect::<Vec<String>>().join(", ")));
    }
    if let Some(changing) = pruning.changing {
        all.push(("while-training", changing.name().to_string()));
        all.push(("mask-every", changing.every.show()));
        all.push(("mask-until", changing.until.show()));
        match changing.rule {
            ChangeRule::Gradual { start, from } => {
                all.extend([("mask-from", from.show()), ("start-ratio", start.show())]);
            }
            ChangeRule::Rigl { drop } => all.push(("drop-share", drop.show())),
        }
    }
    if pruning.effective_rewind() == Rewind::None {
        all.push(("fine-tune-epochs", pruning.fine_tune_epochs.show()));
        all.push(("fine-tune-lr", pruning.fine_tune_lr.show()));
    }
    all
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 1e3 => format!("{b} bytes"),
        b if b < 1e6 => format!("{:.1} kB", b / 1e3),
        b if b < 1e9 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.1} GB", b / 1e9),
    }
}
