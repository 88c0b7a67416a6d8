//! The real program as several MPI ranks on one machine: the same tables, one voice, and stops that lose nothing.

use super::common::ranks::{can_start, end_of, mpirun, processes, signal, wait_until};
use super::common::sweep::{self, TRAININGS, expect_same, journal, slow_folder, tables};
use super::common::{Folder, PROGRAM, Ran, started};

fn folder() -> Folder {
    sweep::folder(&sweep::text(200, 3))
}

fn ran(folder: &Folder, count: usize, arguments: &str) -> Ran {
    Ran::of(&format!("{count} ranks: {arguments}"), mpirun(folder, count, &[], arguments).output().unwrap())
}

#[test]
fn two_three_and_four_ranks_give_the_tables_of_one_process() {
    if !can_start("two_three_and_four_ranks_give_the_tables_of_one_process") {
        return;
    }
    let alone = folder();
    alone.tombola("run sweep.toml --workers 2").expect(0);
    let expected = tables(&alone);
    for count in [2, 3, 4] {
        let folder = folder();
        let ran = ran(&folder, count, "run sweep.toml").expect(0);
        ran.says("30 trials: 48 trainings").prints("Tables in results/sweep");
        expect_same(&folder, &expected, &format!("{count} ranks"));
        assert_eq!(started(&folder, "results/sweep"), TRAININGS, "each is trained once");
        // Everyone did something: each training names its worker.
        let timing = folder.table("results/sweep/timing.csv");
        let used = |rank: usize| timing.iter().any(|row| row["place"].ends_with(&format!("worker {rank}")));
        assert!((0..count).all(used), "{timing:#?}");
    }
}

#[test]
fn a_coordinator_that_does_not_train_changes_no_table() {
    if !can_start("a_coordinator_that_does_not_train_changes_no_table") {
        return;
    }
    let (alone, ranks) = (folder(), folder());
    alone.tombola("run sweep.toml --quiet").expect(0);
    ran(&ranks, 3, "run sweep.toml --coordinator dedicated").expect(0);
    expect_same(&ranks, &tables(&alone), "a dedicated coordinator");
    let timing = ranks.table("results/sweep/timing.csv");
    assert!(timing.iter().all(|row| !row["place"].ends_with("worker 0")));
}

#[test]
fn a_rank_0_that_is_shown_no_gpu_beside_others_that_are_only_coordinates() {
    if !can_start("a_rank_0_that_is_shown_no_gpu_beside_others_that_are_only_coordinates") {
        return;
    }
    // Without a GPU those train on the processor: what counts is that rank 0 was told what they see.
    for (first, others, trains) in [("", "0", false), ("", "", true), ("0", "1", true)] {
        let folder = folder();
        let command = mpirun(&folder, 3, &[], "run sweep.toml");
        let program = command.get_args().position(|word| word == PROGRAM).unwrap();
        let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let shown = format!("case $OMPI_COMM_WORLD_RANK in 0) gpus={first} ;; *) gpus={others} ;; esac");
        let shell = format!("{shown}; CUDA_VISIBLE_DEVICES=$gpus exec \"$@\"");
        let mut wrapped = folder.command("mpirun");
        wrapped.args(&words[..program]).args(["bash", "-c", &shell, "rank"]).args(&words[program..]);
        for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            wrapped.env(name, value);
        }
        Ran::of(&shown, wrapped.output().unwrap()).expect(0);
        let timing = folder.table("results/sweep/timing.csv");
        assert_eq!(timing.iter().any(|row| row["place"].ends_with("worker 0")), trains, "{shown}\n{timing:#?}");
    }
}

#[test]
fn wrong_input_is_told_once_and_by_no_rank_but_the_first() {
    if !can_start("wrong_input_is_told_once_and_by_no_rank_but_the_first") {
        return;
    }
    let folder = folder();
    for (arguments, message) in [
        ("run no-such.toml", "cannot read `no-such.toml`"),
        ("run sweep.toml --no-such-flag", "unexpected argument '--no-such-flag'"),
        ("run sweep.toml --epochs x", "`--epochs`: found `x`"),
        ("run sweep.toml --workers 2", "`workers` says how many trainings one process runs"),
        ("run sweep.toml --shard 1/2", "`shard` is for runs without MPI"),
        ("run sweep.toml --dataset mnist", "`mnist`"),
    ] {
        let ran = ran(&folder, 3, arguments).expect(2);
        assert_eq!(ran.err.matches(message).count(), 1, "{ran}");
    }
    assert!(!folder.path("results").exists(), "{:?}", folder.listing());
}

#[test]
fn a_signal_to_the_launcher_or_to_one_rank_stops_all_and_another_number_of_ranks_goes_on() {
    let name = "a_signal_to_the_launcher_or_to_one_rank_stops_all_and_another_number_of_ranks_goes_on";
    if !can_start(name) {
        return;
    }
    let (alone, stopped) = (slow_folder(), slow_folder());
    alone.tombola("run sweep.toml").expect(0);
    let whole = journal(&alone);
    for (count, share) in [(3, 4), (2, 2)] {
        let mut child = mpirun(&stopped, count, &[], "run sweep.toml").spawn().unwrap();
        assert!(wait_until(&mut child, || journal(&stopped) > whole / share), "it ended too early");
        match count {
            3 => signal(child.id(), "USR1"),
            _ => signal(processes(&stopped)[&1], "USR2"),
        }
        let (code, _) = end_of(&mut child, &stopped).expect("it hangs");
        let ran = Ran::of("a signal", child.wait_with_output().unwrap());
        assert_eq!(code, 75, "{ran}");
        ran.says("stopping after the running epochs").says("run the same command again");
    }
    stopped.tombola("run sweep.toml").expect(0).says("to go");
    expect_same(&stopped, &tables(&alone), "stopped with 3 and with 2 ranks, ended with one process");
}

#[test]
fn copies_of_rank_0_are_refused_where_many_ranks_were_meant() {
    if !can_start("copies_of_rank_0_are_refused_where_many_ranks_were_meant") {
        return;
    }
    let folder = folder();
    // What `srun` without a fitting MPI plug-in gives each of its tasks.
    let mut command = folder.command(PROGRAM);
    command.args(["run", "sweep.toml"]).env("SLURM_STEP_NUM_TASKS", "4").env("SLURM_PROCID", "1");
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    let ran = Ran::of("one of four tasks", command.output().unwrap()).expect(3);
    ran.says("the launcher started 4 ranks, but MPI knows of 1").says("hint: ");
    assert!(!folder.path("results").exists());
}

#[test]
fn several_kinds_of_failure_rules_hold_over_ranks() {
    if !can_start("several_kinds_of_failure_rules_hold_over_ranks") {
        return;
    }
    let folder = Folder::new();
    let diverging = "run --dataset synthetic --synthetic-size 60 --network lenet-300-100 --epochs 2 --batch-size 8 \
                     --out out --lr 1e6,0.01 --seed 1,2,3,4";
    let ran = ran(&folder, 2, &format!("{diverging} --retries 1")).expect(1);
    assert_eq!(ran.err.matches("failed: ").count(), 8, "each of four is tried twice\n{ran}");
    ran.says("trying again: lenet-300-100 seed 1 · dense").says("4 trainings failed, 4 left out");
    let again = folder.tombola("retry out --on-fail stop --workers 1").expect(1);
    again.says("too many trainings failed").says("1 training failed, 1 left out");
}
