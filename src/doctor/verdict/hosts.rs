//! Which device each rank would take, and the map of hosts, ranks and devices.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Serialize;

use super::{hosts_of, ranks};
use crate::doctor::Checkup;
use crate::doctor::facts::{Facts, Gathered, Gpus};
use tombola_core::place::{DeviceChoice, Place, Wish, choose, is_dedicated, of_rank};
use tombola_words::error::Result;
use tombola_words::error::ignored;

/// What a rank would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    /// Train on this device.
    Trains(DeviceChoice),
    /// Coordinate, and nothing else.
    Coordinates,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its ranks that answered.
    pub ranks: Vec<usize>,
    /// GPUs that they can use together, or their driver shows.
    pub gpus: usize,
    /// Cores that they may use together.
    pub cores: usize,
    /// Each device, with its ranks.
    pub devices: Vec<(String, Vec<usize>)>,
}

impl Host {
    /// As one line, without the name.
    pub(super) fn text(&self) -> String {
        let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
        let (gpus, cores) = (count(self.gpus, "GPU"), count(self.cores, "core"));
        let mut text = format!("{} · {gpus}, {cores} ·", ranks(self.ranks.iter().copied()));
        for (place, (device, numbers)) in self.devices.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            ignored(
                write!(text, "{comma} {device}: {}", ranks(numbers.iter().copied())),
                "writing to a text does not fail",
            );
        }
        text
    }
}

pub(super) fn wish(asked: &Checkup) -> Wish<'_> {
    let (ranks_per_gpu, coordinator) = (asked.run.ranks_per_gpu, asked.run.coordinator);
    Wish { device: asked.run.device.as_deref(), ranks_per_gpu, coordinator }
}

fn gpus_of(one: &Facts) -> usize {
    one.gpus.as_ref().map_or(0, Gpus::count)
}

/// Where a rank stands among those that it shares GPUs with, as long as rank 0 trains; nothing for a process alone.
pub(super) fn place_of(one: &Facts) -> Option<Place> {
    let sharers = one.mpi.as_ref()?.sharers;
    let (shown, own) = one.gpus.as_ref().map(|gpus| (gpus.shown(), gpus.own)).unwrap_or_default();
    Some(Place { host: one.host.clone(), shown, own, sharers, dedicated: false })
}

/// A GPU of a host, whatever number a rank has for it: that of a rank alone, or of an MPS daemon, or its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HostGpu {
    /// Nobody but this rank has it.
    Of(usize),
    /// Its name, among the GPUs that a daemon serves, where there is one.
    Named(Option<String>, String),
}

/// The GPU that a rank calls `number`.
pub(super) fn gpu_of(one: &Facts, number: usize) -> HostGpu {
    match one.gpus.as_ref().zip(place_of(one)) {
        Some((gpus, place)) if place.is_alone(gpus.count()) => HostGpu::Of(one.rank),
        Some((_, place)) => HostGpu::Named(place.shown.daemon.clone(), place.shown.name_of(number)),
        None => HostGpu::Named(None, number.to_string()),
    }
}

/// GPUs that the ranks of a host can use together.
pub(super) fn gpus_on(those: &[&Facts]) -> usize {
    let all = those.iter().flat_map(|one| (0..gpus_of(one)).map(|number| gpu_of(one, number)));
    all.collect::<BTreeSet<_>>().len()
}

/// What each rank would do, in the order of the facts; by the rules that a run goes by.
pub(super) fn seats(gathered: &Gathered, asked: &Checkup) -> Vec<Result<Seat>> {
    let (facts, wish) = (&gathered.facts, wish(asked));
    let first = facts.first().and_then(|one| Some((one, place_of(one)?)));
    // What is wrong here is wrong with the device of rank 0 too, and told there.
    let dedicated = first.filter(|(one, place)| is_dedicated(wish, place, || gpus_of(one)).unwrap_or(false));
    let seat = |one: &Facts| {
        let dedicated = dedicated.as_ref().is_some_and(|(first, _)| first.host == one.host);
        if dedicated && one.rank == 0 {
            return Ok(Seat::Coordinates);
        }
        match place_of(one) {
            Some(place) => of_rank(wish, &Place { dedicated, ..place }, || gpus_of(one)),
            None => {
                let shown = one.gpus.as_ref().map(Gpus::shown).unwrap_or_default();
                choose(wish.device, 0, &shown, || gpus_of(one))
            }
        }
        .map(Seat::Trains)
    };
    facts.iter().map(seat).collect()
}

/// How many cores of a host its ranks may use together: those that any of them is bound to, unless a limit of the control
/// group is lower.
pub(super) fn cores_of(those: &[&Facts]) -> usize {
    let mut all: Vec<usize> = those.iter().flat_map(|one| listed(&one.cores.allowed)).collect();
    all.sort_unstable();
    all.dedup();
    let limited = those.iter().all(|one| one.cores.usable < listed(&one.cores.allowed).len());
    let most = those.iter().map(|one| one.cores.usable).max().unwrap_or(1);
    if limited || all.is_empty() { most } else { all.len() }
}

/// Reads a list of the system's: `0-3,8`.
pub(super) fn listed(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// The map.
pub(super) fn map(gathered: &Gathered, asked: &Checkup) -> Vec<Host> {
    let seats = seats(gathered, asked);
    let seat_of = |rank: usize| gathered.facts.iter().position(|one| one.rank == rank).map(|place| &seats[place]);
    let words = |one: &Facts| match seat_of(one.rank) {
        Some(Ok(Seat::Trains(DeviceChoice::Cpu))) => "cpu".to_string(),
        // Ranks that were shown different GPUs mean different ones by a number.
        Some(Ok(Seat::Trains(DeviceChoice::Gpu(number)))) => match (gpu_of(one, *number), &one.mpi) {
            (HostGpu::Named(_, name), Some(mpi)) if mpi.sharers.size < mpi.sharers.local_size => {
                format!("GPU {name} as cuda:{number}")
            }
            _ => format!("cuda:{number}"),
        },
        Some(Ok(Seat::Coordinates)) => "coordinates only".to_string(),
        _ => "no device".to_string(),
    };
    let host = |(name, those): (&str, Vec<&Facts>)| {
        let mut devices: Vec<(String, Vec<usize>)> = Vec::new();
        for one in &those {
            let device = words(one);
            match devices.iter_mut().find(|(known, _)| *known == device) {
                Some((_, numbers)) => numbers.push(one.rank),
                None => devices.push((device, vec![one.rank])),
            }
        }
        Host {
            name: name.to_string(),
            ranks: those.iter().map(|one| one.rank).collect(),
            gpus: gpus_on(&those),
            cores: cores_of(&those),
            devices,
        }
    };
    hosts_of(&gathered.facts).into_iter().map(host).collect()
}

#[cfg(test)]
mod tests {
    use super::super::made_up::{asked, cluster};
    use super::*;
    use crate::doctor::facts::Cores;

    #[test]
    fn lists_of_the_system_are_read() {
        assert_eq!(listed("0-3,8"), [0, 1, 2, 3, 8]);
        assert_eq!((listed(""), listed("5")), (vec![], vec![5]));
    }

    #[test]
    fn cores_are_those_that_the_ranks_are_bound_to_together() {
        let mut gathered = cluster(1, 2);
        for (rank, one) in gathered.facts.iter_mut().enumerate() {
            one.cores = Cores { usable: 1, allowed: rank.to_string(), online: "0-7".into() };
        }
        assert_eq!(cores_of(&gathered.facts.iter().collect::<Vec<_>>()), 2);
        // A container with half a machine: the same two of eight cores' time for all.
        for one in &mut gathered.facts {
            one.cores = Cores { usable: 2, allowed: "0-7".into(), online: "0-7".into() };
        }
        assert_eq!(cores_of(&gathered.facts.iter().collect::<Vec<_>>()), 2);
    }

    #[test]
    fn rank_0_steps_back_on_its_own_host_only() {
        let mut gathered = cluster(2, 5);
        gathered.facts.iter_mut().for_each(|one| one.gpus.as_mut().unwrap().torch = Some(4));
        let map = map(&gathered, &asked());
        assert_eq!(map[0].devices[0], ("coordinates only".into(), vec![0]));
        assert_eq!(map[0].devices[1], ("cuda:0".into(), vec![1]));
        assert_eq!(map[1].devices, [("no device".to_string(), vec![5, 6, 7, 8, 9])]);
    }
}
