//! Every command of the original script's README, as it stands there but for the program's name, through a shell.
//!
//! What is added behind a command only makes it short: few epochs, sometimes a small network; a flag given twice wins
//! the second time. The data are of CIFAR-10's true form, but tiny and not its own.

use super::common::{Folder, Ran, started, write_cifar_10};

/// What shortens a training of the original script's 160 epochs.
const SHORT: &str = "--epochs 2";
/// For what is about many epochs: a network that trains one of them in no time.
const SMALL: &str = "--depth 11 --width 4 --batch-size 60";

const ONE_SHOT: &str = "tombola run --priter 1 --pr 0.7 --save --log-train --prunety 'u'";
const ONE_SHOT_LOADED: &str = "tombola run --priter 1 --pr 0.7 --load 'auto' --save --log-train --prunety 'u'";
const ITERATIVE: &str = "tombola run --priter 4 --pr 0.7 --save --log-train --prunety 'u'";
const ITERATIVE_LOADED: &str = "tombola run --priter 4 --pr 0.7 --load 'auto' --save --log-train --prunety 'u'";

fn folder() -> Folder {
    let folder = Folder::new();
    write_cifar_10(&folder);
    folder
}

/// Runs a command of the original script, shortened, and gives the results folder that it made.
fn run(folder: &Folder, command: &str, short: &str) -> (Ran, String) {
    let before = if folder.path("results").exists() { folder.results() } else { Vec::new() };
    let ran = folder.shell(&format!("{command} {short} --own-data")).expect(0);
    let made: Vec<String> = folder.results().into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(made.len(), 1, "{ran}");
    (ran, made[0].clone())
}

/// A column of `epochs.csv` as numbers.
fn epochs(folder: &Folder, results: &str, column: &str) -> Vec<f64> {
    folder.table(&format!("{results}/epochs.csv")).iter().map(|row| row[column].parse().unwrap()).collect()
}

/// The level, density and state of each row of `results.csv`.
fn levels(folder: &Folder, results: &str) -> Vec<(usize, f64, String)> {
    let row = |row: &std::collections::HashMap<String, String>| {
        (row["level"].parse().unwrap(), row["density"].parse().unwrap(), row["state"].clone())
    };
    folder.table(&format!("{results}/results.csv")).iter().map(row).collect()
}

/// The snapshots of the training at each level, by their file names, sorted.
fn snapshots(folder: &Folder, results: &str) -> Vec<Vec<String>> {
    let rows = folder.table(&format!("{results}/results.csv"));
    let names = |stage: &str| {
        let entries = std::fs::read_dir(folder.path(&format!("{results}/stages/{stage}"))).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().display().to_string()).collect();
        names.sort();
        names
    };
    rows.iter().map(|row| names(&row["stage"])).collect()
}

#[test]
fn help_for_the_full_set_of_options() {
    let folder = Folder::new();
    let help = folder.shell("tombola run -h").expect(0).out;
    // Every flag that the original script's README names.
    for flag in [
        "--model",
        "--depth",
        "--priter",
        "--epochs",
        "--dataset",
        "--save",
        "--log-train",
        "--epochs-save",
        "--o",
        "--w-decay",
        "--lr",
        "--momentum",
        "--sched",
        "--gamma",
        "--lr-update-epochs",
        "--pr",
        "--prunety",
        "--load",
        "--reinit",
    ] {
        let named = help.split(|c: char| c.is_whitespace() || "[],=".contains(c)).any(|word| word == flag);
        assert!(named, "{flag} is not in the help:\n{help}");
    }
    assert_eq!(folder.listing(), Vec::<String>::new());
}

#[test]
fn save_checkpoint_and_log_training() {
    let folder = folder();
    let command =
        "tombola run --model 'resnetb' --depth 20 --priter 0 --epochs 160 --dataset cifar10 --save --log-train";
    let (ran, results) = run(&folder, command, SHORT);
    ran.says("1 trial: 1 training with 2 epochs").prints("resnetb · cifar-10");
    assert_eq!(levels(&folder, &results), [(0, 1.0, "done".to_string())]);
    assert_eq!(snapshots(&folder, &results), [["best.safetensors", "last.safetensors"]]);
    assert_eq!(epochs(&folder, &results, "epoch"), [1.0, 2.0]);
    let row = &folder.table(&format!("{results}/results.csv"))[0];
    assert_eq!(
        (row["network"].as_str(), row["depth"].as_str(), row["augment"].as_str()),
        ("resnetb", "20", "crop-flip")
    );
    assert_eq!(row["test_images"], "20");
}

#[test]
fn save_at_specific_epochs() {
    let folder = folder();
    let command = "tombola run --priter 0 --save --log-train --model resnet --depth 20 --dataset cifar10 \
                   --epochs-save 10 30 50 100";
    // As it stands, 160 epochs are asked for, and one that a shorter training never reaches is refused.
    let refused = folder.shell(&format!("{command} {SHORT}")).expect(2);
    refused.says("`epochs-save` names epoch 10, but a training has 2 epochs").says("hint: ");
    let (_, results) = run(&folder, command, "--epochs 3 --epochs-save 1 2");
    let expected = [
        "best-until-1.safetensors",
        "best-until-2.safetensors",
        "best.safetensors",
        "epoch-1.optimizer.safetensors",
        "epoch-1.safetensors",
        "epoch-2.optimizer.safetensors",
        "epoch-2.safetensors",
        "last.safetensors",
    ];
    assert_eq!(snapshots(&folder, &results), [expected]);
}

#[test]
fn optimizer_sgd() {
    let folder = folder();
    let command = "tombola run --priter 0 --o 'sgd' --w-decay 5e-4 --lr 0.05 --momentum 0.5";
    let (_, results) = run(&folder, command, SHORT);
    assert_eq!(epochs(&folder, &results, "learning_rate"), [0.05, 0.05]);
    let row = &folder.table(&format!("{results}/results.csv"))[0];
    let shown = ["optimizer", "weight-decay", "momentum"].map(|column| row[column].as_str());
    assert_eq!(shown, ["sgd", "0.0005", "0.5"]);
}

#[test]
fn optimizer_adadelta() {
    let folder = folder();
    let command = "tombola run --priter 0 --o 'adadelta' --w-decay 5e-4 --lr 0.1";
    let (_, adadelta) = run(&folder, command, SHORT);
    assert_eq!(epochs(&folder, &adadelta, "learning_rate"), [0.1, 0.1]);
    let row = &folder.table(&format!("{adadelta}/results.csv"))[0];
    assert_eq!((row["optimizer"].as_str(), row["momentum"].as_str()), ("adadelta", ""));
    // The same from the same weights with sgd goes elsewhere.
    let (_, sgd) = run(&folder, &command.replace("adadelta", "sgd"), SHORT);
    assert_ne!(epochs(&folder, &adadelta, "validation_loss"), epochs(&folder, &sgd, "validation_loss"));
}

#[test]
fn scheduler_manual() {
    let folder = folder();
    let command = "tombola run --priter 0 --sched 'manual' --lr 0.1 --gamma 0.2 --lr-update-epochs [80, 120]";
    let (_, results) = run(&folder, command, &format!("{SMALL} --epochs 122"));
    let rates = epochs(&folder, &results, "learning_rate");
    for (epoch, expected) in [(1, 0.1), (80, 0.1), (81, 0.02), (120, 0.02), (121, 0.004), (122, 0.004)] {
        assert!((rates[epoch - 1] - expected).abs() < 1e-12, "epoch {epoch}: {}", rates[epoch - 1]);
    }
}

#[test]
fn scheduler_none() {
    let folder = folder();
    let (_, results) = run(&folder, "tombola run --priter 0 --sched 'none'", &format!("{SMALL} --epochs 82"));
    // The default schedule would have dropped after epoch 80.
    assert_eq!(epochs(&folder, &results, "learning_rate"), [0.1; 82]);
}

#[test]
fn scheduler_plateau() {
    let folder = folder();
    let command = "tombola run --priter 0 --sched 'plateau' --gamma 0.1";
    let (_, results) = run(&folder, command, &format!("{SMALL} --epochs 60"));
    let (losses, rates) = (epochs(&folder, &results, "validation_loss"), epochs(&folder, &results, "learning_rate"));
    // By hand, from the losses in the table: lower after more than 10 epochs without one that is 0.01 % better.
    let (mut rate, mut best, mut waited) = (0.1, f64::INFINITY, 0);
    for (loss, found) in losses.iter().zip(&rates) {
        assert!((found - rate).abs() < 1e-12, "{found} is not {rate}: {losses:?}");
        (best, waited) = if *loss < best * (1.0 - 1e-4) { (*loss, 0) } else { (best, waited + 1) };
        if waited > 10 {
            (rate, waited) = (rate * 0.1, 0);
        }
    }
    assert!(rates[59] < 0.1, "the losses have no plateau to drop on: {losses:?}");
}

#[test]
fn one_shot_from_scratch_then_loaded() {
    let folder = folder();
    let (ran, first) = run(&folder, ONE_SHOT, SHORT);
    ran.says("2 trainings");
    assert_eq!(started(&folder, &first), 2);
    let found = levels(&folder, &first);
    assert_eq!((found[0].1, found.len()), (1.0, 2));
    assert!((found[1].1 - 0.3).abs() < 1e-4, "{found:?}");
    let both = ["best.safetensors", "last.safetensors"];
    let saved = snapshots(&folder, &first);
    // And the dense network's masks of every epoch.
    assert!(saved[0].len() == 3 && saved[0][2].starts_with("masks-"), "{saved:?}");
    assert_eq!(
        (&saved[0][..2], &saved[1][..2], saved[1][2].as_str()),
        (&both.map(String::from)[..], &both.map(String::from)[..], "mask.safetensors")
    );

    let (ran, second) = run(&folder, ONE_SHOT_LOADED, SHORT);
    ran.says("took the dense training").says(&format!("over from {first}")).says("1 of 2 trainings are done, 1 to go");
    assert_eq!(started(&folder, &second), 1);
    assert!(!folder.read(&format!("{second}/log")).contains("dense: "), "the dense network was trained again");
    // The rows of both differ in nothing but the column that says how the dense network came about.
    assert_eq!(folder.read(&format!("{second}/epochs.csv")), folder.read(&format!("{first}/epochs.csv")));
}

#[test]
fn loading_trains_from_scratch_where_there_is_nothing_to_load() {
    let folder = folder();
    let (ran, results) = run(&folder, ONE_SHOT_LOADED, SHORT);
    ran.says("they are trained").does_not_say("took the dense training");
    assert_eq!(started(&folder, &results), 2);
}

#[test]
fn iterative_from_scratch_then_loaded_and_reinitialised() {
    let folder = folder();
    let (ran, first) = run(&folder, ITERATIVE, SHORT);
    ran.says("1 trial: 5 trainings");
    assert_eq!(started(&folder, &first), 5);
    let found = levels(&folder, &first);
    for (level, (at, density, state)) in found.iter().enumerate() {
        assert_eq!((*at, state.as_str()), (level, "done"));
        assert!((density - 0.3f64.powf(level as f64 / 4.0)).abs() < 1e-4, "{found:?}");
    }
    assert_eq!(found.len(), 5);
    assert!(
        snapshots(&folder, &first)
            .iter()
            .all(|names| names.starts_with(&["best.safetensors".to_string(), "last.safetensors".to_string()]))
    );

    let mut results = vec![first.clone()];
    for (reinit, expected) in [("", "lr"), ("--reinit 'init'", "init"), ("--reinit 'random'", "random")] {
        let (ran, loaded) = run(&folder, &format!("{ITERATIVE_LOADED} {reinit}"), SHORT);
        ran.says("took the dense training").says("1 of 5 trainings are done, 4 to go");
        assert_eq!(started(&folder, &loaded), 4, "the dense network was trained again");
        let rows = folder.table(&format!("{loaded}/results.csv"));
        assert!(rows.iter().skip(1).all(|row| row["reinit"] == expected), "{expected}");
        assert!((rows[4]["density"].parse::<f64>().unwrap() - 0.3).abs() < 1e-4);
        results.push(loaded);
    }
    // The mask of the first level is the same; the weights that are trained under it differ.
    let loss = |name: &String| epochs(&folder, name, "train_loss")[2];
    assert!(loss(&results[0]) == loss(&results[1]) && loss(&results[2]) != loss(&results[1]));
    assert!(loss(&results[3]) != loss(&results[2]) && loss(&results[3]) != loss(&results[1]));
}

#[test]
fn structured_pruning_removes_channels() {
    let folder = folder();
    let command = "tombola run --priter 1 --pr 0.7 --save --log-train --prunety 's'";
    let (ran, name) = run(&folder, command, SHORT);
    ran.says("1 trial: 2 trainings");
    let rows = folder.table(&format!("{name}/results.csv"));
    let ticket = &rows[1];
    // 1,360 channels in the default network; a layer that would lose all keeps one.
    assert_eq!((ticket["channels"].as_str(), ticket["criterion"].as_str()), ("1360", "bn-scale"));
    assert_eq!(ticket["channels_alive"], "408");
    let macs = |column: &str| ticket[column].parse::<f64>().unwrap();
    assert!(macs("macs") < 0.5 * macs("macs_dense"), "{ticket:?}");
    assert!(snapshots(&folder, &name).iter().all(|names| names.contains(&"last.safetensors".to_string())));
}
