//! Numbers that may not depend on how they came about: on the number of workers and threads, on parts of the data without
//! images, on a last batch of one image. Where they do depend on it, it is said.

use std::collections::HashMap;

use super::common::sweep::{expect_same, folder, tables};
use super::common::{Folder, Ran};

type Row = HashMap<String, String>;

fn ran(text: &str, arguments: &str) -> (Folder, Ran) {
    let folder = folder(text);
    let ran = folder.tombola(&format!("run sweep.toml {arguments}")).expect(0);
    (folder, ran)
}

fn epochs(folder: &Folder, level: &str) -> Vec<Row> {
    let rows = folder.table("results/sweep/epochs.csv");
    rows.into_iter().filter(|row| row["level"] == level).collect()
}

fn rates(rows: &[Row]) -> Vec<f64> {
    rows.iter().map(|row| row["learning_rate"].parse().unwrap()).collect()
}

/// Tickets that leave their dense training early, at a plateau that falls all the way.
const PLATEAU: &str = r#"
name = "sweep"
dataset = "synthetic"
train-limit = 1000
network = "lenet-300-100"
schedule = "plateau"
patience = 0
gamma = 0.5
epochs = 8
learning-rate = 0.3
pruning-ratio = 0.75
prune-iterations = [1, 2]
draw = "epoch:1"
reinit = ["none", "init"]
fine-tune-epochs = 2
snapshot-seconds = 0
"#;

#[test]
fn a_plateau_goes_on_from_the_draw_whatever_the_number_of_workers() {
    let (one, _) = ran(PLATEAU, "--workers 1 --quiet");
    for workers in [2, 3] {
        let (other, _) = ran(PLATEAU, &format!("--workers {workers} --quiet"));
        expect_same(&other, &tables(&one), &format!("1 and {workers} workers"));
    }
    let dense = rates(&epochs(&one, "0"));
    assert!(dense[7] < dense[0], "the plateau must fall behind the draw: {dense:?}");
    let results = one.table("results/sweep/results.csv");
    let tuned: Vec<&Row> = results.iter().filter(|row| row["level"] != "0" && row["reinit"] == "none").collect();
    assert_eq!(tuned.len(), 3);
    for row in tuned {
        let own: Vec<Row> = one.table("results/sweep/epochs.csv");
        let own: Vec<Row> = own.into_iter().filter(|epoch| epoch["stage"] == row["stage"]).collect();
        assert_eq!(rates(&own), [dense[0]; 2], "level {}", row["level"]);
    }
}

#[test]
fn a_fine_tuning_drawn_from_an_early_bird_goes_on_at_the_rate_of_its_epoch() {
    let bird = "early-bird\"\nearly-bird-rule = \"code\"\nearly-bird-window = 2\nearly-bird-epsilon = 1.0";
    let text = PLATEAU.replace("epoch:1\"", bird).replace("[1, 2]", "1").replace("[\"none\", \"init\"]", "\"none\"");
    // With something else that needs the rest of the dense training, and without.
    let (alone, _) = ran(&text, "--workers 1 --quiet");
    let (longer, _) = ran(&text.replace("draw = \"early-bird\"", "draw = [\"early-bird\", \"last\"]"), "--quiet");
    let epoch: usize = alone.table("results/sweep/tickets.csv")[0]["epoch"].parse().unwrap();
    let of_bird = |folder: &Folder| {
        let results = folder.table("results/sweep/results.csv");
        let row = results.into_iter().find(|row| row["level"] == "1" && row["draw"].starts_with("early")).unwrap();
        let own = epochs(folder, "1").into_iter().filter(|epoch| epoch["stage"] == row["stage"]);
        rates(&own.collect::<Vec<_>>())
    };
    assert_eq!(of_bird(&alone), [rates(&epochs(&alone, "0"))[epoch - 1]; 2]);
    assert_eq!(of_bird(&alone), of_bird(&longer));
}

/// No image validates, and epochs are chosen on the test set.
const UNVALIDATED: &str = r#"
name = "sweep"
dataset = "synthetic"
train-limit = 600
network = "lenet-300-100"
epochs = 6
learning-rate = 0.001
validation-size = 0
select = "test"
schedule = "plateau"
patience = 0
pruning-ratio = 0.5
reinit = "epoch:2"
"#;

#[test]
fn a_part_without_images_steers_nothing_and_leaves_cells_empty() {
    let (folder, ran) = ran(UNVALIDATED, "");
    ran.says("schedule `plateau` looks at the loss on the test images");
    for rows in [epochs(&folder, "0"), epochs(&folder, "1")] {
        assert!(rows.iter().all(|row| row["validation_loss"].is_empty() && row["validation_accuracy"].is_empty()));
        let losses: Vec<f64> = rows.iter().map(|row| row["test_loss"].parse().unwrap()).collect();
        // At this small rate the test loss falls in every epoch, so the rate must not.
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
        assert!(rates(&rows).iter().all(|rate| *rate == 0.001), "{:?}", rates(&rows));
    }
    for row in folder.table("results/sweep/results.csv") {
        for column in row.keys().filter(|column| column.ends_with("validation_accuracy")) {
            assert_eq!(row[column], "", "{column}");
        }
        assert!(!row["best_test_accuracy"].is_empty());
    }
    // Neither does what is told while it runs and afterwards speak of images that are not there.
    let log = folder.read("results/sweep/log");
    assert!(log.contains(", test ") && !log.contains(", validation "), "{log}");
    folder.tombola("report results/sweep").expect(0);
    folder.tombola("plan sweep.toml").expect(0).prints("Warning: `validation-size` is 0");
}

/// A batch norm over vectors, and one over images of one pixel; the last batch of an epoch is one image: 900 = 31 · 29 + 1.
fn lone(network: &str, batch: usize) -> String {
    format!(
        r#"
name = "sweep"
dataset = "synthetic"
train-limit = 1000
network = "{network}"
batch-size = {batch}
epochs = 2
learning-rate = 0.02
prune-iterations = 0
[networks.vectors]
layers = ["flatten", {{ linear = 32 }}, "batch-norm", {{ linear = "classes" }}]
[networks.pixels]
layers = [{{ conv = 8, kernel = 8, padding = 0 }}, "batch-norm", "relu", "flatten", {{ linear = "classes" }}]
"#
    )
}

#[test]
fn a_last_batch_of_one_image_leaves_statistics_that_are_numbers() {
    for network in ["vectors", "pixels"] {
        let found = [1, 2].map(|threads| {
            let (folder, _) = ran(&lone(network, 29), &format!("--threads {threads}"));
            let losses = epochs(&folder, "0").into_iter().map(|row| row["validation_loss"].parse::<f64>().unwrap());
            losses.collect::<Vec<f64>>()
        });
        for (one, two) in found[0].iter().zip(&found[1]) {
            assert!(one.is_finite() && (one / two - 1.0).abs() < 0.01, "{network}: {found:?}");
        }
    }
}

#[test]
fn batches_of_one_value_a_channel_are_refused_before_anything_is_trained() {
    for network in ["vectors", "pixels"] {
        let folder = folder(&lone(network, 1));
        for verb in ["plan", "run"] {
            let ran = folder.tombola(&format!("{verb} sweep.toml")).expect(2);
            ran.says("there is no variance").says("`batch-size` of at least 2");
        }
        assert!(!folder.path("results").exists());
    }
}

#[test]
fn a_fine_tuning_at_next_to_nothing_is_said_before_it_is_trained() {
    let text =
        PLATEAU.replace("\"plateau\"\npatience = 0\ngamma = 0.5", "\"cosine\"").replace("epochs = 8", "epochs = 20");
    let said = "`reinit = \"none\"` are fine-tuned at a learning rate of";
    let folder = folder(&text);
    folder.tombola("plan sweep.toml").expect(0).prints(said).prints("`--fine-tune-lr`");
    folder.tombola("run sweep.toml --pr 0.5 --priter 1").expect(0).says(said).says("hint: give `--fine-tune-lr`");
    assert!(folder.read("results/sweep/log").contains(said));
    folder.tombola("plan sweep.toml --fine-tune-lr 0.01").expect(0).does_not_print(said);
}

#[test]
fn results_of_other_threads_are_not_mixed_without_a_word() {
    let folder = folder(&PLATEAU.replace("[1, 2]", "1"));
    let said = "That alone changes their numbers";
    let mixed = "not all trainings were computed alike";
    folder.tombola("run sweep.toml --pr 0.5 --threads 1").expect(0).does_not_say(said).does_not_say(mixed);
    folder.tombola("run sweep.toml --pr 0.5,0.6 --threads 1").expect(0).does_not_say(said);
    folder.tombola("status results/sweep").expect(0).does_not_print(mixed);
    let ran = folder.tombola("run sweep.toml --pr 0.5,0.6,0.75 --threads 2").expect(0).prints(mixed);
    ran.says("of the trainings that are there, 5 on cpu (").says("), 1 thread. That alone changes");
    folder.tombola("status results/sweep").expect(0).prints(mixed).prints("2 threads");
    folder.tombola("report results/sweep").expect(0);
    assert!(folder.read("results/sweep/report.html").contains(mixed));
    let timing = folder.table("results/sweep/timing.csv");
    let threads = |words: &str| timing.iter().filter(|row| row["computed_with"].ends_with(words)).count();
    assert_eq!((threads(", 1 thread"), threads(", 2 threads"), timing.len()), (5, 2, 7));
}
