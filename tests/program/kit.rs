//! The kit for machines with a GPU (`scripts/gpu-kit`): its runner's own tests, and a rehearsal without a GPU, where there is
//! nothing but a Python with torch.
//!
//! The rehearsal is skipped where there is no kit, or an older one than its sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::common::Folder;
use super::common::python::Python;
use super::wheel::{current, root, succeeds};

/// One of each kind: the program, tests, a sweep, the module, a sweep that is killed.
const STEPS: &str = "machine,doctor,selftest,gpu,quickstart,python,killed";

#[test]
fn the_runner_keeps_its_limits_and_goes_on_after_failures() {
    let Some(python) = Python::with("the runner of the kit", &["tomllib"]) else { return };
    succeeds(python.command().arg(root().join("scripts/kit/kit_test.py")));
}

/// The kit, if it is there and newer than what it is made of.
fn kit(test: &str) -> Option<PathBuf> {
    let path = root().join(format!("dist/tombola-gpu-kit-{}.tar", env!("CARGO_PKG_VERSION")));
    current(test, "kit", "scripts/gpu-kit", Some(path), &["scripts/kit", "scripts/gpu-kit", "benches/peers"])
}

#[test]
fn the_kit_runs_where_there_is_nothing_but_a_python_with_torch() {
    const TEST: &str = "the kit for machines with a GPU";
    let Some(kit) = kit(TEST) else { return };
    let Some(python) = Python::with(TEST, &["torch", "numpy", "pandas"]) else { return };
    // The interpreter itself and where its torch is, without the shell that may start it.
    let code = "import pathlib, sys, torch\nprint(sys.executable, pathlib.Path(torch.__file__).parents[1], sep='\\n')";
    let found = succeeds(python.command().args(["-c", code]));
    let (interpreter, packages) = found.trim().split_once('\n').unwrap();
    let folder = Folder::new();
    succeeds(Command::new("tar").arg("xf").arg(kit).arg("-C").arg(folder.path("")));
    for name in ["tools", "tmp"] {
        std::fs::create_dir(folder.path(name)).unwrap();
    }
    let run = |program: &Path| {
        let mut command = Command::new(program);
        command.env_clear().current_dir(folder.path(""));
        command.env("PATH", folder.path("tools")).env("TMPDIR", folder.path("tmp")).env("PYTHONPATH", packages);
        command
    };
    for builder in ["cargo", "rustc", "cc", "mpirun", "sh"] {
        assert!(run(Path::new(builder)).arg("--version").output().is_err(), "`{builder}` is on PATH");
    }
    let mut runner = run(Path::new(interpreter));
    runner.args(["tombola-gpu-kit/run.py", "--device", "cpu", "--minutes", "4", "--out", "out", "--only", STEPS]);
    let printed = succeeds(&mut runner);
    assert!(printed.contains("ok") && printed.contains("gpu::replayed_and_eager_steps"), "{printed}");
    let record: serde_json::Value = serde_json::from_str(&folder.read("out/record.json")).unwrap();
    let steps = record["steps"].as_array().unwrap();
    let verdicts: Vec<_> = steps.iter().map(|step| (step["step"].as_str().unwrap(), &step["verdict"])).collect();
    assert_eq!(verdicts.len(), STEPS.split(',').count(), "{printed}");
    assert!(verdicts.iter().all(|(_, verdict)| *verdict == "ok"), "{printed}");
    let left = std::fs::read_dir(folder.path("tmp")).unwrap().count();
    assert_eq!(left, 0, "the kit leaves something in the folder for temporary files");
}
