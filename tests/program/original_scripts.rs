//! The three experiment scripts of the original program: the loops over its command line, with the program's name replaced, and
//! every flag of its parser. What each command trains is what a sweep file of a few lines trains.

use std::collections::BTreeSet;

use super::common::{Folder, started, write_cifar_10};

/// What the loops have in common. Their length comes from the environment.
const COMMON: &str = "--model resnetb --depth 20 --epochs $EPOCHS --batch-size 64 --sched manual --lr_update_epochs 80 120 \
                      --gamma 0.1 --lr 0.1 --seed 1 --nw 15 --save $DATA";

/// The common settings of the sweep files that mean the same.
const SWEEP: &str = "depth = 20\nbatch-size = 64\nseed = 1\n";

fn experiment_1(verb: &str) -> String {
    format!(
        "for ratio in 0.5 0.7 0.9; do
            {verb} {COMMON} --priter 1 --prunety u --pr $ratio --load auto || exit
        done"
    )
}

fn experiment_2(verb: &str) -> String {
    format!(
        "for iterations in 4 1; do
            for ratio in 0.5 0.7 0.9; do
                {verb} {COMMON} --priter $iterations --prunety u --pr $ratio --reinit init --load auto || exit
            done
        done"
    )
}

/// The files whose existence the script asks for are never there: the path of the first is what all its commands load.
fn experiment_3(verb: &str) -> String {
    format!(
        "epochs=($SAVED)
        {verb} {COMMON} --priter 0 --prunety s --pr 0 --epochs-save \"${{epochs[@]}}\" || exit
        for ratio in 0.3 0.5; do
            folder=./checkpoints/resnetb_cifar10_depth=20_batch=64_epoch=${{EPOCHS}}_prty=s
            best=$folder/priter=0_epoch=${{epochs[0]}}_best.pth.tar
            for epoch in \"${{epochs[@]}}\"; do
                if [ -f $folder/priter=0_epoch=${{epoch}}_best.pth.tar ]; then best=$folder/priter=0_epoch=${{epoch}}_best.pth.tar; fi
                {verb} {COMMON} --priter 1 --prunety s --pr $ratio --load $best --ann-train $epoch || exit
            done
        done"
    )
}

/// The trainings that plans in JSON are of, one plan after the other.
fn planned(text: &str) -> BTreeSet<String> {
    let plans = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    let stages = plans.flat_map(|plan| plan.unwrap()["stages"].as_array().unwrap().clone());
    stages.map(|stage| stage["id"].as_str().unwrap().to_string()).collect()
}

/// The trainings of a sweep file.
fn of_file(folder: &Folder, text: &str) -> BTreeSet<String> {
    folder.write("same.toml", text);
    planned(&folder.tombola("plan same.toml --json").expect(0).out)
}

/// The trainings of all results folders, and how many were really trained.
fn trained(folder: &Folder) -> (BTreeSet<String>, usize) {
    let folders = folder.results();
    let rows = folders.iter().flat_map(|results| folder.table(&format!("{results}/results.csv")));
    let ids = rows.map(|row| {
        assert_eq!(row["state"], "done");
        row["stage"].clone()
    });
    (ids.collect(), folders.iter().map(|results| started(folder, results)).sum())
}

/// Runs a loop in two epochs on a few images.
fn run(script: &str) -> (Folder, BTreeSet<String>, usize) {
    let folder = Folder::new();
    write_cifar_10(&folder);
    folder.shell(&format!("EPOCHS=3 SAVED='1 2' DATA=--own-data\n{script}")).expect(0);
    let (ids, count) = trained(&folder);
    (folder, ids, count)
}

#[test]
fn one_shot_pruning_of_one_dense_network() {
    let (folder, ids, count) = run(&experiment_1("tombola run"));
    let sweep = format!("{SWEEP}epochs = 3\npriter = 1\npr = [0.5, 0.7, 0.9]");
    assert_eq!(ids, of_file(&folder, &sweep));
    assert_eq!(count, 4, "the dense network is trained by the first command and loaded by the others");
}

#[test]
fn lottery_tickets_at_once_and_in_four_steps() {
    let (folder, ids, count) = run(&experiment_2("tombola run"));
    let sweep = format!("{SWEEP}epochs = 3\npriter = [1, 4]\npr = [0.5, 0.7, 0.9]\nreinit = \"init\"");
    assert_eq!(ids, of_file(&folder, &sweep));
    assert_eq!(count, 1 + 3 * (1 + 4));
}

#[test]
fn channels_of_the_best_network_up_to_each_epoch() {
    let (folder, ids, count) = run(&experiment_3("tombola run"));
    let draws = "draw = [\"best-until:1\", \"best-until:2\"]";
    let sweep = format!("{SWEEP}epochs = 3\nprunety = \"s\"\npr = [0.3, 0.5]\n{draws}");
    assert_eq!(ids, of_file(&folder, &sweep));
    assert_eq!(count, 5);
}

#[test]
fn with_the_originals_defaults_the_scripts_are_the_sweeps_that_repeat_them() {
    let folder = Folder::new();
    let plan = |script: &dyn Fn(&str) -> String| {
        let script = script("tombola plan --json --defaults original");
        planned(&folder.shell(&format!("EPOCHS=160 SAVED='10 30 50 100'\n{script}")).expect(0).out)
    };
    for (name, script) in [("experiment1", &experiment_1 as &dyn Fn(&str) -> String), ("experiment2", &experiment_2)] {
        let sweep = std::fs::read_to_string(format!("{}/sweeps/{name}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
        folder.write("sweep.toml", sweep);
        let expected = planned(&folder.tombola("plan sweep.toml --seed 1 --json").expect(0).out);
        assert_eq!(plan(script), expected, "{name}");
    }
    let draws = [10, 30, 50, 100].map(|epoch| format!("\"best-until:{epoch}\"")).join(", ");
    let channels = format!("{SWEEP}prunety = \"s\"\npr = [0.3, 0.5]\ndraw = [{draws}]");
    assert_eq!(plan(&experiment_3), of_file(&folder, &channels));
}

#[test]
fn every_flag_of_the_originals_parser_is_taken() {
    let folder = Folder::new();
    let plan = |flags: &str| folder.shell(&format!("tombola plan --json --defaults original {flags}")).expect(0);
    let plain = planned(&plan("").out);
    assert_eq!(plain, of_file(&folder, "batch-size = 256\nschedule = \"none\"\npriter = 0"));
    // Those that change nothing say why, each on a line.
    for flag in ["--no-mps", "--dry-run", "--print-freq 20", "--sparsity_gt 0", "--nw 15", "--test-batch-size 256"] {
        let ran = plan(flag);
        let name = flag.split(' ').next().unwrap();
        let ran = ran.says(&format!("`{name}` changes nothing: "));
        assert_eq!(planned(&ran.out), plain, "{flag}");
    }
    // Those that say what is the default.
    for flag in [
        "--batch-size 256",
        "--epochs 160",
        "--lr 0.1",
        "--gamma 0.1",
        "--no-cuda",
        "--seed 1",
        "--save",
        "--log-train",
        "--model resnetb",
        "--dataset cifar10",
        "--o sgd",
        "--sched none",
        "--lr_update_epochs 80 120",
        "--w-decay 1e-4",
        "--momentum 0.9",
        "--nest 1",
        "--pr 0.5",
        "--depth 20",
        "--priter 0",
        "--epochs-save 10 30",
        "--load auto",
        "--prunety u",
        "--start-pr-iter 0",
        "--filter none",
        "--sigma 1.0",
    ] {
        assert_eq!(planned(&plan(flag).out), plain, "{flag}");
    }
    // Those that mean something, and the settings that they mean.
    for (flags, settings) in [
        ("--sr --seed 2", "slimming = 0.01\nseed = 2"),
        ("--nest 0", "nesterov = false"),
        ("--sched cosine_r", "schedule = \"cosine-restarts\"\ncycle-epochs = 5\ncycle-factor = 2"),
        ("--sched step", "schedule = \"step\"\nstep-epochs = 1"),
        ("--o adadelta", "optimizer = \"adadelta\""),
        ("--filter lowpass --sigma 2", "filter = \"low-pass\"\nfilter-sigma = 2.0"),
        ("--priter 1 --reinit random", "priter = 1\nreinit = \"random\""),
        ("--priter 1 --start-pr-iter 1 --reinit init", "priter = 1\nreinit = \"init\"\ndraw = \"epoch:0\""),
    ] {
        let sweep = format!("defaults = \"original\"\n{settings}");
        assert_eq!(planned(&plan(flags).out), of_file(&folder, &sweep), "{flags}");
    }
    let ran = folder.shell(
        "tombola plan --sr 0.1 --load c/resnetb_cifar10_depth=29_batch=64_epoch=160/priter=0_best.pth.tar --depth 20",
    );
    ran.expect(2).says("`--load` names a training with `depth` 29, and the command has 20");
}
