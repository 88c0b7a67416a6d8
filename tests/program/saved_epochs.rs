//! Keeping a snapshot of each epoch costs room on the disk, not memory.

use std::time::Duration;

use super::common::{Folder, PROGRAM, skipped};

const EPOCHS: usize = 60;

/// The most memory in bytes that a run held which keeps the snapshots of these epochs.
fn peak(folder: &Folder, out: &str, saved: &str) -> Option<u64> {
    let common = "--dataset synthetic --synthetic-shape 1,28,28 --train-limit 128 --network lenet-300-100 --optimizer adam --lr 0.001 --priter 0";
    let arguments = format!("run {common} --workers 1 --quiet --epochs {EPOCHS} --epochs-save {saved} --out {out}");
    let mut child = folder.command(PROGRAM).args(arguments.split_whitespace()).spawn().unwrap();
    let mut most = None;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        most = kibibytes.map(|kibibytes| 1024 * kibibytes).or(most);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success());
    most
}

#[test]
fn memory_does_not_grow_with_the_epochs_that_are_saved() {
    let folder = Folder::new();
    let all: Vec<String> = (1..=EPOCHS).map(|epoch| epoch.to_string()).collect();
    let (Some(few), Some(many)) = (peak(&folder, "few", &EPOCHS.to_string()), peak(&folder, "many", &all.join(",")))
    else {
        return skipped(
            "memory_does_not_grow_with_the_epochs_that_are_saved",
            "the system does not tell how much memory a process holds",
        );
    };
    // Weights and both moments of Adam: 3.2 MB an epoch, and the best weights until then. Some wait for the disk.
    let each = 3 * 4 * 266_610;
    let more = many.saturating_sub(few);
    assert!(more < 25 * each, "{few} bytes for one epoch, {many} for {EPOCHS}");
}
