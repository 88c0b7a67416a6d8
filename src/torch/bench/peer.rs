//! PyTorch in Python, beside which this program is measured: the programs of `benches/peers`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;

use tombola_core::own_folder::OwnFolder;
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};

const TORCH: &str = "2.11.0";

fn fail(what: String) -> Error {
    Error::environment(what).hint(format!("`--python` needs a Python with torch {TORCH}, NumPy and torchvision"))
}

/// Networks that `benches/peers/step.py` has.
pub(crate) const STEP_NETWORKS: [&str; 4] = ["resnet", "resnetb", "vgg-16", "resnet-18"];

/// Refuses networks that PyTorch's side of a step does not have.
///
/// # Errors
/// When one of `networks` is none of [`STEP_NETWORKS`].
pub(crate) fn check_networks(networks: &[String]) -> Result<()> {
    match networks.iter().find(|network| !STEP_NETWORKS.contains(&network.as_str())) {
        None => Ok(()),
        Some(network) => Err(Error::input(format!(
            "`--network`: `{network}` cannot be measured beside PyTorch, whose side of a step has {}",
            STEP_NETWORKS.map(|known| format!("`{known}`")).join(", ")
        ))
        .hint("name one of these, or leave `--python` out to measure it alone")),
    }
}

/// What a Python process writes to its standard error: a file, so that nobody must read it while it is written.
#[derive(Debug)]
struct PeerComplaints(File);

impl PeerComplaints {
    fn new() -> Result<Self> {
        let folder = OwnFolder::within(&std::env::temp_dir())?;
        let path = folder.path().join("stderr");
        // It lives on without a name when the folder goes, for as long as somebody has it open.
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        file.map(Self).map_err(|error| Error::file("make", &path, &error))
    }

    fn stdio(&self) -> Result<Stdio> {
        let file = self.0.try_clone();
        file.map(Stdio::from).map_err(|error| Error::environment(format!("cannot share a temporary file: {error}")))
    }

    /// The last line, which says of a traceback what went wrong; empty where nothing was written.
    fn last(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = self.0.seek(SeekFrom::Start(0)).and_then(|_| self.0.read_to_end(&mut bytes));
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        match (read, line) {
            (Ok(_), Some(line)) => format!(": {line}"),
            _ => String::new(),
        }
    }
}

/// A program of `benches/peers`: in the current folder, or where this program was built.
///
/// # Errors
/// When it is in neither.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let places = [Path::new("benches/peers"), Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers"))];
    places.iter().map(|folder| folder.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        Error::environment(format!("`benches/peers/{name}` is not here")).hint("run it in the folder of the repository")
    })
}

/// A Python in the environment of a user: without what `tombola` sets for its own memory.
fn python_command(python: &str) -> Command {
    let mut command = Command::new(python);
    command.env_remove(tombola::memory::TUNABLES);
    command
}

/// Runs a peer to its end; the last line that it prints is the answer.
///
/// # Errors
/// When it fails, or its answer cannot be read.
pub(crate) fn answer<T: DeserializeOwned>(python: &str, name: &str, arguments: &[&str]) -> Result<T> {
    let mut complaints = PeerComplaints::new()?;
    let output = python_command(python)
        .arg(program(name)?)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(complaints.stdio()?)
        .output()
        .map_err(|error| fail(format!("cannot start `{python}`: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    match (output.status.success(), serde_json::from_str(line)) {
        (true, Ok(answer)) => Ok(answer),
        (true, Err(_)) => Err(fail(format!("`{python}` answered `{line}`, which cannot be read"))),
        _ => Err(fail(format!("`{python}` with `{name}` ended with {}{}", output.status, complaints.last()))),
    }
}

/// A Python process that takes training steps.
#[derive(Debug)]
pub(crate) struct PeerStepper {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    complaints: PeerComplaints,
}

impl PeerStepper {
    /// Starts it on a device, with batches of some size.
    ///
    /// # Errors
    /// When there is no such Python, or it has no torch of this version.
    pub(crate) fn start(python: &str, device: &str, batch: usize) -> Result<Self> {
        let complaints = PeerComplaints::new()?;
        let mut process = python_command(python)
            .arg(program("step.py")?)
            .args(["--device", device, "--batch", &batch.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.stdio()?)
            .spawn()
            .map_err(|error| fail(format!("cannot start `{python}`: {error}")))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(fail("the streams of the Python process are missing".to_string()));
        };
        let mut peer = Self { process, input, output: BufReader::new(output), complaints };
        let greeting = peer.line()?;
        match greeting.strip_prefix("ready ") {
            Some(version) if version.split('+').next() == Some(TORCH) => Ok(peer),
            Some(version) => Err(fail(format!("`{python}` has torch {version}, expected {TORCH}"))),
            None => Err(fail(format!("`{python}` has no usable torch{}", peer.end()))),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        read.map_err(|error| Error::environment(format!("cannot read from the Python process: {error}")))?;
        Ok(line.trim_end().to_string())
    }

    /// Seconds of each of `count` steps of a form, such as `resnet fp32 channels-last eager`.
    ///
    /// # Errors
    /// When the process is gone, or answers something else.
    pub(crate) fn times(&mut self, form: &str, count: usize) -> Result<Vec<f64>> {
        if writeln!(self.input, "{form} {count}").is_err() {
            return Err(fail(format!("the Python process is gone before `{form}`{}", self.end())));
        }
        let line = self.line()?;
        if line.is_empty() {
            return Err(fail(format!("the Python process ended at `{form}`{}", self.end())));
        }
        let times: Vec<f64> = line.split(' ').filter_map(|time| time.parse().ok()).collect();
        match times.len() == count {
            true => Ok(times),
            false => Err(Error::environment(format!("the Python process answered `{line}`"))),
        }
    }
}

impl PeerStepper {
    /// Its end in words, once it has closed its output.
    fn end(&mut self) -> String {
        let status = self.process.wait().map(|status| format!(", with {status}")).unwrap_or_default();
        format!("{status}{}", self.complaints.last())
    }
}

impl Drop for PeerStepper {
    fn drop(&mut self) {
        ignored(self.process.kill(), "a process that has ended needs no end");
        ignored(self.process.wait(), "it is not asked how it ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_networks_of_the_peer_are_those_that_its_program_has() {
        let text = std::fs::read_to_string(program("step.py").unwrap()).unwrap();
        let table = text.split("NETWORKS = {").nth(1).and_then(|rest| rest.split('}').next()).unwrap();
        let names: Vec<&str> =
            table.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
        assert_eq!(names, STEP_NETWORKS);
        let error = check_networks(&["resnet".into(), "lenet-300-100".into()]).unwrap_err();
        assert!(error.message.contains("`lenet-300-100`") && error.message.contains("`resnet-18`"), "{error}");
        assert_eq!(error.kind, tombola_words::error::Kind::Input);
        check_networks(&STEP_NETWORKS.map(String::from)).unwrap();
    }
}
