//! Random runs, with workers that die, fail, stop and talk too late, against a plain account of what must hold.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::coordinator::demand::Need;
use crate::coordinator::rules::OnFail;
use crate::coordinator::workers::HELD;
use tombola_words::stream::stream;

type Snapshot = (usize, Moment);

const LEASE: u64 = 10;
const MOMENTS: [Moment; 3] = [Moment::Epoch(1), Moment::Epoch(2), Moment::Last];

/// What really happens to the workers, and what is known of the stages.
struct World {
    random: ChaCha8Rng,
    state: State,
    needs: Vec<Option<Need>>,
    stays: HashSet<Snapshot>,
    disk: HashSet<Snapshot>,
    closed: HashSet<usize>,
    failed: HashSet<usize>,
    stopped: HashSet<usize>,
    failures: HashMap<usize, usize>,
    /// What each worker that joined trains, and the snapshots it has still to take.
    training: HashMap<Worker, Option<(usize, Vec<Moment>)>>,
    /// Workers that say nothing any more, without anybody knowing.
    dead: HashSet<Worker>,
    /// Workers that give signs of life, but whose trainings never go on.
    hung: HashSet<Worker>,
    /// When each worker last got something on with its training.
    reported: HashMap<Worker, u64>,
    hangs: HashMap<usize, usize>,
    lost: HashSet<Worker>,
    /// Copies that each worker is thought to hold, and that it does hold.
    thought: HashSet<(Worker, Snapshot)>,
    held: HashSet<(Worker, Snapshot)>,
    given_up: bool,
    interrupted: bool,
    now: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = stream(seed, "coordinator simulation", &[]);
        let count = random.random_range(1..40);
        let mut needs: Vec<Option<Need>> = Vec::new();
        for index in 0..count {
            let work = f64::from(random.random_range(0..6_u8));
            let parent = (index > 0 && random.random_bool(0.8)).then(|| random.random_range(0..index));
            let mut sources = Vec::new();
            let mut root = index;
            if let Some(parent) = parent {
                root = needs[parent].as_ref().map_or(parent, |need| need.root);
                sources.push((parent, MOMENTS[random.random_range(0..3)]));
                if random.random_bool(0.4) {
                    sources.push((root, MOMENTS[random.random_range(0..2)]));
                }
            }
            let missing = parent.is_some_and(|parent| needs[parent].is_none());
            needs.push((missing || random.random_bool(0.9)).then_some(Need { root, work, sources }));
        }
        let all: HashSet<Snapshot> = needs.iter().flatten().flat_map(|need| need.sources.clone()).collect();
        let mut all: Vec<Snapshot> = all.into_iter().collect();
        all.sort_unstable();
        let stays: HashSet<Snapshot> = all.iter().copied().filter(|_| random.random_bool(0.2)).collect();
        // What is not trained in this run has left its snapshots.
        let disk: HashSet<Snapshot> =
            all.into_iter().filter(|(stage, _)| needs[*stage].is_none() || random.random_bool(0.1)).collect();
        let demand = Demand::build(
            needs.clone().into_iter(),
            Vec::new(),
            |stage, moment| stays.contains(&(stage, moment)),
            |stage, moment| disk.contains(&(stage, moment)),
        );
        let rules = Rules {
            lease: Duration::from_secs(LEASE),
            give_up_after: Duration::from_secs(random.random_range(LEASE..4 * LEASE)),
            retries: random.random_range(0..3),
            on_fail: if random.random_bool(0.2) { OnFail::Stop } else { OnFail::Continue },
            max_fails: random.random_bool(0.3).then(|| random.random_range(1..5)),
        };
        Self {
            state: State::new(demand, rules),
            random,
            needs,
            stays,
            disk,
            closed: HashSet::new(),
            failed: HashSet::new(),
            stopped: HashSet::new(),
            failures: HashMap::new(),
            training: HashMap::new(),
            dead: HashSet::new(),
            hung: HashSet::new(),
            reported: HashMap::new(),
            hangs: HashMap::new(),
            lost: HashSet::new(),
            thought: HashSet::new(),
            held: HashSet::new(),
            given_up: false,
            interrupted: false,
            now: 0,
        }
    }

    fn need(&self, stage: usize) -> &Need {
        self.needs[stage].as_ref().unwrap()
    }

    fn is_ready(&self, stage: usize) -> bool {
        let Some(need) = &self.needs[stage] else { return false };
        let running = self.training.values().flatten().any(|(other, _)| *other == stage);
        let over = self.closed.contains(&stage) || self.stopped.contains(&stage);
        !running && !over && need.sources.iter().all(|source| self.disk.contains(source))
    }

    fn tell(&mut self, event: Event) {
        let actions = self.state.on_event(event.clone(), Duration::from_secs(self.now));
        for action in &actions {
            self.check(action, &event);
        }
        self.check_all();
    }

    fn check(&mut self, action: &Action, event: &Event) {
        match *action {
            Action::Start(stage, worker) => {
                assert!(!self.state.is_stopping() && self.is_ready(stage), "{stage} after {event:?}");
                let remaining = |stage| self.state.demand.remaining(stage);
                let longer = |other: &usize| self.is_ready(*other) && remaining(*other) > remaining(stage);
                assert_eq!((0..self.needs.len()).find(longer), None, "should start before {stage}");
                assert_eq!(self.training.get(&worker).map(Option::is_some), Some(false), "{worker} is not idle");
                let moments: HashSet<Moment> = self
                    .needs
                    .iter()
                    .flatten()
                    .flat_map(|need| &need.sources)
                    .filter(|(source, _)| *source == stage)
                    .map(|(_, moment)| *moment)
                    .collect();
                let mut moments: Vec<Moment> = moments.into_iter().collect();
                moments.sort_unstable_by(|one, other| other.cmp(one));
                self.training.insert(worker, Some((stage, moments)));
                self.reported.insert(worker, self.now);
                // Sometimes it comes to nothing because the coordinator cannot send what it starts from.
                let sent = self.random.random_bool(0.9);
                for (source, moment) in self.need(stage).sources.clone() {
                    let copy = (worker, (source, moment));
                    self.thought.insert(copy);
                    if self.state.holds(worker, source, moment) {
                        assert!(self.held.contains(&copy), "{worker} does not hold {:?}", copy.1);
                    } else if sent {
                        self.held.insert(copy);
                    }
                }
                if !sent {
                    self.training.insert(worker, Some((stage, vec![Moment::Best])));
                }
            }
            Action::Forget(stage, moment, worker) => {
                assert!(self.thought.remove(&(worker, (stage, moment))), "{action:?} after {event:?}");
                self.held.remove(&(worker, (stage, moment)));
            }
            Action::Free(stage, moment) => {
                assert!(self.disk.remove(&(stage, moment)) && !self.stays.contains(&(stage, moment)), "{action:?}");
                let needs = |(user, need): (usize, &Option<Need>)| {
                    let starts = need.as_ref().is_some_and(|need| need.sources.contains(&(stage, moment)));
                    starts && !self.closed.contains(&user)
                };
                assert!(!self.needs.iter().enumerate().any(needs), "{action:?} after {event:?}");
            }
            Action::Spare(stage) => panic!("{stage} is spared though none is held"),
            Action::Skip(stage, cause) => {
                assert!(self.failed.contains(&cause) && self.closed.insert(stage), "{action:?}");
                self.failed.insert(stage);
                let never = |source: &Snapshot| !self.disk.contains(source) && self.failed.contains(&source.0);
                assert!(self.need(stage).sources.iter().any(never), "{action:?}");
            }
            Action::Retry(stage) => {
                let tries = self.failures.entry(stage).or_insert(0);
                *tries += 1;
                assert!(*tries <= self.state.rules.retries && self.closed.remove(&stage) && self.failed.remove(&stage));
            }
            Action::Lost(worker, stage) => {
                let was = self.training.remove(&worker).flatten();
                assert_eq!(stage, was.map(|(stage, _)| stage));
                self.gone(worker);
                assert!(self.lost.insert(worker), "{worker} was lost before");
            }
            Action::Hung { worker, stage, silence, again } => {
                let patience = self.state.rules.first_patience(Duration::ZERO);
                assert_eq!(silence, Duration::from_secs(self.now - self.reported[&worker]));
                assert!(silence > patience, "{worker} is given up after {silence:?}");
                assert_eq!(self.training.remove(&worker).flatten().map(|(stage, _)| stage), Some(stage));
                let hangs = self.hangs.entry(stage).or_insert(0);
                *hangs += 1;
                assert_eq!(again, *hangs < MOST_HANGS);
                if !again {
                    assert!(self.closed.insert(stage) && self.failed.insert(stage));
                }
                self.gone(worker);
                assert!(self.lost.insert(worker), "{worker} was lost before");
            }
            Action::Dismiss(worker) => {
                assert_eq!(self.training.remove(&worker), Some(None), "{worker} was not idle");
                self.gone(worker);
            }
            Action::GiveUp => assert!(!std::mem::replace(&mut self.given_up, true)),
        }
    }

    fn gone(&mut self, worker: Worker) {
        self.thought.retain(|(holder, _)| *holder != worker);
        self.held.retain(|(holder, _)| *holder != worker);
    }

    fn check_all(&self) {
        let idle = self.training.values().filter(|training| training.is_none()).count();
        if !self.state.is_stopping() && idle > 0 {
            assert_eq!((0..self.needs.len()).find(|stage| self.is_ready(*stage)), None, "{idle} workers idle");
        }
        for (worker, training) in &self.training {
            assert_eq!(self.state.running(*worker), training.as_ref().map(|(stage, _)| *stage));
            assert!(self.thought.iter().filter(|(holder, _)| holder == worker).count() <= HELD);
        }
        for worker in &self.lost {
            assert_eq!(self.state.running(*worker), None);
        }
        assert_eq!(self.state.workers(), self.training.len());
        assert_eq!(self.state.open(), self.needs.iter().flatten().count() - self.closed.len());
        for (worker, (stage, moment)) in &self.thought {
            let holds = self.state.holds(*worker, *stage, *moment);
            assert!(!holds || self.held.contains(&(*worker, (*stage, *moment))));
        }
    }

    /// A worker that trains does its next step; a `bad` one may fail or stop instead.
    fn step(&mut self, worker: Worker, bad: bool) {
        let Some(Some((stage, mut moments))) = self.training.get(&worker).cloned() else { return };
        if self.hung.contains(&worker) {
            return;
        }
        self.reported.insert(worker, self.now);
        let never_sent = moments == [Moment::Best];
        if never_sent || bad && self.random.random_bool(0.15) {
            self.training.insert(worker, None);
            // For good, until it turns out that it is tried again.
            self.closed.insert(stage);
            self.failed.insert(stage);
            return self.tell(Event::Failed(stage, worker));
        }
        if bad && self.random.random_bool(if self.state.is_stopping() { 0.5 } else { 0.01 }) {
            self.training.insert(worker, None);
            self.stopped.insert(stage);
            self.interrupted = true;
            return self.tell(Event::Stopped(stage, worker));
        }
        if let Some(moment) = moments.pop() {
            self.training.insert(worker, Some((stage, moments)));
            self.disk.insert((stage, moment));
            self.thought.insert((worker, (stage, moment)));
            self.held.insert((worker, (stage, moment)));
            return self.tell(Event::Kept(stage, moment, worker));
        }
        self.training.insert(worker, None);
        assert!(self.closed.insert(stage), "{stage} closes twice");
        self.tell(Event::Finished(stage, worker));
    }

    /// A message that nobody should believe.
    fn nonsense(&mut self) {
        let stage = self.random.random_range(0..self.needs.len() + 1);
        let mut lost: Vec<Worker> = self.lost.iter().copied().collect();
        lost.sort_unstable();
        let worker = if lost.is_empty() { 30 } else { lost[self.random.random_range(0..lost.len())] };
        let events = [
            Event::Finished(stage, worker),
            Event::Failed(stage, worker),
            Event::Stopped(stage, worker),
            Event::Kept(stage, Moment::Last, worker),
            Event::Heard(worker),
            Event::Reported(worker, Some(Duration::from_secs(1_000_000))),
        ];
        let event = events[self.random.random_range(0..events.len())].clone();
        self.tell(event);
        if self.lost.contains(&worker) {
            self.tell(Event::Joined(worker));
        }
    }

    fn join(&mut self, worker: Worker) {
        if !self.training.contains_key(&worker) && !self.lost.contains(&worker) {
            self.training.insert(worker, None);
            self.tell(Event::Joined(worker));
        }
    }

    fn tick(&mut self) {
        self.now += 1;
        let mut alive: Vec<Worker> =
            self.training.keys().copied().filter(|worker| !self.dead.contains(worker)).collect();
        alive.sort_unstable();
        alive.into_iter().for_each(|worker| self.tell(Event::Heard(worker)));
        self.tell(Event::Tick);
    }

    fn run(&mut self) {
        let workers = self.random.random_range(1..8);
        for _ in 0..self.random.random_range(0..200) {
            let worker = self.random.random_range(0..workers);
            match self.random.random_range(0..100) {
                0..15 => self.join(worker),
                15..17 => {
                    self.dead.insert(worker);
                }
                17 => {
                    self.hung.insert(worker);
                }
                18..20 if !self.lost.contains(&worker) && self.training.contains_key(&worker) => {
                    self.tell(Event::Left(worker));
                }
                20..25 => self.nonsense(),
                25..40 => self.tick(),
                40 if self.random.random_bool(0.2) => {
                    self.tell(Event::Stop);
                }
                _ if !self.dead.contains(&worker) => self.step(worker, true),
                _ => {}
            }
        }
        // Then all goes well, with one worker more than there were.
        self.join(workers);
        for _ in 0..10_000 {
            if self.state.workers() == 0 {
                break;
            }
            self.tick();
            (0..=workers)
                .filter(|worker| !self.dead.contains(worker))
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|worker| self.step(worker, false));
        }
        assert_eq!(self.state.workers(), 0, "the run never ends");
        assert!(self.dead.iter().chain(&self.hung).all(|worker| !self.training.contains_key(worker)));
        if !self.state.is_stopping() && !self.interrupted {
            assert_eq!(self.state.open(), 0);
            let needed: HashSet<Snapshot> = self.needs.iter().flatten().flat_map(|need| need.sources.clone()).collect();
            let left: Vec<&Snapshot> =
                needed.iter().filter(|one| self.disk.contains(one) && !self.stays.contains(one)).collect();
            assert!(left.is_empty(), "{left:?} should have been freed");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_every_stage_closes_once_and_no_worker_waits_in_vain(seed in any::<u64>()) {
        World::new(seed).run();
    }
}
