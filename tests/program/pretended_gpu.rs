//! A machine whose driver shows a GPU, and a libtorch that cannot use it: that trainings run on the processor is said. The driver is
//! pretended: files where the kernel has those of a driver, seen by the program alone.

use super::common::{Folder, PROGRAM, Ran, skipped};

/// What follows depends on whether libtorch has a CUDA part; `gpus.rs` has tests of each.
const MARK: &str = "GPUs unused: the driver shows 1 GPU(s) ";

/// `tombola ARGUMENTS` where a driver of NVIDIA's seems to be. Nothing where a process may not have files of its own.
fn with_driver(folder: &Folder, arguments: &str) -> Option<Ran> {
    let files = "mount -t tmpfs none /proc/driver && mkdir -p /proc/driver/nvidia/gpus/0000:01:00.0 && \
                 echo 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15' > /proc/driver/nvidia/version";
    let run = |line: &str| folder.command("unshare").args(["--mount", "bash", "-c", line]).output();
    if !run(files).is_ok_and(|output| output.status.success()) {
        skipped("a pretended driver", "a process may not mount files of its own here");
        return None;
    }
    Some(Ran::of(arguments, run(&format!("{files} && exec {PROGRAM} {arguments}")).unwrap()))
}

const SWEEP: &str = "run --dataset synthetic --synthetic-size 60 --network lenet-300-100 --epochs 1 --workers 1 --out";

#[test]
fn trainings_that_leave_gpus_unused_are_told_of_everywhere() {
    let folder = Folder::new();
    if std::path::Path::new("/dev/nvidiactl").exists() {
        return skipped("a pretended driver", "there is a real one");
    }
    let Some(ran) = with_driver(&folder, &format!("{SWEEP} out")) else { return };
    let ran = ran.expect(0).says(&format!("warning: trainings run on the CPU, {MARK}")).says("hint: ");
    assert_eq!(ran.err.matches("warning: trainings run on the CPU").count(), 1, "{ran}");
    // The map of who trains where has it, too.
    assert!(ran.err.contains(&format!("1 worker trains:\n  cpu, 1 thread, {MARK}")), "{ran}");
    assert!(folder.read("out/log").contains(&format!("warning: trainings run on the CPU, {MARK}")));
    for row in folder.table("out/timing.csv") {
        assert!(row["place"].contains(MARK) && row["place"].ends_with(", worker 0"), "{row:?}");
    }
    folder.tombola("status out").expect(0).prints(&format!("warning: 1 worker is on the CPU, {MARK}"));
    folder.tombola("report out").expect(0);
    assert!(folder.read("out/report.html").contains(&format!("<p>2 trainings were trained on the CPU, {MARK}")));
}

#[test]
fn who_asks_for_the_processor_is_not_warned() {
    let folder = Folder::new();
    let Some(ran) = with_driver(&folder, &format!("{SWEEP} out --device cpu")) else { return };
    ran.expect(0).does_not_say("warning").says("1 worker trains:\n  cpu, 1 thread: worker 0");
    folder.tombola(&format!("{SWEEP} plain")).expect(0);
    for (name, out) in [("asked", "out"), ("no driver", "plain")] {
        assert!(!folder.read(&format!("{out}/log")).contains("unused"), "{name}");
        let status = folder.tombola(&format!("status {out}")).expect(0);
        assert!(!status.out.contains("warning"), "{name}: {status}");
    }
}
