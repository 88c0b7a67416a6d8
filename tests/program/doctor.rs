//! The doctor as it is used: alone, and where there is `mpirun` as several ranks. That nothing is left behind is checked
//! with every call.

use super::common::{Folder, Ran, idx_set};

/// Runs it; nothing may be left behind.
#[track_caller]
fn doctor(folder: &Folder, arguments: &str) -> Ran {
    let before = folder.listing();
    let ran = folder.tombola(&format!("doctor {arguments}"));
    assert_eq!(folder.listing(), before, "something was left behind\n{ran}");
    ran
}

/// What the lines about one thing say, as `LEVEL found`.
fn lines(ran: &Ran, check: &str) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}\n{ran}"));
    let lines = json["lines"].as_array().into_iter().flatten().filter(|line| line["check"] == check);
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
    lines.map(|line| format!("{} {}", word(&line["level"]), word(&line["found"]))).collect()
}

#[track_caller]
fn has(ran: &Ran, check: &str, beginning: &str) {
    let lines = lines(ran, check);
    assert!(lines.iter().any(|line| line.starts_with(beginning)), "{check}: {beginning}\n{lines:#?}\n{ran}");
}

#[test]
fn a_machine_alone_is_told_about_in_lines_with_an_exit_code() {
    let folder = Folder::new();
    let ran = doctor(&folder, "--device cpu").expect(0);
    for line in
        ["PASS  MPI", "PASS  results folder  `results` is not there yet; `.` can be written", "PASS  file locks"]
    {
        assert!(ran.out.contains(line), "{line}\n{ran}");
    }
    assert!(!ran.out.contains("FAIL  program"), "{ran}");
    assert!(ran.out.contains(" checks: ") && ran.err.is_empty(), "{ran}");
}

#[test]
fn data_sets_are_looked_for_and_read() {
    let folder = Folder::new();
    for (name, bytes) in idx_set() {
        folder.write(&format!("data/mnist/{name}"), bytes);
    }
    let ran = doctor(&folder, "--device cpu --dataset mnist,synthetic --json").expect(0);
    has(&ran, "data", "pass `mnist` in `");
    let ran = doctor(&folder, "--device cpu --dataset mnist,cifar-100").expect(3);
    assert!(ran.out.contains("FAIL  data") && ran.out.contains("cure: run `tombola data fetch cifar-100`"), "{ran}");
    folder.write("data/mnist/t10k-labels-idx1-ubyte", "no labels");
    let ran = doctor(&folder, "--device cpu --dataset mnist --json").expect(0);
    has(&ran, "data", "warn `mnist` is there, but was not read");
}

#[test]
fn what_is_wrong_with_the_machine_is_a_failure_and_with_the_flags_an_error() {
    let folder = Folder::new();
    folder.write("file", "text");
    let ran = doctor(&folder, "file/results --device cpu --json").expect(3);
    has(&ran, "results folder", "fail cannot write `file/.tombola-doctor");
    let ran = doctor(&folder, "--device cuda:99 --json").expect(3);
    has(&ran, "devices", "fail ");
    let ran = folder.shell("CUDA_VISIBLE_DEVICES=-1 tombola doctor --device cuda").expect(3);
    assert!(ran.out.contains("no GPU can be used: `CUDA_VISIBLE_DEVICES=-1` shows none"), "{ran}");
    doctor(&folder, "--device tpu").expect(2).says("`device`: found `tpu`, expected `cpu`");
    doctor(&folder, "--dataset minst").expect(2).says("`minst` is not a known data set");
    doctor(&folder, "--epochs 3").expect(2).says("unexpected argument '--epochs'");
    let ran = doctor(&folder, "--device cpu --threads 1024 --json").expect(0);
    has(&ran, "cores", "warn this process may use ");
}

/// `mpirun ARGUMENTS`, allowed what tests need; nothing where there is none.
fn mpirun(folder: &Folder, test: &str, arguments: &str) -> Option<Ran> {
    let there = folder.command("mpirun").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        super::common::skipped(test, "there is no `mpirun`");
        return None;
    }
    let before = folder.listing();
    let ran = folder.shell(&format!(
        "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1; \
         export OMPI_MCA_btl_vader_single_copy_mechanism=none; exec mpirun {arguments}"
    ));
    assert_eq!(folder.listing(), before, "something was left behind\n{ran}");
    Some(ran)
}

#[cfg(feature = "mpi")]
#[test]
fn ranks_tell_the_first_what_they_found() {
    let folder = Folder::new();
    for (name, bytes) in idx_set() {
        folder.write(&format!("data/mnist/{name}"), bytes);
    }
    let name = "ranks_tell_the_first_what_they_found";
    let start = "-np 3 tombola doctor --device cpu --dataset mnist --json";
    let Some(ran) = mpirun(&folder, name, start) else { return };
    let ran = ran.expect(0);
    has(&ran, "ranks", "pass 3 on 1 host, all of which answer");
    has(&ran, "local ranks", "pass ");
    has(&ran, "builds", "pass ");
    has(&ran, "clocks", "pass ");
    has(&ran, "data", "pass `mnist` on all ranks");
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["hosts"][0]["ranks"], serde_json::json!([0, 1, 2]));
    assert_eq!(json["found"]["facts"].as_array().unwrap().len(), 3);
}

#[cfg(feature = "mpi")]
#[test]
fn ranks_of_a_host_tell_each_other_which_gpus_they_were_shown() {
    let folder = Folder::new();
    let name = "ranks_of_a_host_tell_each_other_which_gpus_they_were_shown";
    // By rank, `unset` for no variable; and which ranks share, with their places.
    for (shown, expected) in [
        ("unset unset unset", [(0, 3), (1, 3), (2, 3)]),
        ("0 1 2", [(0, 1), (0, 1), (0, 1)]),
        (
            "MIG-1f9a2a5c-7a3d-5d0a-9a63-1f3e4f6f7c11 GPU-8 MIG-1f9a2a5c-7a3d-5d0a-9a63-1f3e4f6f7c11",
            [(0, 2), (0, 1), (1, 2)],
        ),
        ("unset '' ''", [(0, 1), (0, 2), (1, 2)]),
    ] {
        folder.write(
            "rank",
            format!(
                "all=({shown}) own=${{all[OMPI_COMM_WORLD_RANK]}}\nunset CUDA_VISIBLE_DEVICES\n\
                 [[ $own == unset ]] || export CUDA_VISIBLE_DEVICES=$own\nexec tombola doctor --device cpu --json\n"
            ),
        );
        let Some(ran) = mpirun(&folder, name, "-np 3 bash rank") else { return };
        let ran = ran.expect(0);
        let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let place = |one: &serde_json::Value| {
            let sharers = &one["mpi"]["sharers"];
            (sharers["rank"].as_u64().unwrap(), sharers["size"].as_u64().unwrap())
        };
        let found: Vec<_> = json["found"]["facts"].as_array().unwrap().iter().map(place).collect();
        assert_eq!(found, expected, "{shown}\n{ran}");
    }
}

#[cfg(feature = "mpi")]
#[test]
fn a_failure_with_many_ranks_is_told_once_and_is_the_exit_code() {
    let folder = Folder::new();
    let name = "a_failure_with_many_ranks_is_told_once_and_is_the_exit_code";
    let Some(ran) = mpirun(&folder, name, "-np 3 tombola doctor --device cuda:99 --dataset cifar-10") else { return };
    let ran = ran.expect(3);
    assert_eq!(ran.out.matches("FAIL  data").count(), 1, "{ran}");
    assert!(ran.out.contains("ranks 0-2: data set `cifar-10` not found"), "{ran}");
    // A wrong flag is told by the first rank alone.
    let Some(ran) = mpirun(&folder, name, "-np 3 tombola doctor --device tpu") else { return };
    assert_eq!(ran.err.matches("found `tpu`").count(), 1, "{ran}");
    assert_ne!(ran.code, Some(0), "{ran}");
}

#[cfg(feature = "mpi")]
#[test]
fn a_rank_that_is_another_program_fails_and_holds_nobody_up() {
    let folder = Folder::new();
    let name = "a_rank_that_is_another_program_fails_and_holds_nobody_up";
    let start = "-np 2 tombola doctor --device cpu : -np 1 tombola run --dataset synthetic --epochs 1";
    let Some(ran) = mpirun(&folder, name, start) else { return };
    let ran = ran.expect(3);
    assert!(ran.out.contains("FAIL  ranks") && ran.out.contains("rank 2: a message of"), "{ran}");
}

#[cfg(feature = "mpi")]
#[test]
fn silent_singletons_are_told_by_the_first_alone() {
    let folder = Folder::new();
    let start = |rank: usize| {
        let command = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 tombola doctor --device cpu";
        folder.shell(&format!("PMI_SIZE=4 PMI_RANK={rank} {command}"))
    };
    let ran = start(0).expect(3);
    assert!(ran.out.contains("FAIL  ranks") && ran.out.contains("started 4 ranks, but MPI knows of 1"), "{ran}");
    assert_eq!(start(1).expect(0).out, "");
}

#[cfg(not(feature = "mpi"))]
#[test]
fn many_ranks_of_a_program_without_mpi_are_told_by_the_first_alone() {
    let folder = Folder::new();
    let name = "many_ranks_of_a_program_without_mpi_are_told_by_the_first_alone";
    let Some(ran) = mpirun(&folder, name, "-np 3 tombola doctor --device cpu") else { return };
    let ran = ran.expect(3);
    assert_eq!(ran.out.matches("FAIL  MPI").count(), 1, "{ran}");
    assert!(ran.out.contains("started 3 ranks, but the program was built without MPI"), "{ran}");
}
