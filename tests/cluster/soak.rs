//! A soak: ranks are killed at random, again and again, one of them or the whole start, until the sweep is done. Progress
//! never goes backwards, every training ends exactly once, and the tables are those of an undisturbed run.
//!
//! `scripts/soak KILLS RANKS` runs it as long as you like. TOMBOLA_TEST_SEED repeats a run.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::common::ranks::{RECOVERY, can_start, end_of, kill_all, mpirun, processes, signal, wait_until};
use super::common::sweep::{self, expect_same, journal, tables};
use super::common::{Folder, PROGRAM};
use rand::RngCore;
use tombola_core::folder::journal::History;
use tombola_words::StageId;
use tombola_words::record::Record;
use tombola_words::stream::stream;

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

#[test]
fn a_sweep_survives_random_kills_of_ranks_and_of_the_whole_start() {
    if !can_start("a_sweep_survives_random_kills_of_ranks_and_of_the_whole_start") {
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

    let folder = sweep::folder(&sweep);
    let mut before = (0, HashMap::new());
    let mut kill = 0;
    while kill < kills {
        let recovery = random.next_u64().is_multiple_of(2);
        let options = if recovery { RECOVERY } else { &[] };
        let count = 1 + random.next_u64() % ranks;
        let mut child = mpirun(&folder, count as usize, options, "run sweep.toml --lease 2").spawn().unwrap();
        // A share of what is left each time, so that the kills spread over the whole sweep.
        let (now, left) = (journal(&folder).max(1), kills + 1 - kill);
        let goal = now + whole.saturating_sub(now) / left * (random.next_u64() % 16) / 10;
        if wait_until(&mut child, || journal(&folder) >= goal) {
            std::thread::sleep(Duration::from_micros(random.next_u64() % 20_000));
            let victims = processes(&folder);
            let rank = (random.next_u64() % count) as usize;
            match victims.get(&rank) {
                // Of a start that lets the others go on; they may be killed in the next round, or come to the end.
                Some(process) if recovery && rank > 0 => {
                    signal(*process, "KILL");
                    std::thread::sleep(Duration::from_millis(random.next_u64() % 2500));
                    kill_all(&mut child, &folder);
                }
                Some(process) if random.next_u64().is_multiple_of(2) => {
                    signal(*process, "KILL");
                    end_of(&mut child, &folder).unwrap_or_else(|| panic!("it hangs after kill {kill}, {situation}"));
                }
                _ => kill_all(&mut child, &folder),
            }
            kill += 1;
        } else {
            child.wait().unwrap();
            break;
        }
        let after = progress(&folder);
        assert!(after.0 >= before.0, "trainings went from {} to {} done, {situation}", before.0, after.0);
        for (stage, epoch) in &before.1 {
            assert!(after.1.get(stage).is_some_and(|now| now >= epoch), "{stage} lost epochs, {situation}");
        }
        println!("kill {kill} of {kills}: {} of 48 trainings done", after.0);
        before = after;
    }
    let last = mpirun(&folder, ranks as usize, &[], "run sweep.toml").output().unwrap();
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    expect_same(&folder, &expected, &situation);
    let ends = ends(&folder);
    assert!(ends.len() == 48 && ends.values().all(|count| *count == 1), "{ends:?}, {situation}");
    assert_eq!(folder.tombola("run sweep.toml").expect(0).err.matches("nothing to train").count(), 1);
    println!("{kill} kills survived by {PROGRAM}");
}
