//! Clusters for tests of the verdict, with nothing wrong with them.

use std::collections::BTreeMap;

use super::{Finding, Level, judge};
use crate::doctor::Checkup;
use crate::doctor::facts::{Clock, Cores, Facts, First, Folder, Gathered, Gpus, Locks, Memory, Mpi, Program, Recovery};
use tombola_cluster::link::launcher::{Launch, Starter};
use tombola_core::place::{Sharers, ShownGpus};
use tombola_core::sweep::Settings;

pub(super) fn asked() -> Checkup {
    Checkup { folder: "results".into(), datasets: Vec::new(), run: Settings::default() }
}

/// A process that is started alone on a machine with two cores.
pub(super) fn alone() -> Gathered {
    let first = First {
        folder: Some(Folder {
            name: "results".into(),
            tried: "results".into(),
            holder: None,
            written: Ok(2.0),
            locks: Locks::Work,
            free: Some(100 << 30),
        }),
        slurm: None,
        recovery: Recovery::default(),
    };
    let facts = Facts {
        rank: 0,
        host: "node0".into(),
        system_host: "node0".into(),
        machine: Some("boot 0".into()),
        process: 100,
        program: Program {
            version: "0.1.0".into(),
            torch: true,
            mpi: true,
            libtorch: Some("2.11.0".into()),
            library: Some("Open MPI v4.1.4".into()),
            checksum: Some("c0ffee".into()),
        },
        launch: None,
        starter: None,
        mpi: None,
        cores: Cores { usable: 2, allowed: "0-1".into(), online: "0-1".into() },
        memory: Some(Memory { free: 8 << 30, limit: None }),
        gpus: Some(Gpus { torch: Some(0), ..Gpus::default() }),
        data: BTreeMap::new(),
        first: Some(first),
    };
    Gathered { facts: vec![facts], ..Gathered::default() }
}

/// `hosts` hosts with 64 cores and `each` GPUs, and as many ranks on each.
pub(super) fn cluster(hosts: usize, each: usize) -> Gathered {
    let model = alone().facts.remove(0);
    let size = hosts * each;
    let facts = (0..size).map(|rank| {
        let (host, local_rank) = (rank / each, rank % each);
        Facts {
            rank,
            host: format!("node{host}{}", if hosts < 100 { ".cluster" } else { "" }),
            system_host: format!("node{host}"),
            machine: Some(format!("boot {host}")),
            launch: Some(Launch { size, rank, local_rank: Some(local_rank) }),
            starter: Some(Starter::OpenMpi),
            mpi: Some(Mpi {
                threads: Ok("Serialized".into()),
                size,
                local_rank,
                local_size: each,
                sharers: Sharers::of(local_rank, &vec![ShownGpus::default(); each]),
            }),
            memory: Some(Memory { free: 512 << 30, limit: None }),
            cores: Cores { usable: 64, allowed: "0-63".into(), online: "0-63".into() },
            gpus: Some(Gpus {
                driver: each,
                driver_version: Some("550.54.15".into()),
                torch: Some(each),
                cuda_loaded: true,
                ..Gpus::default()
            }),
            first: model.first.clone().filter(|_| rank == 0),
            ..model.clone()
        }
    });
    let clocks = (1..size).map(|rank| (rank, Clock { ahead: 1e-4, round_trip: 2e-4 })).collect();
    Gathered { facts: facts.collect(), silent: BTreeMap::new(), clocks }
}

/// The same with other GPUs on every rank.
pub(super) fn with_gpus(mut gathered: Gathered, change: impl Fn(&mut Gpus)) -> Gathered {
    gathered.facts.iter_mut().filter_map(|one| one.gpus.as_mut()).for_each(change);
    gathered
}

/// The same where the launcher shows the ranks of each host these GPUs, in order.
pub(super) fn with_shown(mut gathered: Gathered, visible: &[&str]) -> Gathered {
    let all = visible.iter().map(|value| ShownGpus { visible: Some(value.to_string()), daemon: None });
    let all: Vec<ShownGpus> = all.collect();
    for one in &mut gathered.facts {
        let (Some(mpi), Some(gpus)) = (&mut one.mpi, &mut one.gpus) else { continue };
        mpi.sharers = Sharers::of(mpi.local_rank, &all);
        gpus.visible.clone_from(&all[mpi.local_rank].visible);
    }
    gathered
}

/// Expects a line about a thing, with this in it and in its cure, where this was asked.
#[track_caller]
pub(super) fn finds_for(gathered: &Gathered, asked: &Checkup, check: &str, level: Level, found: &str, cure: &str) {
    let lines: Vec<Finding> = judge(gathered, asked).lines.into_iter().filter(|line| line.check == check).collect();
    let fits = |line: &Finding| {
        line.level == level && line.found.contains(found) && line.cure.as_deref().unwrap_or_default().contains(cure)
    };
    assert!(lines.iter().any(fits), "{check}: {found}\n{lines:#?}");
}

/// Expects one line about a thing, with this in it and in its cure.
#[track_caller]
pub(super) fn finds(gathered: &Gathered, check: &str, level: Level, found: &str, cure: &str) {
    let lines: Vec<Finding> = judge(gathered, &asked()).lines.into_iter().filter(|line| line.check == check).collect();
    let [line] = lines.as_slice() else { panic!("{check}: {lines:#?}") };
    assert!(line.level == level && line.found.contains(found), "{line:#?}");
    assert!(line.cure.as_deref().unwrap_or_default().contains(cure), "{line:#?}");
}
