//! Devices and cores: whether what is there is enough for the ranks.

use std::collections::BTreeMap;

use super::hosts::{Seat, cores_of, listed, seats};
use super::{Finding, gpus, hosts_of, names, ranks};
use crate::doctor::Checkup;
use crate::doctor::facts::{Facts, Gathered, Gpus};
use tombola_core::place::DeviceChoice;

pub(super) fn judge(gathered: &Gathered, asked: &Checkup, lines: &mut Vec<Finding>) {
    let seats = seats(gathered, asked);
    lines.extend(gpus::gpus(&gathered.facts, asked, &seats));
    lines.extend(devices(gathered, asked, &seats));
    lines.extend(gpus::overlaps(gathered, asked, &seats));
    lines.extend(cores(gathered, asked, &seats));
    lines.extend(gpus::sharing(gathered, &seats));
}

/// Whether each rank has a device.
fn devices(gathered: &Gathered, asked: &Checkup, seats: &[tombola_words::error::Result<Seat>]) -> Vec<Finding> {
    let mut errors: Vec<(&tombola_words::error::Error, Vec<usize>)> = Vec::new();
    let (mut cpu, mut gpu) = (0, 0);
    for (one, seat) in gathered.facts.iter().zip(seats) {
        match seat {
            Ok(Seat::Trains(DeviceChoice::Cpu)) => cpu += 1,
            Ok(Seat::Trains(DeviceChoice::Gpu(_))) => gpu += 1,
            Ok(Seat::Coordinates) => {}
            Err(error) => match errors.iter_mut().find(|(known, _)| *known == error) {
                Some((_, numbers)) => numbers.push(one.rank),
                None => errors.push((error, vec![one.rank])),
            },
        }
    }
    if !errors.is_empty() {
        let line = |(error, numbers): (&tombola_words::error::Error, Vec<usize>)| {
            let line = Finding::of_error("devices", error, "give another `--device`");
            Finding { found: format!("{} ({})", line.found, ranks(numbers)), ..line }
        };
        return errors.into_iter().map(line).collect();
    }
    let Some(first) = gathered.facts.first() else { return Vec::new() };
    if first.mpi.is_none() {
        let (gpus, threads, each) =
            (first.gpus.as_ref().map_or(0, Gpus::count), asked.run.threads, asked.run.ranks_per_gpu);
        let (count, device) = match (cpu, asked.run.device.as_deref()) {
            (1.., _) => (first.cores.usable / threads, "the CPU".to_string()),
            (_, None | Some("cuda")) => (gpus * each, format!("{gpus} GPU(s)")),
            (_, Some(one)) => (each, one.to_string()),
        };
        return vec![Finding::pass("devices", format!("{} worker(s) on {device}", count.max(1)))];
    }
    if cpu + gpu == 0 {
        return vec![Finding::fail(
            "devices",
            "rank 0 only coordinates, and no other rank trains",
            "start more ranks, or leave `--coordinator dedicated` out",
        )];
    }
    let mut found = format!("{} rank(s) train", cpu + gpu);
    for (count, device) in [(gpu, "GPUs"), (cpu, "the CPU")] {
        if count > 0 {
            found.push_str(&format!(", {count} on {device}"));
        }
    }
    if cpu + gpu < gathered.facts.len() {
        found.push_str("; rank 0 only coordinates");
    }
    // A host without GPUs among others is seldom meant.
    match cpu > 0 && gpu > 0 {
        true => vec![Finding::warn("devices", found, "leave hosts without GPUs out, or say `--device cpu` for all")],
        false => vec![Finding::pass("devices", found)],
    }
}

/// Whether the threads of all trainings have a core each.
fn cores(gathered: &Gathered, asked: &Checkup, seats: &[tombola_words::error::Result<Seat>]) -> Vec<Finding> {
    let threads = asked.run.threads;
    let bound = |one: &&Facts| one.cores.usable < threads;
    let few: Vec<usize> = gathered.facts.iter().filter(bound).map(|one| one.rank).collect();
    if let Some(one) = gathered.facts.iter().find(bound) {
        let is_bound = listed(&one.cores.allowed).len() < listed(&one.cores.online).len();
        let cure = match (is_bound, &one.mpi) {
            (true, Some(_)) => format!("`mpirun --bind-to none`, or `--map-by slot:PE={threads}`"),
            _ => format!("`--threads {}`", one.cores.usable),
        };
        let found = match one.mpi {
            Some(_) => format!("{} may use {} core(s) for {threads} threads", ranks(few), one.cores.usable),
            None => format!("this process may use {} core(s), a training has {threads} threads", one.cores.usable),
        };
        return vec![Finding::warn("cores", found, cure)];
    }
    if gathered.facts.first().is_none_or(|first| first.mpi.is_none()) {
        let cores = gathered.facts.first().map_or(1, |first| first.cores.usable);
        return vec![Finding::pass("cores", format!("{cores} for trainings of {threads} thread(s)"))];
    }
    let trains: BTreeMap<usize, bool> = gathered
        .facts
        .iter()
        .zip(seats)
        .map(|(one, seat)| (one.rank, !matches!(seat, Ok(Seat::Coordinates))))
        .collect();
    let mut crowded: BTreeMap<(usize, usize), Vec<&str>> = BTreeMap::new();
    let mut most = 0.0f64;
    for (host, those) in hosts_of(&gathered.facts) {
        let (workers, cores) = (those.iter().filter(|one| trains[&one.rank]).count(), cores_of(&those));
        most = most.max((workers * threads) as f64 / cores as f64);
        if workers * threads > cores {
            crowded.entry((workers, cores)).or_default().push(host);
        }
    }
    let line = |((workers, cores), hosts): ((usize, usize), Vec<&str>)| {
        let found = format!("{}: {workers} ranks with {threads} thread(s) each on {cores} core(s)", names(&hosts));
        let fewer = format!("start {} ranks on a host", (cores / threads).max(1));
        let cure = match cores / workers {
            each @ 1.. if each < threads => format!("`--threads {each}`, or {fewer}"),
            _ => fewer,
        };
        Finding::warn("cores", found, format!("{cure}; `mpirun --bind-to none` if ranks are bound to few of its cores"))
    };
    match crowded.is_empty() {
        true => vec![Finding::pass("cores", format!("at most {:.0} % of those of a host are asked for", most * 100.0))],
        false => crowded.into_iter().map(line).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::made_up::{alone, asked, cluster, finds_for as finds, with_gpus};
    use super::super::{Level, judge};
    use super::*;

    #[test]
    fn more_ranks_than_gpus_fail_with_the_numbers_of_each_host() {
        let few = with_gpus(cluster(3, 8), |gpus| gpus.torch = Some(4));
        let lines = judge(&few, &asked()).lines;
        let failed: Vec<&Finding> = lines.iter().filter(|line| line.check == "devices").collect();
        assert_eq!(failed.len(), 3);
        assert!(failed[1].found.starts_with("node1.cluster has 4 GPU(s) for 8 ranks that train, 1 to a GPU"));
        assert!(failed[1].cure.as_ref().unwrap().contains("start 4 ranks on it"));
        // On the host of rank 0 that one steps back, which is not enough.
        assert!(failed[0].found.contains("4 GPU(s) for 7 ranks"));
        let mut two = asked();
        two.run.ranks_per_gpu = 2;
        finds(&few, &two, "devices", Level::Pass, "24 rank(s) train, 24 on GPUs", "");
    }

    #[test]
    fn a_device_that_is_not_there_and_a_start_without_workers_fail() {
        let mut far = asked();
        far.run.device = Some("cuda:9".into());
        finds(
            &cluster(2, 4),
            &far,
            "devices",
            Level::Fail,
            "`cuda:9` is not there: torch finds 4 GPU(s), numbered from 0 (ranks 0-7)",
            "--device",
        );
        finds(&alone(), &far, "devices", Level::Fail, "no GPU can be used", "--device cpu");
        let mut dedicated = asked();
        dedicated.run.coordinator = tombola_words::value::Role::Dedicated;
        finds(&cluster(1, 1), &dedicated, "devices", Level::Fail, "no other rank trains", "more ranks");
    }

    #[test]
    fn hosts_without_gpus_among_others_are_pointed_out() {
        let mut gathered = cluster(2, 2);
        for one in gathered.facts.iter_mut().filter(|one| one.rank > 1) {
            one.gpus = Some(Gpus { torch: Some(0), ..Gpus::default() });
        }
        finds(&gathered, &asked(), "devices", Level::Warn, "4 rank(s) train, 2 on GPUs, 2 on the CPU", "leave hosts");
    }

    #[test]
    fn threads_without_cores_are_a_warning_with_numbers_that_fit() {
        let mut eight = asked();
        eight.run.threads = 16;
        let gathered = cluster(2, 8);
        finds(
            &gathered,
            &eight,
            "cores",
            Level::Warn,
            "node0.cluster, node1.cluster: 8 ranks with 16 thread(s) each on 64 core(s)",
            "`--threads 8`, or start 4 ranks",
        );
        finds(&gathered, &asked(), "cores", Level::Pass, "at most 12 %", "");
        let mut bound = cluster(1, 2);
        for (rank, one) in bound.facts.iter_mut().enumerate() {
            (one.cores.usable, one.cores.allowed) = (1, rank.to_string());
        }
        finds(&bound, &asked(), "cores", Level::Pass, "100 %", "");
        eight.run.threads = 4;
        finds(&bound, &eight, "cores", Level::Warn, "ranks 0-1 may use 1 core(s) for 4 threads", "--bind-to none");
        finds(&alone(), &eight, "cores", Level::Warn, "this process may use 2 core(s)", "`--threads 2`");
    }

    #[test]
    fn a_process_alone_says_how_many_workers_it_would_have() {
        finds(&alone(), &asked(), "devices", Level::Pass, "2 worker(s) on the CPU", "");
        let gpus = with_gpus(alone(), |gpus| (gpus.driver, gpus.torch) = (4, Some(4)));
        finds(&gpus, &asked(), "devices", Level::Pass, "4 worker(s) on 4 GPU(s)", "");
    }
}
