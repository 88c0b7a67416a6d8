//! A few random sweeps, killed and taken up again in one process and as ranks, come to the bytes of a run that was left alone, and
//! what that says is computed again by others (`tests/differential`). `scripts/differential COUNT` does hundreds.

use std::path::Path;

use super::common::python::Python;
use super::common::ranks::can_start;
use super::common::{Folder, PROGRAM, Ran};

#[test]
fn random_sweeps_come_to_the_same_bytes_however_they_are_run_and_killed() {
    let test = "random_sweeps_come_to_the_same_bytes_however_they_are_run_and_killed";
    let Some(python) = Python::with(test, &["numpy", "scipy", "safetensors"]) else { return };
    if !can_start(test) {
        return;
    }
    let (folder, root) = (Folder::new(), Path::new(env!("CARGO_MANIFEST_DIR")));
    let mut command = python.command();
    command.arg(root.join("tests/differential/drive.py")).args(["--program", PROGRAM, "--jobs", "3"]);
    command.args(["--count", "3", "--seed", "2026", "--python", python.program()]);
    command.arg("--folder").arg(folder.path("differential"));
    Ran::of("drive.py", command.output().unwrap()).expect(0).prints("\n0 differences\n");
}
