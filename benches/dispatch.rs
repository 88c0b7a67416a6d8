//! What coordinating costs: the whole loop of the coordinator, journal and results folder included, with trainings that
//! are pretended.
//!
//! `cargo bench --no-default-features --features mpi --bench dispatch`; `-- busy`, `-- makespan` or `-- idle` for one part:
//!
//! - busy: trainings that take no time. Bar: 0.2 ms of the coordinator's time for each that is independent.
//! - makespan: 2,000 trainings of 100 ms on 2, 4 and 8 workers. Bar: 3 % more than their share of the work.
//! - idle: processor time of a rank that waits while another trains, and of a rank 0 that only coordinates. Bar: 1 % of
//!   a core.
//!
//! Each with threads of one process, and with ranks on one machine (`mpirun`, feature `mpi`). Ends with exit code 1 when a
//! bar does not hold.

mod common;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use common::bars::Bars;
use common::pretended::Case;
use common::processor::{self, Others};
use tombola_cluster::link::Link;
use tombola_words::error::{Error, Result};

const STAGES: usize = 2000;
const CHAINS: usize = 250;
const LEVELS: usize = 7;
const PAUSE: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(10);

const BUSY_BAR: f64 = 0.2;
const MAKESPAN_BAR: f64 = 3.0;
#[cfg(feature = "mpi")]
const IDLE_BAR: f64 = 1.0;

/// A part of the measurements.
type Part = fn(&mut Bars) -> Result<()>;

fn main() -> ExitCode {
    if !common::is_asked_for() {
        return ExitCode::SUCCESS;
    }
    #[cfg(feature = "mpi")]
    if let Some(part) = common::ranks::part() {
        return Bars::verdict(many::take_part(&part).map(|()| Bars::default()));
    }
    Bars::verdict(measure())
}

fn measure() -> Result<Bars> {
    let mut bars = Bars::default();
    let parts: [(&str, Part); 3] = [("busy", busy), ("makespan", makespan), ("idle", idle)];
    for (name, part) in parts {
        if common::wants(name) {
            part(&mut bars)?;
        }
    }
    Ok(bars)
}

/// What a run of a sweep gave.
#[derive(Debug, Clone, Copy)]
struct Figures {
    stages: f64,
    /// Seconds from its beginning to its end.
    span: f64,
    /// Seconds that the coordinator did not wait.
    busy: f64,
    /// Processor seconds of the coordinator's thread.
    processor: f64,
    /// Seconds that the trainings waited, together: a machine that is not idle wakes them late.
    trained: f64,
}

impl Figures {
    /// A run at the other end of `link`.
    fn of(case: &Case, link: &mut dyn Link, remote: bool) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| Error::environment(error.to_string()))?;
        let (mut sweep, state) = case.open(folder.path(), remote)?;
        let (begun, before) = (Instant::now(), processor::thread());
        let count = sweep.run(link, state)?;
        let (span, processor) = (begun.elapsed().as_secs_f64(), processor::thread() - before);
        if count.finished != case.stages() {
            return Err(Error::environment(format!("{} of {} trainings are done", count.finished, case.stages())));
        }
        let stages = sweep.ledger.chronicle.history().stages.values();
        let trained = stages.flat_map(|stage| stage.epochs.values()).map(|epoch| epoch.seconds).sum();
        Ok(Self { stages: count.finished as f64, span, busy: count.busy.as_secs_f64(), processor, trained })
    }

    #[cfg(feature = "mpi")]
    fn read(line: &[f64]) -> Option<Self> {
        let &[stages, span, busy, processor, trained] = line else { return None };
        Some(Self { stages, span, busy, processor, trained })
    }

    fn each(&self, seconds: f64) -> f64 {
        1e3 * seconds / self.stages
    }
}

/// How workers are reached.
#[derive(Debug, Clone, Copy)]
enum Over {
    Threads,
    Ranks,
}

impl Over {
    /// Runs a sweep on `workers`; nothing where there are no ranks.
    fn run(self, sweep: &str, workers: usize) -> Result<Option<Figures>> {
        match self {
            Self::Threads => {
                let case = case(sweep)?;
                Figures::of(&case, &mut case.local_link(workers)?, false).map(Some)
            }
            #[cfg(feature = "mpi")]
            Self::Ranks => {
                let lines = common::ranks::start(workers, &[sweep])?;
                Ok(lines.and_then(|lines| lines.iter().find_map(|line| Figures::read(line))))
            }
            #[cfg(not(feature = "mpi"))]
            Self::Ranks => Ok(None),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Ranks => "ranks",
        }
    }
}

/// A sweep by name: ranks must make the same one.
fn case(name: &str) -> Result<Case> {
    match name {
        "independent" => Case::independent(STAGES, Duration::ZERO),
        "chains" => Case::chains(CHAINS, LEVELS, Duration::ZERO),
        "slow" => Case::independent(STAGES, PAUSE),
        "one" => Case::independent(1, IDLE),
        other => Err(Error::input(format!("there is no sweep `{other}`"))),
    }
}

fn skipped(over: Over) {
    println!("{:8} skipped: no `mpirun`, or built without the feature `mpi`", over.name());
}

fn busy(bars: &mut Bars) -> Result<()> {
    println!("coordinator's time a training, trainings that take no time");
    println!(
        "{:8} {:>7}  {:24} {:>9} {:>9} {:>12} {:>13} {:>7}",
        "over", "workers", "sweep", "trainings", "ms each", "ms processor", "trainings/s", "others"
    );
    let mut judged = Vec::new();
    for (over, workers) in
        [(Over::Threads, 1), (Over::Threads, 2), (Over::Threads, 8), (Over::Ranks, 2), (Over::Ranks, 4)]
    {
        for sweep in ["independent", "chains"] {
            let others = Others::watch();
            let Some(figures) = over.run(sweep, workers)? else {
                skipped(over);
                continue;
            };
            let each = figures.each(figures.busy);
            let words = if sweep == "chains" { "chains, snapshots kept" } else { sweep };
            println!(
                "{:8} {workers:>7}  {words:24} {:>9.0} {each:>9.3} {:>12.3} {:>13.0} {:>7.2}",
                over.name(),
                figures.stages,
                figures.each(figures.processor),
                figures.stages / figures.span,
                others.cores()
            );
            if sweep == "independent" {
                judged.push((format!("{workers} over {}", over.name()), each));
            }
        }
    }
    for (what, each) in judged {
        bars.at_most(&what, each, BUSY_BAR, "ms");
    }
    Ok(())
}

fn makespan(bars: &mut Bars) -> Result<()> {
    println!("{STAGES} trainings of {} ms", PAUSE.as_millis());
    println!(
        "{:8} {:>7} {:>10} {:>10} {:>8} {:>13} {:>9} {:>7}",
        "over", "workers", "ideal, s", "found, s", "more, %", "one took, ms", "busy, ms", "others"
    );
    let mut judged = Vec::new();
    for over in [Over::Threads, Over::Ranks] {
        for workers in [2, 4, 8] {
            let others = Others::watch();
            let Some(figures) = over.run("slow", workers)? else {
                skipped(over);
                break;
            };
            let ideal = figures.stages * PAUSE.as_secs_f64() / workers as f64;
            let more = 100.0 * (figures.span / ideal - 1.0);
            println!(
                "{:8} {workers:>7} {ideal:>10.2} {:>10.2} {more:>8.2} {:>13.2} {:>9.3} {:>7.2}",
                over.name(),
                figures.span,
                figures.each(figures.trained),
                figures.each(figures.busy),
                others.cores()
            );
            judged.push((format!("{workers} over {}", over.name()), more));
        }
    }
    for (what, more) in judged {
        bars.at_most(&what, more, MAKESPAN_BAR, "%");
    }
    Ok(())
}

#[cfg(not(feature = "mpi"))]
fn idle(_: &mut Bars) -> Result<()> {
    skipped(Over::Ranks);
    Ok(())
}

/// Rank 0 only coordinates; one of two others trains.
#[cfg(feature = "mpi")]
fn idle(bars: &mut Bars) -> Result<()> {
    println!("processor time while one rank trains for {} s", IDLE.as_secs());
    let others = Others::watch();
    let Some(lines) = common::ranks::start(3, &["one"])? else {
        skipped(Over::Ranks);
        return Ok(());
    };
    println!("{:32} {:>16}", "rank", "share of a core");
    let mut judged = Vec::new();
    for line in lines {
        let &[rank, trained, share] = line.as_slice() else { continue };
        let what = match (rank as usize, trained > 0.0) {
            (0, _) => "rank 0, without a worker".to_string(),
            (rank, false) => format!("rank {rank}, waits for a stage"),
            (rank, true) => format!("rank {rank}, its trainer sleeps"),
        };
        println!("{what:32} {:>14.2} %", 100.0 * share);
        judged.push((what, 100.0 * share));
    }
    println!("others kept {:.2} cores busy", others.cores());
    for (what, share) in judged {
        bars.at_most(&what, share, IDLE_BAR, "% of a core");
    }
    Ok(())
}

/// The same as ranks.
#[cfg(feature = "mpi")]
mod many {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::common::pretended::{Pretended, ready};
    use super::common::{processor, ranks};
    use super::{Figures, case};
    use tombola_cluster::link::Assignment;
    use tombola_cluster::worker::Trainer;
    use tombola_core::prune::Sources;
    use tombola_core::training::{Flow, TrainingEvent};
    use tombola_ranks::worker as rank;
    use tombola_words::error::{Error, Result};
    use tombola_words::record::Outcome;

    /// Notes whether it was given anything to do.
    struct Noting(Pretended, Arc<AtomicBool>);

    impl Trainer for Noting {
        fn train(
            &mut self,
            assignment: Assignment,
            sources: Sources,
            listen: &mut dyn FnMut(TrainingEvent) -> Flow,
        ) -> Result<Outcome> {
            self.1.store(true, Ordering::Relaxed);
            self.0.train(assignment, sources, listen)
        }
    }

    /// This process as a rank that runs the sweep named by the first word. Rank 0 trains too, but for the sweep of one.
    pub(super) fn take_part(part: &[String]) -> Result<()> {
        let name = part.first().ok_or_else(|| Error::input("a rank needs the name of a sweep"))?;
        let idle = name == "one";
        // Before MPI begins, which waits for all: reading the sweep is no part of what is measured.
        let case = &case(name)?;
        ranks::take_part(
            |session, link| {
                let own = if idle { None } else { Some(case.local_link(1)?) };
                link.open(own, case.welcome());
                let (begun, before) = (Instant::now(), processor::process());
                let figures = Figures::of(case, link, session.size() > 1)?;
                if idle {
                    ranks::tell(&[&0, &0, &((processor::process() - before) / begun.elapsed().as_secs_f64())]);
                } else {
                    ranks::tell(&[&figures.stages, &figures.span, &figures.busy, &figures.processor, &figures.trained]);
                }
                Ok(())
            },
            |session| {
                let (trainer, trained) = (case.trainer(), Arc::new(AtomicBool::new(false)));
                let noting = Noting(trainer, Arc::clone(&trained));
                let (begun, before) = (Instant::now(), processor::process());
                let end = rank::serve(session, &Arc::new(AtomicBool::new(false)), move |_| Ok((noting, ready())))?;
                if idle {
                    let share = (processor::process() - before) / begun.elapsed().as_secs_f64();
                    ranks::tell(&[&session.rank(), &u8::from(trained.load(Ordering::Relaxed)), &share]);
                }
                Ok(end)
            },
        )
    }
}
