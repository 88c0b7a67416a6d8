//! A sweep file. What is read is written out as a complete sweep file, which reads as the same; its trials are known or refused,
//! and the plan of a small one is made.

use crate::form::{Grammar, WHOLE};
use crate::{FuzzTarget, MOST_MEMORY};
use tombola_core::net::custom::OwnNetwork;
use tombola_core::plan::{self, estimate};
use tombola_core::sweep::{FIELDS, Grid, Spec, Trial};
use tombola_words::value::Load;

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "sweep",
    run,
    seeds,
    form: WHOLE,
    grammar: Grammar::Text,
    words,
    longest: 4096,
    memory: |_| MOST_MEMORY,
};

/// Points of a grid that are all looked at. More make a longer test and no other.
const MOST_POINTS: usize = 300;
/// Points of a grid that is certainly refused.
const TOO_MANY: usize = 100_000_000;
/// Trainings whose costs are guessed.
const MOST_STAGES: usize = 1000;
/// Trainings of all trials, shared ones as often as they are named, of which a plan is made: 300 trials of 1000 prunings take 480 MB
/// and a second, as they may.
const MOST_TRAININGS: usize = 20_000;

fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(spec) = Spec::read(Some(text), &[]) else { return };
    let complete = spec.to_toml();
    let again = Spec::read(Some(&complete), &[])
        .unwrap_or_else(|error| panic!("the complete sweep file is refused: {error}\n{complete}"));
    assert_eq!(again.to_toml(), complete, "the complete sweep file reads as another");
    assert_eq!(spec.difference(&again), None);
    let own = |spec: &Spec| spec.networks.values().map(OwnNetwork::canonical).collect::<Vec<_>>();
    assert_eq!(own(&spec), own(&again), "a network is another in the complete sweep file");
    let points = spec.grids.iter().map(points).fold(0usize, usize::saturating_add);
    let certain = spec.grids.iter().any(|grid| grid.zip.is_empty() && self::points(grid) > TOO_MANY);
    if points > MOST_POINTS && !certain {
        return;
    }
    let (trials, twins) = (spec.trials(), again.trials());
    let settings = |trials: &[Trial]| format!("{trials:?}");
    match (trials, twins) {
        (Ok(trials), Ok(twins)) => {
            assert_eq!(settings(&trials), settings(&twins), "the complete sweep file has other trials");
            // Any file of the machine, and some that never end.
            if trials.iter().any(|trial| matches!(trial.settings.load, Load::Path(_))) {
                return;
            }
            if trials.iter().map(|trial| 1 + trial.settings.prune_iterations).sum::<usize>() > MOST_TRAININGS {
                return;
            }
        }
        (Ok(_), Err(error)) => panic!("the complete sweep file is refused: {error}\n{complete}"),
        // What is not set can be wrong, and a complete file sets everything.
        (Err(_), _) => return,
    }
    assert!(!certain, "an absurd sweep was not refused");
    if let Ok(plan) = plan::grow(&spec, &Default::default())
        && plan.stages.len() <= MOST_STAGES
    {
        let _nothing_known = estimate::sharing(&plan);
        if let Ok(work) = estimate::epoch_work(&plan, &spec) {
            assert!(
                work.iter().all(|seconds| seconds.is_finite() && *seconds >= 0.0),
                "the time of an epoch is {work:?}"
            );
        }
    }
}

/// Combinations of a grid, zipped axes taken for free ones.
fn points(grid: &Grid) -> usize {
    grid.axes.iter().map(|axis| axis.values.len()).fold(1, usize::saturating_mul)
}

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "name = \"small\"\nnetwork = \"lenet-300-100\"\ndataset = \"mnist\"\nepochs = 3\npruning-ratio = [0.5, 0.75]\nseed = [1, 2]\n",
        "network = \"resnet\"\ndepth = 20\nwidth = 16\ndataset = \"cifar-10\"\nprune-iterations = 3\npruning-ratio = 0.8\nlr-milestones = [80, 120]\n\n[[grid]]\nrewind = [\"epoch:1\", \"none\"]\n\n[[grid]]\nreinit = \"random\"\n",
        "dataset = \"synthetic\"\nsynthetic-shape = [1, 8, 8]\nsynthetic-size = 100\nnetwork = \"own\"\nzip = [[\"pruning-ratio\", \"prune-iterations\"]]\npruning-ratio = [0.5, 0.9]\nprune-iterations = [2, 1]\nexclude = [{ seed = 2, pruning-ratio = 0.5 }]\nseed = [1, 2]\n[networks.own]\nlayers = [{ conv = 4 }, \"batch-norm\", \"relu\", \"global-average-pool\", { linear = \"classes\" }]\n",
        "network = [\"mlp\", \"vit\", \"densenet-bc\"]\nhidden = [[300, 100], [5]]\nwidth = \"auto\"\ndepth = [4, 10]\ndataset = \"cifar-10\"\n",
        "network = \"lenet-5\"\ndataset = \"mnist\"\nprune-rate = 0.2\nlevels = 5\ncontrol = [\"none\", \"reinit\"]\ncontrol-levels = [1, 2]\nspare = [\"first\", \"fc*\"]\n\n[ratios]\nconv2 = 0.5\n\"*\" = 0.1\n",
        "defaults = \"original\"\ndataset = \"mnist\"\nnetwork = \"lenet-300-100\"\ndensity = [0.5, 0.0352]\nlearning-rate = { log = [1e-3, 1], n = 4 }\nbatch-size = { uniform = [16, 64], n = 2, seed = 3 }\nwhere = [\"batch-size > 20 and (lr < 0.5 or not epochs == 3)\"]\nsample = 3\nsample-seed = 2\nseed = [1, 2]\n",
        "dataset = \"mnist\"\nnetwork = \"lenet-300-100\"\npruning-ratio = [0.9648, 0.5]\nprune-iterations = 15\nfind = \"sparsest\"\nwithin = \"ci\"\nseed = [1, 2]\n[[grid]]\nprunety = \"s\"\ntarget = [\"macs:0.5\", \"size:2MB\"]\nprune-iterations = 1\n[[grid]]\nwhile-training = [\"gradual\", \"rigl\"]\nprune-iterations = 1\n",
        "early-bird = true\nhamming = true\nepochs = 30\nepochs-save = [1, 2]\nprune-type = \"structured\"\nnetwork = \"vgg-16\"\ndataset = \"cifar-10\"\ncontrols = true\n",
    ];
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    seeds.extend(Spec::read(None, &[]).map(|spec| spec.to_toml().into_bytes()));
    // Each setting by itself, with its default.
    let default = tombola_core::sweep::Settings::default();
    for field in FIELDS {
        let shown = (field.show)(&default);
        seeds.push(format!("{} = \"{shown}\"\n", field.key).into_bytes());
    }
    seeds
}

fn words() -> Vec<String> {
    let mut words: Vec<String> =
        FIELDS.iter().flat_map(|field| field.aliases.iter().copied().chain([field.key])).map(str::to_string).collect();
    words.extend(
        [
            "[[grid]]\n",
            "zip",
            "exclude",
            "where",
            "sample",
            "sample-seed",
            "defaults",
            "density",
            "{ log = [1e-3, 1], n = 4 }",
            "{ uniform = [1, 9], n = 3, seed = 2 }",
            " and ",
            " or ",
            "not (",
            "name",
            "[networks.x]\n",
            "layers",
            "auto",
            "none",
            "all",
            "true",
            "false",
            "nan",
            "inf",
            "epoch:1",
            "best",
            "last",
        ]
        .map(str::to_string),
    );
    words.extend(tombola_core::net::zoo::names().iter().map(ToString::to_string));
    words.extend(super::network::words());
    words
}
