//! Walks a plan trial by trial and level by level, with the settings that act there.
//!
//! Several tables have the same columns for settings; this is where what stands in them is decided. It may not know
//! what was measured.

use std::borrow::Cow;

use tombola_core::plan::{Chain, Plan};
use tombola_core::sweep::{Decides, FIELDS, Field, SEEDS, Settings};
use tombola_words::value::Control;
use tombola_words::value::Value;

/// Settings that came later than others: they are columns where some trial has them, so that tables of sweeps without them stay
/// what they were.
const LATER: &[&str] = &[
    "filter",
    "filter-sigma",
    "hidden",
    "load-mask",
    "load-init",
    "load-names",
    "load-head",
    "input-mean",
    "input-std",
    "weight-decay-on",
    "clip-norm",
    "average",
    "label-smoothing",
    "mixup",
    "cutmix",
    "class-weights",
    "last-batch",
    "warmup-start",
    "schedule-after-warmup",
    "distill",
    "distill-temperature",
    "iterations",
    "schedule-by",
    "prune-rate",
    "levels",
    "round-rates",
    "ratios",
    "spare",
    "target",
    "find",
    "within",
    "halving",
    "halving-over",
    "while-training",
    "mask-every",
    "mask-from",
    "mask-until",
    "start-ratio",
    "drop-share",
];

/// The settings that are columns: all that can change what comes out.
pub(super) fn columns(plan: &Plan) -> Vec<&'static Field> {
    let acts = |field: &Field| plan.chains.iter().any(|chain| (field.matters)(&chain.trial.settings));
    let is_one = |field: &&Field| field.decides != Decides::Run && (!LATER.contains(&field.key) || acts(field));
    FIELDS.iter().filter(is_one).collect()
}

/// Whether trials that differ in this setting alone are repetitions of each other.
pub(super) fn is_seed(field: &Field) -> bool {
    SEEDS.contains(&field.key)
}

/// Every column of one trial's settings; empty where a setting makes no difference.
pub(super) fn shown(columns: &[&'static Field], settings: &Settings) -> Vec<String> {
    let cell = |field: &&Field| if (field.matters)(settings) { (field.show)(settings) } else { String::new() };
    columns.iter().map(cell).collect()
}

/// The seeds of a trial, as each stream has it.
pub(super) fn seeds(settings: &Settings) -> [String; 4] {
    let of = |own: Option<u64>| own.unwrap_or(settings.seed).to_string();
    let Settings { seed, init_seed, order_seed, augment_seed, .. } = settings;
    [of(Some(*seed)), of(*init_seed), of(*order_seed), of(*augment_seed)]
}

/// One level of one trial.
pub(super) struct Row<'a> {
    /// The trial.
    pub(super) trial: usize,
    /// The level.
    pub(super) level: usize,
    /// Index of its stage.
    pub(super) stage: usize,
    /// The control that acts at this level: only the last level has one.
    control: Control,
    shown: &'a [String],
    /// The settings of the trial.
    pub(super) settings: &'a Settings,
}

impl Row<'_> {
    /// What stands in the column of a setting. Nothing is pruned on the way to a dense network, so settings of the
    /// pruning are empty there.
    pub(super) fn cell(&self, column: usize, field: &Field) -> Cow<'_, str> {
        match (self.level, field.decides) {
            (0, Decides::Pruning | Decides::Levels) => Cow::Borrowed(""),
            _ if field.key == "control" => Cow::Owned(self.control.show()),
            _ => Cow::Borrowed(&self.shown[column]),
        }
    }
}

/// Visits each level of each trial, in the order of trials and levels.
pub(super) fn each<E>(
    plan: &Plan,
    columns: &[&'static Field],
    mut visit: impl FnMut(&Row) -> Result<(), E>,
) -> Result<(), E> {
    for Chain { trial, stages } in &plan.chains {
        let shown = shown(columns, &trial.settings);
        for (level, &stage) in stages.iter().enumerate() {
            let control = plan.stages[stage].pruning.as_ref().map_or(Control::None, |pruning| pruning.control);
            visit(&Row { trial: trial.number, level, stage, control, shown: &shown, settings: &trial.settings })?;
        }
    }
    Ok(())
}
