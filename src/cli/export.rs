//! `tombola export`: a trained network or a ticket as one file for other programs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::folder::{self, Results};
use crate::error::{Error, Result};
use crate::net::compact::Compact;
use crate::net::cost::Cost;
use crate::net::{Graph, Layout, Op, Snapshot};
use crate::plan::{Networks, Plan};
use crate::store::Store;
use crate::sweep::Value;

const EXAMPLES: &str = "\
Examples:
  tombola export results/early-bird 3 --out ticket.safetensors
  tombola export results/early-bird 3f2a91c0 --snapshot last --form masked --out ticket.safetensors

The file is a state dict under PyTorch's names: `safetensors.torch.load_file(\"ticket.safetensors\")`. A compact network has
fewer channels in each layer; where a batch norm reads some channels of a residual stream only, the file's metadata has
their numbers under `select.NAME`, NAME being the batch norm.";

/// The verb.
pub fn command() -> Command {
    Command::new("export")
        .about("Write a trained network or ticket as one file for other programs")
        .after_help(EXAMPLES)
        .arg(folder::argument().help("Results folder of a sweep"))
        .arg(
            Arg::new("what")
                .value_name("STAGE-OR-TRIAL")
                .required(true)
                .help("Name of a training or its beginning, or number of a trial, of which the last level is written"),
        )
        .arg(
            Arg::new("snapshot").long("snapshot").value_name("MOMENT").help(
                "Which state: best, last, epoch:K … [default: the best one that was kept, else the last, else any]",
            ),
        )
        .arg(
            Arg::new("form")
                .long("form")
                .value_name("FORM")
                .value_parser(["compact", "masked"])
                .default_value("compact")
                .help("Without its pruned channels, or in the form of the dense network with zeros"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The file to write"),
        )
}

/// Writes the file and says what it holds.
///
/// # Errors
/// When the folder has no such training or snapshot, or the file cannot be written.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let results = Results::read(&folder::given(matches))?;
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let path = matches.get_one::<PathBuf>("out").cloned().unwrap_or_default();
    let index = folder::find(&results.plan, text("what").unwrap_or_default())?;
    let stage = &results.plan.stages[index];
    let networks = Networks::of(&results.plan, &[stage.root], &results.spec.networks)?;
    let Some(network) = networks.get(&results.plan, index) else {
        return Err(Error::input(format!("the network of `{}` is not known", stage.id)));
    };
    let (snapshot, moment) = load(&results, index, &network.layout, text("snapshot"))?;
    let pruning = stage.pruning.as_ref().filter(|pruning| pruning.channels);
    let small = match (pruning, &snapshot.mask) {
        (Some(pruning), Some(mask)) if text("form") != Some("masked") => {
            Some(Compact::of(&network.graph, &network.layout, mask, pruning.streams)?)
        }
        _ => None,
    };
    let (state, graph, layout): (Snapshot, &Arc<Graph>, &Arc<Layout>) = match &small {
        Some(compact) => (compact.gather(&snapshot), &compact.graph, &compact.layout),
        None => (snapshot, &network.graph, &network.layout),
    };
    let mut facts = vec![
        ("stage".to_string(), stage.id.to_string()),
        ("snapshot".to_string(), moment.clone()),
        ("network".to_string(), stage.settings.network.clone()),
        ("epoch".to_string(), state.epoch.to_string()),
    ];
    facts.extend(selections(graph));
    let facts: Vec<(&str, String)> = facts.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    Store::export(&path, &state, layout, &facts)?;
    super::print(&format!("{}\n", said(&results.plan, index, &moment, graph, small.is_some(), &path)))
}

/// For each batch norm that reads some channels only their numbers.
fn selections(graph: &Graph) -> Vec<(String, String)> {
    let selects = graph.nodes.iter().filter_map(|node| match node.op {
        Op::Select { list, .. } => Some((node.name.trim_end_matches(".select"), &graph.selections[list])),
        _ => None,
    });
    selects
        .map(|(norm, channels)| {
            let numbers: Vec<String> = channels.iter().map(ToString::to_string).collect();
            (format!("select.{norm}"), format!("[{}]", numbers.join(", ")))
        })
        .collect()
}

fn said(plan: &Plan, index: usize, moment: &str, graph: &Graph, compact: bool, path: &Path) -> String {
    let (stage, cost) = (&plan.stages[index], Cost::of(graph));
    let form = match (compact, stage.pruning.is_some()) {
        (true, _) => "compact",
        (false, true) => "masked",
        (false, false) => "dense",
    };
    format!(
        "{}: {} of level {}, {form}, snapshot {moment}: {} parameters, {} multiply-adds",
        path.display(),
        stage.settings.network,
        stage.level,
        cost.parameters,
        cost.macs
    )
}

/// Reads the state that was asked for.
fn load(results: &Results, index: usize, layout: &Layout, asked: Option<&str>) -> Result<(Snapshot, String)> {
    let stage = &results.plan.stages[index];
    let kept: Vec<String> = match results.history.stages.get(&stage.id) {
        Some(known) => known.kept.iter().map(|moment| moment.show()).collect(),
        None => Vec::new(),
    };
    let stores = results.stores();
    let there = |name: &str| stores.iter().find(|store| store.path(stage.id, name).exists());
    let name = match asked {
        Some(name) => Some(name.to_string()),
        None => {
            let usual = ["best".to_string(), "last".to_string()];
            usual.into_iter().chain(kept.iter().cloned()).find(|name| there(name).is_some())
        }
    };
    match name.and_then(|name| there(&name).map(|store| (store, name))) {
        Some((store, name)) => Ok((store.load(stage.id, &name, layout)?, name)),
        None => {
            let what = asked.map_or_else(|| "no snapshot".to_string(), |name| format!("no snapshot `{name}`"));
            let found: Vec<&String> = kept.iter().filter(|name| there(name).is_some()).collect();
            let found = match found.is_empty() {
                true => "none was kept".to_string(),
                false => {
                    format!("found {}", found.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
                }
            };
            Err(Error::input(format!("training `{}` has {what}: {found}", stage.id))
                .hint("run the sweep again with `--save` or `--epochs-save K`: what is trained already is not trained again, unless its states are gone"))
        }
    }
}
