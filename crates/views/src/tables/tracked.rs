//! The columns that say which masks a row is about.

use std::io::{Result, Write};

use super::sheet::CsvSheet;
use tombola_core::plan::{Plan, Pruning, Stage, Track};
use tombola_core::sweep::Settings;
use tombola_words::value::PruningType;
use tombola_words::value::Value;

/// The columns of [`put`].
pub(super) const COLUMNS: [&str; 12] = [
    "stage",
    "level",
    "trial",
    "track",
    "pruning-type",
    "criterion",
    "scope",
    "ratio",
    "prune-layers",
    "output-rate",
    "streams",
    "round-channels",
];

/// For each stage the first trial that uses it.
pub(super) fn first_trials(plan: &Plan) -> Vec<Option<usize>> {
    let mut first = vec![None; plan.stages.len()];
    for chain in &plan.chains {
        for &stage in &chain.stages {
            first[stage].get_or_insert(chain.trial.number);
        }
    }
    first
}

/// Writes which masks of which stage: all that decides them, empty where a setting makes no difference.
pub(super) fn put<W: Write>(sheet: &mut CsvSheet<W>, stage: &Stage, trial: Option<usize>, track: &Track) -> Result<()> {
    let pruning = &track.pruning;
    sheet.put(stage.id)?;
    sheet.put(stage.level)?;
    sheet.maybe(trial)?;
    sheet.put(format_args!("{:016x}", track.key))?;
    sheet.put(pruning_type(Some(pruning)))?;
    sheet.put(pruning.criterion.show())?;
    sheet.put(pruning.scope.show())?;
    sheet.float(Some(pruning.rate))?;
    let (weights, channels) = (!pruning.channels, pruning.channels);
    sheet.maybe(weights.then(|| pruning.layers.kind.show()))?;
    sheet.float(weights.then_some(pruning.output_rate))?;
    sheet.maybe(channels.then(|| pruning.streams.show()))?;
    sheet.maybe(channels.then_some(pruning.round_channels))
}

/// How masks are drawn, in words; what is at its default is left out, but for criterion and scope.
pub(super) fn words(pruning: &Pruning) -> String {
    let default = Settings::default();
    let mut parts = vec![pruning.criterion.show(), pruning.scope.show()];
    let mut add = |is_other: bool, key: &str, value: String| {
        if is_other {
            parts.push(format!("{key} {value}"));
        }
    };
    match pruning.channels {
        true => {
            add(pruning.streams != default.streams, "streams", pruning.streams.show());
            let round = pruning.round_channels;
            add(round != default.round_channels, "round-channels", round.to_string());
        }
        false => {
            add(pruning.layers.kind != default.prune_layers, "prune-layers", pruning.layers.kind.show());
            add(pruning.output_rate != default.output_rate, "output-rate", pruning.output_rate.show());
        }
    }
    if !pruning.layers.spared.is_empty() {
        parts.push(format!("spare {}", pruning.layers.spared.show()));
    }
    parts.extend(pruning.layer_rates.iter().map(|(layer, rate)| format!("{} at {}", layer.text(), rate.show())));
    parts.join(", ")
}

/// What is removed, in the words of the setting; nothing for a dense network.
pub(super) fn pruning_type(pruning: Option<&Pruning>) -> String {
    match pruning.map(|pruning| pruning.channels) {
        Some(true) => PruningType::Structured.show(),
        Some(false) => PruningType::Unstructured.show(),
        None => String::new(),
    }
}
