//! `tombola plan` needs neither data nor torch: it is what a login node or a laptop can do.

use std::collections::BTreeSet;
use std::path::Path;

use super::common::Folder;

const SWEEP: &str = r#"
name = "small"
network = "resnet"
depth = 20
dataset = "cifar-10"
epochs = 10
reinit = ["init", "epoch:2"]
seed = [1, 2]

[[grid]]
pruning-ratio = [0.5, 0.9]

[[grid]]
pruning-ratio = 0.75
prune-iterations = 2
"#;

/// The plan's text without what depends on the machine: how many cores it has and how fast they are thought to be.
fn plan(folder: &Folder, arguments: &str) -> String {
    let ran = folder.tombola(arguments).expect(0);
    assert_eq!(ran.err, "");
    ran.out.lines().filter(|line| !line.starts_with("About ")).map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn a_sweep_is_shown_as_the_trainings_that_its_trials_share() {
    let folder = Folder::new();
    folder.write("small.toml", SWEEP);
    insta::assert_snapshot!("shared", plan(&folder, "plan small.toml --seed 1"));
}

#[test]
fn what_papers_ask_for_is_ten_lines_and_trains_each_level_once() {
    let sweeps = Path::new(env!("CARGO_MANIFEST_DIR")).join("sweeps");
    for (name, seeds, trainings) in
        [("lottery-ticket-lenet", 5, 43), ("open-lth-levels", 1, 19), ("lottery-ticket-pytorch", 1, 36)]
    {
        let folder = Folder::new();
        let text = std::fs::read_to_string(sweeps.join(format!("{name}.toml"))).unwrap();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert!(lines.count() <= 10, "{name}");
        folder.write("sweep.toml", &text);
        let plan: serde_json::Value =
            serde_json::from_str(&folder.tombola("plan sweep.toml --json").expect(0).out).unwrap();
        let stages = plan["stages"].as_array().unwrap();
        let ids: BTreeSet<&str> = stages.iter().map(|stage| stage["id"].as_str().unwrap()).collect();
        assert_eq!((stages.len(), ids.len()), (seeds * trainings, seeds * trainings), "{name}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_told_with_their_line() {
    for (text, said) in [
        ("network = \"resnet\"\ntarget = \"macs:0.5\"\n", "`sweep.toml`: line 2: `target` is `macs:0.5`, but"),
        ("network = \"resnet\"\n\nspare = [\"nope\"]\n", "`sweep.toml`: line 3: network `resnet`: `spare`"),
        ("prune-rate = 0.2\nlevels = 3\nprune-iterations = 4\n", "`sweep.toml`: line 2: `levels` and"),
        ("halving = 2\nhalving-over = [\"nope\"]\n", "`sweep.toml`: line 2: `halving-over` names `nope`"),
    ] {
        let folder = Folder::new();
        folder.write("sweep.toml", text);
        folder.tombola("plan sweep.toml").expect(2).says(said).says("hint: ");
    }
}

#[test]
fn planning_needs_no_data_and_writes_nothing() {
    let folder = Folder::new();
    folder.write("small.toml", SWEEP);
    let text = plan(&folder, "plan small.toml");
    assert!(
        text.contains("12 trials: 14 trainings with 128 epochs, instead of 28 trainings with 264 epochs"),
        "{text}"
    );
    // A model that was loaded would be read; data sets are not.
    assert!(plan(&folder, "plan --network vgg-16 --dataset cifar-100").contains("vgg-16 on cifar-100"));
    assert_eq!(folder.listing(), ["small.toml"]);
}

#[test]
fn a_long_plan_is_cut_unless_all_of_it_is_asked_for() {
    let folder = Folder::new();
    let seeds: Vec<String> = (1..=50).map(|seed| seed.to_string()).collect();
    let sweep = format!("plan --seed {}", seeds.join(","));
    assert!(plan(&folder, &sweep).contains("… 40 more (`--all` shows them)"));
    let all = plan(&folder, &format!("{sweep} --all"));
    assert!(!all.contains('…') && all.contains("seed 50: dense"), "{all}");
}

/// What keeps libtorch from instructions for bfloat16, if the processor has any.
const NO_BF16: (&str, &str) = ("ONEDNN_MAX_CPU_ISA", "AVX2");

#[test]
fn bf16_without_instructions_for_it_is_warned_of() {
    let folder = Folder::new();
    let said = |precision: &str| {
        let mut command = folder.command(super::common::PROGRAM);
        command.args(["plan", "--network", "lenet-5", "--precision", precision]).env(NO_BF16.0, NO_BF16.1);
        super::common::Ran::of("plan", command.output().unwrap()).expect(0).out
    };
    let text = said("bf16");
    assert!(text.contains("Warning: `precision = \"bf16\"` is slower than fp32 on this processor"), "{text}");
    assert!(text.contains("use `--precision fp32`"), "{text}");
    assert!(!said("fp32").contains("Warning"));
}

#[test]
fn a_run_warns_of_slow_bf16_once_and_trains() {
    let folder = Folder::new();
    let warnings = |more: &[&str]| {
        let sweep = "run --dataset synthetic --network lenet-300-100 --epochs 2 --pr 0.5 --workers 2 --device cpu";
        let mut command = folder.command(super::common::PROGRAM);
        command.args(sweep.split_whitespace()).args(more).env(NO_BF16.0, NO_BF16.1);
        let ran = super::common::Ran::of(sweep, command.output().unwrap()).expect(0);
        ran.err.matches("warning: `precision = \"bf16\"` is slower than fp32 on this processor").count()
    };
    assert_eq!(warnings(&["--precision", "bf16", "--out", "slow"]), 1);
    assert!(folder.read("slow/log").contains("use `--precision fp32`"));
    assert_eq!(warnings(&["--precision", "bf16", "--out", "slow"]), 0, "nothing is left to train");
    assert_eq!(warnings(&["--precision", "bf16", "--out", "quiet", "--quiet"]), 0);
    assert_eq!(warnings(&["--precision", "fp32", "--out", "fast"]), 0);
}

#[test]
fn an_early_bird_is_told_by_its_rule_and_not_by_a_key() {
    let folder = Folder::new();
    let line = "--network resnetb --depth 11 --dataset synthetic --synthetic-shape 3,16,16 --epochs 8 --prunety s --pr 0.5 \
                --draw early-bird --early-bird-window 4";
    let text = plan(&folder, &format!("plan {line}"));
    assert!(text.contains("drawn at the early bird (rule paper, window 4, epsilon 0.1), reinit"), "{text}");
    assert!(!text.contains("early-bird:"), "{text}");
}

#[test]
fn a_plan_says_what_share_of_the_channels_stays_rather_than_what_was_asked_for() {
    let folder = Folder::new();
    let network = "--network resnetb --depth 11 --width 4 --dataset synthetic --epochs 6 --prunety s --pr 0.5";
    folder.tombola(&format!("plan {network}")).expect(0).prints("level 1: 50.0 % of channels left, bn-scale");
    // Channels of residual streams have no filters that a norm could be taken of.
    let text = folder.tombola(&format!("plan {network} --criterion l1")).expect(0).out;
    let line = text.lines().find(|line| line.contains("level 1: ")).unwrap();
    let share: f64 = line.split("level 1: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(share > 60.0 && line.contains("% of channels left (50.0 % of those that are scored)"), "{line}");
    folder.tombola("plan --dataset synthetic --network lenet-300-100").expect(0).prints("level 1: 50.0 % left, ");
}

#[test]
fn a_budget_of_multiply_adds_is_planned_as_what_is_known_of_it() {
    let folder = Folder::new();
    let line = "--network lenet-300-100 --dataset synthetic --epochs 2 --pr 0.99 --budget flops";
    let text = plan(&folder, &format!("plan {line}"));
    assert!(text.contains("reinit lr, at least 2 epochs (about 200, known when it is drawn)"), "{text}");
    assert!(text.contains("2 trainings with at least 4 epochs, instead of"), "{text}");
    let said = folder.tombola(&format!("plan {line} --json")).expect(0).out;
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    let ticket = &told["stages"][1];
    assert_eq!((&ticket["epochs_at_least"], &ticket["epochs_at_most"]), (&2.into(), &serde_json::Value::Null));
    let seconds = |stage: usize| told["stages"][stage]["seconds"].as_f64().unwrap();
    assert!(seconds(1) > 50.0 * seconds(0), "{said}");
}

#[test]
fn a_ticket_that_trains_longer_than_planned_is_followed_to_its_end() {
    let folder = Folder::new();
    let line =
        "--network lenet-300-100 --dataset synthetic --epochs 2 --pr 0.9 --output-rate 0 --lr 0.01 --budget flops";
    folder.tombola(&format!("run {line} --workers 1 --device cpu --out out")).expect(0);
    let rows = folder.table("out/results.csv");
    let epochs: usize = rows[1]["last_epoch"].parse().unwrap();
    assert!(epochs > 10, "{epochs}");
    assert!(folder.read("out/log").contains(&format!(": {epochs} epochs, now that it is drawn")), "{epochs}");
}

#[test]
fn ratios_that_rounding_keeps_apart_are_told_apart_and_warned_of() {
    let folder = Folder::new();
    let sweep = |last: &str| {
        format!(
            "network = \"lenet-300-100\"\ndataset = \"synthetic\"\nepochs = 5\nreinit = \"init\"\n\
             pruning-ratio = [0.2, 0.36, 0.488, 0.5904, {last}]\nprune-iterations = [1, 2, 3, 4, 5]\n\
             zip = [\"pruning-ratio\", \"prune-iterations\"]"
        )
    };
    folder.write("sweep.toml", sweep("0.672"));
    let text = plan(&folder, "plan sweep.toml");
    assert!(text.contains("level 1: 80.00 % left") && text.contains("level 1: 80.02 % left"), "{text}");
    assert_eq!(text.matches("Warning: ").count(), 1, "{text}");
    assert!(
        text.contains("Warning: `pruning-ratio` 0.672 in 5 prunings") && text.contains("with 0.67232 they share"),
        "{text}"
    );
    // Four digits mean what they are the rounding of, unless the sweep says otherwise.
    for ratio in ["0.6723", "0.67232"] {
        folder.write("sweep.toml", sweep(ratio));
        let text = plan(&folder, "plan sweep.toml");
        assert!(text.contains("6 trainings") && text.contains("level 1: 80.0 % left"), "{text}");
        assert!(!text.contains("Warning"), "{text}");
    }
    let text = plan(&folder, "plan sweep.toml --pr 0.2,0.36,0.488,0.5904,0.6723 --round-rates=false");
    assert!(text.contains("level 1: 80.000 % left") && text.contains("level 1: 80.001 % left"), "{text}");
}

#[test]
fn a_twin_with_new_weights_stands_beside_every_ticket_and_is_trained_once() {
    let folder = Folder::new();
    let line = "--network lenet-300-100 --dataset synthetic --synthetic-size 60 --epochs 2 --pr 0.5 --lr 0.01 \
                --reinit init,lr,none --controls";
    let text = plan(&folder, &format!("plan {line}"));
    assert_eq!(text.matches("new weights (reinit control)").count(), 1, "{text}");
    folder.tombola(&format!("run {line} --device cpu --out out")).expect(0);
    let rows = folder.table("out/results.csv");
    let twins: Vec<_> = rows.iter().filter(|row| row["control"] == "reinit" && row["level"] == "1").collect();
    let mut rewinds: Vec<&str> = twins.iter().map(|row| row["reinit"].as_str()).collect();
    rewinds.sort_unstable();
    assert_eq!(rewinds, ["init", "lr", "none"]);
    assert!(twins.iter().all(|row| row["stage"] == twins[0]["stage"] && row["state"] == "done"), "{twins:?}");
    // A dense network, three tickets, three random masks, one twin.
    assert_eq!(super::common::started(&folder, "out"), 8);
}
