//! Trains one stage: a function of the stage and the snapshots that it starts from, and of nothing else.
//!
//! It reports through one callback: mask drawn, epoch finished, snapshot taken. It knows nothing of files, sweeps,
//! workers or messages.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use tch::{Device, Tensor};

use super::average::Average;
use super::barrier;
use super::changing::{ChangingMask, EAGER};
use super::clock::{EpochClock, augment_seed, due_within, order_seed, steps_behind};
use super::evaluate::{Tally, evaluate, evaluation_batch, hits};
use super::form::TrainedForm;
use super::masks::TrainingMasks;
use super::objective::{Objective, Teacher};
use super::optimizer::{Optimizer, mask_tensor};
use super::portions::Portions;
use super::replay::{Batch, Stepper, Work};
use super::scores::TorchScorer;
use super::start::{course, first_state, settled};
use super::task::Task;
use super::tf32;
use crate::ahead::Ahead;
use crate::augment::{Mixing, Variation};
use crate::batches::{Batches, Parts};
use crate::device;
use crate::memory::keep_freed_memory;
use crate::network::arena::Arena;
use crate::network::forward::Forward;
use tombola_core::mask::Bits;
use tombola_core::net::Snapshot;
use tombola_core::sweep::Settings;
use tombola_core::sweep::schedule::{When, learning_rate};
use tombola_core::trainable::no_tf32;
use tombola_core::training::{Flow, TrainingEvent};
use tombola_words::error::{Error, Result};
use tombola_words::record::{ClassCount, EpochRecord, Evaluation, Outcome, Scores};
use tombola_words::value::{Augment, Control, Moment, Precision, Select};

/// Trains a stage to its end.
///
/// # Errors
/// When the loss is no longer a number, a snapshot is missing or of another network, or (kind `Interrupted`) when the
/// listener asked to stop.
pub fn run(task: Task, listen: &mut dyn FnMut(TrainingEvent) -> Flow) -> Result<Outcome> {
    keep_freed_memory();
    device::enter(task.device);
    let precision = task.stage.settings.precision;
    if precision == Precision::Tf32 && task.device == Device::Cpu {
        return Err(no_tf32());
    }
    let _held = tf32::hold(precision == Precision::Tf32);
    let mut training = RunningTraining::begin(&task, listen)?;
    for epoch in training.epoch..training.span.end {
        if training.masks.is_enough(&task, epoch) {
            break;
        }
        let record = training.epoch(&task, epoch, listen)?;
        if training.finish_epoch(&task, record, listen)? == Flow::Stop {
            return Err(Error::interrupted(format!("stopped after epoch {}", epoch + 1)));
        }
    }
    training.finish(&task, listen)
}

/// A training under way.
struct RunningTraining {
    arena: Arena,
    forward: Forward,
    form: TrainedForm,
    optimizer: Optimizer,
    /// What is evaluated and kept instead of the weights, if anything is.
    average: Option<Average>,
    objective: Objective,
    mixing: Option<Mixing>,
    portions: Portions,
    stepper: Stepper,
    tally: Tally,
    /// What is added to the gradient for each sign of a weight.
    slimming: Option<Tensor>,
    mask: Option<Arc<Bits>>,
    /// How that changes, if it does.
    changing: Option<ChangingMask>,
    masks: TrainingMasks,
    /// Its epochs, and the settings that they follow.
    span: Range<usize>,
    settings: Settings,
    /// Epochs trained, on the stage's own count.
    epoch: usize,
    /// Steps of the next epoch that were taken before it began: it goes back to a point within that epoch.
    step: usize,
    epochs: Vec<EpochRecord>,
    best: Option<Arc<Snapshot>>,
    /// Whether `best` changed since it was last reported.
    best_is_new: bool,
    last_progress: Instant,
}

impl RunningTraining {
    fn begin(task: &Task, listen: &mut dyn FnMut(TrainingEvent) -> Flow) -> Result<Self> {
        let (start, epochs, best) = match task.resume.clone() {
            Some(resume) => (resume.state, resume.epochs, resume.best),
            None => {
                let forward = Forward::new(Arc::clone(task.graph), task.layout);
                (Arc::new(first_state(task, &forward, listen)?), Vec::new(), None)
            }
        };
        task.parts.check()?;
        let (span, settings) = course(task, &start)?;
        let form = TrainedForm::of(task, &start)?;
        let forward = Forward::new(Arc::clone(&form.graph), &form.layout);
        let inner = form.inner(&start);
        let mut arena = Arena::new(Arc::clone(&form.layout), &inner, task.device)?;
        arena.precision = settings.precision;
        arena.seed = order_seed(task);
        let mask = form.mask(&start).map(|mask| mask_tensor(mask, task.device));
        let optimizer = Optimizer::new(&settings, form.layout.len, mask, task.device);
        let mut optimizer = optimizer.decaying(form.decayed(&settings, task.device));
        let average = Average::new(&settings, &form.layout, &inner, task.device)?;
        if let Some(mut state) = inner.optimizer.clone() {
            Average::take_back(&mut arena, &mut state)?;
            optimizer.restore(&state)?;
        }
        let classes = task.graph.classes();
        let objective = Objective::of(&settings, &task.parts.train, classes, task.device)?.taught(Teacher::of(task)?);
        let mixing = Mixing::of(&settings, augment_seed(task), task.pixels())?;
        let portions = Portions::of(task.parts.train.len(), &settings, &form.graph);
        let changing = ChangingMask::of(task, &span, portions.steps())?;
        let stepper = Stepper::new(task.device, settings.batch_size, &forward);
        let stepper = stepper.kept_eager(changing.as_ref().map(|_| EAGER));
        let tally = Tally::new(task.device);
        let slimming = form.slimming(task, settings.slimming, task.device)?;
        let (epoch, step) = match &task.resume {
            Some(resume) => (resume.state.epoch, 0),
            None => (span.start, steps_behind(task, portions.steps(), &start)?),
        };
        let masks = TrainingMasks::of(task, task.resume.as_ref());
        let (mask, last_progress) = (start.mask.clone(), Instant::now());
        Ok(Self {
            arena,
            forward,
            form,
            optimizer,
            average,
            objective,
            mixing,
            portions,
            stepper,
            tally,
            slimming,
            mask,
            changing,
            masks,
            span,
            settings,
            epoch,
            step,
            epochs,
            best,
            best_is_new: false,
            last_progress,
        })
    }

    /// Trains one epoch, or what is left of it, and evaluates it.
    fn epoch(
        &mut self,
        task: &Task,
        epoch: usize,
        listen: &mut dyn FnMut(TrainingEvent) -> Flow,
    ) -> Result<EpochRecord> {
        let begun = Instant::now();
        let EpochClock { data_epoch, fixed_rate, losses } =
            EpochClock::of(task, &self.settings, &self.epochs, self.span.start, self.portions.steps(), epoch);
        let settings = &self.settings;
        let (train, portions) = (&task.parts.train, self.portions);
        let places = train.order(order_seed(task), data_epoch);
        let order = Tensor::from_slice(&places).to_device(task.device);
        let augment = settings.augment.as_ref().unwrap_or(&Augment::None);
        let variation = Variation::of(augment, task.pixels(), train.len(), augment_seed(task), data_epoch, task.device);
        self.tally.clear();
        self.stepper.vary(variation.as_ref());
        let steps = portions.steps();
        let due = due_within(task, epoch, steps);
        let taken = places.get(portions.batch(self.step).start..).unwrap_or_default();
        let mut ahead = train.ahead(taken, (self.step..steps).map(|number| portions.batch(number).len()).collect());
        let mut rate = settings.learning_rate;
        for number in self.step..steps {
            let portion = portions.batch(number);
            let indices = order.narrow(0, portion.start as i64, portion.len() as i64);
            let read = ahead.as_mut().map(Ahead::next_batch);
            rate = fixed_rate.unwrap_or_else(|| {
                learning_rate(settings, When { epoch: data_epoch, step: number, steps, losses: &losses })
            });
            let mut work = Work {
                images: train,
                forward: &self.forward,
                arena: &mut self.arena,
                optimizer: &mut self.optimizer,
                slimming: self.slimming.as_ref(),
                tally: &mut self.tally,
                objective: &mut self.objective,
                mixture: self.mixing.as_ref().map(|mixing| mixing.mixture(data_epoch, number, task.device)),
                average: self.average.as_mut(),
            };
            let batch = Batch { indices: &indices, read: read.as_ref() };
            let replaced = self.changing.as_ref().and_then(|own| Some((own, own.share_instead(epoch, number)?)));
            match replaced {
                None => self.stepper.step(&mut work, batch, variation.as_ref(), rate)?,
                Some((own, share)) => {
                    if let Some(gradient) = work.gradient(batch, variation.as_ref()) {
                        let state = (&mut self.arena, &mut self.optimizer);
                        self.mask = Some(own.replace(task, share, &gradient, state, self.mask.as_deref())?);
                    }
                }
            }
            if let Some(own) = &self.changing {
                let state = (&mut self.arena, &mut self.optimizer);
                if let Some(mask) = own.prune(task, (epoch, number), state, self.mask.as_deref())? {
                    self.mask = Some(mask);
                }
            }
            if let Some(reason) = self.stepper.take_refusal() {
                listen(TrainingEvent::Eager(reason));
            }
            // Often enough for a bar to move, seldom enough to cost nothing.
            if number % 16 == 15 {
                listen(TrainingEvent::Images { seen: portion.end, of: portions.images() });
            }
            if let Some(moment) = due.get(&(number + 1)) {
                let state = Snapshot { step: number + 1, ..self.full_state() };
                // Whoever asks to stop here asks again when the epoch is told.
                listen(TrainingEvent::Snapshot(*moment, Arc::new(state)));
            }
        }
        let train = self.tally.finish();
        let validation = self.evaluate(&task.parts.validation);
        let test = (self.settings.select == Select::Test).then(|| self.evaluate(&task.parts.test));
        task.parts.check()?;
        // The loss of a batch is taken before its step: only the evaluation sees what the last step did.
        let evaluated = [("training", Some(train)), ("validation", Some(validation)), ("test", test)];
        for (part, evaluation) in evaluated {
            if let Some(Evaluation { loss, .. }) = evaluation
                && !loss.is_finite()
            {
                return Err(Error::training(format!(
                    "diverged: the {part} loss is {loss} in epoch {} (learning rate {rate})",
                    epoch + 1
                ))
                .hint("lower the learning rate or add warm-up epochs"));
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        Ok(EpochRecord { epoch: epoch + 1, learning_rate: rate, train, validation, test, seconds })
    }

    fn evaluate(&mut self, part: &Batches) -> Evaluation {
        let batch = evaluation_batch(self.arena.device());
        let arena = self.average.as_mut().map_or(&mut self.arena, |average| &mut average.arena);
        evaluate(&self.forward, arena, part, batch)
    }

    /// Notes an epoch, takes the snapshots that are due, and asks whether to go on.
    fn finish_epoch(
        &mut self,
        task: &Task,
        record: EpochRecord,
        listen: &mut dyn FnMut(TrainingEvent) -> Flow,
    ) -> Result<Flow> {
        // Where more and more weights go, an epoch at the final ratio is better than any before: those were of denser networks.
        let is_settled = |epoch| self.changing.as_ref().is_none_or(|own| own.is_settled(epoch));
        let worth = |record: &EpochRecord| (is_settled(record.epoch), record.selecting().correct);
        let is_best = self.epochs.iter().all(|earlier| worth(earlier) < worth(&record));
        (self.epoch, self.step) = (record.epoch, 0);
        self.epochs.push(record.clone());
        let state = (is_best || !self.masks.is_empty()).then(|| Arc::new(self.state()));
        if is_best {
            self.best.clone_from(&state);
            self.best_is_new = true;
        }
        let mut flow = listen(TrainingEvent::Epoch(record));
        let mut due = vec![Moment::Epoch(self.epoch)];
        if let Some(state) = state.filter(|_| !self.masks.is_empty()) {
            let images = task.stage.tracks.first().map_or(0, |track| track.pruning.score_images);
            let seen = self.masks.after(task, &state, &mut TorchScorer::new(task, &state, images))?;
            for (track, mask) in seen.masks {
                flow = flow.or(listen(TrainingEvent::Mask { track, epoch: self.epoch, mask }));
            }
            due.extend(seen.birds);
        }
        due.retain(|moment| task.stage.wanted.contains(moment));
        if !due.is_empty() {
            let state = Arc::new(self.full_state());
            for moment in due {
                flow = flow.or(listen(TrainingEvent::Snapshot(moment, Arc::clone(&state))));
            }
        }
        if task.stage.wanted.contains(&Moment::BestUntil(self.epoch))
            && let Some(best) = &self.best
        {
            flow = flow.or(listen(TrainingEvent::Snapshot(Moment::BestUntil(self.epoch), Arc::clone(best))));
        }
        let is_last = self.epoch == self.span.end || self.masks.is_enough(task, self.epoch);
        if !is_last && (flow == Flow::Stop || self.last_progress.elapsed() >= task.snapshot_every) {
            let best = self.best.clone().filter(|_| std::mem::take(&mut self.best_is_new));
            flow = flow.or(listen(TrainingEvent::Progress(Arc::new(self.full_state()), best)));
            self.last_progress = Instant::now();
        }
        // A stop in the last epoch comes too late to save anything: the stage is done.
        Ok(if is_last { Flow::Continue } else { flow })
    }

    /// Evaluates the last and the best epoch on both held-out parts, as far as their epochs did not do so already.
    fn finish(mut self, task: &Task, listen: &mut dyn FnMut(TrainingEvent) -> Flow) -> Result<Outcome> {
        if let (Some(_), Some(mask)) = (&self.changing, &self.mask) {
            listen(TrainingEvent::Settled(Box::new(settled(task, mask)?)));
        }
        let last = self.scores(task.parts, self.epoch);
        let last_hits = self.hits(task);
        let state = Arc::new(self.state());
        let best_state = self.best.clone().unwrap_or_else(|| Arc::clone(&state));
        let (best, best_hits) = match best_state.epoch == self.epoch {
            true => (last, last_hits.clone()),
            false => {
                let arena = self.average.as_mut().map_or(&mut self.arena, |average| &mut average.arena);
                arena.restore(&self.form.inner(&best_state));
                (self.scores(task.parts, best_state.epoch), self.hits(task))
            }
        };
        let counts = best_hits.into_iter().zip(last_hits);
        let classes = counts.map(|((images, best), (_, last))| ClassCount { images, best, last }).collect();
        for (moment, snapshot) in [(Moment::Best, &best_state), (Moment::Last, &state)] {
            if task.stage.wanted.contains(&moment) {
                listen(TrainingEvent::Snapshot(moment, Arc::clone(snapshot)));
            }
        }
        let barrier = match &task.stage.pruning {
            Some(pruning) if pruning.control == Control::Fork => {
                let Self { form, forward, arena, .. } = &mut self;
                barrier::measure(task, form, forward, arena, &state, pruning.barrier_points, listen)?
            }
            _ => Vec::new(),
        };
        task.parts.check()?;
        let stopped_at = (self.epoch < self.span.end).then_some(self.epoch);
        let (best_epoch, computed_with) = (best_state.epoch, Vec::new());
        Ok(Outcome { best_epoch, best, last, stopped_at, barrier, classes, computed_with })
    }

    /// Test images of each class and those of them that are classified correctly, if they are asked for.
    fn hits(&mut self, task: &Task) -> Vec<(u64, u64)> {
        let batch = evaluation_batch(self.arena.device());
        match task.stage.counts_classes {
            true => {
                let arena = self.average.as_mut().map_or(&mut self.arena, |average| &mut average.arena);
                hits(&self.forward, arena, &task.parts.test, batch)
            }
            false => Vec::new(),
        }
    }

    /// What is evaluated, in the form that it is trained in.
    fn evaluated(&self) -> Snapshot {
        let arena = self.average.as_ref().map_or(&self.arena, |average| &average.arena);
        Snapshot { batches: self.arena.batches, ..arena.snapshot(self.epoch) }
    }

    /// Weights, statistics and mask as they are, in the form of the dense network.
    fn state(&self) -> Snapshot {
        Snapshot { mask: self.mask.clone(), ..self.form.outer(self.evaluated()) }
    }

    /// All that training goes on from.
    fn full_state(&self) -> Snapshot {
        let mut optimizer = self.optimizer.state();
        if self.average.is_some() {
            Average::set_aside(&self.arena, &mut optimizer);
        }
        let inner = Snapshot { optimizer: Some(optimizer), ..self.evaluated() };
        Snapshot { mask: self.mask.clone(), ..self.form.outer(inner) }
    }

    /// The scores after an epoch, whose weights and statistics are in the arena.
    fn scores(&mut self, parts: &Parts, epoch: usize) -> Scores {
        let seen = self.epochs.iter().find(|record| record.epoch == epoch);
        let (validation, test) = (seen.map(|record| record.validation), seen.and_then(|record| record.test));
        Scores {
            validation: validation.unwrap_or_else(|| self.evaluate(&parts.validation)),
            test: test.unwrap_or_else(|| self.evaluate(&parts.test)),
        }
    }
}
