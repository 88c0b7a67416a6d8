//! One training step of `resnet` and `resnetb`, depth 20, against PyTorch in Python, side by side.
//!
//! `cargo bench --bench step`, or one of `fp32` and `bf16`. Forward pass, loss, backward pass and SGD with Nesterov momentum
//! and weight decay; 64 images of 3x32x32 that lie ready, one thread. PyTorch runs as an expert would have it: eager and
//! compiled (`torch.compile`), contiguous and channels-last, in bfloat16 by autocast. Tombola and all of these take turns in
//! short rounds, so that whatever else the machine does hits all alike; medians over all steps are compared with the
//! fastest. Ends with exit code 1 when Tombola is slower than that.
//!
//! The Python is `TOMBOLA_PYTHON`, or `python3`; it needs torch 2.11.0 and NumPy.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;

use common::bars::Bars;
use common::epoch::{BATCH, Steps, median};
use common::{is_asked_for, wants};
use tombola::error::{Error, Result};
use tombola::net::zoo::{self, Choice};
use tombola::net::{Layout, Shape, initial};
use tombola::sweep::Value;
use tombola::sweep::value::{NormStart, Precision};

const WARM_UP: usize = 3;
const ROUNDS: usize = 6;
const STEPS: usize = 8;
const TORCH: &str = "2.11.0";
const FORMS: [&str; 4] = ["contiguous eager", "channels-last eager", "contiguous compiled", "channels-last compiled"];

fn main() -> ExitCode {
    // Cargo says so when it runs benchmarks; `cargo test --all-targets` only wants to know that it starts.
    if !is_asked_for() {
        return ExitCode::SUCCESS;
    }
    Bars::verdict(measure())
}

fn measure() -> Result<Bars> {
    tombola::train::memory::keep_freed_memory();
    tch::set_num_threads(1);
    tch::manual_seed(1);
    let mut bars = Bars::default();
    let mut peer = Peer::start()?;
    println!("depth 20, batch {BATCH}, one thread, median of {} steps\n", ROUNDS * STEPS);
    println!("{:44} {:>8} {:>10}", "", "ms/step", "images/s");
    for network in ["resnet", "resnetb"] {
        for precision in [Precision::Fp32, Precision::Bf16] {
            if wants(&precision.show()) {
                let ratio = compare(network, precision, &mut peer)?;
                bars.at_least(&format!("{network} {}", precision.show()), ratio, 1.0, "times the fastest PyTorch");
            }
        }
    }
    Ok(bars)
}

/// How many times as many images a second as the fastest form of PyTorch.
fn compare(network: &str, precision: Precision, peer: &mut Peer) -> Result<f64> {
    let graph = Arc::new(zoo::build(&Choice::named(network), Shape::Image(3, 32, 32), 10)?);
    let layout = Arc::new(Layout::of(&graph));
    let mut own = Steps::new(&graph, &layout, &initial(&layout, NormStart::One, 1, 0))?.in_precision(precision);
    let about = format!("{network} {}", precision.show());
    (0..WARM_UP).for_each(|_| _ = own.step());
    for form in FORMS {
        peer.steps(&format!("{about} {form}"), WARM_UP)?;
    }
    let (mut own_times, mut peer_times) = (Vec::new(), vec![Vec::new(); FORMS.len()]);
    for _ in 0..ROUNDS {
        own_times.extend((0..STEPS).map(|_| own.step() * 1e3));
        for (form, times) in FORMS.into_iter().zip(&mut peer_times) {
            times.extend(peer.steps(&format!("{about} {form}"), STEPS)?);
        }
    }
    let report = |name: &str, times: &mut Vec<f64>| {
        let median = median(times);
        println!("{about:12} {name:31} {median:8.2} {:10.0}", BATCH as f64 * 1000.0 / median);
        median
    };
    let own = report("Tombola", &mut own_times);
    let peers = FORMS.into_iter().zip(&mut peer_times);
    let fastest = peers.map(|(form, times)| report(&format!("PyTorch, {form}"), times)).fold(f64::INFINITY, f64::min);
    Ok(fastest / own)
}

/// The Python process.
struct Peer {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start() -> Result<Self> {
        let python = std::env::var("TOMBOLA_PYTHON").unwrap_or_else(|_| "python3".to_string());
        let fail = |what: String| {
            Error::environment(what).hint(format!("set TOMBOLA_PYTHON to a Python that has torch {TORCH} and NumPy"))
        };
        let mut process = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/step.py"))
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

    /// Milliseconds of each step.
    fn steps(&mut self, form: &str, count: usize) -> Result<Vec<f64>> {
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

impl Drop for Peer {
    fn drop(&mut self) {
        // Closing its input would end it too; this also covers one that hangs.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
