//! `tombola doctor` as one of many ranks: each looks, rank 0 judges and prints.

use std::time::Instant;

use clap::ArgMatches;

use super::round::{self, Round};
use tombola::doctor::facts::Mpi;
use tombola::doctor::look::{self, Build, Own};
use tombola::verbs::doctor;
use tombola::verbs::process::let_the_first_rank_speak;
use tombola_cluster::link::launcher::{self, Launch, Starter};
use tombola_ranks::mpi::MpiSession;
use tombola_words::error::Result;
use tombola_words::speech::{self, outcome};

/// Looks as one of many ranks. Returns only if MPI cannot be begun; otherwise the process ends here, because a rank that
/// ends in another way than its peers would keep them waiting.
///
/// # Errors
/// When the flags are wrong, or MPI cannot be begun.
pub(super) fn doctor(launch: Launch, matches: &ArgMatches, build: Build) -> Result<u8> {
    let json = matches.get_flag("json");
    let asked = match doctor::read(matches) {
        // Many ranks are given the same command line: one of them says what is wrong with it.
        Err(error) if launch.rank > 0 => {
            let_the_first_rank_speak();
            return Ok(error.kind.exit_code());
        }
        asked => &asked?,
    };
    // Where `srun` and MPI do not fit together, MPI ends the process, with a text that names no cure for it.
    if launcher::starter() == Some(Starter::Srun) && launch.rank == 0 {
        speech::say("MPI is begun under `srun`. If that fails, start it by `mpirun` inside the job instead");
    }
    let session = MpiSession::open()?;
    let begun = Instant::now();
    let (local_rank, local_size) = session.local;
    let (threads, sharers) = (session.threads(), session.place.sharers);
    let mpi = Mpi { threads, size: session.size(), local_rank, local_size, sharers };
    let (rank, host) = (session.rank(), session.host.clone());
    let own = Own { rank, host, launch: Some(launch), mpi: Some(mpi), build };
    // Started as one of many, but alone as far as MPI knows: the launcher's first rank speaks.
    let code = if session.size() == 1 && launch.rank > 0 {
        session.finish(0);
        0
    } else if rank == 0 {
        let mut round = Round::new(&session);
        let told = round.ask(look::look(asked, own), begun).and_then(|gathered| doctor::tell(&gathered, asked, json));
        let code = outcome(told);
        match round.end(code).unwrap_or(false) {
            true => session.finish(code),
            false => session.leave(code),
        }
        code
    } else {
        match round::answer(&session, look::look(asked, own)) {
            Ok((true, _)) => {
                session.finish(0);
                0
            }
            Ok((false, code)) => session.leave(code),
            Err(error) => session.leave(outcome(Err(error))),
        }
    };
    // Not by `exit`: something may still be waited for in a thread.
    signal_hook::low_level::exit(i32::from(code))
}
