//! Refuses what could only fail in training, before anything is trained: networks without what a setting prunes, early birds
//! that no training is long enough for, numbers that a device cannot compute with.
//!
//! It may not know of torch, files or workers. What depends on trained weights, such as a loss that diverges, is not known here.

use std::collections::{BTreeMap, HashSet};

use crate::mask::Settling;
use crate::net::channels::{Channels, Unit};
use crate::net::custom::OwnNetwork;
use crate::net::{Graph, Layout};
use crate::plan::{LayerChoice, Networks, Plan, Pruning, Stage, estimate};
use crate::prune::goal::Goal;
use crate::prune::layers::check_names;
use crate::prune::{channels, prunable, unstructured};
use crate::sweep::{Settings, Spec, check_fits};
use tombola_words::error::{Error, Result};
use tombola_words::value::{EarlyBirdRule, ImageFilter, LayerPattern, MaybeTarget, Precision, Streams, Value, Within};

/// Refuses a plan with a training that could only fail.
///
/// # Errors
/// When there is one; the message names the first trial that it belongs to.
pub fn check(plan: &Plan, spec: &Spec) -> Result<()> {
    check_questions(plan, spec)?;
    let on_processor = spec.run.device.as_deref() == Some("cpu");
    let mut seen = HashSet::new();
    // First what each stage itself is pruned by: a mask that is only watched belongs to a training of several trials.
    for watched in [false, true] {
        for (index, stage) in plan.stages.iter().enumerate() {
            let prunings: Vec<&Pruning> = match watched {
                true => stage.tracks.iter().map(|track| &track.pruning).collect(),
                false => stage.pruning.iter().collect(),
            };
            let own = if watched { Ok(()) } else { alone(plan, stage, on_processor) };
            let settings = &stage.settings;
            let matters = !prunings.is_empty() || settings.slimming != 0.0 || settings.batch_size == 1;
            // Trainings by the thousand differ in nothing that decides here.
            let checked = own.and_then(|()| match matters && seen.insert(what_decides(stage, &prunings)) {
                true => with_network(plan, index, &prunings, &spec.networks),
                false => Ok(()),
            });
            checked.map_err(|error| named(plan, index, error))?;
        }
    }
    Ok(())
}

/// Refuses questions that cannot be answered.
fn check_questions(plan: &Plan, spec: &Spec) -> Result<()> {
    if let (true, Some(shard)) = (plan.grows(), spec.run.shard) {
        let what = if plan.questions().is_empty() { "halving" } else { "find" };
        return Err(Error::input(format!(
            "`{what}` decides by the results of all seeds, and shard {} of {} has a part of them",
            shard.index, shard.count
        ))
        .hint("run the sweep as one, on as many workers or ranks as there are"));
    }
    for question in plan.questions() {
        let settings = &plan.chains[question.chain].trial.settings;
        if !question.has_tickets() {
            return Err(Error::input("`find` asks which ticket matches, and of some ratios there are controls alone")
                .hint("add the tickets themselves: `control = [\"none\", …]`, or `controls = true`"));
        }
        if settings.target.0.is_some() {
            return Err(Error::input(format!(
                "`find` looks for the sparsest of several ratios, and `target` is `{}`",
                settings.target.show()
            ))
            .hint("give several `pruning-ratio` instead of a `target`"));
        }
        if settings.within == Within::Interval && question.seeds() < 2 {
            return Err(Error::input("`within` is `ci`, and of one seed there is no interval")
                .hint("give several seeds, such as `seed = [1, 2, 3]`, or points: `within = 1.0`"));
        }
    }
    Ok(())
}

/// Refuses trainings in TensorFloat-32 where all devices are processors.
///
/// # Errors
/// When one of `stages` is such a training.
pub fn check_processor(plan: &Plan, mut stages: impl Iterator<Item = usize>) -> Result<()> {
    match stages.find(|stage| plan.stages[*stage].settings.precision == Precision::Tf32) {
        Some(stage) => Err(named(plan, stage, no_tf32())),
        None => Ok(()),
    }
}

/// What is said of a training in TensorFloat-32 on a processor.
pub fn no_tf32() -> Error {
    Error::input("`precision = \"tf32\"` is of NVIDIA GPUs, and this training is on a processor")
        .hint("use fp32, or bf16 for speed; `--device cuda` asks for a GPU")
}

/// An error with the first trial that a stage belongs to.
fn named(plan: &Plan, stage: usize, error: Error) -> Error {
    match plan.chains.iter().find(|chain| chain.stages.contains(&stage)) {
        Some(chain) if plan.chains.len() > 1 => error.at(format!("trial {}", chain.trial.number)),
        _ => error,
    }
}

/// Refuses numbers to normalise by that are not as many as the images have channels, where those are known before any file is read.
fn check_statistics(settings: &Settings) -> Result<()> {
    let Ok((shape, ..)) = estimate::data_form(settings) else { return Ok(()) };
    let channels = shape.channels();
    for (key, numbers) in ["input-mean", "input-std"].into_iter().zip(<[_; 2]>::from(settings.input_statistics())) {
        let count = numbers.map_or(1, <[f64]>::len);
        if ![1, channels].contains(&count) && settings.filter == ImageFilter::None {
            return Err(Error::input(format!(
                "`{key}`: found {count} numbers, expected {channels}: one for each channel of the images of `{}`",
                settings.dataset
            ))
            .hint("give one number for all channels, as many as there are, or `auto`, which measures them"));
        }
    }
    Ok(())
}

/// What follows from a stage and its parent alone.
fn alone(plan: &Plan, stage: &Stage, on_processor: bool) -> Result<()> {
    if stage.level == 0 {
        check_statistics(&stage.settings)?;
    }
    if on_processor && stage.settings.precision == Precision::Tf32 {
        return Err(no_tf32());
    }
    let Some(pruning) = stage.pruning.as_ref().filter(|pruning| pruning.draw.is_early_bird()) else { return Ok(()) };
    let epochs = stage.parent.map_or(0, |parent| plan.stages[parent].epochs().len());
    let Settling { rule, window, epsilon } = pruning.settling;
    let (masks, why) = match rule {
        EarlyBirdRule::Paper => (window + 1, format!("{window} distances between successive epochs")),
        EarlyBirdRule::Code => (window, format!("the masks of {window} epochs")),
    };
    if epochs < masks {
        return Err(Error::input(format!(
            "`draw`: no early bird can be drawn in {}: rule `{}` looks at {why}",
            estimate::many(epochs, "epoch"),
            rule.show()
        ))
        .hint(format!("train {masks} epochs or more, give a smaller `early-bird-window`, or draw at a fixed epoch")));
    }
    if rule == EarlyBirdRule::Paper && epsilon == 0.0 {
        return Err(Error::input(
            "`early-bird-epsilon`: no early bird can be drawn, since rule `paper` wants distances below 0",
        )
        .hint("give a number above 0, or `--early-bird-rule code`, which takes masks that are equal"));
    }
    Ok(())
}

/// All that [`with_network`] looks at, as text.
fn what_decides(stage: &Stage, prunings: &[&Pruning]) -> String {
    let mut text = format!("{}\n{}\n", estimate::form(&stage.settings), stage.settings.slimming != 0.0);
    for Pruning { channels, criterion, layers, layer_rates, streams, target, .. } in prunings {
        let (kind, spared) = (layers.kind.show(), layers.spared.show());
        text.push_str(&format!(
            "{channels} {} {kind} {spared} {} {layer_rates:?} {}\n",
            criterion.show(),
            streams.show(),
            MaybeTarget(*target).show()
        ));
    }
    text
}

/// Refuses batches in which a batch norm sees one value a channel and no more: all of them are equal afterwards, so nothing
/// would be learnt. (What becomes of a last batch of one image, `last-batch` says.)
fn refuse_lone_values(graph: &Graph, settings: &Settings) -> Result<()> {
    match graph.lone_norm().filter(|_| settings.batch_size == 1) {
        None => Ok(()),
        Some(node) => Err(Error::input(format!(
            "`batch-size` is 1, and batch norm `{}` of `{}` has one value a channel and image: of a single value there is no \
             variance",
            node.name, settings.network
        ))
        .hint("give a `batch-size` of at least 2")),
    }
}

/// What follows from the network of a stage.
fn with_network(plan: &Plan, index: usize, prunings: &[&Pruning], own: &BTreeMap<String, OwnNetwork>) -> Result<()> {
    let stage = &plan.stages[index];
    let slimming = stage.settings.slimming != 0.0;
    let networks = Networks::of(plan, &[stage.root], own)?;
    let Some(network) = networks.get(plan, index) else { return Ok(()) };
    let place = |error: Error| error.at(format!("network `{}`", stage.settings.network));
    refuse_lone_values(&network.graph, &stage.settings).map_err(place)?;
    let channels = |streams: Streams| Channels::of(&network.graph, &network.layout, streams);
    if slimming && [Streams::Whole, Streams::Group].into_iter().all(|streams| channels(streams).scales().is_empty()) {
        return Err(place(
            Error::input("`slimming`: it has no batch norm that could be pruned")
                .hint("leave `slimming` at 0, or take a network with batch norms"),
        ));
    }
    for pruning in prunings {
        can_prune(pruning, &network.graph, &network.layout, channels).map_err(place)?;
    }
    Ok(())
}

/// Whether a network has something that a pruning can score and remove.
fn can_prune(pruning: &Pruning, graph: &Graph, layout: &Layout, all: impl FnOnce(Streams) -> Channels) -> Result<()> {
    check_fits(pruning.criterion, pruning.channels)?;
    let (spared, rates) = (pruning.layers.spared.patterns(), pruning.layer_rates.iter().map(|(pattern, _)| pattern));
    if !pruning.channels {
        let numbers = |layers: &LayerChoice| prunable(layout, layers).map(|(number, _)| number).collect::<Vec<usize>>();
        let left = numbers(&pruning.layers);
        // What is spared anyhow may be named.
        check_names(layout, &[], "spare", spared.iter(), |_, _| true)?;
        check_names(layout, &[], "ratios", rates, |_, named| named.iter().any(|number| left.contains(number)))?;
        let any = prunable(layout, &pruning.layers).next();
        return any.map(|_| ()).ok_or_else(unstructured::nothing_prunable);
    }
    let all = all(pruning.streams);
    let makes = |unit: &Unit, pattern: &LayerPattern, named: &[usize]| {
        unit.filters.iter().any(|(number, _)| named.contains(number)) || pattern.names(&all.layers[unit.layer])
    };
    check_names(layout, &all.layers, "spare", spared.iter(), |_, _| true)?;
    let spared = channels::spared(layout, &all, pruning);
    check_names(layout, &all.layers, "ratios", rates, |pattern, named| {
        all.units.iter().zip(&spared).any(|(unit, spared)| !spared && makes(unit, pattern, named))
    })?;
    if let Some(target) = pruning.target {
        let left = channels::left_by_own_rates(layout, &all, pruning);
        Goal::of(target, graph, layout).check_smaller(&all, &left)?;
    }
    let may_go = |(layer, unit): (&bool, &Unit)| !layer && channels::is_scored(pruning.criterion, unit);
    match spared.iter().zip(&all.units).any(may_go) {
        true => Ok(()),
        false => Err(channels::nothing_scored(&all)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::outside::Outside;
    use tombola_words::error::Kind;

    /// What is said of a sweep file.
    fn checked(text: &str) -> Result<()> {
        let spec = Spec::read(Some(text), &[]).unwrap();
        let plan = Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap();
        check(&plan, &spec)
    }

    #[track_caller]
    fn refused(text: &str, message: &str, hint: &str) {
        let error = checked(text).expect_err(text);
        assert_eq!(error.kind, Kind::Input, "{text}");
        assert!(error.message.contains(message), "{text}: {error}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {error:?}");
    }

    #[test]
    fn networks_without_what_is_to_be_pruned_are_refused_before_they_are_trained() {
        let lenet = "network = \"lenet-300-100\"\n";
        refused(&format!("{lenet}prunety = \"s\""), "network `lenet-300-100`: no channel", "`criterion`");
        refused(&format!("{lenet}prune-layers = \"conv\""), "no layer of this network may be pruned", "--prune-layers");
        refused(&format!("{lenet}slimming = 0.1"), "has no batch norm", "leave `slimming` at 0");
        refused(
            &format!("{lenet}priter = 0\nprunety = \"s\"\ntrack-masks = [0.5]"),
            "network `lenet-300-100`: no channel",
            "`criterion`",
        );
        refused(
            &format!("{lenet}priter = 0\nprunety = \"s\"\ncriterion = \"lamp\"\ntrack-masks = [0.5]"),
            "`lamp` does not score channels",
            "choose bn-scale",
        );
        // Units of linear layers are channels, too.
        checked(&format!("{lenet}prunety = \"s\"\ncriterion = \"l1\"")).unwrap();
        checked("network = \"resnetb\"\nprunety = \"s\"\nslimming = 0.1").unwrap();
        checked(&format!("{lenet}prune-layers = \"linear\"")).unwrap();
    }

    #[test]
    fn ratios_of_layers_that_are_not_pruned_and_targets_that_are_met_are_refused() {
        let resnet = "network = \"resnet\"\ndepth = 8\n";
        for text in [
            "prune-layers = \"conv\"\nratios = [\"fc=0.5\"]",
            "ratios = [\"first=0.5\"]\nspare = [\"first\"]",
            "prunety = \"s\"\nratios = [\"fc=0.5\"]",
        ] {
            refused(&format!("{resnet}{text}"), "which is not pruned anyhow", "leave the name out");
        }
        refused(
            &format!("{resnet}prunety = \"s\"\ntarget = \"size:5GB\""),
            "prunes nothing: the whole network has",
            "ask for less",
        );
        refused(
            &format!("{resnet}prunety = \"s\"\ntarget = \"macs:0.9\"\nratios = [\"layer1=0.9\"]"),
            "with the `ratios` of its layers the network has",
            "smaller `ratios`",
        );
        checked(&format!("{resnet}prunety = \"s\"\ntarget = \"macs:0.5\"\nratios = [\"layer1=0.1\"]")).unwrap();
        checked(&format!("{resnet}prunety = \"s\"\nspare = [\"first\", \"last\"]\nratios = [\"layer1.0.conv1=0.5\"]"))
            .unwrap();
        checked(&format!("{resnet}prune-layers = \"conv\"\nspare = [\"first\", \"last\"]\nratios = [\"layer1=0.5\"]"))
            .unwrap();
    }

    #[test]
    fn images_of_another_number_of_channels_than_they_are_normalised_by_are_refused() {
        refused(
            "network = \"lenet-5\"\ndataset = \"mnist\"\ndefaults = \"open-lth\"",
            "`input-mean`: found 3 numbers, expected 1: one for each channel of the images of `mnist`",
            "`auto`, which measures them",
        );
        checked("input-mean = [0.1, 0.2, 0.3]\ninput-std = 0.5").unwrap();
    }

    #[test]
    fn questions_without_tickets_or_ratios_are_refused() {
        let find = "network = \"lenet-5\"\nfind = \"sparsest\"\n";
        refused(&format!("{find}pr = [0.5, 0.9]\ncontrol = \"reinit\""), "controls alone", "add the tickets");
        refused(
            &format!("{find}prunety = \"s\"\ncriterion = \"l1\"\ntarget = \"macs:0.5\""),
            "`target` is `macs:0.5`",
            "`pruning-ratio`",
        );
    }

    #[test]
    fn the_trial_that_could_only_fail_is_named() {
        let text = "pr = 0.5\n[[grid]]\nnetwork = \"resnet\"\n[[grid]]\nnetwork = \"lenet-5\"\nprunety = \"s\"";
        refused(text, "trial 2: network `lenet-5`: ", "");
    }

    #[test]
    fn early_birds_that_no_training_is_long_enough_for_are_refused() {
        let bird = |more: &str| format!("network = \"resnetb\"\nprunety = \"s\"\ndraw = \"early-bird\"\n{more}");
        refused(&bird("epochs = 5"), "in 5 epochs: rule `paper` looks at 5 distances", "train 6 epochs or more");
        refused(&bird("epochs = 4\nearly-bird-rule = \"code\""), "masks of 5 epochs", "train 5 epochs or more");
        refused(&bird("epochs = 9\nearly-bird-epsilon = 0.0"), "distances below 0", "a number above 0");
        for enough in ["epochs = 6", "epochs = 5\nearly-bird-rule = \"code\"\nearly-bird-epsilon = 0.0"] {
            checked(&bird(enough)).unwrap();
        }
    }

    #[test]
    fn numbers_that_a_processor_cannot_compute_with_are_refused() {
        refused("precision = \"tf32\"\ndevice = \"cpu\"", "`precision = \"tf32\"` is of NVIDIA GPUs", "use fp32");
        // Which device there will be is known only where it is trained.
        checked("precision = \"tf32\"").unwrap();
        let spec = Spec::read(Some("precision = \"tf32\""), &[]).unwrap();
        let plan = Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap();
        assert_eq!(check_processor(&plan, 0..plan.stages.len()).unwrap_err().kind, Kind::Input);
        check_processor(&plan, 0..0).unwrap();
    }
}
