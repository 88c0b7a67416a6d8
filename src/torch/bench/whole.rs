//! Whole trainings on the whole machine, by the real programs: `benches/peers/sweep.toml` by Tombola and by two PyTorch
//! programs, one as loose scripts do it, one as an expert would write it (`benches/peers/sweep.py`).
//!
//! The data have the form of CIFAR-10, and are Fashion-MNIST with a black border, three times the same grey: a set that
//! every machine can get, and that is learnt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Deserialize;

use super::MeasuredFigure;
use super::peer::{answer, program};
use tombola_data::images::Images;
use tombola_words::Shape;
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::value::Precision;
use tombola_words::value::Value;

const SIDE: usize = 32;
const TRAIN_FILES: usize = 5;
const TRAIN_IMAGES: usize = 5000;
const TEST_IMAGES: usize = 1000;
/// Epochs of a training that shows the rate of the whole machine.
const EPOCHS: usize = 3;

/// What a peer answers.
#[derive(Debug, Deserialize)]
struct PeerAnswer {
    /// Of the whole program, its start included.
    seconds: f64,
    /// Epochs trained.
    epochs: usize,
    /// Images trained a second, evaluation included, the start of the program not.
    rate: f64,
    /// Correct images of the test set at the end of each trial.
    correct: Vec<u64>,
}

/// The programs and places of a measurement.
#[derive(Debug)]
pub(crate) struct Whole {
    /// `tombola` itself.
    pub program: PathBuf,
    /// A Python with PyTorch.
    pub python: String,
    /// An empty folder.
    pub folder: PathBuf,
}

impl Whole {
    /// Images a second of the whole machine, data pipeline and evaluation included, against PyTorch as scripts use it.
    ///
    /// # Errors
    /// When Fashion-MNIST is missing, or a program fails.
    pub(crate) fn pipeline(
        &self,
        precisions: &[Precision],
        say: &mut dyn FnMut(&MeasuredFigure),
    ) -> Result<Vec<MeasuredFigure>> {
        let data = self.data()?;
        let what = "pipeline, resnetb-20 batch 64";
        let epochs = EPOCHS.to_string();
        let script = self.peer(&["script", &data, "--pipeline", &epochs])?.rate;
        let mut rows = vec![MeasuredFigure::more(format!("{what}, PyTorch script"), script, "images/s")];
        say(&rows[0]);
        for &precision in precisions {
            // As many trainings as the machine has cores, side by side.
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let seeds: Vec<String> = (1..=cores).map(|seed| seed.to_string()).collect();
            let out = self.run(precision, &["--seed", &seeds.join(","), "--epochs", &epochs, "--priter", "0"])?;
            let trainings = csv(&out.join("timing.csv"))?;
            let rates: Result<Vec<f64>> = trainings.iter().map(|line| line.number("images_per_second")).collect();
            let rate: f64 = rates?.iter().sum();
            let name = format!("{what}, {}", precision.show());
            let new = [
                MeasuredFigure::more(&name, rate, "images/s"),
                MeasuredFigure::more(format!("{name}, against the script"), rate / script, "times"),
            ];
            new.iter().for_each(&mut *say);
            rows.extend(new);
        }
        Ok(rows)
    }

    /// Seconds and accuracies of a whole sweep.
    ///
    /// # Errors
    /// As [`Whole::pipeline`].
    pub(crate) fn sweep(
        &self,
        precisions: &[Precision],
        say: &mut dyn FnMut(&MeasuredFigure),
    ) -> Result<Vec<MeasuredFigure>> {
        let data = self.data()?;
        let mut rows = Vec::new();
        let mut peers = Vec::new();
        for (name, arguments) in [
            ("script", &["script", &data][..]),
            ("tuned", &["tuned", &data]),
            ("tuned, compiled", &["tuned", &data, "--compiled"]),
        ] {
            let before = joules();
            let found = self.peer(arguments)?;
            let correct: Vec<f64> = found.correct.iter().map(|correct| *correct as f64).collect();
            let name = format!("PyTorch {name}");
            let mut new = whole_rows(&name, found.seconds, found.epochs, &correct);
            new.extend(energy_row(&name, before));
            new.iter().for_each(&mut *say);
            rows.extend(new);
            peers.push(found.seconds);
        }
        for &precision in precisions {
            let (begun, before) = (Instant::now(), joules());
            let out = self.run(precision, &[])?;
            let seconds = begun.elapsed().as_secs_f64();
            let energy = energy_row(&precision.show(), before);
            let mut correct = Vec::new();
            let mut last = None;
            for line in csv(&out.join("results.csv"))? {
                let this = (line.text("trial")?, line.number("last_test_accuracy")? * line.number("test_images")?);
                // Levels of a trial stand one below the other; the last one is its end.
                if let Some((trial, found)) = last.replace(this.clone())
                    && trial != this.0
                {
                    correct.push(found);
                }
            }
            correct.extend(last.map(|(_, found)| found));
            let epochs = csv(&out.join("epochs.csv"))?.len();
            let name = precision.show();
            let mut new = whole_rows(&name, seconds, epochs, &correct);
            new.extend(energy);
            let tuned = peers[1..].iter().copied().fold(f64::INFINITY, f64::min);
            new.push(MeasuredFigure::more(format!("sweep, {name}, against the script"), peers[0] / seconds, "times"));
            new.push(MeasuredFigure::more(
                format!("sweep, {name}, against the faster tuned"),
                tuned / seconds,
                "times",
            ));
            new.iter().for_each(&mut *say);
            rows.extend(new);
        }
        Ok(rows)
    }

    fn peer(&self, arguments: &[&str]) -> Result<PeerAnswer> {
        let checkpoints = self.folder.join("checkpoints");
        ignored(fs::remove_dir_all(&checkpoints), "there may be none");
        fs::create_dir_all(&checkpoints).map_err(|error| Error::file("make", &checkpoints, &error))?;
        let checkpoints = checkpoints.display().to_string();
        answer(&self.python, "sweep.py", &[&[arguments[0], arguments[1], &checkpoints], &arguments[2..]].concat())
    }

    /// Trains the sweep with other settings; returns its results folder.
    fn run(&self, precision: Precision, settings: &[&str]) -> Result<PathBuf> {
        let out = self.folder.join("run");
        ignored(fs::remove_dir_all(&out), "there may be none");
        let status = Command::new(&self.program)
            .arg("run")
            .arg(program("sweep.toml")?)
            .args(["--quiet", "--own-data", "--precision", &precision.show(), "--data-dir"])
            .arg(self.folder.join("data"))
            .arg("--out")
            .arg(&out)
            .args(settings)
            // What `tombola tune` found before must not decide how many trainings this measures.
            .env("XDG_CACHE_HOME", &self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .map_err(|error| Error::environment(format!("cannot start `{}`: {error}", self.program.display())))?;
        match status.success() {
            true => Ok(out),
            false => Err(Error::environment(format!("`tombola run` ended with {status}"))),
        }
    }

    /// The folder with the data, which are written once.
    fn data(&self) -> Result<String> {
        let folder = self.folder.join("data/cifar-10-batches-bin");
        if !folder.exists() {
            let fashion = tombola_data::load("fashion-mnist", None)?;
            fs::create_dir_all(&folder).map_err(|error| Error::file("make", &folder, &error))?;
            let write = |name: String, images: &Images, range: std::ops::Range<usize>| {
                let path = folder.join(name);
                fs::write(&path, coloured(images, range)).map_err(|error| Error::file("write", &path, &error))
            };
            let each = TRAIN_IMAGES / TRAIN_FILES;
            for file in 0..TRAIN_FILES {
                write(format!("data_batch_{}.bin", file + 1), &fashion.train, file * each..(file + 1) * each)?;
            }
            write("test_batch.bin".into(), &fashion.test, 0..TEST_IMAGES)?;
        }
        Ok(folder.display().to_string())
    }
}

/// Joules that the processor packages have used since some moment, where the system tells: Intel's and AMD's counters, read
/// as root on most systems.
fn joules() -> Option<f64> {
    let packages = fs::read_dir("/sys/class/powercap").ok()?.flatten().filter(|entry| {
        // `intel-rapl:0` is a package, `intel-rapl:0:0` a part of it.
        entry.file_name().to_string_lossy().matches(':').count() == 1
    });
    let counters = packages.map(|entry| {
        let text = fs::read_to_string(entry.path().join("energy_uj")).ok()?;
        text.trim().parse::<f64>().ok().map(|micro| micro / 1e6)
    });
    let counters: Vec<f64> = counters.collect::<Option<_>>()?;
    (!counters.is_empty()).then(|| counters.iter().sum())
}

/// A row of the energy used since `before`. The counters start again at some height: then there is none.
fn energy_row(name: &str, before: Option<f64>) -> Option<MeasuredFigure> {
    let used = joules()? - before?;
    (used > 0.0).then(|| MeasuredFigure::less(format!("sweep, {name}, energy of the processor"), used, "J"))
}

/// Rows of one way to run the sweep. `correct` counts correct images of the test set, one figure for each trial.
fn whole_rows(name: &str, seconds: f64, epochs: usize, correct: &[f64]) -> Vec<MeasuredFigure> {
    let mean = correct.iter().sum::<f64>() / correct.len().max(1) as f64 / TEST_IMAGES as f64 * 100.0;
    vec![
        MeasuredFigure::less(format!("sweep, {name}"), seconds, "s"),
        MeasuredFigure::less(format!("sweep, {name}, trained"), epochs as f64, "epochs"),
        MeasuredFigure::more(format!("sweep, {name}, mean accuracy of {} trials", correct.len()), mean, "%"),
    ]
}

/// Records of CIFAR-10's binary version: a label, then three planes of 32x32.
fn coloured(images: &Images, range: std::ops::Range<usize>) -> Vec<u8> {
    let (height, width) = match images.shape {
        Shape::Image(_, height, width) => (height, width),
        _ => return Vec::new(),
    };
    let (top, left) = ((SIDE - height) / 2, (SIDE - width) / 2);
    let mut records = Vec::new();
    for index in range {
        let Some(pixels) = images.example(index) else { break };
        let mut plane = vec![0; SIDE * SIDE];
        for (row, line) in pixels.chunks(width).enumerate() {
            plane[(top + row) * SIDE + left..][..width].copy_from_slice(line);
        }
        records.push(images.labels[index] as u8);
        (0..3).for_each(|_| records.extend(&plane));
    }
    records
}

/// A line of a table, by the names of its columns.
struct TableLine {
    names: csv::StringRecord,
    values: csv::StringRecord,
}

impl TableLine {
    fn text(&self, name: &str) -> Result<String> {
        let column = self.names.iter().position(|column| column == name);
        let value = column.and_then(|column| self.values.get(column));
        value.map(str::to_string).ok_or_else(|| Error::environment(format!("the table has no column `{name}`")))
    }

    fn number(&self, name: &str) -> Result<f64> {
        let text = self.text(name)?;
        text.parse().map_err(|_| Error::environment(format!("`{name}` is `{text}`, expected a number")))
    }
}

fn csv(path: &Path) -> Result<Vec<TableLine>> {
    let fail = |error: csv::Error| Error::environment(format!("cannot read `{}`: {error}", path.display()));
    let mut reader = csv::Reader::from_path(path).map_err(fail)?;
    let names = reader.headers().map_err(fail)?.clone();
    let lines = reader.records().map(|values| Ok(TableLine { names: names.clone(), values: values.map_err(fail)? }));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_get_a_border_and_three_planes() {
        let images = Images::new((0..28 * 28).map(|i| (i % 251) as u8).collect(), vec![7_u8], (1, 28, 28), 10).unwrap();
        let record = coloured(&images, 0..1);
        assert_eq!((record.len(), record[0]), (1 + 3 * 1024, 7));
        for plane in record[1..].chunks(1024) {
            assert_eq!((plane[2 * 32 + 2], plane[2 * 32 + 3], plane[3 * 32 + 2]), (0, 1, 28));
            assert!(plane[..64].iter().all(|pixel| *pixel == 0));
        }
    }
}
