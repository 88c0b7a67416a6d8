//! Early birds of masks that move and then settle, in both rules: where each is drawn follows from the masks on disk, by the
//! definition written down here once more, whatever kills the training before or after the draw.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::common::{Folder, PROGRAM};
use super::early_birds::masks;
use tombola_core::folder::journal::History;

type Row = HashMap<String, String>;

const EPOCHS: usize = 14;
const WINDOW: usize = 3;

/// Channels of a network whose rate falls three times: masks move at first, and less and less.
fn sweep(rule: &str, epsilon: f64) -> String {
    format!(
        r#"
name = "sweep"
dataset = "synthetic"
synthetic-size = 600
network = "resnetb"
depth = 11
width = 4
bn-init = "uniform"
epochs = {EPOCHS}
learning-rate = 0.1
gamma = 0.3
lr-milestones = [4, 7, 10]
slimming = 1e-3
pruning-type = "structured"
pruning-ratio = 0.5
draw = ["early-bird", "last"]
early-bird-rule = "{rule}"
early-bird-window = {WINDOW}
early-bird-epsilon = {epsilon:?}
snapshot-seconds = 0
"#
    )
}

fn folder(text: &str) -> Folder {
    let folder = Folder::new();
    folder.write("sweep.toml", text);
    folder
}

/// The one early bird of the sweep.
fn bird(folder: &Folder) -> Row {
    let mut birds = folder.table("results/sweep/tickets.csv");
    assert_eq!(birds.len(), 1);
    birds.remove(0)
}

/// Share of the bits in which two masks differ.
fn distance(one: &[bool], other: &[bool]) -> f64 {
    let differing = one.iter().zip(other).filter(|(one, other)| one != other).count();
    differing as f64 / one.len() as f64
}

/// The largest distance that a rule looks at after each epoch, from 1; nothing while it has too few masks.
///
/// The paper: the last `WINDOW` distances between successive epochs. Its program: the newest of `WINDOW` masks against the others.
fn looked_at(rule: &str, masks: &[Vec<bool>]) -> Vec<Option<f64>> {
    let largest = |distances: Vec<f64>| distances.into_iter().fold(0.0, f64::max);
    let after = |epoch: usize| match rule {
        "paper" if epoch > WINDOW => {
            Some(largest((epoch - WINDOW..epoch).map(|at| distance(&masks[at - 1], &masks[at])).collect()))
        }
        "code" if epoch >= WINDOW => Some(largest(
            (epoch + 1 - WINDOW..epoch).map(|other| distance(&masks[other - 1], &masks[epoch - 1])).collect(),
        )),
        _ => None,
    };
    (1..=masks.len()).map(after).collect()
}

/// The first epoch that is small enough: below epsilon in the paper, up to it in the program.
fn drawn_at(rule: &str, epsilon: f64, masks: &[Vec<bool>]) -> Option<usize> {
    let is_small = |largest: f64| if rule == "paper" { largest < epsilon } else { largest <= epsilon };
    looked_at(rule, masks).into_iter().position(|largest| largest.is_some_and(is_small)).map(|place| place + 1)
}

/// All masks of a whole training, and an epsilon that they cross in its middle.
fn crossing(rule: &str) -> (f64, usize) {
    // No distance is below 0: nothing is drawn, and the dense training goes to its end.
    let text = sweep(rule, 0.0).replace("[\"early-bird\", \"last\"]", "\"last\"") + "track-masks = [0.5]\n";
    let folder = folder(&text);
    folder.tombola("run sweep.toml --quiet").expect(0);
    let row = &folder.table("results/sweep/hamming.csv")[0];
    let masks = masks(&folder, &row["stage"], &row["track"], row["bits"].parse().unwrap());
    assert_eq!(masks.len(), EPOCHS);
    let looked_at = looked_at(rule, &masks);
    // An epoch whose distances are smaller than all before, neither among the first that may be drawn nor among the last.
    let before = |epoch: usize| looked_at[..epoch - 1].iter().flatten().copied().fold(f64::INFINITY, f64::min);
    let found = (WINDOW + 3..EPOCHS - 2).find(|epoch| looked_at[epoch - 1].is_some_and(|own| own < before(*epoch)));
    let epoch = found.unwrap_or_else(|| panic!("{rule}: these masks settle too early or too late: {looked_at:?}"));
    let own = looked_at[epoch - 1].unwrap();
    // A distance of exactly epsilon is enough for the program; the paper wants less.
    let epsilon = if rule == "paper" { (own + before(epoch)) / 2.0 } else { own };
    (epsilon, epoch)
}

/// Epochs of the dense training in the journal, and whether its early bird is on disk.
fn progress(folder: &Folder, dense: &str) -> (usize, bool) {
    let history = History::read(&folder.path("results/sweep/journal")).unwrap_or_default();
    let known = history.stages.iter().find(|(id, _)| id.to_string() == dense).map(|(_, known)| known);
    known.map_or((0, false), |known| (known.epochs.len(), known.kept.iter().any(|moment| moment.is_early_bird())))
}

/// Runs the sweep until its dense training has some epochs, kills it, and runs it again.
fn killed_after(text: &str, dense: &str, epochs: usize) -> (Folder, (usize, bool)) {
    let folder = folder(text);
    let mut child = folder.command(PROGRAM).args(["run", "sweep.toml", "--workers", "1", "--quiet"]).spawn().unwrap();
    let begun = Instant::now();
    while progress(&folder, dense).0 < epochs {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        assert!(begun.elapsed() < Duration::from_secs(120), "no epoch {epochs}");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let at = progress(&folder, dense);
    folder.tombola("run sweep.toml --quiet").expect(0);
    (folder, at)
}

#[test]
fn pitfall_18_masks_that_cross_the_threshold_are_drawn_where_those_on_disk_say() {
    for rule in ["paper", "code"] {
        let (epsilon, epoch) = crossing(rule);
        let text = sweep(rule, epsilon);
        let whole = folder(&text);
        whole.tombola("run sweep.toml --quiet").expect(0);
        let drawn = bird(&whole);
        let bits = whole.table("results/sweep/hamming.csv")[0]["bits"].parse().unwrap();
        let on_disk = masks(&whole, &drawn["stage"], &drawn["track"], bits);
        assert_eq!(drawn_at(rule, epsilon, &on_disk), Some(epoch), "{rule}, epsilon {epsilon}");
        assert_eq!(drawn["epoch"], epoch.to_string(), "{rule}, epsilon {epsilon}");
        let largest = looked_at(rule, &on_disk)[epoch - 1].unwrap();
        assert!((drawn["distance"].parse::<f64>().unwrap() - largest).abs() < 1e-12);
        // Its ticket has the mask that settled.
        let stage = Path::new("results/sweep/stages").join(&drawn["stage"]);
        let key = &drawn["early_bird"];
        assert!(whole.path(&stage.join(format!("early-bird-{key}.safetensors")).display().to_string()).exists());
        let results = whole.table("results/sweep/results.csv");
        let ticket = results.iter().find(|row| row["level"] == "1" && row["draw"].starts_with("early")).unwrap();
        let alive = on_disk[epoch - 1].iter().filter(|bit| **bit).count();
        assert_eq!(ticket["channels_alive"], alive.to_string(), "{rule}");

        // Where nothing else needs the dense training it ends there.
        let alone = folder(&text.replace("[\"early-bird\", \"last\"]", "\"early-bird\""));
        alone.tombola("run sweep.toml --quiet").expect(0);
        assert_eq!((&bird(&alone)["epoch"], &bird(&alone)["epochs_trained"]), (&drawn["epoch"], &drawn["epoch"]));

        // Killed on either side of the draw, with masks before it that only the disk has.
        let tables = |folder: &Folder| {
            ["results", "epochs", "hamming", "tickets"].map(|name| folder.read(&format!("results/sweep/{name}.csv")))
        };
        let expected = tables(&whole);
        for kill in [epoch - 2, epoch + 1] {
            let (killed, (reached, has_bird)) = killed_after(&text, &drawn["stage"], kill);
            assert!(reached < EPOCHS, "{rule}: killed after epoch {reached}, too late to say anything");
            assert_eq!(has_bird, reached >= epoch, "{rule}: killed after epoch {reached}");
            assert_eq!(tables(&killed), expected, "{rule}: killed after epoch {reached}, drawn at {epoch}");
        }
    }
}
