//! A sweep as a Slurm job: what is asked of the cluster, and whether that makes sense. The script itself: [`script`].
//!
//! It may not know flags' parsing, files, MPI or torch, and it runs nothing.

use tombola_words::error::{Error, Result};

pub mod script;

/// Longest time before the end that Slurm takes for a signal, in seconds.
const LONGEST_NOTICE: u64 = 65_535;
/// What `tombola run` does without being told: seconds before a time limit at which it stops by itself.
pub const NOTICE: u64 = 120;
/// How often a job goes back into the queue, unless told otherwise.
pub const REQUEUES: usize = 20;

/// What a job asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The sweep file.
    pub sweep: String,
    /// Its results folder, as `tombola run` names it; for an array, that which holds those of the tasks.
    pub results: String,
    /// Number of nodes.
    pub nodes: usize,
    /// GPUs on each node; 0 trains on processors.
    pub gpus_per_node: usize,
    /// Ranks on each node, if not as many as its GPUs take, or one.
    pub ranks_per_node: Option<usize>,
    /// Ranks that share a GPU.
    pub ranks_per_gpu: usize,
    /// Processors, and so threads, of each rank.
    pub cpus_per_rank: usize,
    /// Time limit in one of Slurm's forms, if not the partition's own.
    pub time: Option<String>,
    /// Partition, if not the cluster's usual one.
    pub partition: Option<String>,
    /// Account, if not the user's usual one.
    pub account: Option<String>,
    /// Quality of service, if not the usual one.
    pub qos: Option<String>,
    /// Name of the job, if not that of the sweep.
    pub name: Option<String>,
    /// Number of tasks, where the job is an array without MPI.
    pub array: Option<usize>,
    /// How often it may go back into the queue.
    pub max_requeues: usize,
    /// Seconds before the time limit at which it is asked to stop.
    pub stop_before: u64,
    /// File for what it says, with Slurm's patterns, if not NAME-JOB.log.
    pub log: Option<String>,
    /// The program.
    pub program: String,
    /// Further arguments of `tombola run`.
    pub further: Vec<String>,
}

impl Job {
    /// One rank on one node, on its processors, for a sweep.
    pub fn new(sweep: impl Into<String>, program: impl Into<String>) -> Self {
        Self {
            sweep: sweep.into(),
            results: String::new(),
            nodes: 1,
            gpus_per_node: 0,
            ranks_per_node: None,
            ranks_per_gpu: 1,
            cpus_per_rank: 1,
            time: None,
            partition: None,
            account: None,
            qos: None,
            name: None,
            array: None,
            max_requeues: REQUEUES,
            stop_before: NOTICE,
            log: None,
            program: program.into(),
            further: Vec::new(),
        }
    }

    /// Ranks on each node: one for each place on its GPUs, unless said otherwise.
    pub fn ranks_on_a_node(&self) -> usize {
        self.ranks_per_node.unwrap_or((self.gpus_per_node * self.ranks_per_gpu).max(1))
    }

    /// Name of the job: that of the sweep file, unless said otherwise.
    pub fn display_name(&self) -> String {
        let stem = std::path::Path::new(&self.sweep).file_stem().map(|stem| stem.to_string_lossy().to_string());
        let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '-' };
        self.name.clone().unwrap_or_else(|| stem.unwrap_or_default().chars().map(plain).collect())
    }

    /// Refuses what contradicts itself, or would reach Slurm as something else than was meant.
    ///
    /// # Errors
    /// When a value is out of its bounds, names the flag.
    pub fn check(&self) -> Result<()> {
        let words = [
            ("--partition", &self.partition),
            ("--account", &self.account),
            ("--qos", &self.qos),
            ("--job-name", &self.name),
            ("--log", &self.log),
        ];
        for (flag, value) in words {
            if let Some(value) = value {
                word(flag, value)?;
            }
        }
        number("--nodes", self.nodes, 1, 100_000)?;
        number("--gpus-per-node", self.gpus_per_node, 0, 1024)?;
        number("--ranks-per-gpu", self.ranks_per_gpu, 1, 64)?;
        number("--cpus-per-rank", self.cpus_per_rank, 1, 1024)?;
        if let Some(ranks) = self.ranks_per_node {
            number("--ranks-per-node", ranks, 1, 65_536)?;
        }
        if self.stop_before == 0 || self.stop_before > LONGEST_NOTICE {
            return Err(Error::input(format!(
                "`--stop-before`: found `{}`, expected seconds from 1 to {LONGEST_NOTICE}",
                self.stop_before
            )));
        }
        self.check_time()?;
        self.check_array()?;
        self.check_gpus()?;
        self.check_further()
    }

    fn check_time(&self) -> Result<()> {
        let Some(time) = &self.time else { return Ok(()) };
        let Some(seconds) = seconds(time) else {
            return Err(Error::input(format!("`--time`: found `{time}`, expected a time limit of Slurm's"))
                .hint("hours:minutes:seconds such as `04:00:00`, or days-hours such as `2-12`"));
        };
        if seconds <= self.stop_before {
            return Err(Error::input(format!(
                "`--stop-before`: found {} seconds, expected less than the {seconds} seconds of `--time {time}`",
                self.stop_before
            ))
            .hint("leave the sweep time to train: some minutes at least"));
        }
        Ok(())
    }

    fn check_array(&self) -> Result<()> {
        let Some(tasks) = self.array else { return Ok(()) };
        number("--array", tasks, 1, 100_000)?;
        let single = [
            ("--nodes", self.nodes, 1),
            ("--ranks-per-node", self.ranks_per_node.unwrap_or(1), 1),
            ("--ranks-per-gpu", self.ranks_per_gpu, 1),
        ];
        match single.iter().find(|(_, found, only)| found != only) {
            Some((flag, found, _)) => Err(Error::input(format!(
                "`{flag} {found}` and `--array {tasks}` exclude each other: a task of an array is one process"
            ))
            .hint(format!("leave `{flag}` out and ask for more tasks, or leave `--array` out to use MPI"))),
            None => Ok(()),
        }
    }

    fn check_gpus(&self) -> Result<()> {
        if self.gpus_per_node == 0 && self.ranks_per_gpu > 1 {
            return Err(Error::input(format!("`--ranks-per-gpu {}` without a GPU", self.ranks_per_gpu))
                .hint("say how many each node has: `--gpus-per-node G`"));
        }
        let (gpus, ranks) = (self.gpus_per_node, self.ranks_on_a_node());
        if self.array.is_none() && gpus > 0 && !(gpus..=gpus * self.ranks_per_gpu).contains(&ranks) {
            let error = Error::input(format!(
                "`--ranks-per-node`: found {ranks}, expected {gpus} to {} for `--gpus-per-node {gpus}` with {} rank(s) on each",
                gpus * self.ranks_per_gpu,
                self.ranks_per_gpu
            ));
            return Err(match ranks < gpus {
                true => error.hint("fewer ranks than GPUs leave some idle: ask for fewer GPUs"),
                false => error.hint("several ranks share a GPU with `--ranks-per-gpu`"),
            });
        }
        Ok(())
    }

    /// Flags that the script gives to `run` itself.
    fn check_further(&self) -> Result<()> {
        let own = [
            ("--shard", "--array"),
            ("--ranks-per-gpu", "--ranks-per-gpu"),
            ("--threads", "--cpus-per-rank"),
            ("--stop-before", "--stop-before"),
        ];
        for word in &self.further {
            let flag = word.split('=').next().unwrap_or_default();
            if let Some((theirs, ours)) = own.iter().find(|(theirs, _)| *theirs == flag) {
                return Err(Error::input(format!("`{theirs}` is an argument of `run` that the script gives itself"))
                    .hint(format!("use `{ours}` before the `--`")));
            }
            if word.contains(['\n', '\r']) {
                return Err(Error::input(format!("`{}` has a line break in it", word.escape_debug()))
                    .hint("write it on one line"));
            }
        }
        Ok(())
    }
}

fn number(flag: &str, found: usize, least: usize, most: usize) -> Result<()> {
    match (least..=most).contains(&found) {
        true => Ok(()),
        false => {
            Err(Error::input(format!("`{flag}`: found `{found}`, expected a whole number from {least} to {most}")))
        }
    }
}

/// Slurm reads `#SBATCH` lines word by word, with rules for quotes of its own.
fn word(flag: &str, found: &str) -> Result<()> {
    let odd = |letter: char| letter.is_whitespace() || letter.is_control() || "\"'\\#`$".contains(letter);
    match found.is_empty() || found.starts_with('-') || found.contains(odd) {
        false => Ok(()),
        true => Err(Error::input(format!(
            "`{flag}`: found `{}`, expected one word without blanks, quotes, `#`, `$` and `\\`",
            found.escape_debug()
        ))),
    }
}

/// Seconds of a time limit in one of Slurm's forms: minutes, minutes:seconds, hours:minutes:seconds, days-hours,
/// days-hours:minutes, days-hours:minutes:seconds.
fn seconds(time: &str) -> Option<u64> {
    let numbers = |text: &str| -> Option<Vec<u64>> {
        text.split(':')
            .map(|part| match !part.is_empty() && part.len() <= 6 && part.bytes().all(|byte| byte.is_ascii_digit()) {
                true => part.parse().ok(),
                false => None,
            })
            .collect()
    };
    match time.split_once('-') {
        Some((days, rest)) => {
            let (days, rest) = (numbers(days)?, numbers(rest)?);
            let [days] = days[..] else { return None };
            let smaller = match rest[..] {
                [hours] => hours * 3600,
                [hours, minutes] => hours * 3600 + minutes * 60,
                [hours, minutes, seconds] => hours * 3600 + minutes * 60 + seconds,
                _ => return None,
            };
            Some(days * 86_400 + smaller)
        }
        None => match numbers(time)?[..] {
            [minutes] => Some(minutes * 60),
            [minutes, seconds] => Some(minutes * 60 + seconds),
            [hours, minutes, seconds] => Some(hours * 3600 + minutes * 60 + seconds),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(change: impl Fn(&mut Job)) -> Job {
        let mut job = Job::new("sweeps/lenet.toml", "tombola");
        change(&mut job);
        job
    }

    #[test]
    fn a_gpu_gets_one_rank_unless_it_takes_more() {
        assert_eq!(job(|_| ()).ranks_on_a_node(), 1);
        assert_eq!(job(|job| job.gpus_per_node = 4).ranks_on_a_node(), 4);
        let mut shared = job(|job| (job.gpus_per_node, job.ranks_per_gpu) = (4, 3));
        assert_eq!(shared.ranks_on_a_node(), 12);
        shared.ranks_per_node = Some(8);
        assert_eq!(shared.ranks_on_a_node(), 8);
        shared.check().unwrap();
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_the_name_of_the_flag() {
        let says = |change: fn(&mut Job), text: &str| {
            let error = job(change).check().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        says(|job| job.nodes = 0, "`--nodes`: found `0`, expected a whole number from 1 to 100000");
        says(|job| job.ranks_per_gpu = 2, "say how many each node has: `--gpus-per-node G`");
        says(
            |job| (job.gpus_per_node, job.ranks_per_node) = (4, Some(2)),
            "`--ranks-per-node`: found 2, expected 4 to 4",
        );
        says(|job| (job.gpus_per_node, job.ranks_per_node) = (4, Some(8)), "share a GPU with `--ranks-per-gpu`");
        says(|job| (job.array, job.nodes) = (Some(8), 2), "`--nodes 2` and `--array 8` exclude each other");
        says(|job| job.array = Some(0), "`--array`: found `0`");
        says(|job| job.stop_before = 0, "`--stop-before`: found `0`");
        says(|job| job.time = Some("1:30".into()), "expected less than the 90 seconds of `--time 1:30`");
        says(|job| job.time = Some("4h".into()), "`--time`: found `4h`");
        says(|job| job.partition = Some("a b".into()), "`--partition`: found `a b`, expected one word");
        says(|job| job.name = Some("x\n#SBATCH --uid=0".into()), "`--job-name`: found `x\\n#SBATCH --uid=0`");
        says(|job| job.further = vec!["--shard=1/2".into()], "use `--array` before the `--`");
    }

    #[test]
    fn time_limits_are_read_as_slurm_reads_them() {
        for (text, expected) in [
            ("90", 5400),
            ("90:30", 5430),
            ("04:00:00", 14_400),
            ("2-12", 216_000),
            ("1-00:30", 88_200),
            ("1-0:0:5", 86_405),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["", "-", "1-", "-1", "1:2:3:4", "1-1:1:1:1", "4 h", "1.5", "+4", "99999999"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_job_is_named_after_its_sweep() {
        assert_eq!(job(|job| job.sweep = "sweeps/my lenet.toml".into()).display_name(), "my-lenet");
        assert_eq!(job(|job| job.name = Some("nine".into())).display_name(), "nine");
    }
}
