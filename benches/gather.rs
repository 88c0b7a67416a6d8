//! How fast masks and weights come into rank 0, and what that costs it: from a pretended training of another rank through
//! encoding, MPI and decoding, as snapshots of a ResNet-18 for CIFAR.
//!
//! `cargo bench --no-default-features --features mpi --bench gather`; `-- rate` or `-- share` for one part:
//!
//! - rate: one rank, then three, send as fast as they can.
//! - share: 64 ranks send a mask every 10 s, all of them real processes that sleep in between; and, because so many crowd
//!   a small machine, four ranks that send 16 times as often. Bar: 5 % of a core for rank 0, decoding included.
//!
//! A mask travels as a snapshot without weights: 1.4 MB, one bit a weight; weights take 45 MB. Nothing is written to the
//! disk. Ends with exit code 1 when a bar does not hold.

mod common;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use common::bars::Bars;
use common::pretended::ready;
use common::processor::{self, Others};
use common::ranks;
use tombola_cluster::link::message::{decode, encode};
use tombola_cluster::link::{Assignment, Link, Order, Welcome, Word};
use tombola_cluster::worker::Trainer;
use tombola_core::mask::Bits;
use tombola_core::net::Snapshot;
use tombola_core::plan::dense_id;
use tombola_core::prune::Sources;
use tombola_core::sweep::Settings;
use tombola_core::training::{Flow, TrainingEvent};
use tombola_ranks::link::RankLink;
use tombola_ranks::mpi::MpiSession;
use tombola_ranks::worker as rank;
use tombola_words::error::{Error, Result};
use tombola_words::record::{Outcome, Scores};
use tombola_words::value::Moment;

/// Parameters of a ResNet-18 for images of 32x32 and ten classes.
const WEIGHTS: usize = 11_173_962;
const MANY: usize = 64;
const EVERY: Duration = Duration::from_secs(10);
const ROUNDS: usize = 3;
const FEW: usize = 4;
const SHARE_BAR: f64 = 5.0;

fn main() -> ExitCode {
    if !common::is_asked_for() {
        return ExitCode::SUCCESS;
    }
    match ranks::part() {
        Some(part) => Bars::verdict(take_part(&part).map(|()| Bars::default())),
        None => Bars::verdict(measure()),
    }
}

fn measure() -> Result<Bars> {
    let mut bars = Bars::default();
    if common::wants("rate") {
        rate()?;
    }
    if common::wants("share") {
        share(&mut bars)?;
    }
    Ok(bars)
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Mask,
    Weights,
}

impl Load {
    fn name(self) -> &'static str {
        if self == Self::Mask { "mask" } else { "weights" }
    }

    fn snapshot(self) -> Snapshot {
        // Three of ten weights are alive, in no simple order.
        let alive = |place: usize| (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 1023 < 307;
        let (parameters, mask) = match self {
            Self::Mask => (Vec::new(), Some(Arc::new(Bits::from_bools(&(0..WEIGHTS).map(alive).collect::<Vec<_>>())))),
            Self::Weights => ((0..WEIGHTS).map(|place| place as f32).collect(), None),
        };
        Snapshot { epoch: 1, step: 0, batches: 0, parameters, buffers: Vec::new(), optimizer: None, mask }
    }

    /// Bytes of a message.
    fn bytes(self) -> usize {
        if self == Self::Mask { WEIGHTS.div_ceil(8) } else { 4 * WEIGHTS }
    }
}

/// What came into rank 0.
#[derive(Debug)]
struct Figures {
    messages: f64,
    seconds: f64,
    /// Processor seconds of rank 0.
    processor: f64,
}

/// Starts ranks; nothing where there is no `mpirun`.
fn ranks_of(senders: usize, load: Load, each: usize, every: Duration) -> Result<Option<Figures>> {
    let part = [load.name(), &each.to_string(), &every.as_millis().to_string()];
    let Some(lines) = ranks::start(1 + senders, &part)? else {
        println!("skipped: there is no `mpirun`");
        return Ok(None);
    };
    match lines.first().map(Vec::as_slice) {
        Some(&[messages, seconds, processor]) => Ok(Some(Figures { messages, seconds, processor })),
        _ => Err(Error::environment("rank 0 gave no figures")),
    }
}

fn rate() -> Result<()> {
    println!("one message on one core");
    println!("{:10} {:>10} {:>14} {:>14}", "what", "MB", "encoding, ms", "decoding, ms");
    for load in [Load::Mask, Load::Weights] {
        let word =
            Word::Report { attempt: 1, report: TrainingEvent::Snapshot(Moment::Last, Arc::new(load.snapshot())) };
        let begun = Instant::now();
        let bytes = encode(&word)?;
        let encoded = begun.elapsed();
        let begun = Instant::now();
        decode::<Word>(&bytes)?;
        let decoded = begun.elapsed();
        let milliseconds = |time: Duration| 1e3 * time.as_secs_f64();
        println!(
            "{:10} {:>10.2} {:>14.2} {:>14.2}",
            load.name(),
            bytes.len() as f64 / 1e6,
            milliseconds(encoded),
            milliseconds(decoded)
        );
    }
    println!("into rank 0, as fast as they come");
    println!(
        "{:10} {:>7} {:>9} {:>10} {:>26} {:>7}",
        "what", "senders", "messages", "MB/s", "rank 0, ms processor each", "others"
    );
    for (load, all) in [(Load::Mask, 300), (Load::Weights, 30)] {
        for senders in [1, 3] {
            let others = Others::watch();
            let Some(figures) = ranks_of(senders, load, all / senders, Duration::ZERO)? else { return Ok(()) };
            println!(
                "{:10} {senders:>7} {:>9.0} {:>10.0} {:>26.2} {:>7.2}",
                load.name(),
                figures.messages,
                figures.messages * load.bytes() as f64 / 1e6 / figures.seconds,
                1e3 * figures.processor / figures.messages,
                others.cores()
            );
        }
    }
    Ok(())
}

fn share(bars: &mut Bars) -> Result<()> {
    println!("{MANY} ranks that send a mask every {} s, for {} s", EVERY.as_secs(), EVERY.as_secs() * ROUNDS as u64);
    println!(
        "{:14} {:>6} {:>9} {:>26} {:>18} {:>7}",
        "processes", "masks", "seconds", "rank 0, ms processor each", "share of a core, %", "others"
    );
    let mut judged = Vec::new();
    for senders in [MANY, FEW] {
        let times = MANY / senders;
        let others = Others::watch();
        let Some(figures) = ranks_of(senders, Load::Mask, ROUNDS * times, EVERY / times as u32)? else { return Ok(()) };
        let share = 100.0 * figures.processor / figures.seconds;
        let what = if times == 1 { format!("{senders}") } else { format!("{senders}, {times} times") };
        println!(
            "{what:14} {:>6.0} {:>9.1} {:>26.2} {share:>18.2} {:>7.2}",
            figures.messages,
            figures.seconds,
            1e3 * figures.processor / figures.messages,
            others.cores()
        );
        judged.push((format!("rank 0, {what}"), share));
    }
    for (what, share) in judged {
        bars.at_most(&what, share, SHARE_BAR, "% of a core");
    }
    Ok(())
}

/// Sends where a trainer would train.
struct Sender {
    load: Load,
    count: usize,
    every: Duration,
    /// Its turn among the ranks: they do not all send at once.
    turn: f64,
}

impl Trainer for Sender {
    fn train(&mut self, _: Assignment, _: Sources, listen: &mut dyn FnMut(TrainingEvent) -> Flow) -> Result<Outcome> {
        let snapshot = Arc::new(self.load.snapshot());
        let first = Instant::now() + self.every.mul_f64(self.turn);
        for number in 0..self.count {
            let due = first + self.every * number as u32;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            listen(TrainingEvent::Snapshot(Moment::Epoch(number), Arc::clone(&snapshot)));
        }
        Ok(Outcome { best_epoch: 1, best: Scores::default(), last: Scores::default(), ..Outcome::default() })
    }
}

/// This process as a rank: the words are what is sent, how often, and how many milliseconds apart.
fn take_part(part: &[String]) -> Result<()> {
    let fail = || Error::input("a rank needs what to send, how often, and how many milliseconds apart");
    let [load, count, every] = part else { return Err(fail()) };
    let load = if load == Load::Mask.name() { Load::Mask } else { Load::Weights };
    let count: usize = count.parse().map_err(|_| fail())?;
    let every = Duration::from_millis(every.parse().map_err(|_| fail())?);
    ranks::take_part(gather, move |session| {
        let turn = session.rank() as f64 / session.size() as f64;
        let sender = Sender { load, count, every, turn };
        rank::serve(session, &Arc::new(AtomicBool::new(false)), move |_| Ok((sender, ready())))
    })
}

/// Rank 0: all begin together, once all are there.
fn gather(session: &MpiSession, link: &mut RankLink) -> Result<()> {
    // Longer than it all takes: what is measured here gives no signs of life.
    link.open(None, Welcome { lease: 600.0, ..Welcome::default() });
    let mut working: BTreeSet<usize> = BTreeSet::new();
    while working.len() + 1 < session.size() {
        match link.receive(Duration::from_millis(100))? {
            Some((rank, Word::Ready(_))) => drop(working.insert(rank)),
            Some((_, Word::Unable(error))) => return Err(error),
            _ => {}
        }
    }
    let id = dense_id(&Settings::default(), None, None);
    for &rank in &working {
        let assignment = Assignment {
            attempt: 1,
            stage: 0,
            id,
            sources: Vec::new(),
            loaded: None,
            mask: None,
            dense_losses: Vec::new(),
            measured: None,
            resume: None,
            snapshot_seconds: 1.0,
            until: None,
        };
        link.send(rank, Order::Start(Box::new(assignment)))?;
    }
    let (begun, before, mut messages) = (Instant::now(), processor::process(), 0);
    while !working.is_empty() {
        match link.receive(Duration::from_millis(100))? {
            Some((_, Word::Report { report: TrainingEvent::Snapshot(..), .. })) => messages += 1,
            Some((rank, Word::Done { .. })) => drop(working.remove(&rank)),
            Some((_, Word::Unable(error))) => return Err(error),
            _ => {}
        }
    }
    ranks::tell(&[&messages, &begun.elapsed().as_secs_f64(), &(processor::process() - before)]);
    Ok(())
}
