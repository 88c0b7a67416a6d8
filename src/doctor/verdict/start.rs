//! Program, launcher, MPI, and whether all ranks are there.

use std::collections::BTreeMap;

use super::{Finding, alike, hosts_of, ranks};
use crate::doctor::facts::{Facts, Gathered};
use tombola_cluster::link::launcher::{Starter, check_size};

/// What is to be said to Open MPI 4 so that it notices within seconds that a host is gone.
const KEEPALIVE: [(&str, u32); 3] = [
    ("OMPI_MCA_oob_tcp_keepalive_time", 2),
    ("OMPI_MCA_oob_tcp_keepalive_intvl", 1),
    ("OMPI_MCA_oob_tcp_keepalive_probes", 3),
];

pub(super) fn judge(gathered: &Gathered, lines: &mut Vec<Finding>) {
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
        alike::judge(gathered, lines);
    }
}

fn program(first: &Facts) -> Finding {
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
        true => Finding::pass("program", found),
        false => Finding::fail(
            "program",
            format!("{found}: it plans and shows, but does not train"),
            "build it with `cargo build --release`, or use `scripts/tombola`",
        ),
    }
}

fn mpi(first: &Facts) -> Finding {
    let library = first.program.library.as_deref().unwrap_or("none");
    match (&first.launch, &first.mpi) {
        (None, _) => {
            Finding::pass("MPI", format!("not used, because this process was started alone; library: {library}"))
        }
        (Some(launch), None) => Finding::fail(
            "MPI",
            format!(
                "a launcher started {} ranks, but the program was built without MPI: each would run the whole sweep",
                launch.size
            ),
            "build it where MPI is (`scripts/tombola` does, with `mpicc` on the path), or start it without the launcher",
        ),
        (Some(_), Some(mpi)) => match &mpi.threads {
            Ok(threads) => Finding::pass("MPI", format!("{library}, threading level {threads}")),
            Err(error) => Finding::of_error("MPI", error, "use another MPI library"),
        },
    }
}

/// Whether MPI knows all ranks that were started, and all have answered.
fn all_there(gathered: &Gathered) -> Finding {
    let first = &gathered.facts[0];
    if let (Some(launch), Some(mpi)) = (first.launch, &first.mpi)
        && let Err(error) = check_size(launch, mpi.size)
    {
        return Finding::fail(
            "ranks",
            error.message,
            "use the `mpirun` of the library in the line above, also inside Slurm, instead of `srun`; or build with the MPI of this launcher",
        );
    }
    if gathered.silent.is_empty() {
        let hosts = hosts_of(&gathered.facts).len();
        let hosts = if hosts == 1 { "1 host".to_string() } else { format!("{hosts} hosts") };
        return Finding::pass("ranks", format!("{} on {hosts}, all of which answer", gathered.facts.len()));
    }
    let mut reasons: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (rank, reason) in &gathered.silent {
        reasons.entry(reason).or_default().push(*rank);
    }
    let reasons: Vec<String> =
        reasons.into_iter().map(|(reason, numbers)| format!("{}: {reason}", ranks(numbers))).collect();
    Finding::fail(
        "ranks",
        reasons.join("; "),
        "start the same command on every rank; if it was, look at what those hosts do: `mpirun … hostname` names them",
    )
}

fn launcher(first: &Facts) -> Finding {
    match first.starter {
        Some(Starter::Srun) => Finding::warn(
            "launcher",
            "started by `srun`: the loss of one rank ends all others, or leaves them waiting",
            "start it by `mpirun` inside `sbatch` or `salloc`",
        ),
        Some(Starter::OpenMpi) => Finding::pass("launcher", "`mpirun` of Open MPI"),
        Some(Starter::Hydra) => Finding::pass("launcher", "`mpiexec` of MPICH or a relative"),
        _ => Finding::pass("launcher", "one that sets the variables of PMI"),
    }
}

/// What the loss of a rank would do.
fn loss(first: &Facts) -> Option<Finding> {
    let recovery = &first.first.as_ref()?.recovery;
    Some(match first.starter? {
        Starter::OpenMpi if recovery.enabled => Finding::pass(
            "lost ranks",
            "with `--enable-recovery`: the others go on, but `mpirun` ends with 0 whatever the ranks end with",
        ),
        Starter::OpenMpi if is_open_mpi_4(first) => Finding::pass(
            "lost ranks",
            "without `--enable-recovery`: a lost rank ends this start, and the same command resumes",
        ),
        Starter::Srun => return None,
        _ => Finding::pass("lost ranks", "a lost rank may end this start; the same command resumes"),
    })
}

fn is_open_mpi_4(first: &Facts) -> bool {
    first.program.library.as_ref().is_some_and(|library| library.starts_with("Open MPI v4"))
}

/// Over several hosts, Open MPI 4 does not notice by itself that one is gone.
fn keepalive(first: &Facts, hosts: usize) -> Option<Finding> {
    if first.starter != Some(Starter::OpenMpi) || hosts < 2 || !is_open_mpi_4(first) {
        return None;
    }
    let missing = &first.first.as_ref()?.recovery.keepalive_missing;
    if missing.is_empty() {
        return Some(Finding::pass("keepalive", "set: `mpirun` notices a host that is cut off"));
    }
    let missing = KEEPALIVE.iter().filter(|(name, _)| missing.iter().any(|one| one == name));
    let cure: Vec<String> = missing.map(|(name, value)| format!("{name}={value}")).collect();
    Some(Finding::warn(
        "keepalive",
        format!("{hosts} hosts, and `mpirun` would wait for ever for one that is cut off"),
        format!("export {}", cure.join(" ")),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::made_up::{alone, asked, cluster, finds};
    use super::super::{Level, judge};
    use super::*;
    use tombola_cluster::link::launcher::Launch;

    #[test]
    fn a_process_alone_is_not_asked_about_ranks() {
        let report = judge(&alone(), &asked());
        let checks: Vec<&str> = report.lines.iter().map(|line| line.check).collect();
        assert_eq!(
            checks,
            [
                "program",
                "MPI",
                "GPUs",
                "devices",
                "cores",
                "memory",
                "results folder",
                "disk",
                "file locks",
                "free space"
            ]
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
}
