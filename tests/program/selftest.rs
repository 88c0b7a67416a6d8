//! `tombola selftest` as its users meet it: on a processor, with checks that hang, and with a process that dies.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::common::{Folder, PROGRAM, Ran};

/// The results of a record, by check: how each ended, and what was found.
fn results(folder: &Folder) -> Vec<(String, String, String)> {
    let records: Vec<_> = std::fs::read_dir(folder.path("results/selftest")).unwrap().flatten().collect();
    assert_eq!(records.len(), 1, "one record for each run");
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(records[0].path()).unwrap()).unwrap();
    assert_eq!(record["format"], 1);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
    let checks = record["checks"].as_array().unwrap().iter();
    checks.map(|check| (text(&check["check"]), text(&check["level"]), text(&check["found"]))).collect()
}

#[test]
fn a_processor_trains_right_and_each_check_says_what_it_found() {
    let folder = Folder::new();
    let begun = Instant::now();
    // Rates are others' business: nothing is measured beside other tests.
    let only = "device,networks,half,steps,gpus,together,sweep,memory,too-large,fashion-mnist";
    let ran = folder.tombola(&format!("selftest --device cpu --minutes 9 --only {only}")).expect(0);
    assert!(begun.elapsed() < Duration::from_secs(540));
    let results = results(&folder);
    let names: Vec<&str> = results.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names.join(","), only);
    for (name, level, found) in &results {
        let skipped = name == "gpus" || name == "fashion-mnist" && found.contains("data fetch");
        // Half precision may be slow here.
        let fine = if skipped {
            ["skip", "skip"]
        } else if name == "half" {
            ["pass", "warn"]
        } else {
            ["pass", "pass"]
        };
        assert!(fine.contains(&level.as_str()), "{name}: {level}: {found}");
    }
    ran.prints("10 checks in").prints("0 FAIL").prints("\nRecorded in results/selftest/");
}

#[test]
fn a_check_that_hangs_is_ended_with_all_that_it_started_and_the_next_one_follows() {
    let folder = Folder::new();
    let mut command = folder.command(PROGRAM);
    command.args(["selftest", "--device", "cpu", "--only", "sweep,device", "--limit", "6", "--json"]);
    let output = command.env("TOMBOLA_FAULT", "0:hang:0").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let results = results(&folder);
    assert_eq!(results[0].0, "device", "checks come in their own order");
    assert_eq!(
        (results[1].1.as_str(), results[1].2.as_str()),
        ("fail", "not ended after 6 s: it was at the sweep, whole")
    );
    let left = Command::new("pgrep").args(["-f", "--", "sweep.toml --quiet --workers 2 --out out"]).output();
    let left = left.map(|output| String::from_utf8_lossy(&output.stdout).to_string()).unwrap_or_default();
    let here = folder.path("").canonicalize().unwrap();
    let ours = |pid: &&str| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&here));
    assert_eq!(left.split_whitespace().filter(ours).count(), 0, "a training goes on");
}

#[test]
fn a_process_that_dies_fails_its_check_and_one_that_has_no_time_left_is_skipped() {
    let folder = Folder::new();
    let mut command = folder.command(PROGRAM);
    command.args(["selftest", "--device", "cpu", "--only", "sweep,device"]).env("TOMBOLA_FAULT", "0:hang:0");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    let inner = loop {
        let children = |pid: &str| -> Vec<String> {
            let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            text.split_whitespace().map(str::to_string).collect()
        };
        // It starts others at its start, too.
        let trains = |pid: &String| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("sweep.toml")
        };
        let own = children(&child.id().to_string());
        let grandchild = own.into_iter().find(|pid| children(pid).iter().any(trains));
        if let Some(pid) = grandchild {
            break pid;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no training was started");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(Command::new("kill").args(["-KILL", &inner]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("the process that does the checks ended with signal: 9"), "{told}");

    let folder = Folder::new();
    let ran = folder.tombola("selftest --device cpu --minutes 0.001 --only networks,steps --no-record").expect(3);
    ran.prints("SKIP  networks")
        .prints("no time was left")
        .prints("0 FAIL, 0 WARN, 2 SKIP")
        .says("nothing was checked");
    assert!(!folder.path("results").exists());
}

#[test]
fn checks_end_with_the_process_that_watches_them() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("tmp")).unwrap();
    let mut command = folder.command(PROGRAM);
    command.args(["selftest", "--device", "cpu", "--only", "sweep"]).env("TOMBOLA_FAULT", "0:hang:0");
    command.env("TMPDIR", folder.path("tmp"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The process that does the checks, and the training that it has started: all that work within the folder.
    let here = folder.path("").canonicalize().unwrap();
    let working = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&here)))
            .count()
    };
    let begun = Instant::now();
    while working() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no training was started");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    while working() > 0 || std::fs::read_dir(folder.path("tmp")).unwrap().count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "something goes on, or is left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_records_of_one_second_are_two_files_and_a_folder_that_takes_none_is_told_of_first() {
    let folder = Folder::new();
    let start = |_| {
        let mut command = folder.command(PROGRAM);
        command.args(["selftest", "--device", "cpu", "--only", "device"]).stdout(Stdio::null());
        command.spawn().unwrap()
    };
    let all: Vec<_> = (0..3).map(start).collect();
    assert!(all.into_iter().all(|mut child| child.wait().unwrap().success()));
    assert_eq!(std::fs::read_dir(folder.path("results/selftest")).unwrap().count(), 3);
    folder.write("file", "");
    let ran = folder.tombola("selftest --device cpu --only device --records file/records").expect(2);
    ran.says("file/records").does_not_print("device");
}

#[test]
fn what_is_no_check_or_no_device_is_refused_with_the_cure() {
    let folder = Folder::new();
    folder
        .tombola("selftest --only networsk")
        .expect(2)
        .says("there is no check `networsk`")
        .says("did you mean `networks`?");
    folder.tombola("selftest --device gpu").expect(2).says("expected `cpu`");
    let mut ranks = folder.command(PROGRAM);
    ranks.args(["selftest", "--device", "cpu"]).env("OMPI_COMM_WORLD_SIZE", "2").env("OMPI_COMM_WORLD_RANK", "0");
    Ran::of("selftest", ranks.output().unwrap()).expect(2).says("of one machine, but was started as 2 ranks");
    folder.tombola("selftest --minutes 0").expect(2).says("expected a number above 0");
    folder.tombola("selftest --list").expect(0).prints("networks").prints("fashion-mnist");
    // Once, not for each check.
    let missing = folder.tombola("selftest --device cuda:99 --no-record").expect(3);
    missing.says("error: ").says("hint: ").does_not_print("FAIL");
}
