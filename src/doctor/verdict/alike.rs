//! Whether the ranks are alike: builds, numbers within hosts, names of hosts, clocks.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, by, hosts_of, names, ranks};
use crate::doctor::facts::{Facts, Gathered};

/// Seconds by which clocks may differ.
const CLOCKS: f64 = 1.0;
const SAME_BUILD: &str = "start the same build of Tombola, with the same libtorch, on every host";

pub(super) fn judge(gathered: &Gathered, lines: &mut Vec<Finding>) {
    let facts = &gathered.facts;
    lines.push(local_ranks(facts));
    lines.extend(same(facts));
    lines.push(host_names(facts));
    lines.push(clocks(gathered));
}

/// The launcher's numbers within a host, and MPI's, by which devices are dealt out.
fn local_ranks(facts: &[Facts]) -> Finding {
    let differs = |one: &&Facts| match (one.launch.and_then(|launch| launch.local_rank), &one.mpi) {
        (Some(launcher), Some(mpi)) => launcher != mpi.local_rank,
        _ => false,
    };
    let differing: Vec<usize> = facts.iter().filter(differs).map(|one| one.rank).collect();
    if !differing.is_empty() {
        return Finding::warn(
            "local ranks",
            format!("{}: the launcher numbers them otherwise within their hosts than MPI does", ranks(differing)),
            "leave binding and mapping options out; devices go by MPI's numbers",
        );
    }
    for (host, those) in hosts_of(facts) {
        let groups: BTreeSet<usize> =
            those.iter().filter_map(|one| one.mpi.as_ref()).map(|mpi| mpi.local_size).collect();
        // Fewer may have answered than are there.
        if let Some(size) = groups.first().filter(|size| **size < those.len()) {
            return Finding::warn(
                "local ranks",
                format!(
                    "{host}: {} ranks, of which groups of {size} share memory: each begins at the first device",
                    those.len()
                ),
                "let all containers of a host share its memory segments, as with `--ipc=host`",
            );
        }
    }
    Finding::pass("local ranks", "launcher and MPI agree")
}

/// Versions: what must be the same everywhere, and what should be.
fn same(facts: &[Facts]) -> Vec<Finding> {
    let differing = |what: &str, groups: BTreeMap<String, Vec<usize>>| {
        let groups: Vec<String> =
            groups.into_iter().map(|(value, numbers)| format!("{value} on {}", ranks(numbers))).collect();
        format!("{what} differs: {}", names(&groups))
    };
    let short = |checksum: &String| checksum.get(..12).unwrap_or(checksum).to_string();
    let mut lines = Vec::new();
    let versions = by(facts, |one| Some(one.program.version.clone()));
    if versions.len() > 1 {
        lines.push(Finding::fail("builds", differing("the version", versions), SAME_BUILD));
    }
    for (what, groups) in [
        ("libtorch", by(facts, |one| one.program.libtorch.clone())),
        ("the MPI library", by(facts, |one| one.program.library.clone())),
        ("the program's file", by(facts, |one| one.program.checksum.as_ref().map(short))),
    ] {
        if groups.len() > 1 {
            lines.push(Finding::warn("builds", differing(what, groups), SAME_BUILD));
        }
    }
    if lines.is_empty() {
        lines.push(Finding::pass("builds", "the same program and libtorch everywhere"));
    }
    lines
}

/// Whether a name means a host, and each host has one.
fn host_names(facts: &[Facts]) -> Finding {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_string();
    let mut machines: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (host, those) in hosts_of(facts) {
        let own: BTreeSet<&str> = those.iter().filter_map(|one| one.machine.as_deref()).collect();
        if own.len() > 1 {
            return Finding::fail(
                "host names",
                format!("{} machines call themselves {host}", own.len()),
                "give each host a name of its own (`hostnamectl hostname NAME`)",
            );
        }
        if let Some(machine) = own.first() {
            machines.entry(machine).or_default().insert(host);
        }
    }
    if let Some(several) = machines.values().find(|hosts| hosts.len() > 1) {
        let several: Vec<&&str> = several.iter().collect();
        return Finding::warn(
            "host names",
            format!("one machine has {} names: {}", several.len(), names(&several)),
            "give its containers the name of the host, or other devices each: ranks of one name take no account of the others",
        );
    }
    let differs = |one: &&Facts| !one.system_host.is_empty() && short(&one.host) != short(&one.system_host);
    if let Some(one) = facts.iter().find(differs) {
        return Finding::warn(
            "host names",
            format!("MPI calls the host of rank {} {}, its system calls it {}", one.rank, one.host, one.system_host),
            "give the host one name, in `hostname` and in the hostfile",
        );
    }
    Finding::pass("host names", "each host has one")
}

fn clocks(gathered: &Gathered) -> Finding {
    // What a round trip took is no difference.
    let surely = |ahead: f64, round_trip: f64| (ahead.abs() - round_trip / 2.0).max(0.0);
    let mut apart: Vec<(usize, f64)> = gathered.clocks.iter().map(|(rank, clock)| (*rank, clock.ahead)).collect();
    let most = gathered.clocks.values().map(|clock| surely(clock.ahead, clock.round_trip)).fold(0.0, f64::max);
    if gathered.clocks.is_empty() {
        return Finding::warn("clocks", "no rank answered", "see to the ranks first");
    }
    if most <= CLOCKS {
        let within =
            gathered.clocks.values().map(|clock| clock.ahead.abs() + clock.round_trip / 2.0).fold(0.0, f64::max);
        return Finding::pass("clocks", format!("within {:.1} ms of that of rank 0", within * 1e3));
    }
    apart.retain(|(rank, ahead)| surely(*ahead, gathered.clocks[rank].round_trip) > CLOCKS);
    apart.sort_by(|one, other| other.1.abs().total_cmp(&one.1.abs()));
    let words = |(rank, ahead): &(usize, f64)| {
        format!("rank {rank} is {:.1} s {}", ahead.abs(), if *ahead > 0.0 { "ahead" } else { "behind" })
    };
    let apart: Vec<String> = apart.iter().map(words).collect();
    Finding::warn(
        "clocks",
        format!("{}, compared with rank 0", names(&apart)),
        "let the hosts keep time by NTP (`timedatectl set-ntp true`)",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::super::made_up::{cluster, finds};
    use crate::doctor::facts::Clock;
    use tombola_cluster::link::launcher::Launch;

    #[test]
    fn different_builds_are_told_apart() {
        let mut gathered = cluster(3, 2);
        gathered.facts[5].program.version = "0.0.9".into();
        finds(&gathered, "builds", Level::Fail, "0.0.9 on rank 5", "same build");
        let mut gathered = cluster(3, 2);
        gathered.facts[2].program.libtorch = Some("2.9.0".into());
        finds(&gathered, "builds", Level::Warn, "libtorch differs: 2.11.0 on ranks 0-1, 3-5, 2.9.0 on rank 2", "");
        let mut gathered = cluster(3, 2);
        gathered.facts[4].program.checksum = Some("other".into());
        finds(&gathered, "builds", Level::Warn, "the program's file differs", "");
    }

    #[test]
    fn a_name_means_one_host_and_a_host_has_one_name() {
        let mut gathered = cluster(3, 2);
        gathered.facts.iter_mut().for_each(|one| one.host = "localhost".into());
        finds(&gathered, "host names", Level::Fail, "3 machines call themselves localhost", "hostnamectl");
        let mut gathered = cluster(3, 2);
        gathered.facts[1].host = "container".into();
        finds(&gathered, "host names", Level::Warn, "one machine has 2 names: container, node0", "name of the host");
        let mut gathered = cluster(3, 2);
        gathered.facts[3].system_host = "other".into();
        finds(&gathered, "host names", Level::Warn, "rank 3 node1.cluster, its system calls it other", "one name");
    }

    #[test]
    fn local_ranks_of_launcher_and_mpi_are_compared() {
        let mut gathered = cluster(2, 4);
        gathered.facts[6].launch = Some(Launch { size: 8, rank: 6, local_rank: Some(0) });
        finds(&gathered, "local ranks", Level::Warn, "rank 6: the launcher numbers", "MPI's numbers");
        let mut gathered = cluster(2, 4);
        for one in gathered.facts.iter_mut().filter(|one| one.rank >= 4) {
            one.mpi.as_mut().unwrap().local_size = 1;
        }
        finds(
            &gathered,
            "local ranks",
            Level::Warn,
            "node1.cluster: 4 ranks, of which groups of 1 share",
            "--ipc=host",
        );
    }

    #[test]
    fn a_clock_counts_as_wrong_only_as_far_as_the_round_trip_leaves_no_doubt() {
        let mut gathered = cluster(2, 2);
        finds(&gathered, "clocks", Level::Pass, "within 0.2 ms", "");
        gathered.clocks.insert(1, Clock { ahead: 1.5, round_trip: 1.2 });
        finds(&gathered, "clocks", Level::Pass, "within", "");
        gathered.clocks.insert(1, Clock { ahead: 1.5, round_trip: 0.2 });
        gathered.clocks.insert(3, Clock { ahead: -90.0, round_trip: 0.2 });
        finds(&gathered, "clocks", Level::Warn, "rank 3 is 90.0 s behind, rank 1 is 1.5 s ahead", "NTP");
    }
}
