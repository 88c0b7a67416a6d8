//! `halving`: of trainings that compete, the best go on, and what comes of it is a function of results alone.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use super::common::sweep::{self, expect_same, journal, kill_at, tables};
use super::common::{Folder, skipped};

const FASHION_MNIST: &str = "/usr/share/datasets/fashion-mnist";

/// Learning rates, decays and schedules: 27 settings of three seeds.
fn grid(images: usize, seeds: &str) -> String {
    format!(
        "name = \"sweep\"\nnetwork = \"lenet-300-100\"\ndataset = \"fashion-mnist\"\ntrain-limit = {images}\nepochs = 9\n\
         seed = [{seeds}]\nprune-iterations = 0\nbatch-size = 32\nsnapshot-seconds = 0\n\
         learning-rate = [0.003, 0.03, 0.1]\nweight-decay = [0.0, 1e-4, 1e-2]\nschedule = [\"none\", \"cosine\", \"step\"]\nstep-epochs = 6\n"
    )
}

/// Mean and half of the 95 % interval of the validation accuracy of each setting whose seeds are all done, the best first.
fn best(folder: &Folder) -> (f64, f64) {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in folder.table("results/sweep/results.csv").iter().filter(|row| row["state"] == "done") {
        let setting = ["learning-rate", "weight-decay", "schedule"].map(|key| row[key].as_str()).join(" ");
        all.entry(setting).or_default().push(row["best_validation_accuracy"].parse().unwrap());
    }
    let described = all.values().filter(|values| values.len() == 3).map(|values| {
        let mean = values.iter().sum::<f64>() / 3.0;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        // Student's t at 97.5 % of two degrees of freedom.
        (mean, 4.303 * deviation / 3.0_f64.sqrt())
    });
    described.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap()
}

#[test]
fn a_grid_of_27_is_halved_to_less_than_half_of_its_epochs_and_ends_with_its_best() {
    if !Path::new(FASHION_MNIST).exists() {
        let test = "a_grid_of_27_is_halved_to_less_than_half_of_its_epochs_and_ends_with_its_best";
        return skipped(test, "there is no Fashion-MNIST (Debian's dataset-fashion-mnist)");
    }
    for seeds in ["1, 2, 3", "11, 12, 13"] {
        let folder = sweep::folder(&format!("{}halving = 2\n", grid(2_000, seeds)));
        let plan = folder.tombola("plan sweep.toml").expect(0);
        plan.prints("of the dense ones 81 to epoch 2, 39 to epoch 3, 18 to epoch 5, 9 to epoch 9");
        folder.tombola("run sweep.toml --workers 2").expect(0);
        let epochs = folder.table("results/sweep/epochs.csv").len();
        assert_eq!(epochs, 3 * (27 * 2 + 13 + 6 * 2 + 3 * 4), "0.37 of {}", 3 * 27 * 9);
        let spared = folder.table("results/sweep/results.csv").iter().filter(|row| row["state"] == "spared").count();
        assert_eq!(spared, 72);
        let (found, _) = best(&folder);
        // The whole grid, in the same folder: what was left goes on from where it was.
        folder.tombola("run sweep.toml --halving 0 --workers 2").expect(0);
        assert_eq!(folder.table("results/sweep/epochs.csv").len(), 3 * 27 * 9);
        let (best, noise) = best(&folder);
        assert!(found >= best - noise, "seeds {seeds}: {found} is not within {noise} of {best}");
    }
}

/// The same sweep comes to the tables of one that was left alone, by two workers and after seven kills.
#[track_caller]
fn survives_kills(text: &str, alone: &Folder) {
    let (killed, whole) = (sweep::folder(text), journal(alone));
    for kill in 1..8 {
        kill_at(&killed, whole * kill / 9, Duration::ZERO);
    }
    killed.tombola("run sweep.toml --workers 2").expect(0);
    expect_same(&killed, &tables(alone), "after seven kills");
}

#[test]
fn workers_and_kills_change_no_byte_of_a_halving() {
    let text = "name = \"sweep\"\nnetwork = \"lenet-300-100\"\ndataset = \"synthetic\"\nepochs = 9\nseed = [1, 2]\nhalving = 3\n\
                reinit = \"init\"\npr = [0.5, 0.9]\nsnapshot-seconds = 0\nlearning-rate = { log = [1e-3, 1e3], n = 9 }\n";
    let alone = sweep::folder(text);
    // The largest learning rates diverge: they are the last of their rung, and no failure.
    let ran = alone.tombola("run sweep.toml --workers 1 --on-fail stop").expect(0);
    ran.says("last of its rung: ").prints("48 of 54 (`spared` in results.csv); of them 9 diverged.");
    alone.tombola("status results/sweep").expect(0).prints("6 of 6 done · 48 not needed");
    alone.tombola("retry results/sweep").expect(2).says("none of 54 trainings failed");
    let left = alone.table("results/sweep/results.csv");
    let told = left.iter().filter(|row| row["state"] == "spared" && row["error"].starts_with("diverged: "));
    assert_eq!(told.count(), 2 * 9);
    assert_eq!(
        alone
            .table("results/sweep/results.csv")
            .iter()
            .filter(|row| row["level"] == "1" && row["state"] == "done")
            .count(),
        4
    );
    survives_kills(text, &alone);
}

#[test]
fn tickets_of_what_is_left_compete_by_what_is_named_and_kills_change_no_byte() {
    let text = "name = \"sweep\"\nnetwork = \"lenet-300-100\"\ndataset = \"synthetic\"\nepochs = 9\nseed = [1, 2]\nhalving = 3\n\
                halving-over = [\"learning-rate\", \"reinit\", \"scope\"]\nreinit = [\"lr\", \"init\", \"random\"]\n\
                scope = [\"global\", \"layer\", \"erk\"]\ncontrol = [\"none\", \"random-mask\"]\npr = [0.5, 0.9]\nsnapshot-seconds = 0\n\
                learning-rate = [0.01, 0.03, 0.1]\n";
    let alone = sweep::folder(text);
    let plan = alone.tombola("plan sweep.toml").expect(0);
    let plan = plan.prints("of the dense ones 6 to epoch 3, 2 to epoch 9");
    plan.prints("of the tickets 18 to epoch 1, 6 to epoch 3, 2 to epoch 9, in each of 2 heats");
    alone.tombola("run sweep.toml --workers 1").expect(0);
    let rows = alone.table("results/sweep/results.csv");
    let done = |control: &'static str| {
        rows.iter().filter(move |row| row["level"] == "1" && row["control"] == control && row["state"] == "done")
    };
    // Of each ratio one scope and rewind of two seeds, and its control beside it.
    assert_eq!((done("none").count(), done("random-mask").count()), (4, 4));
    let of =
        |row: &HashMap<String, String>| [row["pruning-ratio"].clone(), row["scope"].clone(), row["reinit"].clone()];
    assert_eq!(done("none").map(of).collect::<Vec<_>>(), done("random-mask").map(of).collect::<Vec<_>>());
    let epochs = alone.table("results/sweep/epochs.csv");
    let trained = |level: &str| epochs.iter().filter(|row| row["level"] == level).count();
    assert_eq!(trained("0"), 2 * (3 * 3 + 6));
    assert_eq!(trained("1"), 2 * 2 * (9 + 3 * 2 + 6) + 4 * 9, "tickets, and their controls");
    survives_kills(text, &alone);
}

#[test]
fn tickets_that_come_to_nothing_are_the_last_and_no_failure() {
    let lenet = "name = \"sweep\"\nnetwork = \"lenet-300-100\"\ndataset = \"synthetic\"\nhalving = 3\nepochs = 3\n";
    // Within the first level, and at its end.
    for (epochs, prunings, trained) in [(3, 2, 6), (1, 3, 3)] {
        let diverging = sweep::folder(&format!(
            "{lenet}reinit = \"none\"\nfine-tune-epochs = {epochs}\nprune-iterations = {prunings}\nfine-tune-lr = [1e5, 0.01, 1e4]\n\
             halving-over = [\"fine-tune-lr\"]\n"
        ));
        diverging.tombola("run sweep.toml --workers 1 --on-fail stop").expect(0).says("last of its rung: ");
        let rows = diverging.table("results/sweep/results.csv");
        let states = |rate: &str| -> Vec<&str> {
            let own = rows.iter().filter(|row| row["level"] != "0" && row["fine-tune-lr"] == rate);
            own.map(|row| row["state"].as_str()).collect()
        };
        assert_eq!(states("0.01"), vec!["done"; prunings]);
        assert_eq!([states("100000.0"), states("10000.0")].concat(), vec!["spared"; 2 * prunings]);
        let epochs = diverging.table("results/sweep/epochs.csv");
        assert_eq!(epochs.iter().filter(|row| row["level"] != "0").count(), trained);
    }
    let birdless = sweep::folder(&format!(
        "{lenet}draw = \"early-bird\"\nearly-bird-window = 2\nearly-bird-epsilon = [1e-9, 1.0, 0.9]\n\
         halving-over = [\"early-bird-epsilon\"]\n"
    ));
    birdless.tombola("run sweep.toml --workers 1").expect(0).prints("the masks of 1 training never settled");
    birdless.tombola("run sweep.toml --workers 1").expect(0).says("nothing to train");
    let rows = birdless.table("results/sweep/results.csv");
    let done = rows.iter().filter(|row| row["level"] == "1" && row["state"] == "done");
    assert_eq!(done.map(|row| row["early-bird-epsilon"].as_str()).collect::<Vec<_>>(), ["1.0"]);
    // A size that no ticket has is never met.
    let unmet = sweep::folder(
        "name = \"sweep\"\nnetwork = \"resnet\"\ndepth = 8\nwidth = 4\ndataset = \"synthetic\"\nsynthetic-shape = [3, 8, 8]\nhalving = 2\n\
         epochs = 2\npruning-type = \"structured\"\ncriterion = \"l1\"\ntarget = [\"size:1kB\", \"macs:0.5\"]\nhalving-over = [\"target\"]\n",
    );
    unmet.tombola("run sweep.toml --workers 1").expect(0).says("is beyond reach");
    let rows = unmet.table("results/sweep/results.csv");
    let states: Vec<&str> = rows.iter().filter(|row| row["level"] == "1").map(|row| row["state"].as_str()).collect();
    assert_eq!(states, ["spared", "done"]);
}

#[test]
fn trainings_that_compete_go_on_behind_their_early_birds() {
    let text = "name = \"sweep\"\nnetwork = \"lenet-300-100\"\ndataset = \"synthetic\"\nepochs = 8\nlearning-rate = [0.003, 0.01, 0.03, 0.1]\n\
                draw = \"early-bird\"\nearly-bird-window = 2\nearly-bird-epsilon = 1.0\nhalving = 2\n";
    let folder = sweep::folder(text);
    folder.tombola("run sweep.toml --workers 1").expect(0);
    folder.tombola("status results/sweep").expect(0).prints("2 of 2 done · 6 not needed");
    let epochs = folder.table("results/sweep/epochs.csv");
    assert_eq!(epochs.iter().filter(|row| row["level"] == "0").count(), 2 * 2 + 4 + 8);
    folder
        .tombola("plan --network lenet-5 --dataset mnist --lr 0.1,0.2 --halving 3")
        .expect(0)
        .prints("leaves nothing behind");
}

#[test]
fn seeds_that_are_added_make_trainings_go_on_that_were_left_behind() {
    let text = |seeds: &str| {
        format!(
            "name = \"sweep\"\nnetwork = \"lenet-300-100\"\ndataset = \"synthetic\"\nepochs = 4\nseed = [{seeds}]\nhalving = 2\n\
             prune-iterations = 0\nlearning-rate = [0.003, 0.01, 0.03, 0.1]\n"
        )
    };
    let grown = sweep::folder(&text("1"));
    grown.tombola("run sweep.toml --workers 1").expect(0);
    grown.write("sweep.toml", text("1, 2, 3"));
    grown.tombola("run sweep.toml --workers 1").expect(0);
    grown.tombola("run sweep.toml --workers 1").expect(0).says("nothing to train");
    // The same settings are left as in a folder that had all seeds from the beginning.
    let fresh = sweep::folder(&text("1, 2, 3"));
    fresh.tombola("run sweep.toml --workers 1").expect(0);
    let done = |folder: &Folder| -> Vec<String> {
        let rows = folder.table("results/sweep/summary.csv");
        let whole = rows.iter().filter(|row| row["n"] == "3");
        whole.map(|row| format!("{} {}", row["learning-rate"], row["best_test_accuracy_mean"])).collect()
    };
    assert_eq!(done(&fresh).len(), 1);
    assert_eq!(done(&grown), done(&fresh));
}
