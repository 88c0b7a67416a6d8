//! Shows how far a sweep is: bars on a terminal, a plain line now and then otherwise, and everything in a log file.
//!
//! It may not know of torch. Time is measured in the work that was estimated before, scaled by how long work took so
//! far, so that a sweep of small and large networks has one honest estimate.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use tombola_core::plan::estimate::{human, many};
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::speech;

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// Workers with a bar of their own, and workers that a plain line describes: more would hide the rest.
const MOST_SHOWN: usize = 16;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// Errors and the final table.
    Quiet,
    /// Progress.
    Normal,
    /// A line for every event.
    Verbose,
}

/// The display of one run.
#[derive(Debug)]
pub struct Progress {
    loudness: Loudness,
    bars: Option<Bars>,
    log: File,
    begun: Instant,
    last_line: Instant,
    /// Estimated work, done in this run and in all, in seconds of the estimate.
    done: f64,
    total: f64,
    tally: ProgressTally,
    workers: BTreeMap<usize, Current>,
}

/// What became of the trainings of a run.
#[derive(Debug, Clone, Copy, Default)]
struct ProgressTally {
    /// Those that it set out to train.
    all: usize,
    done: usize,
    failed: usize,
    /// Left out because one before them failed.
    skipped: usize,
}

impl std::fmt::Display for ProgressTally {
    /// `3 of 8 trainings done, 1 failed, 2 left out`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} done", self.done, many(self.all, "training"))?;
        for (count, word) in [(self.failed, "failed"), (self.skipped, "left out")] {
            if count > 0 {
                write!(f, ", {count} {word}")?;
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    sweep: ProgressBar,
    workers: BTreeMap<usize, ProgressBar>,
}

/// What a worker is at.
#[derive(Debug)]
struct Current {
    label: String,
    epoch: usize,
    epochs: usize,
    images: usize,
    epoch_images: usize,
    epoch_work: f64,
    since: Instant,
    rate: f64,
}

impl Progress {
    /// A display for `stages` trainings of `total` estimated seconds. Everything also goes to the file `log`, behind
    /// what earlier runs wrote there.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub fn new(loudness: Loudness, log: &Path, stages: usize, total: f64) -> Result<Self> {
        let open = File::options().create(true).append(true).open(log);
        let log = open.map_err(|error| Error::file("write", log, &error))?;
        let bars = (std::io::stderr().is_terminal() && loudness == Loudness::Normal).then(Bars::new);
        let now = Instant::now();
        let workers = BTreeMap::new();
        let tally = ProgressTally { all: stages, ..ProgressTally::default() };
        let mut progress = Self { loudness, bars, log, begun: now, last_line: now, done: 0.0, total, tally, workers };
        progress.draw();
        Ok(progress)
    }

    /// A worker begins a stage of `epochs` epochs and `work` estimated seconds, `from` of the epochs done before.
    pub fn started(&mut self, worker: usize, label: &str, from: usize, (epochs, work): (usize, f64)) {
        let epoch_work = work / epochs.max(1) as f64;
        let again = if from > 0 { format!(", goes on after epoch {from}") } else { String::new() };
        self.detail(&format!("started {label}: {epochs} epochs{again}"));
        self.done += from as f64 * epoch_work;
        let current = Current {
            label: label.to_string(),
            epoch: from,
            epochs,
            images: 0,
            epoch_images: 1,
            epoch_work,
            since: Instant::now(),
            rate: 0.0,
        };
        self.workers.insert(worker, current);
        self.draw_worker(worker);
    }

    /// How long a worker's stage really is, which its draw has told.
    pub fn lasts(&mut self, worker: usize, (epochs, work): (usize, f64)) {
        let Some(current) = self.workers.get_mut(&worker).filter(|current| current.epochs != epochs) else { return };
        let epoch_work = work / epochs.max(1) as f64;
        self.total += work - current.epoch_work * current.epochs as f64;
        self.done += current.epoch as f64 * (epoch_work - current.epoch_work);
        (current.epochs, current.epoch_work) = (epochs, epoch_work);
        let line = format!("{}: {epochs} epochs, now that it is drawn", current.label);
        self.detail(&line);
        self.draw_worker(worker);
        self.draw();
    }

    /// A worker has seen `images` of the `all` images of its epoch.
    pub fn images(&mut self, worker: usize, images: usize, all: usize) {
        if let Some(current) = self.workers.get_mut(&worker) {
            (current.images, current.epoch_images) = (images, all);
            current.rate = images as f64 / current.since.elapsed().as_secs_f64().max(1e-9);
        }
        self.draw_worker(worker);
        self.tick();
    }

    /// A worker has finished an epoch, described by `line`.
    pub fn epoch(&mut self, worker: usize, line: &str) {
        if let Some(current) = self.workers.get_mut(&worker) {
            current.epoch += 1;
            current.images = 0;
            current.since = Instant::now();
            self.done += current.epoch_work;
            let line = format!("{}: {line}", current.label);
            self.detail(&line);
        }
        self.draw_worker(worker);
        self.draw();
        self.tick();
    }

    /// A worker's stage is done.
    pub fn ended(&mut self, worker: usize, line: &str) {
        self.tally.done += 1;
        self.over(worker, line);
    }

    /// A worker's stage failed, and is not tried again.
    pub fn failed(&mut self, worker: usize, line: &str) {
        self.tally.failed += 1;
        self.over(worker, line);
    }

    fn over(&mut self, worker: usize, line: &str) {
        if let Some(current) = self.workers.remove(&worker) {
            self.done += current.epochs.saturating_sub(current.epoch) as f64 * current.epoch_work;
            self.detail(&format!("{}: {line}", current.label));
        }
        self.draw_worker(worker);
        self.draw();
        self.tick();
    }

    /// A worker's stage will be trained again, from wherever its last snapshot is.
    pub fn interrupted(&mut self, worker: usize) {
        if let Some(current) = self.workers.remove(&worker) {
            self.done -= current.epoch as f64 * current.epoch_work;
            self.detail(&format!("{}: interrupted after epoch {}", current.label, current.epoch));
        }
        self.draw_worker(worker);
        self.draw();
    }

    /// A stage will not be trained: its work leaves the total.
    pub fn skipped(&mut self, work: f64) {
        self.total -= work;
        self.tally.skipped += 1;
    }

    /// A stage need not be trained: it was one that might have come.
    pub fn spared(&mut self, work: f64) {
        self.total -= work;
        self.tally.all = self.tally.all.saturating_sub(1);
    }

    /// Something that the user must know, beside the bars.
    pub fn note(&mut self, line: &str) {
        self.write_log(line);
        match &self.bars {
            Some(bars) => {
                ignored(bars.all.println(line), "a terminal that is gone shows nothing");
            }
            None => speech::say(line),
        }
    }

    /// Something worth knowing, unless quiet was asked for.
    pub fn say(&mut self, line: &str) {
        match self.loudness {
            Loudness::Quiet => self.write_log(line),
            _ => self.note(line),
        }
    }

    /// Takes the bars away.
    pub fn finish(&mut self) {
        if let Some(bars) = self.bars.take() {
            ignored(bars.all.clear(), "a terminal that is gone has nothing to clear");
        }
        let comma = if self.tally.done == self.tally.all { "" } else { "," };
        let line = format!("{}{comma} in {}", self.tally, human(self.begun.elapsed().as_secs_f64()));
        self.write_log(&line);
        if self.loudness >= Loudness::Normal {
            speech::say(line);
        }
    }

    /// A line for the log file alone.
    pub fn log(&mut self, line: &str) {
        self.write_log(line);
    }

    fn detail(&mut self, line: &str) {
        self.write_log(line);
        if self.loudness == Loudness::Verbose {
            speech::say(line);
        }
    }

    fn write_log(&mut self, line: &str) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        ignored(
            writeln!(self.log, "{now} {line}"),
            "a log that cannot be written must not end a sweep whose journal can",
        );
    }

    /// A plain line every half minute where there are no bars.
    pub fn tick(&mut self) {
        if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let line = self.line();
            self.write_log(&line);
            if self.bars.is_none() && self.loudness == Loudness::Normal {
                speech::say(line);
            }
        }
    }

    fn line(&self) -> String {
        let rate: f64 = self.workers.values().map(|current| current.rate).sum();
        let mut running: Vec<String> = self.workers.values().take(MOST_SHOWN).map(Current::describe).collect();
        if self.workers.len() > MOST_SHOWN {
            running.push(format!("{} more", self.workers.len() - MOST_SHOWN));
        }
        // Trainings of less than a moment tell no rate.
        let rate = if rate > 0.0 { format!("{rate:.0} images/s · ") } else { String::new() };
        format!("{} · {:.0} % · {rate}{} · {}", self.tally, 100.0 * self.share(), self.left(), running.join(" · "))
    }

    /// Share of the work that is done, the running epochs included.
    fn share(&self) -> f64 {
        let running: f64 = self.workers.values().map(Current::partial).sum();
        if self.total > 0.0 { ((self.done + running) / self.total).clamp(0.0, 1.0) } else { 1.0 }
    }

    fn left(&self) -> String {
        let (share, elapsed) = (self.share(), self.begun.elapsed().as_secs_f64());
        match share > 0.01 && elapsed > 2.0 {
            true => format!("{} left", human(elapsed * (1.0 - share) / share)),
            false => "estimating".to_string(),
        }
    }

    fn draw(&mut self) {
        let (share, left) = (self.share(), self.left());
        if let Some(bars) = &self.bars {
            bars.sweep.set_position((1000.0 * share) as u64);
            bars.sweep.set_message(format!("{} · {left}", self.tally));
        }
    }

    fn draw_worker(&mut self, worker: usize) {
        if let Some(bar) = self.bars.as_mut().and_then(|bars| bars.of(worker)) {
            match self.workers.get(&worker) {
                Some(current) => {
                    bar.set_position((1000.0 * current.share()) as u64);
                    bar.set_message(current.describe());
                }
                None => bar.set_message("waiting"),
            }
        }
    }
}

impl Current {
    fn partial(&self) -> f64 {
        self.epoch_work * self.images as f64 / self.epoch_images.max(1) as f64
    }

    fn share(&self) -> f64 {
        let done = self.epoch as f64 + self.images as f64 / self.epoch_images.max(1) as f64;
        (done / self.epochs.max(1) as f64).clamp(0.0, 1.0)
    }

    fn describe(&self) -> String {
        let rate = if self.rate > 0.0 { format!(" {:.0} images/s", self.rate) } else { String::new() };
        format!("{} epoch {}/{}{rate}", self.label, (self.epoch + 1).min(self.epochs), self.epochs)
    }
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        let sweep = all.add(bar("sweep    [{bar:30}] {percent:>3} % {msg}"));
        Self { all, sweep, workers: BTreeMap::new() }
    }

    /// The bar of a worker, made when it is first needed; none if there are too many.
    fn of(&mut self, worker: usize) -> Option<&ProgressBar> {
        if !self.workers.contains_key(&worker) && self.workers.len() < MOST_SHOWN {
            let new = self.all.add(bar(&format!("worker {worker} [{{bar:30}}] {{wide_msg}}")));
            self.workers.insert(worker, new);
        }
        self.workers.get(&worker)
    }
}

fn bar(template: &str) -> ProgressBar {
    // The templates are constants; should one be wrong, the default style still shows the bar.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(1000).with_style(style.progress_chars("=> "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_every_epoch_and_the_share_follows_the_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut progress = Progress::new(Loudness::Quiet, &path, 2, 40.0).unwrap();
        progress.started(0, "lenet dense", 0, (2, 20.0));
        progress.images(0, 50, 100);
        assert!((progress.share() - 5.0 / 40.0).abs() < 1e-9);
        progress.epoch(0, "epoch 1: 80 %");
        assert!((progress.share() - 0.25).abs() < 1e-9);
        // What a lost worker did since its last snapshot is to be done again.
        progress.interrupted(0);
        assert!(progress.share().abs() < 1e-9);
        progress.started(0, "lenet dense", 1, (2, 20.0));
        assert!((progress.share() - 0.25).abs() < 1e-9);
        progress.failed(0, "failed: diverged");
        assert!((progress.share() - 0.5).abs() < 1e-9);
        let log = std::fs::read_to_string(path).unwrap();
        assert!(
            log.contains("started lenet dense: 2 epochs") && log.contains("epoch 1: 80 %") && log.contains("diverged")
        );
    }

    #[test]
    fn what_failed_or_was_left_out_is_not_told_as_done() {
        let folder = tempfile::tempdir().unwrap();
        let told = |stages: usize, happens: &dyn Fn(&mut Progress)| {
            let path = folder.path().join("log");
            let mut progress = Progress::new(Loudness::Quiet, &path, stages, 40.0).unwrap();
            happens(&mut progress);
            progress.finish();
            let log = std::fs::read_to_string(path).unwrap();
            log.lines().last().unwrap().split_once(' ').unwrap().1.to_string()
        };
        assert_eq!(told(1, &|one| one.failed(0, "diverged")), "0 of 1 training done, 1 failed, in under 1 s");
        let mixed = told(4, &|all| {
            all.ended(0, "done");
            all.failed(1, "diverged");
            all.skipped(10.0);
            assert!(all.line().starts_with("1 of 4 trainings done, 1 failed, 1 left out · "), "{}", all.line());
        });
        assert_eq!(mixed, "1 of 4 trainings done, 1 failed, 1 left out, in under 1 s");
        assert_eq!(told(1, &|one| one.ended(0, "done")), "1 of 1 training done in under 1 s");
    }

    #[test]
    fn the_share_follows_a_training_whose_length_its_draw_tells() {
        let folder = tempfile::tempdir().unwrap();
        let mut progress = Progress::new(Loudness::Quiet, &folder.path().join("log"), 2, 40.0).unwrap();
        progress.started(0, "ticket", 0, (2, 20.0));
        progress.lasts(0, (20, 200.0));
        (0..4).for_each(|_| progress.epoch(0, "epoch"));
        assert!((progress.share() - 40.0 / 220.0).abs() < 1e-9, "{}", progress.share());
        // Told again, by another worker that goes on: nothing is counted twice.
        progress.interrupted(0);
        progress.started(1, "ticket", 4, (20, 200.0));
        progress.lasts(1, (20, 200.0));
        assert!((progress.share() - 40.0 / 220.0).abs() < 1e-9);
        progress.ended(1, "done");
        assert!((progress.share() - 200.0 / 220.0).abs() < 1e-9);
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(log.contains("ticket: 20 epochs, now that it is drawn"), "{log}");
    }
}
