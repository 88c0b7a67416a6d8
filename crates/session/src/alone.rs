//! One process: a worker thread for each device, or for each core.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use tombola_train::Device;

use super::opening::{Manner, Opening, open};
use super::request::Request;
use crate::trainer::TorchTrainer;
use tombola_cluster::link::Ready;
use tombola_cluster::link::local::LocalLink;
use tombola_cluster::worker::spawn;
use tombola_core::sweep::Settings;
use tombola_train::device;
use tombola_train::workshop::Workshop;
use tombola_words::error::{Error, Kind, Result};

/// Trains what was asked for.
///
/// # Errors
/// When the input is wrong, the machine lacks something, or (kind `Interrupted`) it was asked to stop.
pub(super) fn run(request: Request) -> Result<u8> {
    let Request { asked, loudness, log, chosen, style } = request;
    let run = asked.spec.run.clone();
    let devices = devices(&run)?;
    let stop = stop_on_signals(true)?;
    let machine = describe(&devices, run.threads);
    let manner = Manner { loudness, log, chosen, devices: devices.clone(), remote: 0, machine, stop, style };
    let opened = match open(&asked, manner)? {
        Opening::Nothing(code) => return Ok(code),
        Opening::Ready(opened) => opened,
    };
    device::use_threads(run.threads);
    let mut link = local_link(&opened.workshop, &devices, run.threads, "")?;
    opened.run(&mut link)
}

/// A worker thread on each device. `host` stands before the device where there are several hosts.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn local_link(
    workshop: &Arc<Workshop>,
    devices: &[Device],
    threads: usize,
    host: &str,
) -> Result<LocalLink> {
    LocalLink::start(devices.len(), |worker, words| {
        let (workshop, device) = (Arc::clone(workshop), devices[worker]);
        let place = format!("{host}{}", device::describe(device, threads));
        // The data are those that rank 0 has checked already.
        let arithmetic = Some(device::arithmetic(device, threads));
        let ready = Ready { place, arithmetic, ..Ready::default() };
        spawn(worker, words, move || Ok((TorchTrainer { workshop, device }, ready)))
    })
}

/// The device of each worker.
fn devices(run: &Settings) -> Result<Vec<Device>> {
    let first = device::device(run.device.as_deref(), 0)?;
    let count = run.workers.unwrap_or_else(|| match first {
        Device::Cpu => std::thread::available_parallelism().map_or(1, usize::from) / run.threads,
        _ if run.device.is_none() || run.device.as_deref() == Some("cuda") => device::gpus() * run.ranks_per_gpu,
        _ => run.ranks_per_gpu,
    });
    (0..count.max(1)).map(|worker| device::device(run.device.as_deref(), worker)).collect()
}

fn describe(devices: &[Device], threads: usize) -> String {
    let each: Vec<String> = devices.iter().map(|one| device::describe(*one, threads)).collect();
    format!("{} worker(s): {}", devices.len(), each.join("; "))
}

/// The first signal asks the running trainings to stop after their epoch; with `twice`, a second Ctrl-C ends the process
/// at once.
///
/// # Errors
/// When the system refuses.
pub(super) fn stop_on_signals(twice: bool) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let fail = |error: std::io::Error| Error::environment(format!("cannot listen for signals: {error}"));
    let code = i32::from(Kind::Interrupted.exit_code());
    if twice {
        signal_hook::flag::register_conditional_shutdown(SIGINT, code, Arc::clone(&stop)).map_err(fail)?;
    }
    for signal in [SIGINT, SIGTERM, SIGUSR1, SIGUSR2] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(fail)?;
    }
    Ok(stop)
}
