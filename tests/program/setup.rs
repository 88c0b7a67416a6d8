//! What the scripts that set up and test say and do, with pretended cargo, pip, apt and sudo: nothing is fetched or built.
//!
//! Each test has a machine of its own: a folder with the scripts, a `PATH` of pretended programs and of those of this machine
//! that a set-up would not install. The pretended programs note down how they were called.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a pretended program begins with.
const NOTE: &str = "#!/bin/bash\necho \"${0##*/} $*\" >>\"$MACHINE/calls\"\n";

/// Builds two programs that print their arguments, with as much to say as a real build. Tests are two, of which one cannot
/// run for the reason in SKIP.
const CARGO: &str = r#"
case $1 in
    --version) echo 'cargo 1.95.0'; exit ;;
    test)
        [[ " $* " != *' --no-run '* ]] || exit 0
        echo "${ONEDNN_MAX_CPU_ISA:-all} ${ATEN_CPU_CAPABILITY:-all} $*" >>"$MACHINE/passes"
        [[ -z ${SKIP:-} ]] || echo "a_test: $SKIP" >>"$TOMBOLA_SKIPPED_TESTS"
        [[ -z ${IGNORE:-} ]] || echo "test another ... ignored, $IGNORE"
        echo 'test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out'
        exit ;;
esac
if [[ -n ${BREAK:-} ]]; then
    printf '   Compiling first v1\nerror[E0425]: cannot find value `y` in this scope\n --> src/x.rs:1:2\n\nnote: long\nerror: could not compile `tombola`\n' >&2
    exit 101
fi
for number in {1..214}; do
    [[ ${CARGO_TERM_PROGRESS_WHEN:-} != always ]] || printf '    Building [=====>     ] %s/214: crate-%s, more     \r' "$number" "$number" >&2
    echo "   Compiling crate-$number v1" >&2
done
for program in tombola tombola-torch; do
    printf '#!/bin/sh\necho program "$@"\n' >"$CARGO_TARGET_DIR/release/$program"
    chmod +x "$CARGO_TARGET_DIR/release/$program"
done
"#;

/// A Python that has no torch, whose pip makes a libtorch.
const PYTHON: &str = r#"
case $* in
    '-m pip --version' | '-c '*) exit 0 ;;
    '-m pip install '*) ;;
    *) exit 1 ;;
esac
if [[ -n ${BREAK:-} ]]; then
    printf 'Collecting torch\nERROR: No matching distribution found for torch==2.11.0\n' >&2
    exit 1
fi
seq -f 'Collecting part %g' 300
while [[ $1 != --target ]]; do shift; done
mkdir -p "$2/torch/lib" "$2/torch/include/torch/csrc/api/include/torch"
touch "$2/torch/lib/libtorch_cpu.so" "$2/torch/include/torch/csrc/api/include/torch/torch.h"
echo 2.11.0 >"$2/torch/build-version"
"#;

/// What the scripts need of a machine before a set-up.
const TOOLS: &str =
    "awk bash cat chmod cksum cut date dirname env find flock grep head ldd mkdir mktemp mv nproc paste printf readlink rm
    script sed seq setpriv sh sort stat stdbuf tail tee touch tr true uname xargs";

/// Installs a compiler.
const APT: &str = r#"
seq -f 'Unpacking %g' 300
[[ $* != *g++* ]] || { printf '#!/bin/sh\n' | tee "$MACHINE/bin/c++" >"$MACHINE/bin/cc"; chmod +x "$MACHINE/bin/c++" "$MACHINE/bin/cc"; }
"#;

struct Machine(tempfile::TempDir);

impl Machine {
    /// One with Rust and a compiler, and Python with pip. It has no MPI, and Fashion-MNIST is there.
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        for name in ["", "lib"] {
            for entry in std::fs::read_dir(scripts.join(name)).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_file() {
                    let inside = format!("house/scripts/{name}/{}", entry.file_name().display());
                    machine.write(&inside, &std::fs::read_to_string(entry.path()).unwrap());
                }
            }
        }
        machine.write("house/Cargo.toml", "[package]\nname = \"tombola\"\nrust-version = \"1.89\"\n");
        machine
            .write("house/Cargo.lock", "")
            .write("house/src/lib.rs", "")
            .write("house/tests/outside/requirements.txt", "numpy\n");
        for part in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"] {
            machine.write(&format!("data/{part}-ubyte"), "");
        }
        machine.pretend("cargo", CARGO).pretend("python3", PYTHON).pretend("c++", "").pretend("cc", "");
        machine.has_tools();
        machine
    }

    /// The programs of this machine that the scripts may take for granted.
    fn has_tools(&self) {
        std::fs::create_dir(self.0.path().join("tools")).unwrap();
        for name in TOOLS.split_whitespace() {
            let found =
                ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name)).into_iter().find(|path| path.exists());
            if let Some(path) = found {
                symlink(path, self.0.path().join("tools").join(name)).unwrap();
            }
        }
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn pretend(&self, name: &str, text: &str) -> &Self {
        self.write(&format!("bin/{name}"), &format!("{NOTE}{text}"))
    }

    fn lacks(&self, name: &str) -> &Self {
        std::fs::remove_file(self.0.path().join("bin").join(name)).unwrap();
        self
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        self.0.path().join(name).exists()
    }

    /// A command line in the house, with nothing of this machine's environment.
    fn line(&self, line: &str) -> Command {
        let folder = self.0.path();
        let mut command = Command::new("bash");
        command.args(["-c", line]).current_dir(folder.join("house")).env_clear().stdin(Stdio::null());
        command.env("MACHINE", folder).env("HOME", folder.join("home")).env("TOMBOLA_DATA", folder.join("data"));
        // This machine's own Python, which the scripts know where to find, does not start with this.
        command.env("PYTHONHOME", "/nonexistent").env("TOMBOLA_MPI", "no").env("LC_ALL", "C.UTF-8");
        command.env("PATH", format!("{0}/bin:{0}/tools", folder.display()));
        command
    }

    /// The same, where it needs no more variables.
    fn call(&self, line: &str) -> Said {
        Said::of(self.line(line).output().unwrap())
    }

    /// Somebody who is not root, and may write here.
    fn call_as_nobody(&self, line: &str) -> Said {
        if !std::fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0) {
            return self.call(line);
        }
        assert!(
            Command::new("chmod").args(["-R", "a+rwX"]).arg(self.0.path().join("house")).status().unwrap().success()
        );
        assert!(Command::new("chmod").args(["-R", "a+rwX"]).arg(self.0.path().join("bin")).status().unwrap().success());
        std::fs::set_permissions(self.0.path(), Permissions::from_mode(0o777)).unwrap();
        self.call(&format!("setpriv --reuid 65534 --regid 65534 --clear-groups bash -c {line:?}"))
    }
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "expected: {text}\n{self}");
        self
    }

    #[track_caller]
    fn does_not_say(self, text: &str) -> Self {
        assert!(!self.err.contains(text), "not expected: {text}\n{self}");
        self
    }

    #[track_caller]
    fn prints(self, text: &str) -> Self {
        assert!(self.out.contains(text), "expected on standard output: {text}\n{self}");
        self
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\n--- standard output\n{}\n--- standard error\n{}", self.code, self.out, self.err)
    }
}

#[test]
fn a_first_call_says_one_line_a_step_and_later_ones_nothing() {
    let machine = Machine::new();
    let said = machine.call("scripts/tombola run sweep.toml").expect(0);
    assert_eq!(said.out, "program run sweep.toml\n");
    let lines: Vec<&str> = said.err.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("setup: libtorch 2.11.0 for the CPU, 0.6 GB (1.3 GB on disk) … "), "{said}");
    assert!(lines[1].starts_with("setup: building the program, for the first time (minutes) … "), "{said}");
    assert!(lines.iter().all(|line| line.ends_with(" s")) && !said.err.contains('\r'), "{said}");
    let log = machine.read("house/target/setup.log");
    assert!(log.contains("Collecting part 300\n") && log.contains("Compiling crate-214 v1\n"), "{log}");
    let said = machine.call("scripts/tombola status").expect(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("program status\n", ""));
}

#[test]
fn a_terminal_shows_how_many_crates_are_built_and_the_log_has_no_carriage_returns() {
    let machine = Machine::new();
    if !machine.has("tools/script") {
        return super::common::skipped("a terminal shows how many crates are built", "there is no `script`");
    }
    let said = machine.call("script --quiet --return --command 'scripts/tombola run' /dev/null").expect(0);
    let said = said.prints("(minutes) … 1 of 214 crates").prints("(minutes) … 214 of 214 crates").prints("program run");
    assert!(said.out.lines().count() <= 3, "{said}");
    let log = machine.read("house/target/setup.log");
    assert!(log.contains("Compiling crate-214 v1\n") && !log.contains('\r') && !log.contains("Building ["), "{log}");
}

#[test]
fn a_failed_build_shows_the_errors_and_names_the_log() {
    let machine = Machine::new();
    machine.write("torch/lib/libtorch_cpu.so", "").write("torch/version.py", "__version__ = '2.11.0+cpu'\n");
    machine.write("torch/include/torch/csrc/api/include/torch/torch.h", "");
    let said = machine.call("BREAK=1 LIBTORCH=../torch scripts/tombola run").expect(3);
    let said = said.says("(minutes) … failed after ").says("error: the build failed\n");
    let said = said.says("    error[E0425]: cannot find value `y` in this scope\n     --> src/x.rs:1:2\n");
    let said =
        said.says("    error: could not compile `tombola`\n").does_not_say("Compiling").does_not_say("note: long");
    let log = machine.0.path().join("house/target/setup.log").display().to_string();
    assert!(said.says(&format!("the whole output is in `{log}`")).out.is_empty());
    // The next one finds it as it was.
    machine.call("LIBTORCH=../torch scripts/tombola run").expect(0).prints("program run");
}

#[test]
fn a_failed_fetch_shows_the_errors_of_pip_and_leaves_nothing() {
    let machine = Machine::new();
    let said = machine.call("BREAK=1 scripts/tombola run").expect(3);
    let said = said.says("python3 -m pip` could not fetch torch 2.11.0 into `");
    let said = said.says("    ERROR: No matching distribution found for torch==2.11.0\n").does_not_say("Collecting");
    said.says("hint: is there a network, and space on the disk?").says("target/setup.log`");
    let left: Vec<_> = std::fs::read_dir(machine.0.path().join("home/.cache/tombola")).unwrap().collect();
    assert_eq!(left.len(), 1, "only the lock: {left:?}");
}

#[test]
fn without_leave_to_set_up_nothing_is_done_and_all_is_listed() {
    let machine = Machine::new();
    machine.lacks("c++").pretend("apt-get", APT).pretend("dpkg", "").pretend("sudo", "");
    let said = machine.call("TOMBOLA_SETUP=no TOMBOLA_DATA= TOMBOLA_MPI=yes scripts/tombola run").expect(3);
    let said = said.says("error: the program is not built, or is older than its sources, and TOMBOLA_SETUP=no forbids");
    let said = said.says("  - install a C++ compiler").says("by hand: apt-get install g++");
    let said = said.says("  - fetch libtorch 2.11.0 for the CPU, 0.6 GB (1.3 GB on disk) into `");
    let said =
        said.says("by hand: python3 -m pip install --target FOLDER --no-deps 'torch==2.11.0' 'nvidia-cuda-runtime==");
    let said = said.says("  - install what MPI needs, because TOMBOLA_MPI=yes asks for it and there is no MPI");
    let said = said.says("  - build the program\n      by hand: cd ").says("cargo build --release --locked");
    assert!(said.out.is_empty());
    assert!(!machine.has("house/target") && !machine.has("home"), "something was made");
    let calls = machine.read("calls");
    assert!(!calls.contains("build") && !calls.contains("install") && !calls.contains("sudo"), "{calls}");
}

#[test]
fn without_leave_to_set_up_a_program_that_is_built_is_started_and_an_old_one_is_not() {
    let machine = Machine::new();
    machine.call("scripts/tombola run").expect(0);
    assert_eq!(machine.call("TOMBOLA_SETUP=no scripts/tombola run").expect(0).err, "");
    // By hand: without the stamp of a set-up.
    std::fs::remove_file(machine.0.path().join("house/target/release/tombola.stamp")).unwrap();
    machine.call("TOMBOLA_SETUP=no scripts/tombola run").expect(0).prints("program run");
    machine
        .call("touch -d '+1 minute' src/lib.rs; TOMBOLA_SETUP=no scripts/tombola run")
        .expect(3)
        .says("older than its sources");
    machine
        .call("TOMBOLA_SETUP=never scripts/tombola run")
        .expect(3)
        .says("TOMBOLA_SETUP is `never`, expected `yes` or `no`");
}

#[test]
fn without_leave_to_set_up_the_tests_do_not_install_either() {
    let machine = Machine::new();
    machine.lacks("c++").pretend("apt-get", APT).pretend("dpkg", "");
    let said = machine.call("CI=1 TOMBOLA_SETUP=no scripts/test").expect(3);
    said.says("error: this machine lacks something, and TOMBOLA_SETUP=no forbids").says("  - install a C++ compiler");
    let calls = machine.read("calls");
    assert!(!calls.contains("apt-get") && !calls.contains("install") && !machine.has("passes"), "{calls}");
}

#[test]
fn sudo_is_announced_before_it_is_called() {
    let machine = Machine::new();
    machine.lacks("c++").pretend("apt-get", APT).pretend("dpkg", "");
    // What was said by then is noted down too.
    machine.pretend("sudo", "cat \"$MACHINE/house/said\" >>\"$MACHINE/calls\"; shift; exec \"$@\"\n");
    let said = machine.call_as_nobody("scripts/tombola run 2>said || cat said >&2").expect(0);
    let announced = "setup: calling sudo, for `apt-get update` and `apt-get install g++`, because a C++ compiler (`c++` and `cc`) is missing";
    let calls = machine.read("calls");
    let (before, _) = calls.split_once("sudo -n true\n").unwrap_or_else(|| panic!("{calls}\n{said}"));
    assert!(!before.contains("sudo") && calls.contains(&format!("sudo -n true\n{announced}")), "{calls}\n{said}");
    assert!(
        calls.contains("apt-get -q -y") && machine.read("house/said").contains("setup: apt installs g++ … "),
        "{calls}"
    );
}

#[test]
fn sudo_that_wants_a_password_installs_nothing() {
    let machine = Machine::new();
    machine.lacks("c++").pretend("apt-get", APT).pretend("dpkg", "").pretend("sudo", "exit 1\n");
    let said = machine.call_as_nobody("scripts/tombola run").expect(3);
    let said =
        said.says("setup: calling sudo, for").says("setup: sudo wants a password, so nothing is installed by apt");
    said.says("error: a C++ compiler (`c++` and `cc`) is missing").says("apt-get install g++");
    assert!(!machine.read("calls").contains("apt-get"));
}

#[test]
fn the_log_keeps_earlier_set_ups_up_to_a_size() {
    let machine = Machine::new();
    machine.call("scripts/tombola run").expect(0);
    machine.call("touch -d '+1 minute' src/lib.rs; scripts/tombola run").expect(0).says("setup: building the program");
    let log = machine.read("house/target/setup.log");
    assert_eq!(log.lines().filter(|line| line.starts_with("==== 20")).count(), 2, "{log}");
    machine.write("house/target/setup.log", &"old\n".repeat(300_000));
    machine.call("touch -d '+1 minute' src/lib.rs; scripts/tombola run").expect(0);
    assert!(machine.read("house/target/setup.log.before").starts_with("old\n"));
    assert!(machine.read("house/target/setup.log").starts_with("==== 20"));
}

/// `scripts/test` on a machine with an MPI, of which nothing is installed.
fn tests(machine: &Machine, variables: &[(&str, &str)]) -> Said {
    machine.pretend("mpicc", "echo gcc -I$MACHINE/mpi\n").write("mpi/mpi.h", "").write("mpi/libclang.so", "");
    // What follows the tests where CI is set builds a program of its own.
    machine.write("house/scripts/fuzz", "#!/usr/bin/env bash\n");
    let mut command = machine.line("scripts/test");
    command.env_remove("TOMBOLA_MPI").env("LIBCLANG_PATH", machine.0.path().join("mpi"));
    command.env("TOMBOLA_TEST_PYTHON", "/nonexistent").envs(variables.iter().copied());
    Said::of(command.output().unwrap())
}

#[test]
fn a_skipped_test_is_a_failure_where_ci_is_set_but_for_one_that_needs_a_gpu() {
    let machine = Machine::new();
    let failure = "CI is set, and 1 of the lines above name tests that did not run: that is a failure";
    let said = tests(&machine, &[]).expect(0);
    assert!(!said.out.contains("Skipped"), "{said}");
    tests(&machine, &[("SKIP", "no browser")]).expect(0).prints("Skipped: a_test: no browser\n");
    tests(&machine, &[("CI", "false"), ("SKIP", "no browser")]).expect(0);
    tests(&machine, &[("CI", "1"), ("SKIP", "no browser")])
        .expect(1)
        .prints("Skipped: a_test: no browser\n")
        .prints(failure);
    tests(&machine, &[("CI", "1"), ("IGNORE", "slow")]).expect(1).prints("Skipped: another: slow\n").prints(failure);
    let gpu = "needs a GPU";
    tests(&machine, &[("CI", "1"), ("SKIP", gpu), ("IGNORE", gpu)]).expect(0).prints("Skipped: another: needs a GPU\n");
    tests(&machine, &[("CI", "1"), ("SKIP", gpu), ("IGNORE", "slow")]).expect(1).prints(failure);
    tests(&machine, &[("CI", "1"), ("TOMBOLA_MPI", "no")]).expect(1).prints("Skipped: all on MPI: ").prints(failure);
}

#[test]
fn tests_that_train_run_once_more_with_avx2_where_there_is_more() {
    let machine = Machine::new();
    let said = tests(&machine, &[]).expect(0).prints("Tests: ");
    let passes = machine.read("passes");
    let passes: Vec<&str> = passes.lines().collect();
    assert!(passes[0].starts_with("all all test --release --locked"), "{passes:?}\n{said}");
    if std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default().contains(" avx512f ") {
        assert_eq!(passes.len(), 2, "{passes:?}");
        assert!(passes[1].starts_with("AVX2 avx2 test --release --locked"), "{passes:?}");
    } else {
        assert_eq!(passes.len(), 1, "{passes:?}");
    }
}

#[test]
fn who_names_packages_of_the_workspace_tests_no_others() {
    let machine = Machine::new();
    let called = |arguments: &str| {
        let mut command = machine.line(&format!("rm -f \"$MACHINE/passes\"; scripts/test {arguments}"));
        command.env("TOMBOLA_TEST_PYTHON", "/nonexistent");
        Said::of(command.output().unwrap()).expect(0);
        machine.read("passes").lines().next().unwrap().to_string()
    };
    let features = "--no-default-features --features torch";
    let all = called("mask");
    assert!(all.contains("--workspace") && all.contains(features), "{all}");
    for named in ["-p tombola-views", "-ptombola-views", "--package tombola-views", "--package=tombola-views"] {
        let line = called(&format!("{named} mask"));
        assert!(!line.contains("--workspace") && !line.contains(features) && line.ends_with("mask"), "{line}");
    }
    // Only the program has these features.
    let own = called("-p tombola mask");
    assert!(!own.contains("--workspace") && own.contains(features), "{own}");
    // For the test programs, and not for `cargo test`.
    let passed = called("mask -- -p tombola");
    assert!(passed.contains("--workspace"), "{passed}");
}
