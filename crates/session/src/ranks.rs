//! Many processes: rank 0 reads, coordinates and writes; every rank trains.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tombola_train::Device;

use super::alone::{check_threads, local_link};
use super::opening::{Manner, Opening, open};
use super::request::Request;
use crate::trainer::TorchTrainer;
use tombola_cluster::link::launcher::Launch;
use tombola_cluster::link::{Ready, Welcome};
use tombola_core::plan::Plan;
use tombola_core::sweep::{Settings, Spec};
use tombola_core::trainable;
use tombola_ranks::link::RankLink;
use tombola_ranks::mpi::{MpiSession, library};
use tombola_ranks::worker::{self as rank, End};
use tombola_train::device::{self, Place};
use tombola_train::workshop::Workshop;
use tombola_words::error::{Error, Result};
use tombola_words::fault::Fault;
use tombola_words::speech::{self, outcome};

/// Runs as one of many ranks. Returns only on errors before anything began; otherwise the process ends here, because a
/// rank that ends in another way than its peers would keep them waiting.
///
/// # Errors
/// When MPI cannot be begun.
pub(super) fn run(launch: Launch, stop: &Arc<AtomicBool>, request: impl FnOnce() -> Result<Request>) -> Result<u8> {
    let session = MpiSession::begin(launch)?;
    let code = match session.rank() {
        0 => coordinate(session, stop, request),
        _ => work(session, stop),
    }?;
    // Not by `exit`: a training that still runs must not see torch being taken down around it.
    signal_hook::low_level::exit(i32::from(code))
}

fn coordinate(session: MpiSession, stop: &Arc<AtomicBool>, request: impl FnOnce() -> Result<Request>) -> Result<u8> {
    let library = library();
    let mut link = RankLink::new(session.post(), session.neighbours.clone())?;
    let code = outcome(coordinate_with(&session, &library, &mut link, stop, request));
    if !link.end()? {
        speech::say("ranks were lost: should the launcher not end by itself, end it; this run is over");
    }
    session.finish(code);
    Ok(code)
}

fn coordinate_with(
    session: &MpiSession,
    library: &str,
    link: &mut RankLink,
    stop: &Arc<AtomicBool>,
    request: impl FnOnce() -> Result<Request>,
) -> Result<u8> {
    let Request { asked, loudness, log, chosen, style } = request()?;
    let run = asked.spec.run.clone();
    if run.workers.is_some() {
        return Err(Error::input("`workers` says how many trainings one process runs, but there are several ranks")
            .hint("each rank runs one training: start as many ranks as you want, and leave `--workers` out"));
    }
    if run.shard.is_some() {
        return Err(Error::input("`shard` is for runs without MPI, but there are several ranks")
            .hint("leave `--shard` out: the ranks divide the whole sweep among themselves"));
    }
    check_threads(&run)?;
    let dedicated = device::is_dedicated(&run, &session.place)?;
    let devices: Vec<Device> = if dedicated { Vec::new() } else { vec![device::of_rank(&run, &session.place)?] };
    let machine = format!("{} ranks, {}; {}", session.size(), session.host, library);
    let stop = Arc::clone(stop);
    let manner =
        Manner { loudness, log, chosen, devices: devices.clone(), remote: session.size() - 1, machine, stop, style };
    let opened = match open(&asked, manner)? {
        Opening::Nothing(code) => return Ok(code),
        Opening::Ready(opened) => opened,
    };
    device::settle(&run, devices.first().copied().unwrap_or(Device::Cpu))?;
    let own = match devices.is_empty() {
        true => None,
        false => Some(local_link(&opened.workshop, &devices, &run, &format!("{}, ", session.host))?),
    };
    let welcome = Welcome {
        sweep: asked.spec.to_toml(),
        loaded: asked.plan.loaded.clone(),
        plan: asked.plan.checksum(),
        roots: opened.roots.clone(),
        lease: run.lease,
        dedicated_host: dedicated.then(|| session.host.clone()),
    };
    if let Some(fault) = Fault::of(0) {
        fault.strike_early();
    }
    link.open(own, welcome);
    opened.run(link)
}

fn work(session: MpiSession, stop: &Arc<AtomicBool>) -> Result<u8> {
    let place = session.place.clone();
    match rank::serve(&session, stop, move |welcome| begin(&welcome, place)) {
        Ok(End::Together) => {
            session.finish(0);
            Ok(0)
        }
        Ok(End::Alone) => {
            session.finish(0);
            Ok(0)
        }
        Err(error) => {
            let code = outcome(Err(error));
            session.leave(code)
        }
    }
}

/// Builds and loads what rank 0 says, as it did itself.
fn begin(welcome: &Welcome, place: Place) -> Result<(TorchTrainer, Ready)> {
    let spec = Spec::read(Some(&welcome.sweep), &[])?;
    let plan = Plan::of(&spec, spec.trials()?, welcome.loaded.clone())?;
    if plan.checksum() != welcome.plan {
        return Err(Error::environment("it understands the sweep differently from rank 0")
            .hint("start the same build of Tombola on every node"));
    }
    let run: &Settings = &spec.run;
    check_threads(run)?;
    let place = Place { dedicated: welcome.dedicated_host.as_ref() == Some(&place.host), ..place };
    let device = device::of_rank(run, &place)?;
    if device == Device::Cpu {
        // Those that are trained already may have been trained elsewhere.
        let is_left = |stage: &usize| welcome.roots.contains(&plan.stages[*stage].root);
        trainable::check_processor(&plan, (0..plan.stages.len()).filter(is_left))?;
    }
    device::settle(run, device)?;
    let workshop = Workshop::open(Arc::new(plan), &welcome.roots, &spec.networks, run, &[device])?;
    let place = format!("{}, {}", place.host, device::place(device, run));
    let arithmetic = Some(device::arithmetic(device, run.threads));
    let ready = Ready { place, arithmetic, fingerprints: workshop.fingerprints.clone() };
    Ok((TorchTrainer { workshop: Arc::new(workshop), device }, ready))
}
