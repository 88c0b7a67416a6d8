//! Which device each rank would take, and the map of hosts, ranks and devices.

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
    /// GPUs that the first of them can use, or its driver shows.
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

/// What each rank would do, in the order of the facts; by the rules that a run goes by.
pub(super) fn seats(gathered: &Gathered, asked: &Checkup) -> Vec<Result<Seat>> {
    let (facts, wish) = (&gathered.facts, wish(asked));
    let local_size = |one: &Facts| one.mpi.as_ref().map_or(1, |mpi| mpi.local_size);
    let first = facts.first().filter(|one| one.mpi.is_some());
    // What is wrong here is wrong with the device of rank 0 too, and told there.
    let dedicated = first.filter(|one| is_dedicated(wish, local_size(one), || gpus_of(one)).unwrap_or(false));
    let seat = |one: &Facts| {
        let dedicated = dedicated.is_some_and(|first| first.host == one.host);
        if dedicated && one.rank == 0 {
            return Ok(Seat::Coordinates);
        }
        let local_rank = one.mpi.as_ref().map_or(0, |mpi| mpi.local_rank);
        let place = Place { local_rank, local_size: local_size(one), dedicated };
        let own = one.gpus.as_ref().is_some_and(|gpus| gpus.own);
        match one.mpi {
            Some(_) => of_rank(wish, place, own, &one.host, || gpus_of(one)),
            None => choose(wish.device, 0, || gpus_of(one)),
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
    let words = |seat: Option<&Result<Seat>>| match seat {
        Some(Ok(Seat::Trains(DeviceChoice::Cpu))) => "cpu".to_string(),
        Some(Ok(Seat::Trains(DeviceChoice::Gpu(number)))) => format!("cuda:{number}"),
        Some(Ok(Seat::Coordinates)) => "coordinates only".to_string(),
        _ => "no device".to_string(),
    };
    let host = |(name, those): (&str, Vec<&Facts>)| {
        let mut devices: Vec<(String, Vec<usize>)> = Vec::new();
        for one in &those {
            let device = words(seat_of(one.rank));
            match devices.iter_mut().find(|(known, _)| *known == device) {
                Some((_, numbers)) => numbers.push(one.rank),
                None => devices.push((device, vec![one.rank])),
            }
        }
        Host {
            name: name.to_string(),
            ranks: those.iter().map(|one| one.rank).collect(),
            gpus: those.first().map_or(0, |one| gpus_of(one)),
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
