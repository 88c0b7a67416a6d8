//! Program, launcher, MPI, and whether all ranks are there and alike.

use std::collections::{BTreeMap, BTreeSet};

use super::{Line, by, hosts_of, names, ranks};
use crate::doctor::facts::{Facts, Gathered};
use crate::link::launcher::{Starter, check_size};

/// Seconds by which clocks may differ.
const CLOCKS: f64 = 1.0;
/// What is to be said to Open MPI 4 so that it notices within seconds that a host is gone.
const KEEPALIVE: [(&str, u32); 3] = [
    ("OMPI_MCA_oob_tcp_keepalive_time", 2),
    ("OMPI_MCA_oob_tcp_keepalive_intvl", 1),
    ("OMPI_MCA_oob_tcp_keepalive_probes", 3),
];
const SAME_BUILD: &str = "start the same build of Tombola, with the same libtorch, on every host";

pub(super) fn judge(gathered: &Gathered, lines: &mut Vec<Line>) {
    let facts = &gathered.facts;
    let Some(first) = facts.first() else { return };
    lines.push(program(first));
    lines.push(mpi(first));
    if first.mpi.is_some() || first.launch.is_some() {
        lines.push(all_there(gathered));
    }
    if first.launch.is_some() {
        lines.push(launcher(first));
        lines.extend(loss(first));
        lines.extend(keepalive(first, hosts_of(facts).len()));
    }
    if facts.len() > 1 {
        lines.push(local_ranks(facts));
        lines.extend(same(facts));
        lines.push(host_names(facts));
        lines.push(clocks(gathered));
    }
}

fn program(first: &Facts) -> Line {
    let program = &first.program;
    let features: Vec<&str> = [("torch", program.torch), ("MPI", program.mpi)]
        .iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| *name)
        .collect();
    let mut found = format!("tombola {}", program.version);
    match features.as_slice() {
        [] => found.push_str(" without torch and MPI"),
        some => found.push_str(&format!(" with {}", some.join(" and "))),
    }
    if let Some(version) = &program.libtorch {
        found.push_str(&format!(", libtorch {version}"));
    }
    match program.torch {
        true => Line::pass("program", found),
        false => Line::fail(
            "program",
            format!("{found}: it plans and shows, but does not train"),
            "build it with `cargo build --release`, or use `scripts/tombola`",
        ),
    }
}

fn mpi(first: &Facts) -> Line {
    let library = first.program.library.as_deref().unwrap_or("none");
    match (&first.launch, &first.mpi) {
        (None, _) => Line::pass("MPI", format!("not used, because this process was started alone; library: {library}")),
        (Some(launch), None) => Line::fail(
            "MPI",
            format!(
                "a launcher started {} ranks, but the program was built without MPI: each would run the whole sweep",
                launch.size
            ),
            "build it where MPI is (`scripts/tombola` does, with `mpicc` on the path), or start it without the launcher",
        ),
        (Some(_), Some(mpi)) => match &mpi.threads {
            Ok(threads) => Line::pass("MPI", format!("{library}, threading level {threads}")),
            Err(error) => Line::of_error("MPI", error, "use another MPI library"),
        },
    }
}

/// Whether MPI knows all ranks that were started, and all have answered.
fn all_there(gathered: &Gathered) -> Line {
    let first = &gathered.facts[0];
    if let (Some(launch), Some(mpi)) = (first.launch, &first.mpi)
        && let Err(error) = check_size(launch, mpi.size)
    {
        return Line::fail(
            "ranks",
            error.message,
            "use the `mpirun` of the library in the line above, also inside Slurm, instead of `srun`; or build with the MPI of this launcher",
        );
    }
    if gathered.silent.is_empty() {
        let hosts = hosts_of(&gathered.facts).len();
        let hosts = if hosts == 1 { "1 host".to_string() } else { format!("{hosts} hosts") };
        return Line::pass("ranks", format!("{} on {hosts}, all of which answer", gathered.facts.len()));
    }
    let mut reasons: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (rank, reason) in &gathered.silent {
        reasons.entry(reason).or_default().push(*rank);
    }
    let reasons: Vec<String> =
        reasons.into_iter().map(|(reason, numbers)| format!("{}: {reason}", ranks(numbers))).collect();
    Line::fail(
        "ranks",
        reasons.join("; "),
        "start the same command on every rank; if it was, look at what those hosts do: `mpirun … hostname` names them",
    )
}

fn launcher(first: &Facts) -> Line {
    match first.starter {
        Some(Starter::Srun) => Line::warn(
            "launcher",
            "started by `srun`: the loss of one rank ends all others, or leaves them waiting",
            "start it by `mpirun` inside `sbatch` or `salloc`",
        ),
        Some(Starter::OpenMpi) => Line::pass("launcher", "`mpirun` of Open MPI"),
        Some(Starter::Hydra) => Line::pass("launcher", "`mpiexec` of MPICH or a relative"),
        _ => Line::pass("launcher", "one that sets the variables of PMI"),
    }
}

/// What the loss of a rank would do.
fn loss(first: &Facts) -> Option<Line> {
    let recovery = &first.first.as_ref()?.recovery;
    Some(match first.starter? {
        Starter::OpenMpi if recovery.enabled => Line::pass(
            "lost ranks",
            "with `--enable-recovery`: the others go on, but `mpirun` ends with 0 whatever the ranks end with",
        ),
        Starter::OpenMpi if is_open_mpi_4(first) => Line::pass(
            "lost ranks",
            "without `--enable-recovery`: a lost rank ends this start, and the same command resumes",
        ),
        Starter::Srun => return None,
        _ => Line::pass("lost ranks", "a lost rank may end this start; the same command resumes"),
    })
}

fn is_open_mpi_4(first: &Facts) -> bool {
    first.program.library.as_ref().is_some_and(|library| library.starts_with("Open MPI v4"))
}

/// Over several hosts, Open MPI 4 does not notice by itself that one is gone.
fn keepalive(first: &Facts, hosts: usize) -> Option<Line> {
    if first.starter != Some(Starter::OpenMpi) || hosts < 2 || !is_open_mpi_4(first) {
        return None;
    }
    let missing = &first.first.as_ref()?.recovery.keepalive_missing;
    if missing.is_empty() {
        return Some(Line::pass("keepalive", "set: `mpirun` notices a host that is cut off"));
    }
    let missing = KEEPALIVE.iter().filter(|(name, _)| missing.iter().any(|one| one == name));
    let cure: Vec<String> = missing.map(|(name, value)| format!("{name}={value}")).collect();
    Some(Line::warn(
        "keepalive",
        format!("{hosts} hosts, and `mpirun` would wait for ever for one that is cut off"),
        format!("export {}", cure.join(" ")),
    ))
}

/// The launcher's numbers within a host, and MPI's, by which devices are dealt out.
fn local_ranks(facts: &[Facts]) -> Line {
    let differs = |one: &&Facts| match (one.launch.and_then(|launch| launch.local_rank), &one.mpi) {
        (Some(launcher), Some(mpi)) => launcher != mpi.local_rank,
        _ => false,
    };
    let differing: Vec<usize> = facts.iter().filter(differs).map(|one| one.rank).collect();
    if !differing.is_empty() {
        return Line::warn(
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
            return Line::warn(
                "local ranks",
                format!(
                    "{host}: {} ranks, of which groups of {size} share memory: each begins at the first device",
                    those.len()
                ),
                "let all containers of a host share its memory segments, as with `--ipc=host`",
            );
        }
    }
    Line::pass("local ranks", "launcher and MPI agree")
}

/// Versions: what must be the same everywhere, and what should be.
fn same(facts: &[Facts]) -> Vec<Line> {
    let differing = |what: &str, groups: BTreeMap<String, Vec<usize>>| {
        let groups: Vec<String> =
            groups.into_iter().map(|(value, numbers)| format!("{value} on {}", ranks(numbers))).collect();
        format!("{what} differs: {}", names(&groups))
    };
    let short = |checksum: &String| checksum.get(..12).unwrap_or(checksum).to_string();
    let mut lines = Vec::new();
    let versions = by(facts, |one| Some(one.program.version.clone()));
    if versions.len() > 1 {
        lines.push(Line::fail("builds", differing("the version", versions), SAME_BUILD));
    }
    for (what, groups) in [
        ("libtorch", by(facts, |one| one.program.libtorch.clone())),
        ("the MPI library", by(facts, |one| one.program.library.clone())),
        ("the program's file", by(facts, |one| one.program.checksum.as_ref().map(short))),
    ] {
        if groups.len() > 1 {
            lines.push(Line::warn("builds", differing(what, groups), SAME_BUILD));
        }
    }
    if lines.is_empty() {
        lines.push(Line::pass("builds", "the same program and libtorch everywhere"));
    }
    lines
}

/// Whether a name means a host, and each host has one.
fn host_names(facts: &[Facts]) -> Line {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_string();
    let mut machines: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (host, those) in hosts_of(facts) {
        let own: BTreeSet<&str> = those.iter().filter_map(|one| one.machine.as_deref()).collect();
        if own.len() > 1 {
            return Line::fail(
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
        return Line::warn(
            "host names",
            format!("one machine has {} names: {}", several.len(), names(&several)),
            "give its containers the name of the host, or other devices each: ranks of one name take no account of the others",
        );
    }
    let differs = |one: &&Facts| !one.system_host.is_empty() && short(&one.host) != short(&one.system_host);
    if let Some(one) = facts.iter().find(differs) {
        return Line::warn(
            "host names",
            format!("MPI calls the host of rank {} {}, its system calls it {}", one.rank, one.host, one.system_host),
            "give the host one name, in `hostname` and in the hostfile",
        );
    }
    Line::pass("host names", "each host has one")
}

fn clocks(gathered: &Gathered) -> Line {
    // What a round trip took is no difference.
    let surely = |ahead: f64, round_trip: f64| (ahead.abs() - round_trip / 2.0).max(0.0);
    let mut apart: Vec<(usize, f64)> = gathered.clocks.iter().map(|(rank, clock)| (*rank, clock.ahead)).collect();
    let most = gathered.clocks.values().map(|clock| surely(clock.ahead, clock.round_trip)).fold(0.0, f64::max);
    if gathered.clocks.is_empty() {
        return Line::warn("clocks", "no rank answered", "see to the ranks first");
    }
    if most <= CLOCKS {
        let within =
            gathered.clocks.values().map(|clock| clock.ahead.abs() + clock.round_trip / 2.0).fold(0.0, f64::max);
        return Line::pass("clocks", format!("within {:.1} ms of that of rank 0", within * 1e3));
    }
    apart.retain(|(rank, ahead)| surely(*ahead, gathered.clocks[rank].round_trip) > CLOCKS);
    apart.sort_by(|one, other| other.1.abs().total_cmp(&one.1.abs()));
    let words = |(rank, ahead): &(usize, f64)| {
        format!("rank {rank} is {:.1} s {}", ahead.abs(), if *ahead > 0.0 { "ahead" } else { "behind" })
    };
    let apart: Vec<String> = apart.iter().map(words).collect();
    Line::warn(
        "clocks",
        format!("{}, compared with rank 0", names(&apart)),
        "let the hosts keep time by NTP (`timedatectl set-ntp true`)",
    )
}

#[cfg(test)]
mod tests {
    use super::super::made_up::{alone, asked, cluster};
    use super::super::{Level, judge};
    use super::*;
    use crate::doctor::facts::Clock;
    use crate::link::launcher::Launch;

    #[track_caller]
    fn line(gathered: &Gathered, check: &str) -> Line {
        let report = judge(gathered, &asked());
        let found: Vec<Line> = report.lines.into_iter().filter(|line| line.check == check).collect();
        assert_eq!(found.len(), 1, "{check}: {found:#?}");
        found[0].clone()
    }

    #[track_caller]
    fn finds(gathered: &Gathered, check: &str, level: Level, found: &str, cure: &str) {
        let line = line(gathered, check);
        assert!(line.level == level && line.found.contains(found), "{line:#?}");
        assert!(line.cure.unwrap_or_default().contains(cure));
    }

    #[test]
    fn a_process_alone_is_not_asked_about_ranks() {
        let report = judge(&alone(), &asked());
        let checks: Vec<&str> = report.lines.iter().map(|line| line.check).collect();
        assert_eq!(
            checks,
            ["program", "MPI", "GPUs", "devices", "cores", "results folder", "disk", "file locks", "free space"]
        );
        assert!(report.lines[1].found.contains("not used"));
    }

    #[test]
    fn many_ranks_of_a_program_without_mpi_fail() {
        let mut gathered = alone();
        gathered.facts[0].launch = Some(Launch { size: 8, rank: 0, local_rank: Some(0) });
        gathered.facts[0].program.mpi = false;
        finds(&gathered, "MPI", Level::Fail, "started 8 ranks, but the program was built without MPI", "mpicc");
    }

    #[test]
    fn silent_singletons_fail_with_the_cure() {
        let mut gathered = cluster(1, 1);
        gathered.facts[0].launch = Some(Launch { size: 8, rank: 0, local_rank: None });
        finds(
            &gathered,
            "ranks",
            Level::Fail,
            "started 8 ranks, but MPI knows of 1",
            "use the `mpirun` of the library in the line above",
        );
    }

    #[test]
    fn ranks_that_do_not_answer_are_named_once_for_each_reason() {
        let mut gathered = cluster(4, 8);
        for rank in [8, 9, 10, 20] {
            gathered.silent.insert(rank, "no answer within 20 s".into());
        }
        gathered.silent.insert(5, "a message of 9 bytes cannot be read".into());
        gathered.facts.retain(|one| !gathered.silent.contains_key(&one.rank));
        finds(&gathered, "ranks", Level::Fail, "rank 5: a message", "same command");
        finds(&gathered, "ranks", Level::Fail, "ranks 8-10, 20: no answer within 20 s", "same command");
    }

    #[test]
    fn one_host_needs_no_keepalive_and_several_are_told_what_is_missing() {
        let mut gathered = cluster(2, 2);
        let recovery = |gathered: &mut Gathered, missing: &[&str]| {
            let first = gathered.facts[0].first.as_mut().unwrap();
            first.recovery.keepalive_missing = missing.iter().map(|name| name.to_string()).collect();
        };
        recovery(&mut gathered, &["OMPI_MCA_oob_tcp_keepalive_time", "OMPI_MCA_oob_tcp_keepalive_intvl"]);
        let cure = "export OMPI_MCA_oob_tcp_keepalive_time=2 OMPI_MCA_oob_tcp_keepalive_intvl=1";
        finds(&gathered, "keepalive", Level::Warn, "2 hosts", cure);
        recovery(&mut gathered, &[]);
        finds(&gathered, "keepalive", Level::Pass, "set", "");
        let one = cluster(1, 4);
        assert!(judge(&one, &asked()).lines.iter().all(|line| line.check != "keepalive"));
    }

    #[test]
    fn what_the_loss_of_a_rank_does_depends_on_how_it_was_started() {
        let mut gathered = cluster(1, 4);
        finds(&gathered, "lost ranks", Level::Pass, "without `--enable-recovery`: a lost rank ends this start", "");
        gathered.facts[0].first.as_mut().unwrap().recovery.enabled = true;
        finds(&gathered, "lost ranks", Level::Pass, "the others go on", "");
        gathered.facts[0].starter = Some(Starter::Srun);
        finds(&gathered, "launcher", Level::Warn, "`srun`", "`mpirun` inside `sbatch`");
    }

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
