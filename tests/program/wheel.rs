//! The Python package, and the wheel as somebody gets it who has a Python with torch and neither Rust nor a compiler.
//!
//! `scripts/wheel` makes the wheel; where there is none, or an older one than its sources, those tests are skipped. A Python with
//! torch 2.11.0, NumPy and pandas is taken from `TOMBOLA_TEST_PYTHON`, else `python3`, else made by pip where CI is set
//! (TOMBOLA_TEST_INSTALL=yes elsewhere). `TOMBOLA_TEST_WHOLE=yes` runs the quick start whole instead of on some of its images.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime};

use super::common::python::Python;
use super::common::{Folder, PROGRAM, Ran, skipped};

/// The requirement of the wheel, and the programs that it was built for.
const TORCH: &str = "2.11.0";
/// Tables that are the same however a sweep came to its end: all but `timing.csv`.
const TABLES: [&str; 7] =
    ["results.csv", "epochs.csv", "summary.csv", "hamming.csv", "tickets.csv", "barrier.csv", "overlap.csv"];

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every verb, in a form that is understood, and whether it computes.
const VERBS: [(&str, bool); 24] = [
    ("run", true),
    ("retry results/none", true),
    ("doctor", true),
    ("selftest --inner folder", true),
    ("bench step", true),
    ("tune", true),
    ("export results/none 1 --out a.pt", true),
    ("export results/none 1 --out a.onnx", false),
    ("plan --pr 2", false),
    ("status results/none", false),
    ("watch results/none", false),
    ("explain results/none 1", false),
    ("repair results/none", false),
    ("tables results/none", false),
    ("report results/none", false),
    ("serve results/none", false),
    ("table results/none", false),
    ("data check", false),
    ("init --example quickstart", false),
    ("settings", false),
    ("completions bash", false),
    ("man pages", false),
    ("slurm none.toml", false),
    ("help", false),
];

#[test]
fn the_python_command_knows_which_verbs_need_libtorch() {
    let folder = Folder::new();
    let help = folder.tombola("--help").expect(0).out;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Further lines of a description begin further to the right.
    let listed = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let missing: Vec<&str> = listed
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| !VERBS.iter().any(|(line, _)| line.split(' ').next() == Some(verb)))
        .collect();
    assert!(
        missing.is_empty(),
        "add to VERBS, and where it computes to `TRAINS` of python/tombola/command.py: {missing:?}"
    );

    // The program beside one that only says that it was started.
    folder.write("bin/tombola-torch", "#!/bin/sh\necho became the one with libtorch\n");
    std::fs::set_permissions(folder.path("bin/tombola-torch"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::copy(PROGRAM, folder.path("bin/tombola")).unwrap();
    for (line, computes) in VERBS {
        let output = folder.command(folder.path("bin/tombola")).args(line.split(' ')).output().unwrap();
        let became = String::from_utf8_lossy(&output.stdout).contains("became the one with libtorch");
        assert_eq!(became, computes, "`tombola {line}`");
    }

    let Some(python) = Python::with("verbs of the Python command", &["json"]) else { return };
    let code = "import json, sys; from tombola import command\n\
                print(json.dumps([command.needs_libtorch(line.split()) for line in sys.argv[1:]]))";
    let found = python.command().args(["-c", code]).args(VERBS.map(|(line, _)| line)).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let found: Vec<bool> = serde_json::from_slice(&found.stdout).unwrap();
    for ((line, computes), found) in VERBS.iter().zip(found) {
        assert_eq!(found, *computes, "`{line}` in python/tombola/command.py");
    }
}

#[test]
fn a_job_calls_the_command_that_finds_libtorch_and_not_the_program_inside_the_package() {
    let folder = Folder::new();
    folder.write("sweep.toml", "network = \"lenet-5\"\ndataset = \"synthetic\"\nsynthetic-shape = [1, 28, 28]\n");
    let mut command = folder.command(PROGRAM);
    command.args(["slurm", "sweep.toml", "--time", "01:00:00"]).env("TOMBOLA_COMMAND", "/venv/bin/tombola");
    Ran::of("slurm", command.output().unwrap()).expect(0).prints("program=/venv/bin/tombola\n");
}

#[test]
fn python_reads_what_the_program_writes() {
    let Some(python) = Python::with("the Python package", &["numpy", "pandas"]) else { return };
    let folder = Folder::new();
    folder.write(
        "sweep.toml",
        "name = \"sweep\"\ndataset = \"synthetic\"\nsynthetic-size = 200\nepochs = 3\nnetwork = \"resnetb\"\ndepth = 11\nwidth = 4\n\
         synthetic-shape = [3, 16, 16]\nseed = [1, 2]\nsave = true\nepochs-save = [0, 1]\n\
         [[grid]]\npr = 0.5\nreinit = [\"init\", \"random\"]\ncontrol = [\"none\", \"fork\"]\n\
         [[grid]]\nprunety = \"s\"\npr = 0.5\ndraw = [\"early-bird\", \"last\"]\nearly-bird-epsilon = 1.0\n\
         early-bird-window = 2\nreinit = \"lr\"\n",
    );
    folder.tombola("run sweep.toml --quiet").expect(0);
    let mut command = python.command();
    command.args(["-m", "unittest", "discover"]).arg(root().join("python/tests"));
    command.env("TOMBOLA_PROGRAM", PROGRAM).env("TOMBOLA_TEST_SWEEP", folder.path("results/sweep"));
    succeeds(&mut command);
}

/// Runs a command to its end, which must be a good one.
#[track_caller]
pub(super) fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The wheel, if it is there and newer than what it is made of.
fn wheel(test: &str) -> Option<PathBuf> {
    let found = std::fs::read_dir(root().join("dist")).ok().into_iter().flatten().flatten().map(|entry| entry.path());
    let begins = format!("tombola-{}-", env!("CARGO_PKG_VERSION"));
    let found = found
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&begins))
        .find(|path| path.extension().is_some_and(|end| end == "whl"));
    current(test, "wheel", "scripts/wheel", found, &["python/wheel.py", "scripts/wheel"])
}

/// What a script has made, if it is there and newer than the sources of the programs and the files `further`.
pub(super) fn current(
    test: &str,
    what: &str,
    script: &str,
    found: Option<PathBuf>,
    further: &[&str],
) -> Option<PathBuf> {
    let Some(found) = found.filter(|path| path.is_file()) else {
        skipped(test, &format!("there is no {what} in `dist`: `{script}` makes it"));
        return None;
    };
    let made = found.metadata().and_then(|about| about.modified()).unwrap();
    let sources = ["src", "crates", "sweeps", "python/tombola", "build.rs", "Cargo.toml", "Cargo.lock"];
    match sources.iter().chain(further).find_map(|name| newer(&root().join(name), made)) {
        None => Some(found),
        Some(source) => {
            let source = source.display();
            skipped(test, &format!("the {what} is older than `{source}`: `{script}` makes it again"));
            None
        }
    }
}

/// A file that was written after a time.
fn newer(path: &Path, than: SystemTime) -> Option<PathBuf> {
    if path.is_dir() {
        return std::fs::read_dir(path).unwrap().find_map(|entry| newer(&entry.unwrap().path(), than));
    }
    // Python writes its own beside the sources.
    let source = path.extension().is_some_and(|end| end != "pyc");
    (source && path.metadata().is_ok_and(|about| about.modified().unwrap() > than)).then(|| path.to_path_buf())
}

/// A fresh virtual environment with what the wheel requires, and the options of pip that go with it: from a Python that has
/// it, else none, so that pip fetches it.
fn environment(test: &str, folder: &Folder) -> Option<(PathBuf, &'static [&'static str])> {
    let named = std::env::var("TOMBOLA_TEST_PYTHON").ok();
    let code = "import importlib.metadata as m, sys\n\
                for name in ('numpy', 'pandas'): m.version(name)\n\
                torch = m.distribution('torch')\n\
                assert torch.version.partition('+')[0] == sys.argv[1], torch.version\n\
                print(sys.executable)\n\
                print(*dict.fromkeys(str(m.distribution(name).locate_file('')) for name in ('torch', 'numpy', 'pandas')), sep='\\n')";
    let answers = |python: &str| {
        let output = Command::new(python).args(["-c", code, TORCH]).output().ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    let found = named.iter().map(String::as_str).chain(["python3"]).find_map(answers);
    let wanted = std::env::var("TOMBOLA_TEST_INSTALL").unwrap_or_else(|_| {
        let ci = std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false");
        if ci { "yes" } else { "no" }.to_string()
    });
    let mut lines = found.as_deref().unwrap_or_default().lines();
    let (python, options): (&str, &[&str]) = match (lines.next(), wanted.as_str()) {
        (Some(python), _) => (python, &["--no-index"]),
        (None, "yes") => ("python3", &[]),
        _ => {
            skipped(test, &format!("no Python has torch {TORCH}, NumPy and pandas: `TOMBOLA_TEST_PYTHON` names one"));
            return None;
        }
    };
    let place = folder.path("venv");
    let made = Command::new(python).args(["-m", "venv"]).arg(&place).output();
    if !made.is_ok_and(|output| output.status.success()) {
        skipped(test, &format!("`{python}` cannot make virtual environments (Debian: python3-venv)"));
        return None;
    }
    let site = succeeds(
        Command::new(place.join("bin/python")).args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]),
    );
    std::fs::write(
        Path::new(site.trim()).join("others.pth"),
        lines.map(|line| format!("{line}\n")).collect::<String>(),
    )
    .unwrap();
    Some((place, options))
}

/// The wheel, installed where nothing can be built.
struct Installed {
    folder: Folder,
    place: PathBuf,
}

impl Installed {
    fn new(test: &str) -> Option<Self> {
        let wheel = wheel(test)?;
        let folder = Folder::new();
        let (place, options) = environment(test, &folder)?;
        // A shell and its like, but no compiler and no cargo.
        std::fs::create_dir(folder.path("tools")).unwrap();
        for tool in ["sh", "bash", "env", "uname", "ssh"] {
            if let Some(found) =
                ["/bin", "/usr/bin"].map(|bin| Path::new(bin).join(tool)).into_iter().find(|path| path.is_file())
            {
                std::os::unix::fs::symlink(found, folder.path("tools").join(tool)).unwrap();
            }
        }
        let installed = Self { folder, place };
        let mut pip = installed.command(installed.place.join("bin/python"));
        pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]).args(options).arg(wheel);
        succeeds(&mut pip);
        Some(installed)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.folder.command(program);
        command.env("PATH", format!("{}:{}", self.place.join("bin").display(), self.folder.path("tools").display()));
        for name in ["LD_LIBRARY_PATH", "PYTHONPATH", "LIBTORCH", "VIRTUAL_ENV", "TOMBOLA_PROGRAM", "TOMBOLA_DATA"] {
            command.env_remove(name);
        }
        if let Some(data) = std::env::var_os("TOMBOLA_DATA") {
            command.env("TOMBOLA_DATA", data);
        }
        command
    }

    fn tombola(&self, line: &str) -> Ran {
        let mut command = self.command(self.place.join("bin/tombola"));
        Ran::of(line, command.args(line.split_whitespace()).output().unwrap())
    }

    #[track_caller]
    fn same_tables(&self, expected: &str, found: &str) {
        for name in TABLES {
            assert!(
                self.folder.read(&format!("{expected}/{name}")) == self.folder.read(&format!("{found}/{name}")),
                "{name} of {expected} and of {found} differ"
            );
        }
    }
}

#[test]
fn the_wheel_trains_as_the_program_does_alone_and_on_ranks_of_both_mpis() {
    const TEST: &str = "the wheel";
    let Some(installed) = Installed::new(TEST) else { return };
    let folder = &installed.folder;
    for builder in ["cargo", "rustc", "g++", "cc", "mpicc"] {
        assert!(installed.command(builder).arg("--version").output().is_err(), "`{builder}` is on PATH");
    }
    assert_eq!(installed.tombola("--version").expect(0).out, folder.tombola("--version").expect(0).out);
    let begun = Instant::now();
    installed.tombola("--version").expect(0);
    println!("the command of the wheel starts in {:.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
    // Without its torch it says so, and the rest goes on.
    installed.tombola("init quickstart.toml --example quickstart").expect(0).prints("tombola run quickstart.toml");
    installed.tombola("doctor --dataset synthetic").expect(0).prints(TORCH);
    let begun = Instant::now();
    let checked = installed.tombola("selftest --device cpu --minutes 3").expect(0);
    let checked = checked.prints("12 checks in").prints("0 FAIL").prints("Recorded in results/selftest/");
    // There is no GPU, and perhaps no Fashion-MNIST: nothing else is left out.
    assert!(checked.out.matches("SKIP  ").count() <= 2 && !checked.out.contains("no time was left"), "{checked}");
    println!("the self-test of the wheel took {:.0} s", begun.elapsed().as_secs_f64());

    let mut unit = installed.command(installed.place.join("bin/python"));
    succeeds(unit.args(["-m", "unittest", "discover", "-p", "test_package.py"]).arg(root().join("python/tests")));

    let whole = std::env::var("TOMBOLA_TEST_WHOLE").is_ok_and(|value| value == "yes");
    let part = if whole { "" } else { "--train-limit 1000 --epochs 1" };
    let run = |out: &str| format!("run quickstart.toml --quiet {part} --out {out}");
    let built = installed.command(PROGRAM).args(run("built").split_whitespace()).output().unwrap();
    let built = Ran::of("the built program", built);
    if built.err.contains("fashion-mnist") && built.code == Some(2) {
        skipped(TEST, "Fashion-MNIST is not there: the quick start was not run");
        return;
    }
    let built = built.expect(0).out;
    let found = installed.tombola(&run("wheel")).expect(0).out;
    assert_eq!(found.replace("Tables in wheel", "Tables in built"), built);
    installed.same_tables("built", "wheel");

    for (mpi, launcher, further) in [
        ("Open MPI", "/usr/bin/mpirun.openmpi", &["--oversubscribe", "--bind-to", "none"][..]),
        ("MPICH", "/usr/bin/mpirun.mpich", &[][..]),
    ] {
        if !Path::new(launcher).is_file() {
            skipped(TEST, &format!("there is no `{launcher}`: nothing was run on {mpi}"));
            continue;
        }
        let out = mpi.to_lowercase().replace(' ', "-");
        let mut command = installed.command("/usr/bin/timeout");
        command.args(["600", launcher, "-n", "2"]).args(further).arg(installed.place.join("bin/tombola"));
        command.args(run(&out).split_whitespace());
        command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        // Containers forbid what this would use, and Open MPI complains.
        command.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
        Ran::of(mpi, command.output().unwrap()).expect(0);
        // Both ranks trained, by this library, and did not run the sweep twice.
        let log = folder.read(&format!("{out}/log"));
        assert!(log.contains("2 ranks train:") && log.contains(mpi), "{mpi}: {log}");
        installed.same_tables("built", &out);
    }
}
