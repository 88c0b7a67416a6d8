//! What `tombola tune` finds, and that runs take it where it was measured for them, and only there.

use std::path::PathBuf;

use super::common::{Folder, PROGRAM, Ran};

const RUN: &str = "run --dataset synthetic --synthetic-size 60 --synthetic-shape 1,28,28 --epochs 1 --device cpu";
const TOLD: &str = "as `tombola tune` found on 20";

/// What is done to the text of a finding.
type Change = fn(&str) -> String;

/// `tombola ARGUMENTS` with a folder for what can be made again in `cache`.
fn tombola(folder: &Folder, arguments: &str) -> Ran {
    let mut command = folder.command(PROGRAM);
    let output = command.args(arguments.split_whitespace()).env("XDG_CACHE_HOME", folder.path("cache")).output();
    Ran::of(arguments, output.unwrap())
}

/// What was found for each number of threads, as files.
fn findings(folder: &Folder) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.path("cache/tombola/tune")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The text of a finding with another number of trainings.
fn with_together(text: &str, together: usize) -> String {
    let (before, after) = text.split_once("\"together\": ").unwrap();
    format!("{before}\"together\": {together},{}", after.split_once(',').unwrap().1)
}

/// The workers of a run, as its log has them.
fn workers(folder: &Folder, out: &str) -> String {
    let log = folder.read(&format!("{out}/log"));
    let (before, _) = log.split_once(" worker(s): cpu").unwrap_or_else(|| panic!("{log}"));
    before.rsplit(' ').next().unwrap().to_string()
}

#[test]
fn a_run_takes_as_many_workers_as_were_found_to_be_best_for_it_and_says_so() {
    let folder = Folder::new();
    let cores = std::thread::available_parallelism().unwrap().get();
    let plain = format!("{RUN} --network lenet-5");
    tombola(&folder, &format!("{plain} --out before")).expect(0).does_not_say(TOLD);
    assert_eq!(workers(&folder, "before"), cores.to_string());

    let tuned = tombola(&folder, "tune --seconds 0.2 --network lenet-5").expect(0);
    let tuned = tuned.prints("by threads of one process").prints("Best: tombola run … --workers ");
    assert!(tuned.out.lines().any(|line| line.trim_start().starts_with(&format!("{cores}  ")) && line.contains("1  ")));
    // Whatever was best here: a number that nothing else leads to.
    for file in findings(&folder) {
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, with_together(&text, 1)).unwrap();
    }
    let ran = tombola(&folder, &format!("{plain} --out found")).expect(0);
    let ran = ran.says(&format!("1 worker, {TOLD}")).says("; `--workers N` chooses otherwise\n");
    assert_eq!(ran.err.matches(TOLD).count(), 1, "{ran}");
    assert_eq!(workers(&folder, "found"), "1");
    assert!(folder.read("found/log").contains(TOLD));
    assert_eq!(folder.read("found/results.csv"), folder.read("before/results.csv"));

    // Not where somebody says how many, nor where something else was measured.
    let odd = format!("--network lenet-5 --threads {}", cores + 1);
    for other in [
        &*odd,
        "--network lenet-5 --workers 2",
        "--network lenet-5 --batch-size 8",
        "--network lenet-5 --synthetic-shape 3,40,40",
        "--network lenet-300-100",
        // Its epochs take longer.
        "--network lenet-5,conv-2",
    ] {
        let line = format!("{RUN} --out other {other}");
        tombola(&folder, &line).expect(0).does_not_say(TOLD);
        std::fs::remove_dir_all(folder.path("other")).unwrap();
    }
    tombola(&folder, &format!("{plain} --out quiet --quiet")).expect(0).does_not_say(TOLD);
    assert_eq!(workers(&folder, "quiet"), "1");
}

#[test]
fn findings_that_cannot_be_read_or_ask_for_too_much_stop_no_run() {
    let folder = Folder::new();
    tombola(&folder, "tune --seconds 0.1 --network lenet-5").expect(0);
    let cores = std::thread::available_parallelism().unwrap().get().to_string();
    let written: Vec<String> = findings(&folder).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let replace = |change: &dyn Fn(&str) -> String| {
        for (file, text) in findings(&folder).iter().zip(&written) {
            std::fs::write(file, change(text)).unwrap();
        }
    };
    let damaged: [(&str, Change); 3] = [
        ("EOF", |text| text[..text.len() / 2].to_string()),
        ("its format is 9, expected 1", |text| text.replace("\"format\": 1", "\"format\": 9")),
        ("it is of other work", |text| text.replace("\"lenet-5\"", "\"conv-2\"")),
    ];
    for (what, change) in damaged {
        replace(&change);
        let ran = tombola(&folder, &format!("{RUN} --network lenet-5 --out out")).expect(0).does_not_say(TOLD);
        let ran = ran.says("warning: `").says("is no finding of `tombola tune`: ").says(what).says("hint: remove it");
        assert_eq!(ran.err.matches("no finding").count(), 1, "{ran}");
        assert_eq!(workers(&folder, "out"), cores);
        std::fs::remove_dir_all(folder.path("out")).unwrap();
    }
    // More trainings than there are cores for them.
    replace(&|text| with_together(text, 1024));
    let ran = tombola(&folder, &format!("{RUN} --network lenet-5 --out out")).expect(0);
    ran.does_not_say(TOLD).does_not_say("warning");
    assert_eq!(workers(&folder, "out"), cores);
}

#[test]
fn what_is_found_of_processes_is_advice_for_ranks_alone() {
    let folder = Folder::new();
    let tuned = tombola(&folder, "tune --ranks --seconds 0.1 --network lenet-5").expect(0).prints("by processes");
    tuned.prints("Best: mpirun -np ").does_not_print("--workers");
    assert!(!folder.path("cache").exists());
    // A place that cannot be made is told, and what was found is printed all the same.
    folder.write("cache", "a file");
    let tuned = tombola(&folder, "tune --seconds 0.1 --network lenet-5").expect(0).prints("Best: tombola run … ");
    tuned.says("warning: `tombola run` will not know of it: ").does_not_print("from now on");
}
