//! The results folder, the data sets, and the job of Slurm's.

use std::collections::BTreeMap;

use super::{Finding, by, hosts_of, names, ranks};
use crate::doctor::Checkup;
use crate::doctor::facts::{Facts, Folder, Gathered, Locks, Slurm};
use crate::doctor::look;

/// Milliseconds that a small file may take to reach the disk.
const SLOW: f64 = 50.0;
/// Bytes that should be free.
const SPACE: u64 = 5 << 30;
/// Seconds of a job that are worth a start.
const SHORT: f64 = 600.0;

pub(super) fn judge(gathered: &Gathered, asked: &Checkup, lines: &mut Vec<Finding>) {
    let Some(first) = gathered.facts.first().and_then(|one| one.first.as_ref()) else { return };
    match &first.folder {
        Some(found) => lines.extend(folder(found)),
        None => lines.push(Finding::fail(
            "results folder",
            format!("`{}` did not answer within {} s", asked.folder.display(), look::PATIENCE.as_secs()),
            "see whether its file system is mounted and its server answers (`df`), or give another folder",
        )),
    }
    for name in &asked.datasets {
        lines.extend(data(&gathered.facts, name));
    }
    if let Some(job) = &first.slurm {
        lines.extend(slurm(job, hosts_of(&gathered.facts).len()));
    }
}

fn folder(found: &Folder) -> Vec<Finding> {
    let Folder { name, tried, holder, written, locks, free } = found;
    let milliseconds = match written {
        Ok(milliseconds) => *milliseconds,
        Err(error) => return vec![Finding::of_error("results folder", error, "give another folder")],
    };
    let place = match name == tried {
        true => format!("`{name}` can be written"),
        false => format!("`{name}` is not there yet; `{tried}` can be written"),
    };
    let mut lines = vec![match holder {
        Some(holder) => Finding::warn(
            "results folder",
            format!("`{name}` is in use by another run ({holder})"),
            "wait for it, or choose another folder with `--out`",
        ),
        None => Finding::pass("results folder", place),
    }];
    let disk = format!("a small file reaches the disk in {milliseconds:.1} ms");
    lines.push(match milliseconds > SLOW {
        true => Finding::warn("disk", disk, "write results to a faster disk (`--out`) and copy them afterwards"),
        false => Finding::pass("disk", disk),
    });
    lines.push(match locks {
        Locks::Work | Locks::Untried => Finding::pass("file locks", "a second run would be kept out"),
        Locks::Unsupported => Finding::warn(
            "file locks",
            format!("the file system of `{tried}` knows no locks: a file with signs of life keeps a second run out"),
            "nothing needs to be done; after a kill the folder is free at once on the same host, and after two minutes on others",
        ),
        Locks::Share => Finding::warn(
            "file locks",
            format!("the file system of `{tried}` keeps no second run out"),
            "never start two runs on one results folder, or use a file system with locks (NFS: without `nolock`)",
        ),
        Locks::Fail(error) => Finding::fail(
            "file locks",
            format!("asking for a lock in `{tried}` fails: {error}"),
            "mount it with locks (NFS: a lock service has to run; Lustre: `-o flock`), or give another folder",
        ),
    });
    let gigabytes = |bytes: u64| format!("{:.1} GB free", bytes as f64 / f64::from(1 << 30));
    lines.push(match free {
        Some(bytes) if *bytes < SPACE => Finding::warn(
            "free space",
            gigabytes(*bytes),
            "free some, choose another disk with `--out`, or keep fewer snapshots (`--keep nothing`)",
        ),
        Some(bytes) => Finding::pass("free space", gigabytes(*bytes)),
        None => Finding::warn("free space", "the system does not say", "see for yourself: `df -h`"),
    });
    lines
}

/// Whether every rank has a data set, and all have the same.
fn data(facts: &[Facts], name: &str) -> Vec<Finding> {
    let mut errors: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    let (mut stuck, mut unread) = (Vec::new(), Vec::new());
    for one in facts {
        match one.data.get(name) {
            None => {}
            Some(None) => stuck.push(one.rank),
            Some(Some(Err(error))) => {
                let cure = error.hint.as_deref().unwrap_or("see `tombola data check`");
                errors.entry((&error.message, cure)).or_default().push(one.rank);
            }
            Some(Some(Ok(found))) => {
                let is_first = one.mpi.as_ref().is_none_or(|mpi| mpi.local_rank == 0);
                if is_first && found.checksum.is_none() {
                    unread.push(one.rank);
                }
            }
        }
    }
    let alone = facts.len() == 1;
    let who = |numbers: Vec<usize>| if alone { String::new() } else { format!("{}: ", ranks(numbers)) };
    let mut lines: Vec<Finding> = errors
        .into_iter()
        .map(|((message, cure), numbers)| Finding::fail("data", format!("{}{message}", who(numbers)), cure))
        .collect();
    if !stuck.is_empty() {
        lines.push(Finding::fail(
            "data",
            format!("{}the place of `{name}` did not answer within {} s", who(stuck), look::PATIENCE.as_secs()),
            "see whether its file system is mounted and its server answers (`df`)",
        ));
    }
    let found = |one: &Facts| one.data.get(name)?.as_ref()?.as_ref().ok().cloned();
    let checksums = by(facts, |one| found(one)?.checksum);
    if checksums.len() > 1 {
        let short = |checksum: &str| checksum.get(..12).unwrap_or(checksum).to_string();
        let groups: Vec<String> = checksums
            .iter()
            .map(|(checksum, numbers)| format!("{} on {}", short(checksum), ranks(numbers.iter().copied())))
            .collect();
        lines.push(Finding::fail(
            "data",
            format!("`{name}` is not the same everywhere: its checksum is {}", names(&groups)),
            "find the wrong one (`tombola data check` on each host), or put one copy where all see it",
        ));
    }
    if !unread.is_empty() {
        lines.push(Finding::warn(
            "data",
            format!(
                "{}`{name}` is there, but was not read within {} s, or cannot be",
                who(unread),
                look::PATIENCE.as_secs()
            ),
            format!("see `tombola data check {name}`; put it on a faster disk (`--data-dir`)"),
        ));
    }
    if lines.is_empty() {
        let mut folders: Vec<String> =
            by(facts, |one| found(one).map(|found| format!("`{}`", found.folder))).into_keys().collect();
        folders.sort_by_key(|folder| folder.len());
        lines.push(match folders.as_slice() {
            [] => Finding::pass("data", format!("`{name}` is made by the program")),
            some if alone => Finding::pass("data", format!("`{name}` in {}", names(some))),
            some => Finding::pass("data", format!("`{name}` on all ranks, the same on all hosts, in {}", names(some))),
        });
    }
    lines
}

fn slurm(job: &Slurm, hosts: usize) -> Vec<Finding> {
    let Slurm { job: number, left, restarts, scontrol, requeue, nodes } = job;
    let mut lines = vec![match left {
        Some(seconds) if *seconds < SHORT => Finding::warn(
            "Slurm time",
            format!("job {number} has {} left", duration(*seconds)),
            "ask for more (`--time`); what is not done then, the next job goes on with",
        ),
        Some(seconds) => Finding::pass("Slurm time", format!("job {number} has {} left", duration(*seconds))),
        None => Finding::pass("Slurm time", format!("job {number}: Slurm names no end")),
    }];
    let again = match restarts {
        Some(count) if *count > 0 => format!("; started again {count} time(s) so far"),
        _ => String::new(),
    };
    lines.push(match (scontrol, requeue) {
        (false, _) => Finding::warn(
            "Slurm requeue",
            format!("`scontrol` does not answer here: the job cannot put itself back into the queue{again}"),
            "submit it again by hand when it ends with exit code 75",
        ),
        (true, Some(false)) => Finding::warn(
            "Slurm requeue",
            format!("the job may not go back into the queue{again}"),
            "`#SBATCH --requeue`, or `scontrol update JobId=$SLURM_JOB_ID Requeue=1`",
        ),
        (true, _) => Finding::pass("Slurm requeue", format!("the job may go back into the queue{again}")),
    });
    if let Some(nodes) = nodes.filter(|nodes| *nodes > hosts) {
        lines.push(Finding::warn(
            "Slurm nodes",
            format!("the job has {nodes} nodes, but ranks are on {hosts}"),
            "start it by `mpirun` without a hostfile, or ask for fewer nodes",
        ));
    }
    lines
}

fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).floor();
    match (minutes / 60.0).floor() {
        hours if hours >= 1.0 => format!("{hours:.0} h {:02.0} min", minutes - 60.0 * hours),
        _ => format!("{minutes:.0} min {:02.0} s", seconds - 60.0 * minutes),
    }
}

#[cfg(test)]
mod tests {
    use super::super::made_up::{alone, asked, cluster};
    use super::super::{Level, judge};
    use super::*;
    use crate::doctor::facts::Data;
    use tombola_words::error::Error;

    #[track_caller]
    fn finds(gathered: &Gathered, asked: &Checkup, check: &str, level: Level, found: &str, cure: &str) {
        let lines: Vec<Finding> = judge(gathered, asked).lines.into_iter().filter(|line| line.check == check).collect();
        let fits = |line: &Finding| {
            line.level == level && line.found.contains(found) && line.cure.as_deref().unwrap_or_default().contains(cure)
        };
        assert!(lines.iter().any(fits), "{check}: {found}\n{lines:#?}");
    }

    fn with_folder(change: impl Fn(&mut Folder)) -> Gathered {
        let mut gathered = alone();
        change(gathered.facts[0].first.as_mut().unwrap().folder.as_mut().unwrap());
        gathered
    }

    #[test]
    fn a_folder_that_is_slow_full_or_without_locks_is_pointed_out() {
        finds(&with_folder(|it| it.written = Ok(80.0)), &asked(), "disk", Level::Warn, "in 80.0 ms", "faster");
        finds(&with_folder(|it| it.free = Some(1 << 30)), &asked(), "free space", Level::Warn, "1.0 GB", "--keep");
        finds(&with_folder(|it| it.locks = Locks::Share), &asked(), "file locks", Level::Warn, "no second run", "two");
        let none = with_folder(|it| it.locks = Locks::Unsupported);
        finds(&none, &asked(), "file locks", Level::Warn, "signs of life", "two minutes");
        let broken = with_folder(|it| it.locks = Locks::Fail("No locks available".into()));
        finds(&broken, &asked(), "file locks", Level::Fail, "No locks available", "lock service");
        let held = with_folder(|it| it.holder = Some("process 7 on node3".into()));
        finds(&held, &asked(), "results folder", Level::Warn, "in use by another run (process 7 on node3)", "wait");
        let above = with_folder(|it| it.tried = ".".into());
        finds(&above, &asked(), "results folder", Level::Pass, "`results` is not there yet; `.` can be written", "");
    }

    #[test]
    fn a_folder_that_cannot_be_written_or_does_not_answer_fails() {
        let closed = with_folder(|it| it.written = Err(Error::environment("cannot write `results/x`").hint("a cure")));
        finds(&closed, &asked(), "results folder", Level::Fail, "cannot write `results/x`", "a cure");
        let mut stuck = alone();
        stuck.facts[0].first.as_mut().unwrap().folder = None;
        finds(&stuck, &asked(), "results folder", Level::Fail, "`results` did not answer within 15 s", "mounted");
    }

    fn with_data(change: impl Fn(usize) -> Option<tombola_words::error::Result<Data>>) -> (Gathered, Checkup) {
        let mut gathered = cluster(2, 3);
        for one in &mut gathered.facts {
            one.data.insert("mnist".into(), change(one.rank));
        }
        (gathered, Checkup { datasets: vec!["mnist".into()], ..asked() })
    }

    fn there(checksum: &str) -> Option<tombola_words::error::Result<Data>> {
        Some(Ok(Data { folder: "/data/mnist".into(), checksum: Some(checksum.into()) }))
    }

    #[test]
    fn data_must_be_on_all_ranks_and_the_same() {
        let (gathered, asked) = with_data(|_| there("abc"));
        finds(
            &gathered,
            &asked,
            "data",
            Level::Pass,
            "`mnist` on all ranks, the same on all hosts, in `/data/mnist`",
            "",
        );
        let (gathered, asked) = with_data(|rank| match rank {
            2 | 4 => Some(Err(Error::input("data set `mnist` not found").hint("run `tombola data fetch mnist`"))),
            _ => there("abc"),
        });
        finds(&gathered, &asked, "data", Level::Fail, "ranks 2, 4: data set `mnist` not found", "data fetch mnist");
        let (gathered, asked) = with_data(|rank| there(if rank < 3 { "abc" } else { "xyz" }));
        finds(
            &gathered,
            &asked,
            "data",
            Level::Fail,
            "its checksum is abc on ranks 0-2, xyz on ranks 3-5",
            "data check",
        );
        let (gathered, asked) = with_data(|rank| if rank == 5 { None } else { there("abc") });
        finds(&gathered, &asked, "data", Level::Fail, "rank 5: the place of `mnist` did not answer", "mounted");
    }

    #[test]
    fn data_that_only_the_first_rank_of_a_host_reads_is_enough() {
        let silent = |rank: usize| {
            let checksum = rank.is_multiple_of(3).then(|| "abc".to_string());
            Some(Ok(Data { folder: "/data/mnist".into(), checksum }))
        };
        let (mut gathered, asked) = with_data(silent);
        finds(&gathered, &asked, "data", Level::Pass, "on all ranks", "");
        let unread = Some(Ok(Data { folder: "/data/mnist".into(), checksum: None }));
        gathered.facts[3].data.insert("mnist".into(), unread);
        finds(&gathered, &asked, "data", Level::Warn, "rank 3: `mnist` is there, but was not read", "faster disk");
    }

    fn with_job(change: impl Fn(&mut Slurm)) -> Gathered {
        let mut gathered = cluster(2, 2);
        let job =
            Slurm { job: "42".into(), left: Some(7200.0), scontrol: true, requeue: Some(true), ..Slurm::default() };
        let job = gathered.facts[0].first.as_mut().unwrap().slurm.insert(job);
        change(job);
        gathered
    }

    #[test]
    fn a_job_says_how_long_it_has_and_whether_it_may_come_back() {
        finds(&with_job(|_| {}), &asked(), "Slurm time", Level::Pass, "job 42 has 2 h 00 min left", "");
        finds(&with_job(|job| job.left = Some(125.0)), &asked(), "Slurm time", Level::Warn, "2 min 05 s", "--time");
        finds(&with_job(|job| job.left = None), &asked(), "Slurm time", Level::Pass, "names no end", "");
        let again = with_job(|job| job.restarts = Some(3));
        finds(&again, &asked(), "Slurm requeue", Level::Pass, "started again 3 time(s)", "");
        finds(
            &with_job(|job| job.requeue = Some(false)),
            &asked(),
            "Slurm requeue",
            Level::Warn,
            "not go back",
            "#SBATCH",
        );
        finds(&with_job(|job| job.scontrol = false), &asked(), "Slurm requeue", Level::Warn, "does not answer", "75");
        finds(
            &with_job(|job| job.nodes = Some(4)),
            &asked(),
            "Slurm nodes",
            Level::Warn,
            "4 nodes, but ranks are on 2",
            "mpirun",
        );
    }
}
