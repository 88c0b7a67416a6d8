//! `tombola export`: a trained network or a ticket as one file for other programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::folder;
use super::folder::Results;
use tombola_core::checkpoint::{KeptChannels, channel_facts};
use tombola_core::folder::mask_of;
use tombola_core::folder::snapshots::{Expected, file_name};
use tombola_core::net::compact::Compact;
use tombola_core::net::cost::Cost;
use tombola_core::net::{Graph, Layout, Op, Snapshot, initial};
use tombola_core::plan::{Networks, Plan, Pruning, Stage};
use tombola_core::prune::rewind;
use tombola_data::split::{Normalisation, split};
use tombola_exports::{Exported, FILTER, Form, Script};
use tombola_words::error::{Error, Result};
use tombola_words::record::PixelStatistics;
use tombola_words::speech;
use tombola_words::value::{ImageFilter, Load, Moment, Rewind, Value};

/// The moment that is no snapshot: the weights before the first epoch, which the seed gives.
const INIT: &str = "init";

const EXAMPLES: &str = "\
Examples:
  tombola export results/early-bird 3 --out ticket.safetensors
  tombola export results/early-bird 3f2a91c0 --snapshot last --form masked --out ticket.safetensors
  tombola export results/early-bird 3 --out ticket.py
  tombola export results/early-bird 3 --out ticket.onnx
  tombola export results/early-bird 3 --snapshot init --out start.safetensors
  tombola export results/early-bird 3 --out masks.npz

The name's ending says what is written:
  .safetensors  a state dict under PyTorch's names: `safetensors.torch.load_file(\"ticket.safetensors\")`
  .py           the same, and beside it a module of plain PyTorch: `import ticket; network = ticket.load()`
  .onnx         a network of ONNX operators with its weights
  .pt           TorchScript: `torch.jit.load(\"ticket.pt\")`
  .npz          the mask of each layer as NumPy arrays of bool: `numpy.load(\"masks.npz\")`

A compact network has fewer channels in each layer; where a batch norm reads some channels of a residual stream only, the
metadata of the safetensors file has their numbers under `select.NAME`, NAME being the batch norm. Which channels of the dense
network each layer has, where not all, is there under `channels.NAME`, so that `load` takes the file for the dense network. Images go in normalised:
by the mean and standard deviation of each channel of the images trained on (without the validation images), of pixels in [0, 1].
Both are in the file: as `mean` and `std` in the metadata of .safetensors and .onnx, as `MEAN` and `STD` in .py, which has a
function `normalised` too, in .pt as the further file `normalisation.json` (`torch.jit.load(FILE, _extra_files=…)`), and in .npz as
the comment of the archive (`zipfile.ZipFile(FILE).comment`). Where trainings filter their images, `filter` and `filter-sigma` stand beside
both, in .py in its first line: images are filtered before they are normalised.";

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
        .arg(Arg::new("snapshot").long("snapshot").value_name("MOMENT").help(
            "Which state: best, last, epoch:K, 500it …, or init for the weights before training, under the ticket's mask \
                 [default: the best one that was kept, else the last, else any]",
        ))
        .arg(
            Arg::new("form")
                .long("form")
                .value_name("FORM")
                .value_parser(["compact", "masked"])
                .default_value("compact")
                .help("Without its pruned channels, or in the form of the dense network with zeros"),
        )
        .arg(
            Arg::new("kind")
                .long("kind")
                .value_name("KIND")
                .value_parser(Form::names())
                .help("What to write, where the file's name does not say it by its ending"),
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

/// What a program without libtorch says where it should write TorchScript.
///
/// # Errors
/// Always.
pub fn no_script(_: &Exported, _: &Path) -> Result<()> {
    Err(Error::environment("this program was built without libtorch, which writes TorchScript")
        .hint("export as ONNX or Python, or have `tombola-torch` beside this program"))
}

/// Whether what was asked for is made by libtorch.
pub fn needs_torch(matches: &ArgMatches) -> bool {
    form(matches).is_ok_and(|(form, _)| form == Form::TorchScript)
}

/// What to write, and where.
fn form(matches: &ArgMatches) -> Result<(Form, PathBuf)> {
    let path = matches.get_one::<PathBuf>("out").cloned().unwrap_or_default();
    let named = matches.get_one::<String>("kind").and_then(|kind| Form::named(kind));
    Ok((named.map_or_else(|| Form::of(&path), Ok)?, path))
}

/// Writes the file and says what it holds.
///
/// # Errors
/// When the folder has no such training or snapshot, or the file cannot be written.
pub fn run(matches: &ArgMatches, script: Script) -> Result<()> {
    let (form, path) = form(matches)?;
    let results = Results::read(&folder::given(matches))?;
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let index = folder::find(&results.plan, text("what").unwrap_or_default())?;
    let stage = &results.plan.stages[index];
    let networks = Networks::of(&results.plan, &[stage.root], &results.spec.networks)?;
    let Some(network) = networks.get(&results.plan, index) else {
        return Err(Error::input(format!("the network of `{}` is not known", stage.id)));
    };
    let (snapshot, moment) = load(&results, index, &network.layout, text("snapshot"))?;
    let pruning = stage.pruning.as_ref().filter(|pruning| pruning.channels);
    let small = match (pruning, &snapshot.mask) {
        // Masks are over the connections of the dense network.
        (Some(pruning), Some(mask)) if text("form") != Some("masked") && form != Form::Numpy => {
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
    if stage.settings.filter != ImageFilter::None {
        facts.push((FILTER.0.to_string(), stage.settings.filter.show()));
        facts.push((FILTER.1.to_string(), stage.settings.filter_sigma.show()));
    }
    facts.extend(selections(graph));
    if let (Some(compact), Form::Safetensors) = (&small, form) {
        facts.extend(channel_facts(&channels(compact, &network.layout)));
    }
    let pixels = pixels(&results, index)?;
    let written = Exported { graph, layout, state: &state, pixels: pixels.as_ref(), facts: &facts };
    let written = written.write(form, &path, script)?;
    let said = said(&results.plan, index, &moment, graph, small.is_some());
    for path in written {
        super::print(&format!("{}: {said}\n", path.display()))?;
    }
    Ok(())
}

/// What the images of a training were normalised by. Folders of programs that did not note it still say by which data they were
/// trained, from which it follows.
fn pixels(results: &Results, index: usize) -> Result<Option<PixelStatistics>> {
    let Results { plan, history, spec, .. } = results;
    let root = plan.stages[index].root;
    // All that descends from one dense training sees the same images.
    let alike = plan.stages.iter().filter(|stage| stage.root == root).map(|stage| stage.id);
    let noted = alike.filter_map(|id| history.stages.get(&id)?.drawn.as_ref()?.pixels.clone()).next();
    if noted.is_some() {
        return Ok(noted);
    }
    let settings = &plan.stages[root].settings;
    let made = (settings.synthetic_shape.as_slice(), settings.synthetic_classes, settings.synthetic_size);
    let found = tombola_data::load_or_make(&settings.dataset, made, spec.run.data_dir.as_deref());
    let measured = found.and_then(|data| match history.data.values().any(|known| *known == data.fingerprint) {
        false => Err(Error::input("the data are not those that it was trained on")),
        true => {
            let data = data.filtered(settings.filter, settings.filter_sigma)?;
            let split = split(data.train.len(), settings.train_limit, settings.validation_size)?;
            let given = settings.input_statistics();
            Normalisation::of(&data.train, split.train)?.replaced(given.0, given.1)
        }
    });
    match measured {
        Ok(Normalisation { mean, standard_deviation }) => Ok(Some(PixelStatistics { mean, standard_deviation })),
        Err(error) => {
            speech::say(format!(
                "warning: what images were normalised by is not noted in this folder, and is not in the file: {}",
                error.message
            ));
            Ok(None)
        }
    }
}

/// For each batch norm that reads some channels only their numbers.
fn selections(graph: &Graph) -> Vec<(String, String)> {
    let selects = graph.nodes.iter().filter_map(|node| match node.op {
        Op::Select { list, .. } => Some((node.name.strip_suffix(".select")?, &graph.selections[list])),
        _ => None,
    });
    selects
        .map(|(norm, channels)| {
            let numbers: Vec<String> = channels.iter().map(ToString::to_string).collect();
            (format!("select.{norm}"), format!("[{}]", numbers.join(", ")))
        })
        .collect()
}

/// Which channels of the dense network each layer of a compact one has, where not all.
fn channels(compact: &Compact, dense: &Layout) -> Vec<(String, KeptChannels)> {
    let mut layers: BTreeMap<String, KeptChannels> = BTreeMap::new();
    for (small, large) in compact.layout.parameters.iter().zip(&dense.parameters) {
        if small.shape == large.shape {
            continue;
        }
        let places: Vec<usize> =
            compact.positions[small.range()].iter().map(|position| position - large.offset).collect();
        let layer = large.name.rsplit_once('.').map_or("", |(layer, _)| layer);
        let kept = layers.entry(layer.to_string()).or_default();
        kept.outputs =
            places.iter().step_by(small.fan_in().max(1)).map(|place| place / large.fan_in().max(1)).collect();
        if small.role.is_connection() {
            // The inputs stand behind each other at the first pixel of the kernel.
            let inputs = places.iter().take(small.shape[1]).map(|place| place % large.shape[1]);
            kept.inputs = Some(inputs.collect());
        }
    }
    layers.into_iter().collect()
}

fn said(plan: &Plan, index: usize, moment: &str, graph: &Graph, compact: bool) -> String {
    let (stage, cost) = (&plan.stages[index], Cost::of(graph));
    let form = match (compact, stage.pruning.is_some()) {
        (true, _) => "compact",
        (false, true) => "masked",
        (false, false) => "dense",
    };
    format!(
        "{} of level {}, {form}, snapshot {moment}: {} parameters, {} multiply-adds",
        stage.settings.network, stage.level, cost.parameters, cost.macs
    )
}

/// The weights that a training began with, if it began with those that its seed gives, under its mask.
fn start(results: &Results, index: usize, layout: &Layout) -> Result<Snapshot> {
    let stage = &results.plan.stages[index];
    let settings = &results.plan.stages[stage.root].settings;
    if stage.pruning.as_ref().is_some_and(|pruning| pruning.changing.is_some()) {
        return Err(Error::input(format!(
            "the mask of `{}` changed while it trained, and its first one was not kept",
            stage.id
        ))
        .hint("export a state that was kept: `best`, `last` or `epoch:K`"));
    }
    let loaded = match &settings.load {
        Load::Path(path) => Some(path),
        Load::None | Load::Auto => settings.load_init.0.as_ref(),
    };
    // New weights are drawn whatever the dense network began with.
    let drawn_anew = |pruning: &Pruning| pruning.effective_rewind() == Rewind::Random;
    if let Some(path) = loaded.filter(|_| !stage.pruning.as_ref().is_some_and(drawn_anew)) {
        return Err(Error::input(format!("the dense network of `{}` began with `{}`", stage.id, path.display()))
            .hint("that file holds its first weights"));
    }
    let draw = match stage.pruning.as_ref().map(|pruning| pruning.effective_rewind()) {
        Some(Rewind::Random) => stage.level as u64,
        _ => 0,
    };
    let mut state = initial(layout, settings.norm_start, settings.init_seed.unwrap_or(settings.seed), draw);
    if stage.pruning.is_some() {
        let mask = mask_of(&results.stores(), &results.history, stage.id, layout)?.ok_or_else(|| {
            Error::input(format!("the mask of `{}` is not there: none of its states was kept", stage.id))
                .hint("run the sweep again with `--save`")
        })?;
        rewind::silence(&mut state.parameters, &mask);
        state.mask = Some(Arc::new(mask));
    }
    Ok(state)
}

/// The name that a moment has in the folder, of any of its spellings: `iteration:500` is `500it`. Other words stay.
fn settled(stage: &Stage, name: &str) -> String {
    match (Moment::parse(name), stage.settings.epoch_steps()) {
        (Ok(moment), Ok(steps)) => moment.settled(steps).show(),
        _ => name.to_string(),
    }
}

/// Reads the state that was asked for.
fn load(results: &Results, index: usize, layout: &Layout, asked: Option<&str>) -> Result<(Snapshot, String)> {
    if asked == Some(INIT) {
        return Ok((start(results, index, layout)?, INIT.to_string()));
    }
    let stage = &results.plan.stages[index];
    let kept: Vec<String> = match results.history.stages.get(&stage.id) {
        Some(known) => known.kept.iter().map(|moment| moment.show()).collect(),
        None => Vec::new(),
    };
    let stores = results.stores();
    let there = |name: &str| stores.iter().find(|store| store.path(stage.id, name).exists());
    let name = match asked {
        Some(name) if there(name).is_none() => Some(settled(stage, name)),
        Some(name) => Some(name.to_string()),
        None => {
            let usual = ["best".to_string(), "last".to_string()];
            usual.into_iter().chain(kept.iter().cloned()).find(|name| there(name).is_some())
        }
    };
    match name.and_then(|name| there(&name).map(|store| (store, name))) {
        Some((store, name)) => {
            let known = results.history.stages.get(&stage.id);
            let kept = known.and_then(|known| {
                let moment = known.kept.iter().find(|moment| file_name(&moment.show()) == file_name(&name))?;
                Some(known.expected(stage, *moment))
            });
            let expected = kept.unwrap_or(Expected { mask: stage.level > 0, ..Expected::default() });
            Ok((store.load(stage.id, &name, layout, expected)?, name))
        }
        None => {
            let what = asked.map_or_else(|| "no snapshot".to_string(), |name| format!("no snapshot `{name}`"));
            let listed =
                |names: Vec<&String>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let found: Vec<&String> = kept.iter().filter(|name| there(name).is_some()).collect();
            let found = match (found.is_empty(), kept.is_empty()) {
                (false, _) => format!("found {}", listed(found)),
                (true, true) => "none was kept".to_string(),
                (true, false) => format!("{} of it were kept, and are no longer there", listed(kept.iter().collect())),
            };
            Err(Error::input(format!("training `{}` has {what}: {found}", stage.id))
                .hint("run the sweep again with `--save` or `--epochs-save K`: what is trained already is not trained again, unless its states are gone"))
        }
    }
}
