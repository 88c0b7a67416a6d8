//! What all workers of a process share: the plan, its networks and its data, held once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use tch::Device;

use crate::batches::{Parts, Resident};
use crate::cuda::gpu;
use crate::recipe;
use crate::training::portions::Portions;
use tombola_core::memory::free_memory;
use tombola_core::net::custom::OwnNetwork;
use tombola_core::plan::{Network, Networks, Plan, estimate};
use tombola_core::prune::Pruner;
use tombola_core::sweep::{OwnData, Settings};
use tombola_data as data;
use tombola_data::{DataSet, Images, Normalisation, Split};
use tombola_words::Shape;
use tombola_words::StageId;
use tombola_words::error::{Error, Result};
use tombola_words::parts::held_out;

/// A data set on each device, cut as some dense training asks.
#[derive(Debug)]
struct Cut {
    residents: Vec<Arc<Resident>>,
    split: Split,
    normalisation: Normalisation,
}

/// Everything that trainings share.
#[derive(Debug)]
pub struct Workshop {
    /// What is to be trained.
    pub plan: Arc<Plan>,
    /// The networks of its dense stages.
    pub networks: Networks,
    /// What draws masks, by dense stage; one for all that have the same network.
    pruners: HashMap<StageId, Arc<Pruner>>,
    cuts: HashMap<StageId, Cut>,
    /// Name and checksum of each data set.
    pub fingerprints: BTreeMap<String, String>,
    /// What is odd about the parts of the data, and what recipes make of them, each once.
    pub warnings: BTreeSet<String>,
}

impl Workshop {
    /// Builds the networks and loads the data of the dense stages `roots` and of all that descend from them.
    ///
    /// # Errors
    /// When data are missing or damaged, or a network cannot work on them.
    pub fn open(
        plan: Arc<Plan>,
        roots: &[usize],
        own: &BTreeMap<String, OwnNetwork>,
        run: &Settings,
        devices: &[Device],
    ) -> Result<Self> {
        // Trainings whose images are filtered otherwise see other images of the same files.
        let mut sets: HashMap<(String, Option<String>), Set> = HashMap::new();
        let networks = Networks::of(&plan, roots, own)?;
        let pruners = pruners(&plan, roots, &networks);
        let mut cuts = HashMap::new();
        let mut fingerprints = BTreeMap::new();
        let mut notes = BTreeSet::new();
        for &root in roots {
            let stage = &plan.stages[root];
            let settings = &stage.settings;
            let key = (set_name(settings), settings.filter_words());
            if !sets.contains_key(&key) {
                let set = Set::load(settings, run, devices)?;
                fingerprints.insert(key.0.clone(), set.data.fingerprint.clone());
                sets.insert(key.clone(), set);
            }
            let set = &mut sets.get_mut(&key);
            let Some(set) = set else { continue };
            set.check(settings)?;
            let split = split_of(settings, set.data.train.len(), set.data.validation.as_ref().map(Images::len))?;
            if let Some(network) = networks.get(&plan, root) {
                check_steps(&plan, root, Portions::of(split.train.len(), settings, &network.graph).steps())?;
            }
            let given = settings.input_statistics();
            let normalisation = set.normalisation(&split)?.replaced(given.0, given.1);
            let normalisation = normalisation.map_err(|error| error.at(format!("data set `{}`", settings.dataset)))?;
            if let Some(network) = networks.get(&plan, root) {
                notes.extend(recipe::check(settings, &set.data, &split, &network.graph)?);
            }
            cuts.insert(stage.id, Cut { residents: set.residents.clone(), split, normalisation });
        }
        let warning = |name: &str, text: &str| {
            format!(
                "data set `{name}`: {text}: epochs are chosen on other images than are trained on; are its files sorted by class? \
                 Shuffle their training images"
            )
        };
        let odd = sets.iter().flat_map(|((name, _), set)| set.odd.iter().map(move |text| warning(name, text)));
        let warnings = odd.chain(notes).collect();
        Ok(Self { plan, networks, pruners, cuts, fingerprints, warnings })
    }

    /// The network of a stage.
    pub fn network(&self, stage: usize) -> Option<&Network> {
        self.networks.get(&self.plan, stage)
    }

    /// What draws the masks of a stage.
    pub fn pruner(&self, stage: usize) -> Option<&Arc<Pruner>> {
        self.pruners.get(&self.root_id(stage))
    }

    /// The data of a stage on a device.
    pub fn parts(&self, stage: usize, device: Device) -> Option<Parts> {
        let cut = self.cuts.get(&self.root_id(stage))?;
        let resident = cut.residents.iter().find(|resident| resident.device() == device)?;
        Some(resident.parts(&cut.split, &cut.normalisation))
    }

    /// What the images of each data set are normalised by, in words; several where dense trainings are trained on other images.
    pub fn normalisations(&self) -> BTreeSet<String> {
        let roots = self.plan.stages.iter().filter(|stage| stage.level == 0);
        let cuts = roots.filter_map(|stage| Some((stage, self.cuts.get(&stage.id)?)));
        let words = cuts.map(|(stage, cut)| {
            let Normalisation { mean, standard_deviation } = &cut.normalisation;
            let count = cut.split.train.len();
            let dataset = &stage.settings.dataset;
            let of = match stage.settings.input_statistics() {
                (None, None) => format!("of {count} images"),
                (Some(_), Some(_)) => "as given".to_string(),
                (Some(_), None) => format!("of {count} images, the mean as given"),
                (None, Some(_)) => format!("of {count} images, the standard deviation as given"),
            };
            let ahead = match cut.residents.iter().any(|resident| resident.reads_ahead()) {
                true => "; its examples do not fit into memory and are read ahead",
                false => "",
            };
            let filter = stage.settings.filter_words().map(|words| format!("filtered {words}, ")).unwrap_or_default();
            format!("{dataset}: {filter}normalised by mean {mean:?} and standard deviation {standard_deviation:?} {of}{ahead}")
        });
        words.collect()
    }

    fn root_id(&self, stage: usize) -> StageId {
        self.plan.stages[self.plan.stages[stage].root].id
    }
}

/// How the examples of a set are split: those that validate have a part of their own, or are the last of those to train on.
///
/// # Errors
/// As [`data::split()`], and a `validation-size` where there is a part of its own.
pub fn split_of(settings: &Settings, training: usize, validating: Option<usize>) -> Result<Split> {
    let at = |error: Error| error.at(format!("data set `{}`", settings.dataset));
    let split = held_out(validating, settings.validation_size)
        .and_then(|held_out| data::split(training, settings.train_limit, held_out))
        .map_err(at)?;
    Ok(match validating {
        Some(validating) => Split { validation: 0..validating, has_own_validation: true, ..split },
        None => split,
    })
}

/// What is not its publisher's of the files of a data set, by [`data::places::strangers`].
///
/// # Errors
/// As there.
pub fn strangers(dataset: &str, folder: Option<&Path>) -> Result<Vec<String>> {
    data::places::strangers(dataset, folder)
}

fn pruners(plan: &Plan, roots: &[usize], networks: &Networks) -> HashMap<StageId, Arc<Pruner>> {
    let mut alike: Vec<(&Network, Arc<Pruner>)> = Vec::new();
    let mut pruners = HashMap::new();
    for &root in roots {
        let Some(network) = networks.get(plan, root) else { continue };
        let known = alike.iter().find(|(other, _)| Arc::ptr_eq(&other.graph, &network.graph));
        let pruner = match known {
            Some((_, pruner)) => Arc::clone(pruner),
            None => {
                let pruner = Arc::new(Pruner::new(&network.graph, &network.layout));
                alike.push((network, Arc::clone(&pruner)));
                pruner
            }
        };
        pruners.insert(plan.stages[root].id, pruner);
    }
    pruners
}

/// Refuses data of which an epoch has other steps than those by which the plan found points within epochs.
fn check_steps(plan: &Plan, root: usize, found: usize) -> Result<()> {
    let settings = &plan.stages[root].settings;
    let planned = plan.counted_steps.get(&root);
    match planned.filter(|planned| **planned != found) {
        None => Ok(()),
        Some(planned) => Err(Error::input(format!(
            "data set `{}`: an epoch has {found} steps, expected {planned}, by which `reinit`, `draw` and all else that names steps or \
             parts of epochs was found",
            settings.dataset
        ))
        .hint("name whole epochs, such as `epoch:2`, give `--train-limit` the number of training images that there are, or say what `last-batch` is")),
    }
}

/// A data set while the workshop is set up.
struct Set {
    data: Arc<DataSet>,
    shape: Shape,
    residents: Vec<Arc<Resident>>,
    /// Statistics of training ranges met before: many dense trainings share one.
    known: Vec<(Split, Normalisation)>,
    /// What is odd about the parts that go with them, each once.
    odd: BTreeSet<String>,
    /// What the sweep says of them, if they are the user's.
    own: Option<Arc<OwnData>>,
}

impl Set {
    fn load(settings: &Settings, run: &Settings, devices: &[Device]) -> Result<Self> {
        let data = data_of(settings, run.data_dir.as_deref(), memory_for_data(run))?;
        let data = Arc::new(data.filtered(settings.filter, settings.filter_sigma)?);
        let mut different: Vec<Device> = Vec::new();
        for device in devices {
            if !different.contains(device) {
                different.push(*device);
            }
        }
        let room = |device: Device| match device {
            Device::Cuda(number) => gpu::free_memory(number, 0).ok().map(|free| free as u64 / 2),
            _ => None,
        };
        let resident = |device: &Device| Arc::new(Resident::within(Arc::clone(&data), *device, room(*device)));
        let residents = different.iter().map(resident).collect();
        Ok(Self {
            shape: data.train.shape,
            data,
            residents,
            known: Vec::new(),
            odd: BTreeSet::new(),
            own: settings.own_set.clone(),
        })
    }

    /// Refuses data of another form than their publisher states, which the networks are built for.
    fn check(&self, settings: &Settings) -> Result<()> {
        let (shape, classes, _) = estimate::data_form(settings)?;
        if (self.shape, self.data.train.classes) == (shape, classes) {
            return Ok(());
        }
        Err(Error::input(format!(
            "data set `{}`: found images {:?} of {} classes, expected {shape:?} of {classes}",
            settings.dataset, self.shape, self.data.train.classes
        ))
        .hint("check the files: `tombola data check`"))
    }

    /// Refuses a split of own data that leaves a class without an image to be trained on. Of known sets anybody sees it.
    fn check_classes(&self, split: &Split) -> Result<()> {
        let (Some(own), Some((class, count))) = (&self.own, data::untrained(&self.data.train, split)) else {
            return Ok(());
        };
        let name = own.class_names.get(class).map_or_else(|| class.to_string(), |name| format!("`{name}`"));
        let more = if count > 1 { format!(" and {} more have", count - 1) } else { " has".to_string() };
        Err(Error::input(format!(
            "data set `{}`: class {name}{more} none of the {} training images that are left of {}",
            own.name,
            split.train.len(),
            self.data.train.labels.len()
        ))
        .hint("raise `train-limit`, or lower `validation-size`"))
    }

    fn normalisation(&mut self, split: &Split) -> Result<Normalisation> {
        if let Some((_, normalisation)) = self.known.iter().find(|(known, _)| known == split) {
            return Ok(normalisation.clone());
        }
        let normalisation = Normalisation::of(&self.data.train, split.train.clone())?;
        self.check_classes(split)?;
        self.odd.extend(data::unlike(&self.data.train, split));
        self.known.push((split.clone(), normalisation.clone()));
        Ok(normalisation)
    }
}

/// Bytes of examples that this process may hold: as the setting says, or half of the memory that is free.
fn memory_for_data(run: &Settings) -> u64 {
    let asked = run.data_memory.map(|megabytes| megabytes as u64 * 1_000_000);
    asked.or_else(|| free_memory().map(|free| free.bytes / 2)).unwrap_or(u64::MAX)
}

/// The checksum of a data set as it is here.
///
/// # Errors
/// When its files are missing or damaged.
pub fn fingerprint(settings: &Settings, folder: Option<&Path>) -> Result<String> {
    data_of(settings, folder, 0).map(|data| data.fingerprint)
}

/// The data set that settings name, read or made, before any filter.
fn data_of(settings: &Settings, folder: Option<&Path>, memory: u64) -> Result<DataSet> {
    if let Some(own) = &settings.own_set {
        return data::own::open(&own.name, &own.path, &own.options, own.form()?, memory);
    }
    let made = (settings.synthetic_shape.as_slice(), settings.synthetic_classes, settings.synthetic_size);
    data::load_or_make(&settings.dataset, made, folder)
}

/// A data set by name; a synthetic one by all that makes it.
pub fn set_name(settings: &Settings) -> String {
    match settings.dataset.as_str() {
        "synthetic" => format!(
            "synthetic {:?}, {} classes, {} images",
            settings.synthetic_shape, settings.synthetic_classes, settings.synthetic_size
        ),
        name => name.to_string(),
    }
}
