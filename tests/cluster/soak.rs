//! A soak: ranks are killed at random, again and again, one of them or the whole start, until the sweep is done. Progress
//! never goes backwards, every training ends exactly once, and the tables are those of an undisturbed run.
//!
//! `scripts/soak KILLS` runs it over pretended hosts as long as you like. TOMBOLA_TEST_SEED repeats a run.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::common::cluster::Cluster;
use super::common::ranks::{PATIENCE, RECOVERY, can_start, kill_all, mpirun, processes, signal, wait_until};
use super::common::sweep::{self, TRAININGS, expect_same, journal, tables};
use super::common::{Folder, PROGRAM};
use rand::RngCore;
use tombola_core::folder::journal::History;
use tombola_words::StageId;
use tombola_words::record::Record;
use tombola_words::stream::stream;

/// Ranks on several hosts, and more of them on each where there are more ranks.
const HOSTFILE: &str = "node1 slots=1\nnode2 slots=2\nnode3 slots=1\n";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// How far a sweep is: trainings done, and epochs that no kill can take any more.
fn progress(folder: &Folder) -> (usize, HashMap<StageId, usize>) {
    let history = History::read(&folder.path("results/sweep/journal")).unwrap();
    let done = history.stages.values().filter(|stage| stage.outcome.is_some()).count();
    let safe = |(id, stage): (&StageId, &std::sync::Arc<tombola_core::folder::journal::StageHistory>)| {
        let epoch = if stage.outcome.is_some() { usize::MAX } else { stage.progress.map_or(0, |(epoch, _)| epoch) };
        (*id, epoch)
    };
    (done, history.stages.iter().map(safe).collect())
}

/// How often each training ended, over the whole journal.
fn ends(folder: &Folder) -> HashMap<StageId, usize> {
    let bytes = std::fs::read(folder.path("results/sweep/journal")).unwrap();
    let (mut at, mut ends) = (16, HashMap::new());
    while at + 8 <= bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if let Record::Finished { stage, .. } = rmp_serde::from_slice(&bytes[at + 8..at + 8 + length]).unwrap() {
            *ends.entry(stage).or_insert(0) += 1;
        }
        at += 8 + length;
    }
    ends
}

/// Where ranks are started: on this machine, or on pretended hosts.
struct Site {
    folder: Folder,
    cluster: Option<Cluster>,
}

impl Site {
    fn start(&self, count: u64, options: &[&str], arguments: &str) -> Child {
        let Some(cluster) = &self.cluster else {
            let mut command = mpirun(&self.folder, count as usize, options, arguments);
            return command.stdout(Stdio::null()).stderr(self.said()).spawn().unwrap();
        };
        let mut command = cluster.on("node1", "mpirun");
        command.args(["--hostfile", "hosts", "-np", &count.to_string(), "--bind-to", "none"]).args(options);
        command.args(["-x", "TOMBOLA_TEST_FOLDER", PROGRAM]).args(arguments.split_whitespace());
        command.env("TOMBOLA_TEST_FOLDER", self.folder.path("")).env("OMPI_MCA_rmaps_base_oversubscribe", "1");
        command.current_dir(self.folder.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.said());
        command.spawn().unwrap()
    }

    fn said(&self) -> std::fs::File {
        std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path("said")).unwrap()
    }
}

/// A launcher that is there for so long after its ranks have gone stays for good.
const STAYS: Duration = Duration::from_secs(10);

/// Waits until a start has ended by itself; gives how long its ranks were there, and whether its launcher stayed. That of Open MPI
/// may, where it was to go on without a rank (docs/clusters.md); then it is ended.
fn end_of(child: &mut Child, folder: &Folder, may_stay: bool, situation: &str) -> (Duration, bool) {
    let (begun, mut there_at) = (Instant::now(), Instant::now());
    while child.try_wait().unwrap().is_none() {
        let there: Vec<usize> = processes(folder).into_keys().collect();
        if !there.is_empty() {
            there_at = Instant::now();
        }
        if may_stay && there_at.elapsed() > STAYS {
            kill_all(child, folder);
            return (there_at - begun, true);
        }
        if begun.elapsed() > PATIENCE {
            kill_all(child, folder);
            panic!("it hangs, and ranks {there:?} are there, {situation}\n{}", folder.read("said"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    (begun.elapsed(), false)
}

/// What a soak came to; times in seconds.
#[derive(Default)]
struct Tally {
    kills: u64,
    /// Those of a single rank; the others took the whole start.
    of_ranks: u64,
    /// Launchers that stayed when all their ranks had gone.
    stayed: u64,
    /// From the kill of a rank to the end of its start.
    longest_end: f64,
    /// From a start to the first that it did.
    longest_start: f64,
}

impl Tally {
    /// A line for the file that `scripts/soak` adds up.
    fn record(&self, seed: u64, ranks: u64, hosts: usize) {
        let Self { kills, of_ranks, stayed, longest_end, longest_start } = self;
        let line = format!(
            "{{\"seed\":{seed},\"hosts\":{hosts},\"ranks\":{ranks},\"kills\":{kills},\"of_ranks\":{of_ranks},\"stayed\":{stayed},\
             \"longest_end\":{longest_end:.1},\"longest_start\":{longest_start:.1}}}"
        );
        println!("{line}");
        if let Some(path) = std::env::var_os("TOMBOLA_SOAK_RECORD") {
            writeln!(std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap(), "{line}").unwrap();
        }
    }
}

#[test]
fn a_sweep_survives_random_kills_of_ranks_and_of_the_whole_start() {
    let test = "a_sweep_survives_random_kills_of_ranks_and_of_the_whole_start";
    if !can_start(test) {
        return;
    }
    let hosts = number("TOMBOLA_SOAK_HOSTS", 0) > 0;
    let cluster = if hosts { Cluster::with_mpi(test, 3) } else { None };
    if hosts && cluster.is_none() {
        return;
    }
    let (kills, ranks) = (number("TOMBOLA_SOAK_KILLS", 6), number("TOMBOLA_SOAK_RANKS", 3));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let seed = number("TOMBOLA_TEST_SEED", now);
    let situation = format!("TOMBOLA_TEST_SEED={seed}");
    let mut random = stream(seed, "soak", &[]);
    // So much work that the last kill still finds some.
    let sweep = sweep::text(800 + 40 * kills as usize, 3);
    let alone = sweep::folder(&sweep);
    alone.tombola("run sweep.toml").expect(0);
    let (expected, whole) = (tables(&alone), journal(&alone));

    let site = Site { folder: sweep::folder(&sweep), cluster };
    let folder = &site.folder;
    folder.write("hosts", HOSTFILE);
    let mut before = (0, HashMap::new());
    let mut tally = Tally::default();
    while tally.kills < kills {
        let recovery = random.next_u64().is_multiple_of(2);
        let options = if recovery { RECOVERY } else { &[] };
        let count = 1 + random.next_u64() % ranks;
        let begun = Instant::now();
        let mut child = site.start(count, options, "run sweep.toml --lease 2");
        // A share of what is left each time, so that the kills spread over the whole sweep.
        let (now, left) = (journal(folder), kills + 1 - tally.kills);
        let goal = now.max(1) + whole.saturating_sub(now) / left * (random.next_u64() % 16) / 10;
        if !wait_until(&mut child, || journal(folder) > now) {
            break;
        }
        tally.longest_start = tally.longest_start.max(begun.elapsed().as_secs_f64());
        if !wait_until(&mut child, || journal(folder) >= goal) {
            break;
        }
        std::thread::sleep(Duration::from_micros(random.next_u64() % 20_000));
        let victims = processes(folder);
        let rank = (random.next_u64() % count) as usize;
        match victims.get(&rank) {
            // Of a start that lets the others go on; they may be killed in the next round, or come to the end.
            Some(process) if recovery && rank > 0 => {
                signal(*process, "KILL");
                tally.of_ranks += 1;
                std::thread::sleep(Duration::from_millis(random.next_u64() % 2500));
                kill_all(&mut child, folder);
            }
            Some(process) if random.next_u64().is_multiple_of(2) => {
                signal(*process, "KILL");
                tally.of_ranks += 1;
                let what = format!("kill {} of rank {rank} of {count} {options:?}, {situation}", tally.kills);
                let (after, stayed) = end_of(&mut child, folder, recovery, &what);
                tally.stayed += u64::from(stayed);
                tally.longest_end = tally.longest_end.max(after.as_secs_f64());
                // Where the launcher let them go on, those on other hosts need not have ended with it.
                kill_all(&mut child, folder);
            }
            _ => kill_all(&mut child, folder),
        }
        tally.kills += 1;
        let after = progress(folder);
        assert!(after.0 >= before.0, "trainings went from {} to {} done, {situation}", before.0, after.0);
        for (stage, epoch) in &before.1 {
            assert!(after.1.get(stage).is_some_and(|now| now >= epoch), "{stage} lost epochs, {situation}");
        }
        println!("kill {} of {kills}: {} of {TRAININGS} trainings done", tally.kills, after.0);
        before = after;
    }
    let last = site.start(ranks, &[], "run sweep.toml").wait().unwrap();
    assert!(last.success(), "{last}, {situation}\n{}", folder.read("said"));
    expect_same(folder, &expected, &situation);
    let ends = ends(folder);
    assert!(ends.len() == TRAININGS && ends.values().all(|count| *count == 1), "{ends:?}, {situation}");
    assert_eq!(folder.tombola("run sweep.toml").expect(0).err.matches("nothing to train").count(), 1);
    tally.record(seed, ranks, if hosts { 3 } else { 1 });
}
