//! What the program prints for people, as snapshots: a change of wording is seen in review.

use super::common::Folder;
use tombola_core::sweep::FIELDS;

fn stripped(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn help_of_the_program() {
    let folder = Folder::new();
    let help = folder.tombola("--help").expect(0);
    insta::assert_snapshot!("help", stripped(&help.out));
    // Without a verb the same is shown, as an error.
    assert_eq!(stripped(&folder.tombola("").expect(2).err), stripped(&help.out));
}

#[test]
fn help_of_a_run_lists_the_flag_of_each_setting_once() {
    let folder = Folder::new();
    for verb in ["run", "plan"] {
        let help = folder.tombola(&format!("{verb} --help")).expect(0).out;
        for field in FIELDS {
            let flag = format!("--{}", field.key);
            let begins = |line: &&str| {
                let rest = line.trim_start().strip_prefix(&flag);
                rest.is_some_and(|rest| rest.starts_with([' ', '[']))
            };
            assert_eq!(help.lines().filter(begins).count(), 1, "{flag} in the help of {verb}:\n{help}");
            for alias in field.aliases {
                assert!(help.contains(&format!("--{alias}")), "--{alias}:\n{help}");
            }
        }
        assert_eq!(folder.tombola(&format!("{verb} -h")).expect(0).out, help);
    }
}

#[test]
fn every_verb_has_help_that_ends_with_examples() {
    let folder = Folder::new();
    for verb in [
        "run",
        "retry",
        "plan",
        "doctor",
        "status",
        "watch",
        "explain",
        "tables",
        "report",
        "serve",
        "table",
        "export",
        "init",
        "completions",
        "man",
        "data",
        "data fetch",
        "data check",
        "slurm",
        "bench",
        "tune",
    ] {
        let help = folder.tombola(&format!("{verb} --help")).expect(0).out;
        assert!(help.contains("\nExamples:\n  tombola "), "{verb}:\n{help}");
        assert!(help.contains(&format!("Usage: tombola {verb}")), "{verb}:\n{help}");
    }
    let version = folder.tombola("--version").expect(0).out;
    assert_eq!(version, concat!("tombola ", env!("CARGO_PKG_VERSION"), "\n"));
}

/// Two classes that the network cannot miss, so that the numbers are the same on every processor.
#[test]
fn the_table_at_the_end_of_a_run() {
    let folder = Folder::new();
    let easy = "--dataset synthetic --synthetic-classes 2 --synthetic-shape 1,16,16 --synthetic-size 400";
    let sweep = "--network lenet-300-100 --epochs 6 --lr 0.02 --pr 0.5,0.75 --reinit init,none --seed 1,2 --out out";
    let ran = folder.tombola(&format!("run {easy} {sweep}")).expect(0);
    insta::assert_snapshot!("table", stripped(&ran.out));
    ran.says("8 trials: 10 trainings with 60 epochs").says("10 of 10 trainings done in ");
    // Quiet leaves the table and nothing else.
    let quiet = folder.tombola(&format!("run {easy} {sweep} --quiet")).expect(0);
    assert_eq!(quiet.err, "");
    assert!(quiet.out.contains("one-shot"));
}
