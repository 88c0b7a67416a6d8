//! Drives the real program in a fresh folder, and reads what it leaves there.
//!
//! Every call runs with `RUST_BACKTRACE=1` and checks that neither a panic nor a backtrace reaches the user.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) mod cluster;
pub(crate) mod python;
pub(crate) mod ranks;
pub(crate) mod sweep;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tombola");

/// Longest wait for something that has to come, so that a test that fails comes to its end.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// A fresh folder in which the program runs, with no data set in sight but what a test puts into `data`.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Everything in it, files and folders, by path, sorted.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(self.0.path(), self.0.path(), &mut found);
        found.sort();
        found
    }

    /// A command that runs in the folder, unaffected by the user's environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("HOME", self.0.path()).env("TOMBOLA_DATA", self.path("data")).env("RUST_BACKTRACE", "1");
        for name in ["XDG_DATA_HOME", "XDG_CACHE_HOME", "COLUMNS", "LINES", "INSTA_UPDATE"] {
            command.env_remove(name);
        }
        command
    }

    /// `tombola ARGUMENTS`, to its end; the words are separated by spaces.
    pub(crate) fn tombola(&self, arguments: &str) -> Ran {
        Ran::of(arguments, self.command(PROGRAM).args(arguments.split_whitespace()).output().unwrap())
    }

    /// A line as a user types it into a shell, with `tombola` to be found.
    pub(crate) fn shell(&self, line: &str) -> Ran {
        let bin = Path::new(PROGRAM).parent().unwrap().display().to_string();
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
        Ran::of(line, self.command("bash").args(["-c", line]).env("PATH", path).output().unwrap())
    }

    /// The rows of a table, each by column.
    pub(crate) fn table(&self, name: &str) -> Vec<HashMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        reader.deserialize().map(Result::unwrap).collect()
    }

    /// The one results folder below `results`, where a sweep has no name.
    pub(crate) fn only_result(&self) -> String {
        let names = self.results();
        assert_eq!(names.len(), 1, "{names:?}");
        names[0].clone()
    }

    /// All results folders below `results`, sorted.
    pub(crate) fn results(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("results")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| format!("results/{}", entry.unwrap().file_name().display())).collect();
        names.sort();
        names
    }
}

fn list(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        found.push(entry.path().strip_prefix(root).unwrap().display().to_string());
        if entry.file_type().unwrap().is_dir() {
            list(root, &entry.path(), found);
        }
    }
}

/// What a finished program has said.
pub(crate) struct Ran {
    line: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(line: &str, output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        let ran = Self { line: line.to_string(), code: output.status.code(), out, err };
        for word in ["panicked", "backtrace", "has a defect", "RUST_"] {
            assert!(!ran.err.contains(word) && !ran.out.contains(word), "{ran}");
        }
        ran
    }

    /// Ended with this exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Has this text on standard error, wherever lines are broken.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "expected on standard error: {text}\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn does_not_say(self, text: &str) -> Self {
        assert!(!self.err.contains(text), "not expected on standard error: {text}\n{self}");
        self
    }

    /// Has this text on standard output.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.out.contains(text), "expected on standard output: {text}\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn does_not_print(self, text: &str) -> Self {
        assert!(!self.out.contains(text), "not expected on standard output: {text}\n{self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, code, out, err } = self;
        write!(f, "{line}\nexit code {code:?}\n--- standard output\n{out}\n--- standard error\n{err}")
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// A library for `LD_PRELOAD`, compiled from a C file below `tests`.
pub(crate) fn compiled(source: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(source);
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(source.file_name().unwrap()).with_extension("so");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(&compiler)
        .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", compiler.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// Notes that a test could not run here, for `scripts/test` to list.
pub(crate) fn skipped(name: &str, reason: &str) {
    use std::io::Write;
    eprintln!("skipped: {name}: {reason}");
    if let Some(path) = std::env::var_os("TOMBOLA_SKIPPED_TESTS") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{name}: {reason}").unwrap();
    }
}

/// CIFAR-10 in its binary form, below `data`: five files of 12 training images and one of 20 test images. Each class is
/// a brightness, with a little noise.
pub(crate) fn write_cifar_10(folder: &Folder) {
    let mut count: u32 = 0;
    let mut records = |images: usize| {
        let mut bytes = Vec::new();
        for image in 0..images {
            let class = (image % 10) as u8;
            bytes.push(class);
            for _ in 0..3072 {
                count = count.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bytes.push(class * 20 + (count >> 26) as u8);
            }
        }
        bytes
    };
    for batch in 1..=5 {
        folder.write(&format!("data/cifar-10-batches-bin/data_batch_{batch}.bin"), records(12));
    }
    folder.write("data/cifar-10-batches-bin/test_batch.bin", records(20));
}

/// The files of an IDX set of 28x28 images: what they are called and what they hold.
pub(crate) fn idx_set() -> [(&'static str, Vec<u8>); 4] {
    let file = |magic: u32, sizes: &[u32], body: Vec<u8>| {
        let head = std::iter::once(&magic).chain(sizes).flat_map(|number| number.to_be_bytes());
        head.chain(body).collect::<Vec<u8>>()
    };
    let images = |count: u32| file(0x803, &[count, 28, 28], (0..count * 784).map(|byte| (byte % 251) as u8).collect());
    let labels = |count: u32| file(0x801, &[count], (0..count).map(|label| (label % 10) as u8).collect());
    [
        ("train-images-idx3-ubyte", images(40)),
        ("train-labels-idx1-ubyte", labels(40)),
        ("t10k-images-idx3-ubyte", images(20)),
        ("t10k-labels-idx1-ubyte", labels(20)),
    ]
}

/// Number of lines in which a results folder's log says that a training began.
pub(crate) fn started(folder: &Folder, results: &str) -> usize {
    folder.read(&format!("{results}/log")).matches(" started ").count()
}
