//! Who is there, what each is at, and who is gone, while a sweep runs. It may not know how words travel, nor of stages' contents.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::link::Worker;
use tombola_core::gpus::UnusedGpus;
use tombola_core::memory::MemoryKills;
use tombola_words::arithmetic::Arithmetic;

/// What is known of the workers.
#[derive(Debug, Default)]
pub(super) struct WorkerPresence {
    /// Those that have not said that they are ready, with when they were last heard, by the clock of the run.
    pub(super) awaited: BTreeMap<Worker, Duration>,
    /// Those that train or wait for a stage.
    pub(super) active: BTreeSet<Worker>,
    /// Stage and number of the running assignment of each.
    pub(super) running: BTreeMap<Worker, (usize, u64)>,
    /// Host and device of each.
    pub(super) places: BTreeMap<Worker, String>,
    /// Why some of them leave GPUs unused, as far as it was told.
    pub(super) unused_gpus: BTreeSet<UnusedGpus>,
    /// Why steps of some trainings are not replayed as graphs, as far as it was told.
    refusals: BTreeSet<String>,
    /// What they compute with, each once.
    pub(super) arithmetics: BTreeSet<Arithmetic>,
    /// Those that are gone for good.
    pub(super) lost: BTreeSet<Worker>,
    /// Processes that the system had ended for want of memory, when that was last looked at.
    kills: Option<MemoryKills>,
}

impl WorkerPresence {
    /// These workers were started and have said nothing yet.
    pub(super) fn awaiting(workers: Vec<Worker>) -> Self {
        let awaited = workers.into_iter().map(|worker| (worker, Duration::ZERO)).collect();
        Self { awaited, kills: MemoryKills::until_now(), ..Self::default() }
    }

    /// Why a worker was lost, if the system tells more than was noticed: it may have ended a process of this job.
    pub(super) fn why(&mut self, noticed: &str) -> String {
        if !self.kills.as_ref().is_some_and(MemoryKills::grew) {
            return noticed.to_string();
        }
        // The next one that is lost may have another reason.
        self.kills = MemoryKills::until_now();
        format!(
            "{noticed}; meanwhile the system ended a process of this job because memory ran out: use fewer ranks a host or a smaller `--batch-size`, or ask for more memory"
        )
    }

    /// What is to be said where a worker's steps on a GPU are not replayed as graphs; once for each reason.
    pub(super) fn eager(&mut self, worker: Worker, place: &str, reason: &str) -> Option<String> {
        self.refusals.insert(reason.to_string()).then(|| {
            format!(
                "warning: steps are not replayed as CUDA graphs, and take longer: {reason} (worker {worker}, {place})"
            )
        })
    }

    /// Which rank, or `worker`, is where, a line for each place.
    pub(super) fn map(&self, whose: &str) -> String {
        let mut ranks: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (worker, place) in &self.places {
            ranks.entry(place).or_default().push(worker.to_string());
        }
        let line = |(place, ranks): (&&str, &Vec<String>)| match ranks.as_slice() {
            [one] => format!("  {place}: {whose} {one}"),
            several => format!("  {place}: {whose}s {}", several.join(", ")),
        };
        let lines: Vec<String> = ranks.iter().map(line).collect();
        let count = self.places.len();
        let (many, verb) = if count == 1 { ("", "trains") } else { ("s", "train") };
        format!("{count} {whose}{many} {verb}:\n{}", lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_for_eager_steps_is_said_once() {
        let mut presence = WorkerPresence::default();
        let said = presence.eager(3, "node7, cuda:1, NVIDIA H100, graphs", "operation not permitted").unwrap();
        for part in
            ["warning: steps are not replayed", "operation not permitted", "worker 3, node7, cuda:1, NVIDIA H100"]
        {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(presence.eager(4, "node8, cuda:0, NVIDIA H100, graphs", "operation not permitted"), None);
        assert!(presence.eager(4, "node8, cuda:0, NVIDIA H100, graphs", "another reason").is_some());
    }

    #[test]
    fn the_map_names_the_ranks_of_each_device_once() {
        let place = |worker, place: &str| (worker, place.to_string());
        let places =
            [place(0, "a, cuda:0"), place(1, "a, cuda:1"), place(2, "b, cuda:0"), place(3, "a, cuda:0")].into();
        let map = WorkerPresence { places, ..WorkerPresence::default() }.map("rank");
        assert_eq!(map, "4 ranks train:\n  a, cuda:0: ranks 0, 3\n  a, cuda:1: rank 1\n  b, cuda:0: rank 2");
    }
}
