//! Every target, by the driver as `scripts/fuzz` starts it, but for two seconds and without counters.

use std::process::Command;

use tombola_fuzz::TARGETS;
use tombola_fuzz::targets::data::READ;

#[test]
fn a_short_run_of_every_target_finds_nothing() {
    let findings = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fuzz"));
    command.args(["run", "--seconds", "2", "--jobs", "2", "--findings"]).arg(findings.path());
    let ended = command.output().unwrap();
    let (said, table) = (String::from_utf8_lossy(&ended.stderr), String::from_utf8_lossy(&ended.stdout));
    assert!(ended.status.success(), "{said}\n{table}");
    for target in TARGETS {
        let row = table.lines().find(|line| line.starts_with(&format!("| {} |", target.name)));
        let inputs = row.and_then(|row| row.split('|').nth(2)).and_then(|inputs| inputs.trim().parse::<u64>().ok());
        assert!(inputs.is_some_and(|inputs| inputs > 100), "{}: {table}", target.name);
    }
}

/// Sees that examples are read of the seeds of data: what is refused at once leads nowhere.
fn read_data() {
    let read = || READ.load(std::sync::atomic::Ordering::Relaxed);
    let mut refused = Vec::new();
    for target in TARGETS.iter().filter(|target| target.name.starts_with("data-")) {
        for (index, seed) in (target.seeds)().iter().enumerate() {
            let before = read();
            (target.run)(seed);
            if read() == before {
                refused.push(format!("{} {index}", target.name));
            }
        }
    }
    // No batch of CIFAR: it is there for its words.
    assert_eq!(refused, ["data-pickle 2"]);
}

#[test]
fn every_seed_is_cut_into_parts_and_joined_to_itself_and_those_of_data_are_read() {
    // In one test: the folder of inputs is that of the process.
    read_data();
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for seed in seeds {
            assert!(seed.len() <= target.longest, "{}: a seed has {} bytes", target.name, seed.len());
            // A torn journal is none of whole frames.
            if let Some(parts) = (target.form.split)(&seed) {
                assert_eq!((target.form.join)(&parts), seed, "{}", target.name);
            }
        }
    }
    std::fs::remove_dir_all(tombola_fuzz::scratch::folder()).unwrap();
}
