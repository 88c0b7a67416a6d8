//! PyTorch in Python, beside which this program is measured: the programs of `benches/peers`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;

use tombola_words::error::{Error, Result};

const TORCH: &str = "2.11.0";

fn fail(what: String) -> Error {
    Error::environment(what).hint(format!("`--python` needs a Python with torch {TORCH}, NumPy and torchvision"))
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
    let output = python_command(python)
        .arg(program(name)?)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| fail(format!("cannot start `{python}`: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    match (output.status.success(), serde_json::from_str(line)) {
        (true, Ok(answer)) => Ok(answer),
        _ => Err(fail(format!("`{python}` ended with {} and `{line}`", output.status))),
    }
}

/// A Python process that takes training steps.
#[derive(Debug)]
pub(crate) struct PeerStepper {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl PeerStepper {
    /// Starts it on a device, with batches of some size.
    ///
    /// # Errors
    /// When there is no such Python, or it has no torch of this version.
    pub(crate) fn start(python: &str, device: &str, batch: usize) -> Result<Self> {
        let mut process = python_command(python)
            .arg(program("step.py")?)
            .args(["--device", device, "--batch", &batch.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| fail(format!("cannot start `{python}`: {error}")))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(fail("the streams of the Python process are missing".to_string()));
        };
        let mut peer = Self { process, input, output: BufReader::new(output) };
        let greeting = peer.line()?;
        match greeting.strip_prefix("ready ") {
            Some(version) if version.split('+').next() == Some(TORCH) => Ok(peer),
            Some(version) => Err(fail(format!("`{python}` has torch {version}, expected {TORCH}"))),
            None => Err(fail(format!("`{python}` has no usable torch"))),
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
        writeln!(self.input, "{form} {count}")
            .map_err(|error| Error::environment(format!("the Python process is gone: {error}")))?;
        let line = self.line()?;
        let times: Vec<f64> = line.split(' ').filter_map(|time| time.parse().ok()).collect();
        match times.len() == count {
            true => Ok(times),
            false => Err(Error::environment(format!("the Python process answered `{line}`"))),
        }
    }
}

impl Drop for PeerStepper {
    fn drop(&mut self) {
        // Closing its input would end it too; this also covers one that hangs.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
