//! One process: a worker thread for each device, or for each core.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tombola_train::Device;

use super::opening::{Manner, Opening, open};
use super::request::Request;
use super::tuned::{self, TunedWorkers};
use crate::trainer::TorchTrainer;
use tombola_cluster::coordinator::Loudness;
use tombola_cluster::link::Ready;
use tombola_cluster::link::local::LocalLink;
use tombola_cluster::worker::spawn;
use tombola_core::machine::cores;
use tombola_core::sweep::Settings;
use tombola_train::device;
use tombola_train::workshop::Workshop;
use tombola_words::error::{Error, Result};
use tombola_words::speech;

/// Threads of a training that may share a core.
const MOST_THREADS_A_CORE: usize = 8;

/// Trains what was asked for, until `stop` says otherwise.
///
/// # Errors
/// When the input is wrong, the machine lacks something, or (kind `Interrupted`) it was asked to stop.
pub(super) fn run(request: Request, stop: Arc<AtomicBool>) -> Result<u8> {
    let Request { asked, loudness, log, chosen, style } = request;
    let run = asked.spec.run.clone();
    check_threads(&run)?;
    let first = device::device(run.device.as_deref(), 0)?;
    let gpus = gpus(&run);
    let tuned = match run.workers {
        Some(_) => TunedWorkers::default(),
        None => tuned::workers(&asked, chosen.as_ref(), first, gpus),
    };
    let devices = devices(&run, tuned.count, first)?;
    let machine = describe(&devices, &run);
    let manner = Manner { loudness, log, chosen, devices: devices.clone(), remote: 0, machine, stop, style };
    let mut opened = match open(&asked, manner)? {
        Opening::Nothing(code) => return Ok(code),
        Opening::Ready(opened) => opened,
    };
    if let Some(words) = &tuned.words {
        opened.sweep.progress.log(&words.replace("\nhint: ", "; "));
        if loudness > Loudness::Quiet {
            speech::say(words);
        }
    }
    device::settle(&run, devices[0])?;
    let mut link = local_link(&opened.workshop, &devices, &run, "")?;
    opened.run(&mut link)
}

/// A worker thread on each device. `host` stands before the device where there are several hosts.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn local_link(
    workshop: &Arc<Workshop>,
    devices: &[Device],
    run: &Settings,
    host: &str,
) -> Result<LocalLink> {
    LocalLink::start(devices.len(), |worker, words| {
        let (workshop, device) = (Arc::clone(workshop), devices[worker]);
        let place = format!("{host}{}", device::place(device, run));
        // The data are those that rank 0 has checked already.
        let arithmetic = Some(device::arithmetic(device, run.threads));
        let ready = Ready { place, arithmetic, ..Ready::default() };
        spawn(worker, words, move || Ok((TorchTrainer { workshop, device }, ready)))
    })
}

/// GPUs that workers take in turn, where they take any.
fn gpus(run: &Settings) -> usize {
    match run.device.as_deref() {
        None | Some("cuda") => device::gpus(),
        Some(_) => 1,
    }
}

/// The device of each worker, the first of which is `first`; of as many as were found to be best where nobody says how many.
fn devices(run: &Settings, tuned: Option<usize>, first: Device) -> Result<Vec<Device>> {
    let count = run.workers.or(tuned).unwrap_or_else(|| match first {
        Device::Cpu => cores() / run.threads,
        _ => gpus(run) * run.ranks_per_gpu,
    });
    (0..count.max(1)).map(|worker| device::device(run.device.as_deref(), worker)).collect()
}

/// Refuses more threads than the processor could ever give time to: they wait for each other at every operation, and not one
/// epoch comes to its end.
///
/// # Errors
/// When there are more.
pub(super) fn check_threads(run: &Settings) -> Result<()> {
    let cores = cores();
    let most = MOST_THREADS_A_CORE * cores;
    if run.threads <= most {
        return Ok(());
    }
    Err(Error::input(format!(
        "`threads` is {}, but this process may use {cores} cores; expected up to {most} threads, {MOST_THREADS_A_CORE} a core",
        run.threads
    ))
    .hint(format!("give `--threads {cores}` or fewer")))
}

fn describe(devices: &[Device], run: &Settings) -> String {
    let each: Vec<String> = devices.iter().map(|one| device::place(*one, run)).collect();
    format!("{} worker(s): {}", devices.len(), each.join("; "))
}
