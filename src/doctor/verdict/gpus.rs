//! GPUs: which are there and can be used, and what follows where several ranks take one.

use std::collections::BTreeMap;

use super::hosts::{HostGpu, Seat, gpu_of, gpus_on};
use super::{Finding, hosts_of, names, ranks};
use crate::doctor::Checkup;
use crate::doctor::facts::{Facts, Gathered, Gpus};
use crate::doctor::look;
use tombola_core::gpus::{GpuSight, UnusedGpus};
use tombola_core::place::DeviceChoice;
use tombola_words::error::Result;

/// What the driver shows and torch can use.
pub(super) fn gpus(facts: &[Facts], asked: &Checkup, seats: &[Result<Seat>]) -> Vec<Finding> {
    let mut lines = Vec::new();
    let stuck: Vec<usize> = facts.iter().filter(|one| one.gpus.is_none()).map(|one| one.rank).collect();
    if !stuck.is_empty() {
        lines.push(Finding::fail(
            "GPUs",
            format!("{}: the driver did not answer within {} s", ranks(stuck), look::PATIENCE.as_secs()),
            "see whether `nvidia-smi` answers there; if not, the host needs a restart",
        ));
    }
    // On CPU nobody misses them.
    if asked.run.device.as_deref() != Some("cpu") {
        let mut problems: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
        // Nobody misses those of a rank that trains nothing either.
        let trains = |one: &&Facts| {
            facts.iter().zip(seats).any(|(each, seat)| each.rank == one.rank && *seat != Ok(Seat::Coordinates))
        };
        for (host, those) in hosts_of(facts) {
            let gpus = those.into_iter().filter(trains).filter_map(|one| one.gpus.as_ref());
            if let Some(problem) = gpus.into_iter().find_map(problem) {
                problems.entry(problem).or_default().push(host);
            }
        }
        for ((found, cure), hosts) in problems {
            lines.push(Finding::warn("GPUs", format!("{}: {found}", names(&hosts)), cure));
        }
    }
    if lines.is_empty() {
        let mut counts: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (host, those) in hosts_of(facts) {
            counts.entry(gpus_on(&those)).or_default().push(host);
        }
        let driver = facts.iter().filter_map(|one| one.gpus.as_ref()?.driver_version.as_deref()).next();
        let driver = driver.map(|version| format!(", driver {version}")).unwrap_or_default();
        let counts: Vec<String> =
            counts.iter().rev().map(|(count, hosts)| format!("{count} on {}", names(hosts))).collect();
        lines.push(Finding::pass("GPUs", format!("{}{driver}", counts.join("; "))));
    }
    lines
}

/// What keeps torch from GPUs that are there, and the cure.
fn problem(gpus: &Gpus) -> Option<(String, String)> {
    let visible = gpus.visible.as_deref();
    let sight = GpuSight { driver: gpus.driver, torch: gpus.torch?, cuda_loaded: gpus.cuda_loaded, visible };
    let unused = UnusedGpus::of(sight)?;
    let cure = unused.cure().to_string();
    let found = match sight.torch {
        0 => format!("{}: trainings would run on the CPU", unused.reason),
        _ => unused.reason,
    };
    Some((found, cure))
}

/// The ranks that train on a GPU which others of their host take too, by host and GPU.
fn shared<'a>(gathered: &'a Gathered, seats: &[Result<Seat>]) -> BTreeMap<(&'a str, HostGpu), Vec<&'a Facts>> {
    let mut on: BTreeMap<(&str, HostGpu), Vec<&Facts>> = BTreeMap::new();
    for (one, seat) in gathered.facts.iter().zip(seats) {
        if let Ok(Seat::Trains(DeviceChoice::Gpu(number))) = seat {
            on.entry((one.host.as_str(), gpu_of(one, *number))).or_default().push(one);
        }
    }
    on.retain(|_, those| those.len() > 1);
    on
}

/// Whether ranks that were shown different GPUs come to one all the same: each counts only those that were shown what it was.
pub(super) fn overlaps(gathered: &Gathered, asked: &Checkup, seats: &[Result<Seat>]) -> Vec<Finding> {
    let each = asked.run.ranks_per_gpu;
    // Who names a GPU by its number means it for all.
    if !matches!(asked.run.device.as_deref(), None | Some("cuda")) {
        return Vec::new();
    }
    // Containers that know nothing of each other do so too, which is told of local ranks.
    let differs = |one: &&Facts| one.mpi.as_ref().is_some_and(|mpi| mpi.sharers.size < mpi.sharers.local_size);
    let line = |((host, gpu), those): ((&str, HostGpu), Vec<&Facts>)| {
        let HostGpu::Named(_, name) = gpu else { return None };
        let numbers = ranks(those.iter().map(|one| one.rank));
        (those.len() > each && those.iter().any(differs)).then(|| {
            Finding::warn(
                "devices",
                format!("{host}: {numbers} were shown different GPUs and take the same one, {name}, which {each} may"),
                "have the launcher show each rank GPUs that no other rank sees, or the same ones to all",
            )
        })
    };
    shared(gathered, seats).into_iter().filter_map(line).collect()
}

/// Whether ranks that share a GPU can use it at the same time.
pub(super) fn sharing(gathered: &Gathered, seats: &[Result<Seat>]) -> Option<Finding> {
    let on = shared(gathered, seats);
    if on.is_empty() {
        return None;
    }
    let lacks = |those: &[&Facts]| those.iter().any(|one| one.gpus.as_ref().is_some_and(|gpus| !gpus.mps));
    let mut without: Vec<&str> = on.iter().filter(|(_, those)| lacks(those)).map(|((host, _), _)| *host).collect();
    without.dedup();
    Some(match without.is_empty() {
        true => Finding::pass("MPS", "runs where ranks share a GPU"),
        false => Finding::warn(
            "MPS",
            format!("{}: several ranks share a GPU, but no MPS daemon runs: they take turns", names(&without)),
            "start `nvidia-cuda-mps-control -d` on each of these hosts before the run",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::made_up::{asked, cluster, finds_for as finds, with_gpus, with_shown};
    use super::super::{Level, judge};
    use super::*;

    #[test]
    fn gpus_that_torch_does_not_see_are_explained() {
        let hidden = with_gpus(cluster(2, 4), |gpus| (gpus.torch, gpus.cuda_loaded) = (Some(0), false));
        finds(
            &hidden,
            &asked(),
            "GPUs",
            Level::Warn,
            "node0.cluster, node1.cluster: the driver shows 4 GPU(s) but this libtorch has no CUDA part",
            "libtorch_cuda.so",
        );
        let empty = with_gpus(cluster(1, 4), |gpus| (gpus.torch, gpus.visible) = (Some(0), Some(String::new())));
        finds(&empty, &asked(), "GPUs", Level::Warn, "`CUDA_VISIBLE_DEVICES=` leaves torch none", "unset");
        let old = with_gpus(cluster(1, 4), |gpus| gpus.torch = Some(0));
        finds(&old, &asked(), "GPUs", Level::Warn, "torch can use 0", "nvidia-smi");
        // Some of them hidden on purpose, or all where the CPU is asked for.
        let some = with_gpus(cluster(1, 2), |gpus| (gpus.driver, gpus.visible) = (8, Some("0,1".into())));
        finds(&some, &asked(), "GPUs", Level::Pass, "2 on node0.cluster, driver 550.54.15", "");
        let mut cpu = asked();
        cpu.run.device = Some("cpu".into());
        finds(&hidden, &cpu, "GPUs", Level::Pass, "0 on", "");
    }

    #[test]
    fn a_driver_that_does_not_answer_names_the_ranks() {
        let mut gathered = cluster(2, 4);
        gathered.facts[6].gpus = None;
        finds(&gathered, &asked(), "GPUs", Level::Fail, "rank 6: the driver did not answer within 15 s", "nvidia-smi");
    }

    #[test]
    fn sharing_a_gpu_without_mps_is_a_warning() {
        let mut two = asked();
        two.run.ranks_per_gpu = 2;
        let shared = with_gpus(cluster(2, 4), |gpus| gpus.torch = Some(2));
        finds(
            &shared,
            &two,
            "MPS",
            Level::Warn,
            "node0.cluster, node1.cluster: several ranks share a GPU",
            "nvidia-cuda-mps-control -d",
        );
        let with = with_gpus(shared, |gpus| gpus.mps = true);
        finds(&with, &two, "MPS", Level::Pass, "runs", "");
        // Each rank has a GPU of its own, which it sees as the first.
        let own = with_gpus(cluster(2, 4), |gpus| (gpus.driver, gpus.torch, gpus.own) = (1, Some(1), true));
        finds(&own, &asked(), "devices", Level::Pass, "on GPUs", "");
        assert!(judge(&own, &two).lines.iter().all(|line| line.check != "MPS"));
    }

    /// One host of rank 0, whose ranks see one GPU each for every entry of what they are shown.
    fn shown(visible: &[&str]) -> Gathered {
        let mut gathered = with_shown(cluster(1, visible.len()), visible);
        for gpus in gathered.facts.iter_mut().filter_map(|one| one.gpus.as_mut()) {
            let value = gpus.visible.as_deref().unwrap_or_default();
            gpus.torch = Some(value.split(',').filter(|entry| !entry.is_empty()).count());
        }
        gathered
    }

    #[test]
    fn ranks_that_were_shown_one_gpu_each_train_on_those() {
        for visible in [["0", "1", "2", "3"], ["MIG-a", "MIG-b", "MIG-c", "MIG-d"]] {
            let each = shown(&visible);
            finds(&each, &asked(), "devices", Level::Pass, "4 rank(s) train, 4 on GPUs", "");
            finds(&each, &asked(), "GPUs", Level::Pass, "4 on node0.cluster", "");
            let report = judge(&each, &asked());
            assert!(report.lines.iter().all(|line| line.check != "MPS"), "{report:#?}");
            let device = format!("GPU {} as cuda:0", visible[3]);
            assert_eq!(report.hosts[0].devices[3], (device, vec![3]));
            assert_eq!(report.hosts[0].gpus, 4);
        }
    }

    #[test]
    fn ranks_that_were_shown_the_same_gpu_are_counted_apart_from_the_others() {
        let pairs = shown(&["0", "0", "1", "1"]);
        // Rank 0 leaves its GPU to the other rank that sees it; the second pair has nobody to step back.
        let expected =
            "shows 1 GPU(s) to 2 ranks that train, 1 to a GPU: those with `CUDA_VISIBLE_DEVICES=1` (ranks 2-3)";
        finds(&pairs, &asked(), "devices", Level::Fail, expected, "`--ranks-per-gpu 2`");
        let mut two = asked();
        two.run.ranks_per_gpu = 2;
        finds(&pairs, &two, "devices", Level::Pass, "4 rank(s) train, 4 on GPUs", "");
        finds(
            &pairs,
            &two,
            "MPS",
            Level::Warn,
            "node0.cluster: several ranks share a GPU",
            "nvidia-cuda-mps-control -d",
        );
    }

    #[test]
    fn a_rank_0_that_was_shown_no_gpu_only_coordinates_and_misses_none() {
        let left_out = shown(&["", "0", "1"]);
        finds(&left_out, &asked(), "devices", Level::Pass, "2 rank(s) train, 2 on GPUs; rank 0 only coordinates", "");
        finds(&left_out, &asked(), "GPUs", Level::Pass, "2 on node0.cluster", "");
    }

    #[test]
    fn lists_that_bring_two_ranks_to_one_gpu_are_pointed_out() {
        let found = "node0.cluster: ranks 0-1 were shown different GPUs and take the same one, 0, which 1 may";
        finds(&shown(&["0,1", "0,2"]), &asked(), "devices", Level::Warn, found, "no other rank sees");
        for fine in [["0,1", "1,2"], ["0,1", "1,0"]] {
            let lines = judge(&shown(&fine), &asked()).lines;
            assert!(lines.iter().all(|line| line.check != "devices" || line.level == Level::Pass), "{lines:#?}");
        }
        let mut all = asked();
        all.run.device = Some("cuda:0".into());
        finds(&shown(&["0,1", "0,2"]), &all, "devices", Level::Pass, "2 on GPUs", "");
    }
    #[test]
    fn containers_that_do_not_see_each_other_are_not_said_to_be_shown_different_gpus() {
        let mut gathered = cluster(2, 2);
        gathered.facts.iter_mut().for_each(|one| one.host = "node".into());
        let lines = judge(&gathered, &asked()).lines;
        assert!(lines.iter().all(|line| line.check != "devices" || line.level == Level::Pass), "{lines:#?}");
        assert!(lines.iter().any(|line| line.check == "local ranks" && line.level == Level::Warn), "{lines:#?}");
    }
}
