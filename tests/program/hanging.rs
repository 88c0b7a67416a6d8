//! A training that hangs takes its worker with it, and nothing else.

use super::common::sweep::{expect_same, slow_folder, tables};

#[test]
fn a_training_that_hangs_goes_on_at_another_worker_and_the_last_worker_leaves_the_rest_to_the_next_run() {
    let folder = slow_folder();
    folder.tombola("run sweep.toml --workers 1 --quiet").expect(0);
    let expected = tables(&folder);

    // The training of the second worker hangs after its first epoch is kept: the first worker does the rest.
    let folder = slow_folder();
    let run = |workers: usize, hangs: usize| {
        let line = format!("run sweep.toml --workers {workers} --give-up-after 2");
        let mut command = folder.command(super::common::PROGRAM);
        command.args(line.split_whitespace()).env("TOMBOLA_FAULT", format!("{hangs}:hang:0"));
        super::common::Ran::of(&line, command.output().unwrap())
    };
    let ended = run(2, 1).expect(0).says("lost worker 1").says("its training reported nothing for");
    ended.says("goes on elsewhere");
    expect_same(&folder, &expected, "a training hung");

    // Nobody is left: that is said, and the same command goes on.
    let folder = slow_folder();
    let line = "run sweep.toml --workers 1 --give-up-after 2 --quiet";
    let mut command = folder.command(super::common::PROGRAM);
    command.args(line.split_whitespace()).env("TOMBOLA_FAULT", "0:hang:0");
    let ended = super::common::Ran::of(line, command.output().unwrap()).expect(75);
    ended.says("the last worker was lost (its training reported nothing for").says("run the same command again");
    folder.tombola("run sweep.toml --workers 1 --quiet").expect(0);
    expect_same(&folder, &expected, "the only training hung");
}
