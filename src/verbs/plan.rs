//! `tombola plan`: what a sweep would train, before it trains anything.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;

use super::sweep;
use tombola_core::gpus::has_driver;
use tombola_core::net::channels::Channels;
use tombola_core::plan::estimate::{self, human, sharing};
use tombola_core::plan::{Asked, Demanded, Needed, Networks, NoResults, Plan, Pruning, near_misses};
use tombola_core::processor::slow_bf16;
use tombola_core::prune::channels::{is_scored, spared};
use tombola_words::error::{Error, Result};
use tombola_words::value::Precision;
use tombola_words::value::{Control, Criterion, Streams, Value};

/// Trees longer than this are cut, unless all is asked for.
const LINES: usize = 60;

const EXAMPLES: &str = "\
Examples:
  tombola plan sweeps/quickstart.toml
  tombola plan sweeps/experiment1.toml --seed 1,2,3,4,5
  tombola plan sweeps/experiment1.toml --json | jq '.stages[] | .label'
  tombola plan --network resnet --pr 0.5,0.9 --priter 1,4 --reinit init,lr";

/// The verb.
pub fn command() -> Command {
    let all = Arg::new("all").long("all").action(ArgAction::SetTrue).help("Show every stage, however many");
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print all of it as JSON");
    let command = Command::new("plan")
        .about("Show the trials of a sweep, the trainings that they share, and about how long they take")
        .after_help(EXAMPLES)
        .arg(all)
        .arg(json.conflicts_with("all"));
    sweep::arguments(command)
}

/// Prints the plan.
///
/// # Errors
/// When the sweep is wrong.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let asked = sweep::look(matches)?;
    if matches.get_flag("json") {
        return super::print(&json(&asked)?);
    }
    let lines = if matches.get_flag("all") { usize::MAX } else { LINES };
    super::print(&text(&asked, lines)?)
}

/// The plan for other programs: sums, and each training with the trials that end at it.
#[derive(Debug, Serialize)]
struct Told {
    folder: String,
    trials: usize,
    trainings: usize,
    epochs: usize,
    /// If every trial trained its own.
    epochs_unshared: usize,
    /// A guess, on one core of a CPU.
    seconds: f64,
    stages: Vec<ToldStage>,
}

/// A training of it.
#[derive(Debug, Serialize)]
struct ToldStage {
    id: String,
    parent: Option<String>,
    level: usize,
    label: String,
    /// As many as the dense training, or what is left of those: the sum above counts these.
    epochs: usize,
    epochs_at_least: usize,
    /// Nothing if only the draw tells.
    epochs_at_most: Option<usize>,
    seconds: f64,
    /// Whether it is trained whatever comes out of others.
    certain: bool,
    /// Numbers of the trials that end here.
    trials: Vec<usize>,
}

fn json(asked: &Asked) -> Result<String> {
    let plan = &asked.plan;
    let work = estimate::stage_work(plan, &estimate::epoch_work(plan, &asked.spec)?);
    let mut trials: Vec<Vec<usize>> = vec![Vec::new(); plan.stages.len()];
    for chain in &plan.chains {
        chain.stages.last().into_iter().for_each(|leaf| trials[*leaf].push(chain.trial.number));
    }
    let demanded = plan.needed(&NoResults);
    let stages = plan.stages.iter().enumerate().zip(trials).map(|((index, stage), trials)| ToldStage {
        id: stage.id.to_string(),
        parent: stage.parent.map(|parent| plan.stages[parent].id.to_string()),
        level: stage.level,
        label: plan.label(index),
        epochs: stage.epochs().len(),
        epochs_at_least: stage.extent().least,
        epochs_at_most: stage.extent().most,
        seconds: work[index],
        certain: demanded[index].is_certain(),
        trials,
    });
    let stages: Vec<ToldStage> = stages.collect();
    let told = Told {
        folder: asked.folder.display().to_string(),
        trials: plan.chains.len(),
        trainings: stages.len(),
        epochs: plan.shared_epochs(),
        epochs_unshared: plan.unshared().0,
        seconds: stages.iter().map(|stage| stage.seconds).sum(),
        stages,
    };
    let json = serde_json::to_string_pretty(&told);
    json.map(|json| json + "\n").map_err(|error| Error::environment(format!("cannot write the plan as JSON: {error}")))
}

/// The plan in words.
///
/// # Errors
/// When a network cannot work on its data.
pub fn text(asked: &Asked, lines: usize) -> Result<String> {
    let plan = &asked.plan;
    let work = estimate::stage_work(plan, &estimate::epoch_work(plan, &asked.spec)?);
    let mut text = tree(asked, lines)?;
    text.push_str(&format!("\n{}\n", sharing(plan)));
    let shared: f64 = work.iter().sum();
    let alone: f64 = plan.chains.iter().flat_map(|chain| &chain.stages).map(|stage| work[*stage]).sum();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    text.push_str(&format!(
        "About {} on one CPU core ({} without sharing), {} on the {cores} of this machine; a guess within a factor of two\n",
        human(shared),
        human(alone),
        human(shared / cores as f64)
    ));
    for warning in near_misses(plan) {
        text.push_str(&format!("Warning: {warning}\n"));
    }
    let uses = |precision| plan.stages.iter().any(|stage| stage.settings.precision == precision);
    if let Some((said, cure)) = uses(Precision::Bf16).then(slow_bf16).flatten() {
        text.push_str(&format!("Warning: {said}; {cure}\n"));
    }
    // Where it will be trained may be another machine.
    if asked.spec.run.device.is_none() && !has_driver() && uses(Precision::Tf32) {
        text.push_str("Warning: `precision = \"tf32\"` is of NVIDIA GPUs, and this machine has none; use fp32 here\n");
    }
    for advice in plan.idle(&asked.spec).into_iter().chain(plan.advice(0..plan.stages.len())) {
        text.push_str(&format!("Warning: {}; {}\n", advice.said, advice.cure));
    }
    text.push_str(&format!("Results in {}\n", asked.folder.display()));
    Ok(text)
}

/// The forest, one line a stage, children below their parents.
fn tree(asked: &Asked, limit: usize) -> Result<String> {
    let plan = &asked.plan;
    let mut children = vec![Vec::new(); plan.stages.len()];
    for (index, stage) in plan.stages.iter().enumerate() {
        if let Some(parent) = stage.parent {
            children[parent].push(index);
        }
    }
    let trials = trials_of(plan);
    let demanded = plan.needed(&NoResults);
    let mut scored = ScoredShares::default();
    let mut text = String::new();
    let mut shown = 0;
    let roots = (0..plan.stages.len()).filter(|index| plan.stages[*index].level == 0);
    // Depth first; each entry is a stage and what its line starts with.
    let mut open: Vec<(usize, String, String)> = roots.rev().map(|root| (root, String::new(), String::new())).collect();
    while let Some((index, first, rest)) = open.pop() {
        if shown == limit {
            text.push_str(&format!("… {} more (`--all` shows them)\n", plan.stages.len() - shown));
            break;
        }
        shown += 1;
        let may = match demanded[index] {
            needed if needed.is_certain() => String::new(),
            Needed { demanded: Demanded::Certain, until: Some(epoch), .. } => {
                format!(" (to epoch {epoch}, the rest may come)")
            }
            _ => " (may come)".to_string(),
        };
        text.push_str(&format!("{first}{}{may}{}\n", describe(asked, index, &mut scored)?, trials[index]));
        let own = &children[index];
        for (place, child) in own.iter().enumerate().rev() {
            let last = place + 1 == own.len();
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            open.push((*child, format!("{rest}{branch}"), format!("{rest}{below}")));
        }
    }
    Ok(text)
}

/// The trials that end at each stage, in words.
fn trials_of(plan: &Plan) -> Vec<String> {
    let mut numbers: Vec<Vec<usize>> = vec![Vec::new(); plan.stages.len()];
    for chain in &plan.chains {
        if let Some(&leaf) = chain.stages.last() {
            numbers[leaf].push(chain.trial.number);
        }
    }
    let words = |numbers: &Vec<usize>| match numbers.as_slice() {
        [] => String::new(),
        [one] => format!("  → trial {one}"),
        several => {
            let list: Vec<String> = several.iter().map(ToString::to_string).collect();
            format!("  → trials {}", list.join(", "))
        }
    };
    numbers.iter().map(words).collect()
}

/// Shares of the channels of a network that a criterion has scores for, by all that they depend on.
#[derive(Debug, Default)]
struct ScoredShares(BTreeMap<(usize, Criterion, Streams, String), f64>);

impl ScoredShares {
    /// The share for a stage that prunes channels.
    fn of(&mut self, asked: &Asked, stage: usize, pruning: &Pruning) -> Result<f64> {
        let root = asked.plan.stages[stage].root;
        let key = (root, pruning.criterion, pruning.streams, pruning.layers.spared.show());
        if let Some(share) = self.0.get(&key) {
            return Ok(*share);
        }
        let networks = Networks::of(&asked.plan, &[root], &asked.spec.networks)?;
        let share = networks.get(&asked.plan, stage).map_or(1.0, |network| {
            let channels = Channels::of(&network.graph, &network.layout, pruning.streams);
            let spared = spared(&network.layout, &channels, pruning);
            let may_go = channels.units.iter().zip(spared).filter(|(_, spared)| !spared);
            let scored = may_go.filter(|(unit, _)| is_scored(pruning.criterion, unit)).count();
            scored as f64 / channels.len().max(1) as f64
        });
        self.0.insert(key, share);
        Ok(share)
    }
}

/// The layers that are pruned otherwise than the rest, in words.
fn exceptions(pruning: &Pruning) -> String {
    let spared: Vec<&str> = pruning.layers.spared.patterns().iter().map(|pattern| pattern.text()).collect();
    let mut text = if spared.is_empty() { String::new() } else { format!(" (but for {})", spared.join(", ")) };
    let rates: Vec<String> = pruning
        .layer_rates
        .iter()
        .map(|(layer, rate)| format!("{} loses {:.4} %", layer.text(), 100.0 * rate))
        .collect();
    if !rates.is_empty() {
        text.push_str(&format!(" ({})", rates.join(", ")));
    }
    text
}

fn describe(asked: &Asked, index: usize, scored: &mut ScoredShares) -> Result<String> {
    let plan = &asked.plan;
    let stage = &plan.stages[index];
    let epochs = stage.extent().words();
    Ok(match &stage.pruning {
        None => {
            let settings = &stage.settings;
            let cost = estimate::cost(plan, &asked.spec, index)?;
            format!(
                "{} on {}, seed {}: dense, {epochs} ({} parameters, {:.1} M multiply-adds an image)",
                settings.network,
                settings.dataset,
                settings.seed,
                cost.parameters,
                cost.macs as f64 / 1e6
            )
        }
        Some(pruning) => {
            let density = stage.planned_density();
            let asked_for = plan.left(index);
            // Channels without a score stay.
            let scored = if pruning.channels { scored.of(asked, index, pruning)? } else { 1.0 };
            let left = match (pruning.channels, scored < 1.0) {
                _ if pruning.target.is_some() => format!("channels until {asked_for}"),
                (false, _) => format!("{asked_for} left"),
                (true, false) => format!("{asked_for} of channels left"),
                (true, true) => format!(
                    "{:.1} % of channels left ({asked_for} of those that are scored)",
                    100.0 * (1.0 - scored * (1.0 - density))
                ),
            };
            let reinit = format!("reinit {}", pruning.rewind.show());
            let start = match pruning.control {
                Control::None => reinit,
                // Whatever their tickets go back to.
                Control::Reinit => "new weights (reinit control)".to_string(),
                control => format!("{reinit}, {} control", control.show()),
            };
            let changing =
                pruning.changing.map_or_else(String::new, |changing| format!(", {} while it trains", changing.name()));
            format!(
                "level {}: {left}{}, {} {}{changing}, drawn at {}, {start}, {epochs}",
                stage.level,
                exceptions(pruning),
                pruning.criterion.show(),
                pruning.scope.show(),
                pruning.drawn_at(),
            )
        }
    })
}
