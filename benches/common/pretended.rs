//! Sweeps whose trainings are pretended: a real plan, results folder and journal, and a trainer that only waits.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::finished;
use tombola_cluster::coordinator::ledger::Ledger;
use tombola_cluster::coordinator::serve::Sweep;
use tombola_cluster::coordinator::{Demand, Loudness, Progress, Rules, State};
use tombola_cluster::link::local::LocalLink;
use tombola_cluster::link::{Assignment, Ready, Welcome};
use tombola_cluster::worker::{Trainer, spawn};
use tombola_core::folder::journal::{Chronicle, History};
use tombola_core::net::Snapshot;
use tombola_core::plan::{Networks, Plan};
use tombola_core::prune::Sources;
use tombola_core::sweep::Spec;
use tombola_core::training::{Flow, TrainingEvent};
use tombola_words::error::{Error, Result};
use tombola_words::record::{Drawn, EpochRecord, Evaluation, Outcome, Scores};

/// A sweep and its plan.
#[derive(Debug)]
pub(crate) struct Case {
    spec: Spec,
    plan: Arc<Plan>,
    networks: Networks,
    /// What a training waits.
    pause: Duration,
}

impl Case {
    /// A sweep of the given text whose trainings take as long as `pause`.
    pub(crate) fn read(text: &str, pause: Duration) -> Result<Self> {
        let spec = Spec::read(Some(text), &[])?;
        let plan = Arc::new(Plan::of(&spec, spec.trials()?, Default::default())?);
        let roots: Vec<usize> = (0..plan.stages.len()).filter(|stage| plan.stages[*stage].level == 0).collect();
        let networks = Networks::of(&plan, &roots, &spec.networks)?;
        Ok(Self { spec, plan, networks, pause })
    }

    /// Dense trainings of LeNet-300-100, nothing kept.
    pub(crate) fn independent(stages: usize, pause: Duration) -> Result<Self> {
        let text = format!("{}network = \"lenet-300-100\"\nprune-iterations = 0\n", common(stages));
        Self::read(&text, pause)
    }

    /// Chains of a tiny network that is pruned `levels` times: each stage but the last of a chain leaves a snapshot,
    /// which goes when the next has been trained.
    pub(crate) fn chains(chains: usize, levels: usize, pause: Duration) -> Result<Self> {
        let layers = "[networks.tiny]\nlayers = [\"flatten\", { linear = 16 }, \"relu\", { linear = 10 }]\n";
        let text = format!(
            "{}network = \"tiny\"\nprune-iterations = {levels}\npruning-ratio = 0.9\nreinit = \"init\"\n{layers}",
            common(chains)
        );
        Self::read(&text, pause)
    }

    /// How many trainings it has.
    pub(crate) fn stages(&self) -> usize {
        self.plan.stages.len()
    }

    /// The sweep as rank 0 tells others of it.
    pub(crate) fn welcome(&self) -> Welcome {
        Welcome {
            sweep: self.spec.to_toml(),
            plan: self.plan.checksum(),
            lease: self.spec.run.lease,
            ..Welcome::default()
        }
    }

    /// Writes down that the first `count` trainings ended long ago.
    pub(crate) fn finish(&self, folder: &Path, count: usize) -> Result<()> {
        let mut chronicle = Chronicle::open(&folder.join("journal"), History::default())?;
        for (index, stage) in self.plan.stages[..count].iter().enumerate() {
            finished::train(index, stage.id, |record| chronicle.write(record))?;
        }
        chronicle.sync()
    }

    /// A run of it, as `tombola run` opens it, of what its folder leaves to do. `remote` says whether workers are in other processes.
    pub(crate) fn open(&self, folder: &Path, remote: bool) -> Result<(Sweep, State)> {
        let (plan, run) = (Arc::clone(&self.plan), &self.spec.run);
        let journal = folder.join("journal");
        let history = History::read(&journal)?;
        let is_done =
            |index: &usize| history.stages.get(&plan.stages[*index].id).is_some_and(|stage| stage.outcome.is_some());
        let done: HashSet<usize> = (0..plan.stages.len()).filter(is_done).collect();
        let left = plan.stages.len() - done.len();
        let chronicle = Chronicle::open(&journal, history)?;
        let ledger = Ledger::new(Arc::clone(&plan), self.networks.clone(), chronicle, folder, run.snapshot_seconds);
        let work = vec![1.0; plan.stages.len()];
        let lease = Duration::from_secs_f64(run.lease);
        let demand = Demand::of(&plan, &work, &done, &HashSet::new(), &HashSet::new(), &|_| true);
        let sweep = Sweep {
            ledger,
            progress: Progress::new(Loudness::Quiet, &folder.join("log"), left, left as f64)?,
            epoch_work: work,
            stop: Arc::new(AtomicBool::new(false)),
            deadline: None,
            lease,
            until_ready: Rules::default().until_ready(),
            remote,
            fingerprints: BTreeMap::new(),
            tables: tombola_views::tables::write_meanwhile,
        };
        Ok((sweep, State::new(demand, Rules { lease, ..Rules::default() })))
    }

    /// What pretends to train it.
    pub(crate) fn trainer(&self) -> Pretended {
        Pretended { plan: Arc::clone(&self.plan), networks: self.networks.clone(), pause: self.pause }
    }

    /// Workers in this process.
    pub(crate) fn local_link(&self, workers: usize) -> Result<LocalLink> {
        LocalLink::start(workers, |worker, words| {
            let trainer = self.trainer();
            spawn(worker, words, move || Ok((trainer, ready())))
        })
    }
}

/// What a pretended worker found.
pub(crate) fn ready() -> Ready {
    Ready { place: "pretended".to_string(), ..Ready::default() }
}

fn common(seeds: usize) -> String {
    let seeds: Vec<String> = (1..=seeds).map(|seed| seed.to_string()).collect();
    let data = "dataset = \"synthetic\"\nsynthetic-shape = [1, 8, 8]\nepochs = 1\nkeep = \"nothing\"\n";
    format!("{data}seed = [{}]\n", seeds.join(", "))
}

/// Waits where a trainer would train, and reports what one would report.
#[derive(Debug)]
pub(crate) struct Pretended {
    plan: Arc<Plan>,
    networks: Networks,
    pause: Duration,
}

impl Trainer for Pretended {
    fn train(
        &mut self,
        assignment: Assignment,
        _: Sources,
        listen: &mut dyn FnMut(TrainingEvent) -> Flow,
    ) -> Result<Outcome> {
        let stage = &self.plan.stages[assignment.stage];
        let network = self.networks.get(&self.plan, assignment.stage);
        let layout = &network.ok_or_else(|| Error::environment("the stage has no network"))?.layout;
        let half = Evaluation { loss: 0.7, correct: 50, images: 100, top5: None };
        let scores = Scores { validation: half, test: half };
        listen(TrainingEvent::Drawn(Box::new(Drawn {
            prunable: layout.len,
            alive: layout.len,
            effective: layout.len,
            parameters: layout.len,
            dead_layers: Vec::new(),
            pruned: scores,
            start: scores,
            ..Drawn::default()
        })));
        let begun = Instant::now();
        std::thread::sleep(self.pause);
        let seconds = begun.elapsed().as_secs_f64();
        for epoch in stage.epochs() {
            listen(TrainingEvent::Epoch(EpochRecord {
                epoch: epoch + 1,
                learning_rate: 0.1,
                train: half,
                validation: half,
                test: None,
                seconds,
            }));
        }
        for moment in &stage.wanted {
            let snapshot = Snapshot {
                epoch: stage.epochs().end,
                step: 0,
                batches: 0,
                parameters: vec![0.5; layout.len],
                buffers: vec![0.5; layout.buffer_len],
                optimizer: None,
                mask: None,
            };
            listen(TrainingEvent::Snapshot(*moment, Arc::new(snapshot)));
        }
        Ok(Outcome { best_epoch: stage.epochs().end, best: scores, last: scores, ..Outcome::default() })
    }
}
