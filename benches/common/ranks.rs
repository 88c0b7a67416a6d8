//! Ranks of a bench: the bench starts itself again under `mpirun`, and rank 0 tells its figures in lines of words.

use std::fmt::Display;
use std::io::ErrorKind;
use std::process::{Command, Stdio};

use tombola_cluster::link::launcher;
use tombola_ranks::link::RankLink;
use tombola_ranks::mpi::MpiSession;
use tombola_ranks::worker::End;
use tombola_words::error::{Error, Result};

/// Says that a process is a rank, and what of; the words of its part follow.
const AS_RANK: &str = "--as-rank";
/// Begins each line of figures.
const FIGURES: &str = "figures";
/// Few cores must bear many ranks, also in a container where everybody is root. Ranks that wait need no core of their
/// own, so none is bound to one.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
    ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
    ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
    ("OMPI_MCA_hwloc_base_binding_policy", "none"),
    ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
];

/// A command that starts `count` ranks of something, on cores that others use too.
pub(crate) fn mpirun(count: usize) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["-np", &count.to_string()]).envs(ENVIRONMENT);
    command
}

/// The words after `--as-rank`, if this process is a rank of the bench.
pub(crate) fn part() -> Option<Vec<String>> {
    let mut words = std::env::args().skip_while(|word| word != AS_RANK);
    words.next()?;
    Some(words.collect())
}

/// Starts this bench again as `count` ranks, and gives the lines of figures; nothing where there is no `mpirun`.
pub(crate) fn start(count: usize, part: &[&str]) -> Result<Option<Vec<Vec<f64>>>> {
    let fail = |error: std::io::Error| Error::environment(format!("cannot start `mpirun`: {error}"));
    let own = std::env::current_exe().map_err(fail)?;
    let mut command = mpirun(count);
    command.arg(own).args(["--bench", AS_RANK]).args(part).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        output => output.map_err(fail)?,
    };
    if !output.status.success() {
        return Err(Error::environment(format!("{count} ranks of `{}`: {}", part.join(" "), output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter_map(|line| line.strip_prefix(FIGURES));
    Ok(Some(lines.map(|line| line.split_whitespace().filter_map(|word| word.parse().ok()).collect()).collect()))
}

/// Tells figures to the process that started the ranks.
pub(crate) fn tell(figures: &[&dyn Display]) {
    let words: Vec<String> = figures.iter().map(|figure| figure.to_string()).collect();
    println!("{FIGURES} {}", words.join(" "));
}

/// This process as one of the ranks: `first` is done by rank 0, `other` by all others.
pub(crate) fn take_part(
    first: impl FnOnce(&MpiSession, &mut RankLink) -> Result<()>,
    other: impl FnOnce(&MpiSession) -> Result<End>,
) -> Result<()> {
    let launch = launcher::launch().ok_or_else(|| Error::input(format!("`{AS_RANK}` is for `mpirun`")))?;
    let session = MpiSession::begin(launch)?;
    if session.rank() > 0 {
        match other(&session)? {
            End::Together => session.finish(0),
            End::Alone => session.leave(0),
        }
        return Ok(());
    }
    let mut link = RankLink::new(session.post(), session.neighbours.clone())?;
    let done = first(&session, &mut link);
    match (link.end()?, done) {
        (true, Ok(())) => session.finish(0),
        (_, done) => {
            done?;
            session.leave(0)
        }
    }
    Ok(())
}
