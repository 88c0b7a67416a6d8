//! Who started this process, and whether it is one of many: read from the variables that launchers set.
//!
//! MPI is begun only where a launcher says that there are several ranks, so that a plain start needs no MPI at all. It
//! may not know of MPI itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use tombola_words::error::{Error, Result};
use tombola_words::process::{ancestors, children, program, variable};

/// Variables that name the number of ranks of this very start, with those that name the own rank.
///
/// Not `SLURM_NTASKS`: a program that is started plainly inside a batch job has it too.
const RANKS: [(&str, &str); 4] = [
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("PMIX_SIZE", "PMIX_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
];

/// Variables that name the own place among the ranks of a host. (`SLURM_LOCAL_ID` does not exist.)
const LOCAL: [&str; 4] = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PMI_LOCAL_RANK", "SLURM_LOCALID"];

/// The variable by which Open MPI tells one start from another.
const START: &str = "PMIX_NAMESPACE";

/// Programs that start ranks, and their helpers on other hosts.
const PROGRAMS: [&str; 10] = [
    "mpirun",
    "mpiexec",
    "orterun",
    "orted",
    "prterun",
    "prted",
    "mpiexec.hydra",
    "hydra_pmi_proxy",
    "hydra_bstrap_proxy",
    "pmi_proxy",
];

/// What the launcher says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Ranks of this start.
    pub size: usize,
    /// The own one.
    pub rank: usize,
    /// The own place among the ranks of this host, where the launcher says it.
    pub local_rank: Option<usize>,
}

/// What the launcher says; nothing for a process that is started alone.
pub fn launch() -> Option<Launch> {
    of(|name| std::env::var(name).ok())
}

fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Launch> {
    let number = |name: &str| variable(name).and_then(|text| text.trim().parse::<usize>().ok());
    let found = RANKS.iter().filter_map(|(size, rank)| Some((number(size)?, number(rank)?)));
    // A single-rank step of Slurm's may hold an mpirun, and the other way round: the larger number is meant.
    let (size, rank) = found.max_by_key(|(size, _)| *size)?;
    Some(Launch { size, rank, local_rank: LOCAL.iter().find_map(|name| number(name)) })
}

/// Which kind of launcher started this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Starter {
    /// Open MPI's `mpirun`, also where it had Slurm start its helpers.
    OpenMpi,
    /// The `mpiexec` of MPICH and its relatives.
    Hydra,
    /// Slurm's `srun`.
    Srun,
    /// One that is not known here.
    Other,
}

/// Which launcher started this process; nothing for a process that is started alone.
pub fn starter() -> Option<Starter> {
    starter_of(|name| std::env::var(name).ok())
}

fn starter_of(variable: impl Fn(&str) -> Option<String>) -> Option<Starter> {
    of(&variable)?;
    let there = |name: &str| variable(name).is_some();
    // The outer ones leave their variables to the inner ones: an mpirun over several hosts starts its helpers by srun.
    Some(match () {
        () if there("OMPI_COMM_WORLD_SIZE") => Starter::OpenMpi,
        () if there("MPI_LOCALNRANKS") => Starter::Hydra,
        () if there("SLURM_STEP_NUM_TASKS") => Starter::Srun,
        () => Starter::Other,
    })
}

/// The nearest process that this one descends from which is a launcher or a helper of one, and its program.
pub fn process() -> Option<(u32, PathBuf)> {
    let mut found = ancestors().into_iter().filter_map(|process| Some((process, program(process)?)));
    found.find(|(_, program)| program.file_name().is_some_and(|name| PROGRAMS.iter().any(|one| name == *one)))
}

/// The ranks of this start that were given to this host.
#[derive(Debug)]
pub struct RanksOfHost {
    /// How many.
    pub given: usize,
    start: String,
    launcher: u32,
}

impl RanksOfHost {
    /// Those of this process's start. Nothing where they are not known: only Open MPI says how many there are, and a launcher in
    /// another container is not seen.
    pub fn find() -> Option<Self> {
        let own = |name: &str| std::env::var(name).ok();
        let given = own("OMPI_COMM_WORLD_LOCAL_SIZE")?.parse().ok()?;
        let found = Self { given, start: own(START)?, launcher: process()?.0 };
        let mut own = ancestors();
        own.push(std::process::id());
        found.processes()?.iter().any(|child| own.contains(child)).then_some(found)
    }

    /// How many are there still, where the system tells.
    pub fn there(&self) -> Option<usize> {
        Some(self.processes()?.len())
    }

    /// Each may be a wrapper that has started the rank. One that this user may not look into is taken for a rank.
    fn processes(&self) -> Option<Vec<u32>> {
        let mut found = children(self.launcher)?;
        found.retain(|child| variable(*child, START).map_or(true, |start| start.as_ref() == Some(&self.start)));
        Some(found)
    }
}

/// Refuses several copies of "rank 0 of 1" where one start of many ranks was meant: each would coordinate a sweep of its
/// own in the same results folder.
///
/// # Errors
/// When MPI and the launcher do not agree on the number of ranks.
pub fn check_size(launch: Launch, mpi: usize) -> Result<()> {
    if launch.size == mpi {
        return Ok(());
    }
    Err(Error::environment(format!("the launcher started {} ranks, but MPI knows of {mpi}", launch.size)).hint(
        "the launcher and the MPI library that Tombola was built with do not fit together: use the `mpirun` of that library, also inside Slurm, instead of `srun` (`tombola doctor` names it)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Option<Launch> {
        of(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn a_plain_start_is_no_launch_even_inside_a_batch_job() {
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("SLURM_NTASKS", "8"), ("SLURM_JOB_ID", "7"), ("SLURM_PROCID", "0")]), None);
    }

    #[test]
    fn every_launcher_is_understood() {
        let launch = |size, rank, local_rank| Some(Launch { size, rank, local_rank });
        let open_mpi =
            [("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "3"), ("OMPI_COMM_WORLD_LOCAL_RANK", "1")];
        assert_eq!(with(&open_mpi), launch(4, 3, Some(1)));
        assert_eq!(with(&[("PMI_SIZE", "2"), ("PMI_RANK", "1")]), launch(2, 1, None));
        let srun = [("SLURM_STEP_NUM_TASKS", "6"), ("SLURM_PROCID", "5"), ("SLURM_LOCALID", "2")];
        assert_eq!(with(&srun), launch(6, 5, Some(2)));
        // mpirun inside a step of one task.
        let nested = [("SLURM_STEP_NUM_TASKS", "1"), ("SLURM_PROCID", "0")];
        assert_eq!(with(&[&nested[..], &open_mpi[..]].concat()), launch(4, 3, Some(1)));
    }

    #[test]
    fn the_innermost_launcher_is_the_one_that_counts() {
        let starter = |names: &[&str]| starter_of(|name| names.contains(&name).then(|| "2".to_string()));
        assert_eq!(starter(&["SLURM_JOB_ID", "SLURM_PROCID"]), None);
        let step = ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID"];
        assert_eq!(starter(&step), Some(Starter::Srun));
        let inner = ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"];
        assert_eq!(starter(&[&step[..], &inner[..]].concat()), Some(Starter::OpenMpi));
        assert_eq!(starter(&["PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS"]), Some(Starter::Hydra));
        assert_eq!(starter(&["PMIX_SIZE", "PMIX_RANK"]), Some(Starter::Other));
    }

    #[test]
    fn singletons_are_refused_with_a_cure() {
        let launch = Launch { size: 4, rank: 2, local_rank: None };
        assert!(check_size(launch, 4).is_ok());
        let error = check_size(launch, 1).unwrap_err();
        assert!(
            error.message.contains("started 4 ranks, but MPI knows of 1") && error.hint.unwrap().contains("mpirun")
        );
    }
}
