//! A short lease beside a long history: `cargo bench --no-default-features --features mpi --bench lease`.
//!
//! Rank 0 only coordinates: it reads a journal of a hundred thousand finished trainings of 160 epochs while the others wait for its
//! welcome, has them train some more, writes all tables meanwhile and once more at the end. A rank that rank 0 does not hear for
//! 2 s is lost, and one that does not hear rank 0 for 4 s ends. Bar: none is. It takes some 6 GB of memory and 6 GB of the disk
//! that holds the temporary folder.

mod common;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use common::bars::Bars;
use common::pretended::Case;
use common::{is_asked_for, ranks};
use tombola_ranks::worker;
use tombola_views::tables;
use tombola_words::error::{Error, Result};

const RANKS: usize = 3;
const FINISHED: usize = 100_000;
/// Trainings that are left, of a second each: the first tables are written twenty seconds after the beginning.
const LEFT: usize = 100;
const PAUSE: Duration = Duration::from_secs(1);
const LEASE: f64 = 2.0;

fn main() -> ExitCode {
    if !is_asked_for() {
        return ExitCode::SUCCESS;
    }
    if ranks::part().is_some() {
        return Bars::verdict(take_part().map(|()| Bars::default()));
    }
    Bars::verdict(measure())
}

fn measure() -> Result<Bars> {
    let mut bars = Bars::default();
    let Some(lines) = ranks::start(RANKS, &[])? else {
        println!("skipped: no `mpirun`");
        return Ok(bars);
    };
    let figures = lines.first().and_then(|line| <[f64; 5]>::try_from(line.as_slice()).ok());
    let [opened, span, written, finished, lost] =
        figures.ok_or_else(|| Error::environment("rank 0 told no figures"))?;
    println!("{FINISHED} finished trainings, {RANKS} ranks, a lease of {LEASE} s");
    println!(
        "  the folder is opened in {opened:.1} s, {finished} trainings take {span:.1} s, the last tables {written:.1} s"
    );
    bars.at_most("ranks that are lost", lost, 0.0, "");
    bars.at_most("trainings that are left", LEFT as f64 - finished, 0.0, "");
    Ok(bars)
}

fn case() -> Result<Case> {
    let seeds: Vec<String> = (1..=FINISHED + LEFT).map(|seed| seed.to_string()).collect();
    let text = format!(
        "lease = {LEASE}\nnetwork = \"lenet-300-100\"\ndataset = \"synthetic\"\nsynthetic-shape = [1, 8, 8]\nprune-iterations = 0\n\
         epochs = {}\nkeep = \"nothing\"\nseed = [{}]\n",
        common::finished::EPOCHS,
        seeds.join(", ")
    );
    Case::read(&text, PAUSE)
}

/// This process as a rank.
fn take_part() -> Result<()> {
    // Before MPI begins, which waits for all.
    let case = &case()?;
    ranks::take_part(
        |_, link| {
            let folder = tempfile::tempdir().map_err(|error| Error::environment(error.to_string()))?;
            case.finish(folder.path(), FINISHED)?;
            let begun = Instant::now();
            let (mut sweep, state) = case.open(folder.path(), true)?;
            let opened = begun.elapsed().as_secs_f64();
            link.open(None, case.welcome());
            let begun = Instant::now();
            let count = sweep.run(link, state)?;
            let span = begun.elapsed().as_secs_f64();
            let (begun, ledger) = (Instant::now(), &sweep.ledger);
            tables::write_meanwhile(folder.path(), &ledger.plan, ledger.chronicle.history())?;
            ranks::tell(&[&opened, &span, &begun.elapsed().as_secs_f64(), &count.finished, &count.lost]);
            Ok(())
        },
        |session| {
            let trainer = case.trainer();
            worker::serve(session, &Default::default(), move |_| Ok((trainer, common::pretended::ready())))
        },
    )
}
