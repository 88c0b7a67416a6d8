//! One training step of some networks, alone or against PyTorch in Python, side by side.
//!
//! Forward pass, loss, backward pass and SGD with Nesterov momentum and weight decay, on images of 3x32x32 that lie ready;
//! on a processor with one thread. PyTorch runs as an expert would have it: eager and compiled, contiguous and channels-last,
//! in bfloat16 by autocast. Both take turns in short rounds, so that whatever else the machine does hits all alike; medians
//! over all steps are compared with the fastest.

use tombola_train::Device;

use super::MeasuredFigure;
use super::peer::PeerStepper;
use tombola_core::net::zoo::{self, Choice};
use tombola_train::measure::Steps;
use tombola_train::race::median;
use tombola_words::error::Result;
use tombola_words::value::Precision;
use tombola_words::value::Value;

const WARM_UP: usize = 3;
const ROUNDS: usize = 6;
const STEPS: usize = 8;
const FORMS: [&str; 4] = ["contiguous eager", "channels-last eager", "contiguous compiled", "channels-last compiled"];

/// What to measure.
#[derive(Debug, Clone)]
pub(crate) struct StepWish {
    /// Names of networks of the zoo.
    pub networks: Vec<String>,
    /// Layers of networks that have several depths, if not the usual ones.
    pub depth: Option<usize>,
    /// Numbers to compute with.
    pub precisions: Vec<Precision>,
    /// Images of a batch.
    pub batch: usize,
    /// Where.
    pub device: Device,
    /// A Python with PyTorch, to be measured beside.
    pub python: Option<String>,
}

impl StepWish {
    /// A network as this wish has it.
    pub(crate) fn choice(&self, network: &str) -> Choice {
        let usual = Choice::named(network);
        Choice { depth: self.depth.unwrap_or(usual.depth), ..usual }
    }

    /// The network and the precision in words.
    pub(super) fn title(&self, network: &str, precision: Precision) -> String {
        let depth = if zoo::uses_depth(network) { format!("-{}", self.choice(network).depth) } else { String::new() };
        format!("{network}{depth} {}, batch {}", precision.show(), self.batch)
    }
}

/// Measures; `say` gets each row as it is known.
///
/// # Errors
/// When a network cannot be built, or the Python process fails.
pub(crate) fn measure(wish: &StepWish, say: &mut dyn FnMut(&MeasuredFigure)) -> Result<Vec<MeasuredFigure>> {
    tombola_train::device::use_threads(1);
    let device = if wish.device == Device::Cpu { "cpu" } else { "cuda" };
    let mut peer = wish.python.as_ref().map(|python| PeerStepper::start(python, device, wish.batch)).transpose()?;
    let mut rows = Vec::new();
    for network in &wish.networks {
        for &precision in &wish.precisions {
            let begun = rows.len();
            compare(wish, network, precision, peer.as_mut(), &mut rows)?;
            rows[begun..].iter().for_each(&mut *say);
        }
    }
    Ok(rows)
}

fn compare(
    wish: &StepWish,
    network: &str,
    precision: Precision,
    mut peer: Option<&mut PeerStepper>,
    rows: &mut Vec<MeasuredFigure>,
) -> Result<()> {
    let mut own = Steps::of_zoo(wish.device, wish.batch, &wish.choice(network), precision)?;
    let title = wish.title(network, precision);
    let form = |form: &str| format!("{network} {} {} {form}", wish.choice(network).depth, precision.show());
    let forms: &[&str] = if peer.is_some() { &FORMS } else { &[] };
    let (mut own_times, mut peer_times) = (Vec::new(), vec![Vec::new(); forms.len()]);
    for round in 0..=ROUNDS {
        // The first round warms up, compiling included.
        let count = if round == 0 { WARM_UP } else { STEPS };
        let times = own.times(count);
        own_times.extend(times.into_iter().filter(|_| round > 0));
        for (name, all) in forms.iter().zip(&mut peer_times) {
            let Some(peer) = peer.as_deref_mut() else { break };
            let times = peer.times(&form(name), count)?;
            all.extend(times.into_iter().filter(|_| round > 0));
        }
    }
    let rate = |times: &mut Vec<f64>| wish.batch as f64 / median(times);
    let own = rate(&mut own_times);
    rows.push(MeasuredFigure::more(format!("step, {title}"), own, "images/s"));
    let mut fastest = 0.0;
    for (name, times) in forms.iter().zip(&mut peer_times) {
        let rate = rate(times);
        fastest = f64::max(fastest, rate);
        rows.push(MeasuredFigure::more(format!("step, {title}, PyTorch {name}"), rate, "images/s"));
    }
    if fastest > 0.0 {
        rows.push(MeasuredFigure::more(format!("step, {title}, against the fastest PyTorch"), own / fastest, "times"));
    }
    Ok(())
}
