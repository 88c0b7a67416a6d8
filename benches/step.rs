//! One training step of `resnet`, depth 20, against PyTorch eager in Python, side by side.
//!
//! `cargo bench --bench step`. Forward pass, loss, backward pass and SGD with Nesterov momentum and weight decay; float32,
//! 64 images of 3x32x32 that lie ready, one thread. Tombola and PyTorch in both memory layouts take turns in short
//! rounds, so that whatever else the machine does hits all alike; the median over all steps is compared. Ends with
//! exit code 1 when Tombola takes more than 1.05 times as long as the faster layout.
//!
//! The Python is `TOMBOLA_PYTHON`, or `python3`; it needs torch 2.11.0 and NumPy.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Instant;

use tch::{Device, Kind, Tensor};
use tombola::net::arena::Arena;
use tombola::net::forward::Forward;
use tombola::net::zoo::{self, Choice};
use tombola::net::{Layout, Shape, initial};
use tombola::sweep::Settings;
use tombola::sweep::value::NormStart;
use tombola::train::evaluate::Tally;
use tombola::train::optimizer::Optimizer;
use tombola::train::step;

const BATCH: usize = 64;
const RATE: f64 = 0.1;
const WARM_UP: usize = 10;
const ROUNDS: usize = 7;
const STEPS: usize = 20;
const BAR: f64 = 1.05;
const TORCH: &str = "2.11.0";
const LAYOUTS: [&str; 2] = ["contiguous", "channels-last"];

fn main() -> ExitCode {
    // Cargo says so when it runs benchmarks; `cargo test --all-targets` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    match compare() {
        Ok(ratio) if ratio <= BAR => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(3)
        }
    }
}

fn compare() -> Result<f64, String> {
    let mut peer = Peer::start()?;
    let mut own = Own::prepare().map_err(|error| error.to_string())?;
    own.steps(WARM_UP);
    for layout in LAYOUTS {
        peer.steps(layout, WARM_UP)?;
    }
    let (mut own_times, mut peer_times) = (Vec::new(), [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        own_times.extend(own.steps(STEPS));
        for (layout, times) in LAYOUTS.into_iter().zip(&mut peer_times) {
            times.extend(peer.steps(layout, STEPS)?);
        }
    }
    println!("resnet, depth 20, float32, batch {BATCH}, one thread, median of {} steps", own_times.len());
    println!("{:24} {:>8} {:>10}", "", "ms/step", "images/s");
    let report = |name: &str, times: Vec<f64>| {
        let median = median(times);
        println!("{name:24} {median:8.2} {:10.0}", BATCH as f64 * 1000.0 / median);
        median
    };
    let own = report("Tombola", own_times);
    let [contiguous, channels_last] = peer_times;
    let fastest = report("PyTorch, contiguous", contiguous).min(report("PyTorch, channels-last", channels_last));
    let ratio = own / fastest;
    println!("Tombola / faster PyTorch {ratio:8.3} (at most {BAR})");
    Ok(ratio)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// What `train::run` does for each batch.
struct Own {
    forward: Forward,
    arena: Arena,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    tally: Tally,
}

impl Own {
    fn prepare() -> tombola::error::Result<Self> {
        tombola::train::memory::keep_freed_memory();
        tch::set_num_threads(1);
        tch::manual_seed(1);
        let graph = Arc::new(zoo::build(&Choice::named("resnet"), Shape::Image(3, 32, 32), 10)?);
        let layout = Arc::new(Layout::of(&graph));
        let settings = Settings { network: "resnet".to_string(), ..Settings::default() };
        let start = initial(&layout, NormStart::One, 1, 0);
        // As batches come: [image, row, column, channel] in memory.
        let images = Tensor::randn([BATCH as i64, 32, 32, 3], (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
        Ok(Self {
            forward: Forward::new(graph, &layout),
            arena: Arena::new(Arc::clone(&layout), &start, Device::Cpu)?,
            optimizer: Optimizer::new(&settings, layout.len, None, Device::Cpu),
            images,
            labels: Tensor::randint(10, [BATCH as i64], (Kind::Int64, Device::Cpu)),
            tally: Tally::new(Device::Cpu),
        })
    }

    /// Milliseconds of each step.
    fn steps(&mut self, count: usize) -> Vec<f64> {
        let one = |_| {
            let begun = Instant::now();
            let Self { forward, arena, optimizer, images, labels, tally } = self;
            step(forward, arena, optimizer, images, labels, RATE, None, tally);
            begun.elapsed().as_secs_f64() * 1000.0
        };
        (0..count).map(one).collect()
    }
}

/// The Python process.
struct Peer {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start() -> Result<Self, String> {
        let python = std::env::var("TOMBOLA_PYTHON").unwrap_or_else(|_| "python3".to_string());
        let cure = format!("set TOMBOLA_PYTHON to a Python that has torch {TORCH} and NumPy");
        let mut process = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/step.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start `{python}`: {error}; {cure}"))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("the streams of the Python process are missing".to_string());
        };
        let mut peer = Self { process, input, output: BufReader::new(output) };
        let greeting = peer.line()?;
        match greeting.strip_prefix("ready ") {
            Some(version) if version.split('+').next() == Some(TORCH) => Ok(peer),
            Some(version) => Err(format!("`{python}` has torch {version}, expected {TORCH}; {cure}")),
            None => Err(format!("`{python}` has no usable torch; {cure}")),
        }
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| format!("cannot read from the Python process: {error}"))?;
        Ok(line.trim_end().to_string())
    }

    /// Milliseconds of each step.
    fn steps(&mut self, layout: &str, count: usize) -> Result<Vec<f64>, String> {
        writeln!(self.input, "{layout} {count}").map_err(|error| format!("the Python process is gone: {error}"))?;
        let line = self.line()?;
        let times: Vec<f64> = line.split(' ').filter_map(|time| time.parse().ok()).collect();
        if times.len() == count { Ok(times) } else { Err(format!("the Python process answered `{line}`")) }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Closing its input would end it too; this also covers one that hangs.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
