//! What a stage trains on and how long that will take, guessed before anything runs. It may not know of torch.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::demanded::NoResults;
use super::extent::Extent;
pub use super::extent::many;
use super::forest::Plan;
pub use super::form::{data_form, network};
use super::search::Demanded;
use super::stage::Stage;
use crate::net::cost::Cost;
use crate::net::custom::OwnNetwork;
use crate::net::{Graph, Node, Op};
use crate::sweep::{FIELDS, Field, Settings, Spec};
use tombola_words::error::Result;
use tombola_words::value::Budget;

/// Arithmetic of one thread of a current server core in fp32 convolutions, multiply-adds times two a second: ResNet-20
/// trains some 600 images/s at 0.246 GFLOP an image.
const FLOPS_PER_SECOND: f64 = 1.5e11;
/// Channels that a convolution computes at least, in and out: narrower ones leave vector registers half empty.
const VECTOR: (usize, usize) = (8, 16);
/// Time that each layer of each step takes whatever its size: starting some fifteen tensor operations.
const SECONDS_PER_NODE: f64 = 2.5e-5;
/// Time that the optimiser takes for each weight of each step.
const SECONDS_PER_WEIGHT: f64 = 1.5e-9;

/// What a network and the time of its epochs depend on: all that says what the network and the data are, and the size of
/// a batch.
pub fn form(settings: &Settings) -> String {
    let decides = |field: &&Field| matches!(field.group, "Network" | "Data") || field.key == "batch-size";
    FIELDS.iter().filter(decides).map(|field| (field.show)(settings) + "\n").collect()
}

/// Seconds of one epoch on one CPU thread: a guess within a factor of about two.
///
/// # Errors
/// As [`network`] and [`data_form`].
pub fn epoch_seconds(stage: &Stage, own: &BTreeMap<String, OwnNetwork>) -> Result<f64> {
    let settings = &stage.settings;
    let (shape, classes, images) = data_form(settings)?;
    let graph = network(settings, own, shape, classes)?;
    let images = settings.train_limit.unwrap_or(images).min(images) as f64;
    let steps = (images / settings.batch_size as f64).ceil();
    // Backward costs twice what forward does.
    let arithmetic = 3.0 * 2.0 * effective_macs(&graph) as f64 / FLOPS_PER_SECOND;
    let step = graph.nodes.len() as f64 * SECONDS_PER_NODE + Cost::of(&graph).parameters as f64 * SECONDS_PER_WEIGHT;
    Ok(images * arithmetic + steps * step)
}

/// Multiply-adds of one image, those of half-empty vector registers included.
fn effective_macs(graph: &Graph) -> usize {
    let macs = |(id, node): (usize, &Node)| match node.op {
        Op::Conv { out, window, groups, .. } => {
            let pixels = node.shape.size() / out;
            (graph.input_of(id).channels() / groups).max(VECTOR.0) * out.max(VECTOR.1) * window.size() * pixels
        }
        Op::Linear { out, .. } => graph.input_of(id).size() * out,
        _ => 0,
    };
    graph.nodes.iter().enumerate().map(macs).sum()
}

/// A length of time for people: "45 s", "12 min", "3.5 h", "2.1 days".
pub fn human(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "under 1 s".to_string(),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// Estimated seconds of an epoch of each stage on one CPU thread.
///
/// # Errors
/// When a network cannot work on its data.
pub fn epoch_work(plan: &Plan, spec: &Spec) -> Result<Vec<f64>> {
    let mut work: Vec<f64> = Vec::with_capacity(plan.stages.len());
    let mut known: HashMap<String, f64> = HashMap::new();
    for stage in &plan.stages {
        let seconds = match stage.level {
            0 => match known.entry(form(&stage.settings)) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => *entry.insert(epoch_seconds(stage, &spec.networks)?),
            },
            _ => work[stage.root],
        };
        work.push(seconds);
    }
    Ok(work)
}

/// Estimated seconds of each stage on one CPU thread, from those of its epochs.
pub fn stage_work(plan: &Plan, epoch_work: &[f64]) -> Vec<f64> {
    let stages = plan.stages.iter().zip(epoch_work);
    stages.map(|(stage, epoch)| work_of(stage, *epoch, stage.extent().likely)).collect()
}

/// Estimated seconds of `epochs` epochs of a stage, when one of its dense training takes `epoch_work`. A budget of multiply-adds
/// for channels lasts as long as the dense training does, in more and shorter epochs; masked weights take as long an epoch as all.
pub fn work_of(stage: &Stage, epoch_work: f64, epochs: usize) -> f64 {
    let in_channels = stage.pruning.as_ref().is_some_and(|p| p.channels && p.budget == Budget::Flops);
    epoch_work * if in_channels { stage.extent().least } else { epochs } as f64
}

/// A sum of epochs for people, with a word if the plan knows it only in part.
fn epochs_in_all(stages: impl Iterator<Item = Extent>) -> String {
    let (mut sum, mut more, mut less) = (0, false, false);
    for extent in stages {
        sum += extent.most.unwrap_or(extent.least);
        more |= extent.most.is_none();
        less |= extent.most.is_some_and(|most| most > extent.least);
    }
    let word = match (more, less) {
        (false, false) => "",
        (true, false) => "at least ",
        (false, true) => "at most ",
        (true, true) => "some ",
    };
    format!("{word}{}", many(sum, "epoch"))
}

/// Cost of the network of a stage on the published form of its data.
///
/// # Errors
/// When the network cannot work on them.
pub fn cost(plan: &Plan, spec: &Spec, stage: usize) -> Result<Cost> {
    let settings = &plan.stages[stage].settings;
    let (shape, classes, _) = data_form(settings)?;
    Ok(Cost::of(&network(settings, &spec.networks, shape, classes)?))
}

/// One line: how much the trials share.
pub fn sharing(plan: &Plan) -> String {
    let (_, trainings) = plan.unshared();
    let of_trials = plan.chains.iter().flat_map(|chain| &chain.stages);
    let repeated = match plan.repeated {
        0 => String::new(),
        n => format!(" ({n} more mean the same as one of them)"),
    };
    let needed = plan.needed(&NoResults);
    let certain = needed.iter().filter(|one| one.demanded == Demanded::Certain).count();
    let mut open = match plan.stages.len() - certain {
        0 => String::new(),
        open => format!("; {certain} are certain, up to {open} more come as results say"),
    };
    let mut clauses: Vec<(String, usize)> = Vec::new();
    for halving in plan.halvings() {
        let of =
            match (plan.halvings().len(), halving.dense.contenders().first().and_then(|first| first.chains.first())) {
                (2.., Some(chain)) => {
                    let settings = &plan.chains[*chain].trial.settings;
                    format!(" of {} on {}", settings.network, settings.dataset)
                }
                _ => String::new(),
            };
        // Where dense trainings are left behind, the tickets of one of them compete; else those of each.
        let first = |place: usize| !halving.dense.decides() || place == 0;
        let heats = halving.tickets.iter().filter(|(place, _)| first(*place)).map(|(_, race)| ("tickets", race));
        for (what, race) in
            std::iter::once(("dense ones", &halving.dense)).chain(heats).filter(|(_, race)| race.decides())
        {
            let steps: Vec<String> = race
                .steps()
                .iter()
                .map(|(count, epoch)| format!("{} to epoch {epoch}", count * race.seeds()))
                .collect();
            let clause = format!("; of the {what}{of} {}", steps.join(", "));
            match clauses.iter_mut().find(|(known, _)| *known == clause) {
                Some((_, count)) => *count += 1,
                None => clauses.push((clause, 1)),
            }
        }
    }
    for (clause, count) in clauses {
        open.push_str(&clause);
        if count > 1 {
            open.push_str(&format!(", in each of {count} heats"));
        }
    }
    format!(
        "{}{repeated}: {} with {}, instead of {} with {} if every trial trained its own{open}",
        many(plan.chains.len(), "trial"),
        many(plan.stages.len(), "training"),
        epochs_in_all(plan.stages.iter().map(Stage::extent)),
        many(trainings, "training"),
        epochs_in_all(of_trials.map(|stage| plan.stages[*stage].extent())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_told_in_a_fitting_unit() {
        let told = [0.2, 45.0, 720.0, 12_600.0, 181_440.0].map(human);
        assert_eq!(told, ["under 1 s", "45 s", "12 min", "3.5 h", "2.1 days"]);
    }

    #[test]
    fn a_network_that_cannot_work_on_the_data_is_refused_before_any_file_is_read() {
        let settings = Settings { network: "vgg-16".into(), dataset: "synthetic".into(), ..Settings::default() };
        let (shape, classes, _) = data_form(&settings).unwrap();
        assert!(network(&settings, &BTreeMap::new(), shape, classes).is_err());
    }
}
