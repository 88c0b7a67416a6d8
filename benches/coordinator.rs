//! The coordinator's decisions for ten thousand pretended workers and a million stages.
//!
//! `cargo bench --no-default-features --bench coordinator`. A sweep of dense trainings with chains of several levels runs
//! second by second on a clock of its own: workers join, give signs of life every five seconds, report snapshots and
//! ends, and one in a hundred falls silent. Only the time inside `State::on_event` counts. Ends with exit code 1 below
//! 100,000 events a second, or above 2 GB of memory at the peak, the forest and the pretended workers included.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tombola_cluster::coordinator::{Action, Demand, Event, Need, Rules, State, Worker};
use tombola_words::value::Moment;

const WORKERS: usize = 10_000;
const ROOTS: usize = 20_000;
const CHAINS: usize = 7;
const LEVELS: usize = 7;
/// A dense training and its chains.
const TREE: usize = 1 + CHAINS * LEVELS;
const DENSE_SECONDS: u64 = 40;
const HEARD_EVERY: u64 = 5;
/// The second after which one worker in a hundred says nothing more.
const SILENT_FROM: u64 = 600;
/// The dense snapshot that some chains go back to, taken after a tenth of the training.
const REWIND: Moment = Moment::Epoch(4);
/// The dense snapshot that some chains are drawn from, taken half way.
const DRAW: Moment = Moment::Epoch(20);

const RATE_BAR: f64 = 100_000.0;
const MEMORY_BAR: f64 = 2e9;
const KINDS: [&str; 5] = ["Joined", "Heard", "Kept", "Finished", "Tick"];

/// Events of one kind, and what they cost.
#[derive(Default, Clone, Copy)]
struct Cost {
    events: usize,
    time: Duration,
    longest: Duration,
}

/// Something that a worker will report.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct TrainingEvent {
    second: u64,
    /// Keeps the order of reports of the same second.
    number: usize,
    worker: Worker,
    stage: usize,
    /// The snapshot taken, or the end of the stage.
    kept: Option<Moment>,
}

struct Cluster {
    state: State,
    second: u64,
    reports: BinaryHeap<Reverse<TrainingEvent>>,
    count: usize,
    /// Workers that were neither lost nor dismissed.
    alive: Vec<bool>,
    costs: [Cost; KINDS.len()],
    started: usize,
    lost: usize,
}

fn main() -> ExitCode {
    // Cargo says so when it runs benchmarks; `cargo test --all-targets` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let begun = Instant::now();
    let state = State::new(Demand::new((0..ROOTS * TREE).map(need)), Rules::default());
    println!("{WORKERS} workers, {} stages, prepared in {:.1} s", ROOTS * TREE, begun.elapsed().as_secs_f64());
    let mut cluster = Cluster {
        state,
        second: 0,
        reports: BinaryHeap::new(),
        count: 0,
        alive: vec![true; WORKERS],
        costs: Default::default(),
        started: 0,
        lost: 0,
    };
    cluster.run();
    cluster.tell()
}

/// The level of a stage, 0 for a dense one, and its chain.
fn place(stage: usize) -> (usize, usize) {
    match stage % TREE {
        0 => (0, 0),
        within => (1 + (within - 1) % LEVELS, (within - 1) / LEVELS),
    }
}

/// Chains differ in length, and every third level takes a little longer.
fn seconds(stage: usize) -> u64 {
    match place(stage) {
        (0, _) => DENSE_SECONDS,
        (level, chain) => 25 + 5 * chain as u64 + (level % 3) as u64,
    }
}

fn need(stage: usize) -> Need {
    let root = stage - stage % TREE;
    let (level, chain) = place(stage);
    let mut sources = match level {
        0 => Vec::new(),
        // Every third chain is drawn while its dense training still runs.
        1 => vec![(root, if chain % 3 == 2 { DRAW } else { Moment::Last })],
        _ => vec![(stage - 1, Moment::Last)],
    };
    if level > 0 && chain % 2 == 1 {
        sources.push((root, REWIND));
    }
    Need { root, work: seconds(stage) as f64, sources }
}

impl Cluster {
    fn run(&mut self) {
        (0..WORKERS).for_each(|worker| self.on(0, Event::Joined(worker)));
        while self.state.workers() > 0 {
            self.second += 1;
            while let Some(Reverse(first)) = self.reports.peek()
                && first.second <= self.second
                && let Some(Reverse(report)) = self.reports.pop()
            {
                self.report(&report);
            }
            for worker in ((self.second % HEARD_EVERY) as usize..WORKERS).step_by(HEARD_EVERY as usize) {
                if self.alive[worker] && self.speaks(worker) {
                    self.on(1, Event::Heard(worker));
                }
            }
            self.on(4, Event::Tick);
        }
    }

    fn speaks(&self, worker: Worker) -> bool {
        self.second < SILENT_FROM || worker % 100 != 99
    }

    fn report(&mut self, report: &TrainingEvent) {
        let (worker, stage) = (report.worker, report.stage);
        match report.kept {
            _ if !self.speaks(worker) => {}
            Some(moment) => self.on(2, Event::Kept(stage, moment, worker)),
            None => self.on(3, Event::Finished(stage, worker)),
        }
    }

    fn on(&mut self, kind: usize, event: Event) {
        let now = Duration::from_secs(self.second);
        let begun = Instant::now();
        let actions = self.state.on_event(event, now);
        let time = begun.elapsed();
        let cost = &mut self.costs[kind];
        cost.events += 1;
        cost.time += time;
        cost.longest = cost.longest.max(time);
        for action in actions {
            match action {
                Action::Start(stage, worker) => self.start(stage, worker),
                Action::Dismiss(worker) => self.alive[worker] = false,
                Action::Lost(worker, _) => {
                    self.alive[worker] = false;
                    self.lost += 1;
                }
                _ => {}
            }
        }
    }

    fn start(&mut self, stage: usize, worker: Worker) {
        self.started += 1;
        let length = seconds(stage);
        if place(stage).0 == 0 {
            self.later(length / 10, worker, stage, Some(REWIND));
            self.later(length / 2, worker, stage, Some(DRAW));
        }
        self.later(length, worker, stage, Some(Moment::Last));
        self.later(length, worker, stage, None);
    }

    fn later(&mut self, delay: u64, worker: Worker, stage: usize, kept: Option<Moment>) {
        self.count += 1;
        self.reports.push(Reverse(TrainingEvent {
            second: self.second + delay,
            number: self.count,
            worker,
            stage,
            kept,
        }));
    }

    /// Prints what was measured and judges it.
    fn tell(&self) -> ExitCode {
        println!("{:10} {:>10} {:>14} {:>14}", "event", "number", "events/s", "longest, ms");
        let line = |name: &str, cost: &Cost| {
            let rate = cost.events as f64 / cost.time.as_secs_f64().max(1e-9);
            println!("{name:10} {:>10} {rate:>14.0} {:>14.3}", cost.events, 1e3 * cost.longest.as_secs_f64());
            rate
        };
        let mut all = Cost::default();
        for (name, cost) in KINDS.iter().zip(&self.costs) {
            line(name, cost);
            all.events += cost.events;
            all.time += cost.time;
            all.longest = all.longest.max(cost.longest);
        }
        let rate = line("all", &all);
        let memory = peak_memory();
        let ideal = (0..ROOTS * TREE).map(seconds).sum::<u64>() as f64 / WORKERS as f64;
        println!(
            "peak memory {:.0} MB; {} starts, {} workers lost; the sweep took {} s of its own clock, {ideal:.0} s if no \
             worker ever waited or fell silent",
            memory.unwrap_or(f64::NAN) / 1e6,
            self.started,
            self.lost,
            self.second
        );
        let good = self.state.open() == 0 && rate >= RATE_BAR && memory.is_none_or(|memory| memory <= MEMORY_BAR);
        if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The most bytes of memory that this process ever held, where the system says so.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024.0 * line.trim().strip_suffix(" kB")?.parse::<f64>().ok()?)
}
