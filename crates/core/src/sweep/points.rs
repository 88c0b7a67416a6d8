//! Puts the points that settings name on steps: how many steps an epoch has, and the one spelling of each point.
//!
//! It may not know of files: of the data it takes what their publisher states.

use super::settings::Settings;
use tombola_words::error::{Error, Result};
use tombola_words::parts::{held_out, parted};
use tombola_words::value::{ImageFilter, LastBatch, Moment, Point, Rewind, Schedule, ScheduleBy, Value};
use tombola_words::{Shape, catalogue, check_filter};

impl Settings {
    /// Training images of the data set, those that validate included, as its publisher states them.
    ///
    /// # Errors
    /// When the data set is unknown.
    pub fn published_images(&self) -> Result<usize> {
        if let Some(own) = &self.own_set {
            return own.form().map(|form| form.train);
        }
        match self.dataset.as_str() {
            "synthetic" => Ok(self.synthetic_size),
            name => Ok(catalogue::find(name)?.train_images),
        }
    }

    /// Steps of an epoch that trains on so many images, unless the network has the last of them joined to those before.
    pub fn steps_of(&self, images: usize) -> usize {
        match self.last_batch {
            LastBatch::Drop | LastBatch::Join => (images / self.batch_size).max(1),
            LastBatch::Auto | LastBatch::Keep => images.div_ceil(self.batch_size),
        }
    }

    /// Images that are trained on: without those that validate.
    ///
    /// # Errors
    /// When the data set is unknown, or has not so many images.
    pub fn trained_images(&self) -> Result<usize> {
        let own_part = self.own_set.as_ref().and_then(|own| own.form.as_ref()).map(|form| form.validation);
        let (train, _) = held_out(own_part.filter(|examples| *examples > 0), self.validation_size)
            .and_then(|held_out| parted(self.published_images()?, self.train_limit, held_out))
            .map_err(|error| error.at(format!("data set `{}`", self.dataset)))?;
        Ok(train)
    }

    /// Refuses parts that the data cannot have, where their numbers are certain: files of a known set may be other than published.
    pub(super) fn check_images(&self) -> Result<()> {
        let is_certain = match &self.own_set {
            Some(own) => own.form.is_some(),
            None => self.dataset == "synthetic",
        };
        if is_certain { self.trained_images().map(drop) } else { Ok(()) }
    }

    /// Refuses a filter of examples that have nothing to be filtered, where it is known what they are.
    pub(super) fn check_filter(&self) -> Result<()> {
        if self.filter == ImageFilter::None {
            return Ok(());
        }
        let known = match (&self.own_set, self.synthetic_shape.as_slice()) {
            (Some(own), _) => own.form.as_ref().and_then(|form| Some((form.shape.shape()?, form.bytes))),
            (None, &[channels, height, width]) if self.dataset == "synthetic" => {
                Some((Shape::Image(channels, height, width), true))
            }
            (None, _) => Some((catalogue::find(&self.dataset)?.shape, true)),
        };
        known
            .map_or(Ok(()), |(shape, are_bytes)| check_filter(self.filter, self.filter_sigma, shape, are_bytes))
            .map_err(|error| error.at(format!("data set `{}`", self.dataset)))
    }

    /// Steps of an epoch on the published data.
    ///
    /// # Errors
    /// When the data set is unknown, or has not so many images.
    pub fn epoch_steps(&self) -> Result<usize> {
        self.trained_images().map(|images| self.steps_of(images))
    }

    /// Gives every point its one spelling, so that two of them have one identity.
    ///
    /// # Errors
    /// When steps are named and nobody knows how many an epoch has, or a training ends within an epoch.
    pub(super) fn settle_points(&mut self) -> Result<()> {
        let moment = |moment: Moment| matches!(moment, Moment::At(_));
        let rest = |point: &Point| point.whole_epochs().is_none();
        let points = [self.warmup_epochs, self.cycle_epochs, self.step_epochs];
        let counts = moment(self.draw)
            || matches!(self.rewind, Rewind::At(_))
            || points.iter().chain(&self.milestones).chain(&self.epochs_save).any(rest)
            || self.iterations.is_some();
        if counts {
            let steps = self.epoch_steps()?;
            self.counted_steps = Some(steps);
            self.settle_length(steps)?;
            self.draw = self.draw.settled(steps);
            self.rewind = self.rewind.settled(steps);
            let cycles = [("cycle-epochs", &mut self.cycle_epochs), ("step-epochs", &mut self.step_epochs)];
            for (key, point) in cycles {
                let found = point.show();
                *point = point.settled(steps);
                if point.steps(steps) == 0 {
                    return Err(Error::input(format!(
                        "`{key}`: `{found}` is less than one of the {steps} steps of an epoch"
                    ))
                    .hint("give at least `1it`"));
                }
            }
            self.warmup_epochs = self.warmup_epochs.settled(steps);
            self.milestones.iter_mut().chain(&mut self.epochs_save).for_each(|point| *point = point.settled(steps));
        }
        let steps = self.counted_steps.unwrap_or(1);
        self.milestones.sort_unstable_by_key(|point| point.steps(steps));
        self.milestones.dedup();
        Ok(())
    }

    /// The epochs of a training whose length is given in steps.
    fn settle_length(&mut self, steps: usize) -> Result<()> {
        let Some(iterations) = self.iterations.take() else { return Ok(()) };
        if self.epochs != Self::default().epochs {
            return Err(Error::input(format!(
                "`iterations` is {iterations} and `epochs` is {}, but both say how long a training is",
                self.epochs
            ))
            .hint("leave one of the two out"));
        }
        if iterations % steps != 0 {
            let before = iterations / steps;
            let unit = |epochs: usize| if epochs == 1 { "epoch" } else { "epochs" };
            let named = |epochs: usize| format!("{} ({epochs} {})", epochs * steps, unit(epochs));
            let nearest = [before, before + 1].into_iter().filter(|epochs| *epochs > 0).map(named);
            return Err(Error::input(format!(
                "`iterations`: found {iterations}, expected whole epochs of {steps} steps: a training ends where an epoch does"
            ))
            .hint(format!("the nearest are {}", nearest.collect::<Vec<_>>().join(" and "))));
        }
        self.epochs = iterations / steps;
        Ok(())
    }

    /// Refuses points that no training has, and those that mean nothing beside other settings.
    pub(super) fn check_points(&self) -> Result<()> {
        // Where a point is within an epoch, the steps of one are known.
        let steps = self.counted_steps.unwrap_or(1);
        let end = self.epochs.saturating_mul(steps);
        let beyond = |what: &str, point: &Point| {
            Error::input(format!(
                "`{what}` names `{}`, but a training has {} epochs of {steps} steps, {end} in all",
                point.show(),
                self.epochs
            ))
            .hint("give more `epochs`, or an earlier point")
        };
        if let Rewind::At(point) = &self.rewind
            && self.prune_iterations > 0
            && point.steps(steps) >= end
        {
            return Err(beyond("reinit", point));
        }
        if let Moment::At(point) = &self.draw
            && self.prune_iterations > 0
        {
            if point.steps(steps) > end {
                return Err(beyond("draw", point));
            }
            if self.schedule == Schedule::Plateau && self.rewind == Rewind::None && self.fine_tune_lr.is_none() {
                return Err(Error::input(format!(
                    "`fine-tune-lr`: schedule `plateau` has no last learning rate at `draw` `{}`, within an epoch",
                    point.show()
                ))
                .hint("give `fine-tune-lr`, or draw where an epoch ends"));
            }
        }
        if let Some(point) =
            self.epochs_save.iter().find(|point| point.whole_epochs().is_none() && point.steps(steps) > end)
        {
            return Err(beyond("epochs-save", point));
        }
        if self.schedule == Schedule::CosineRestarts
            && self.schedule_by == ScheduleBy::Epoch
            && self.cycle_epochs.whole_epochs().is_none()
        {
            return Err(Error::input(format!(
                "`cycle-epochs` is `{}`, but schedule `cosine-restarts` changes the learning rate once an epoch",
                self.cycle_epochs.show()
            ))
            .hint("say `schedule-by = \"iteration\"`, or give whole epochs"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::{Decides, Field};

    /// 45 steps an epoch: 360 images of 400, eight a step.
    fn base() -> Settings {
        Settings {
            dataset: "synthetic".to_string(),
            synthetic_size: 400,
            batch_size: 8,
            epochs: 10,
            ..Settings::default()
        }
    }

    fn with(base: Settings, assigned: &[(&str, &str)]) -> Result<Settings> {
        let mut settings = base;
        for (key, text) in assigned {
            Field::find(key).unwrap().assign(&mut settings, text)?;
        }
        settings.resolve()
    }

    fn told(assigned: &[(&str, &str)]) -> String {
        let error = with(base(), assigned).unwrap_err();
        assert!(error.hint.is_some(), "{error}");
        error.message
    }

    #[test]
    fn steps_of_an_epoch_follow_from_the_images_trained_on_and_the_batch() {
        let steps = |settings: Settings| settings.epoch_steps().unwrap();
        assert_eq!(steps(base()), 45);
        assert_eq!(steps(Settings { validation_size: Some(0), ..base() }), 50);
        assert_eq!(steps(Settings { train_limit: Some(100), ..base() }), 12);
        // 45,000 images of CIFAR-10.
        assert_eq!(steps(Settings { batch_size: 128, ..Settings::default() }), 352);
        let error = Settings { train_limit: Some(401), ..base() }.epoch_steps().unwrap_err();
        assert!(error.to_string().contains("data set `synthetic`") && error.hint.is_some(), "{error}");
    }

    #[test]
    fn a_step_at_which_an_epoch_ends_is_that_epoch_in_every_identity() {
        let same = [
            [("reinit", "epoch:2"), ("reinit", "90it")],
            [("reinit", "epoch:2"), ("reinit", "1ep45it")],
            [("draw", "epoch:3"), ("draw", "iteration:135")],
            [("lr-milestones", "[4, 6]"), ("lr-milestones", "[270it, 4]")],
            [("warmup-epochs", "1"), ("warmup-epochs", "45it")],
            [("reinit", "500it"), ("reinit", "11ep5it")],
            [("epochs", "10"), ("epochs", "10")],
        ];
        for [one, other] in same {
            let [one, other] = [one, other].map(|assigned| {
                let epochs = ("epochs", if assigned.0 == "epochs" { assigned.1 } else { "20" });
                let settings = with(base(), &[epochs, assigned]).unwrap();
                [Decides::Training, Decides::Pruning].map(|decides| settings.identity(decides))
            });
            assert_eq!(one, other);
        }
        let settings = with(base(), &[("reinit", "100it"), ("schedule", "cosine")]).unwrap();
        assert!(settings.identity(Decides::Pruning).contains("reinit=100it\n"));
        // What was not asked for is in no identity.
        let training = settings.identity(Decides::Training);
        assert!(!training.contains("schedule-by") && !training.contains("iterations"), "{training}");
        assert_eq!(settings.clone().resolve().unwrap(), settings);
    }

    #[test]
    fn a_length_in_steps_is_its_epochs_or_is_refused_with_the_nearest() {
        let epochs = |text| with(Settings { epochs: 160, ..base() }, &[("iterations", text)]);
        let settings = epochs("900").unwrap();
        assert_eq!((settings.epochs, settings.iterations), (20, None));
        assert_eq!(
            settings.identity(Decides::Training),
            with(base(), &[("epochs", "20")]).unwrap().identity(Decides::Training)
        );
        let error = epochs("1000").unwrap_err();
        assert!(error.message.contains("found 1000") && error.message.contains("whole epochs of 45 steps"), "{error}");
        assert!(error.hint.as_deref().unwrap().contains("990 (22 epochs) and 1035 (23 epochs)"), "{error}");
        assert!(epochs("20").unwrap_err().hint.unwrap().ends_with("are 45 (1 epoch)"));
        assert!(told(&[("iterations", "900")]).contains("`iterations` is 900 and `epochs` is 10"));
    }

    #[test]
    fn points_and_parts_that_no_training_has_are_refused_and_so_is_what_means_nothing() {
        for (assigned, part) in [
            (vec![("reinit", "451it")], "`reinit` names `451it`, but a training has 10 epochs of 45 steps, 450 in all"),
            (vec![("reinit", "450it")], "`reinit` names epoch 10"),
            (vec![("draw", "10.5ep")], "`draw` names `473it`"),
            (vec![("epochs-save", "[1, 451it]")], "`epochs-save` names `451it`"),
            (vec![("cycle-epochs", "0.01ep")], "`0.01ep` is less than one of the 45 steps"),
            (
                vec![("schedule", "cosine-restarts"), ("cycle-epochs", "50it")],
                "changes the learning rate once an epoch",
            ),
            (vec![("reinit", "50it"), ("budget", "flops")], "`reinit` `50it`"),
            (vec![("draw", "50it"), ("budget", "remaining"), ("reinit", "init")], "`remaining` is whole epochs"),
            (vec![("draw", "50it"), ("schedule", "plateau"), ("reinit", "none")], "`fine-tune-lr`: schedule `plateau`"),
            (vec![("reinit", "50it"), ("train-limit", "1000")], "expected 1 to 400"),
            (vec![("train-limit", "1000")], "expected 1 to 400"),
            (vec![("validation-size", "400")], "400 validation images of 400 training images leave nothing"),
        ] {
            let message = told(&assigned);
            assert!(message.contains(part), "{message}");
        }
        let restarts = [("schedule", "cosine-restarts"), ("cycle-epochs", "50it"), ("schedule-by", "iteration")];
        assert!(with(base(), &restarts).is_ok());
    }

    #[test]
    fn a_longer_budget_stretches_points_in_their_units() {
        let settings = Settings {
            milestones: vec![Point::iteration(50), Point::epoch(4)],
            warmup_epochs: Point::iteration(7),
            cycle_epochs: Point::iteration(1),
            ..base()
        };
        let found = settings.stretched(25);
        assert_eq!(found.milestones, [Point::iteration(125), Point::epoch(10)]);
        assert_eq!((found.warmup_epochs, found.cycle_epochs), (Point::iteration(18), Point::iteration(3)));
        assert_eq!(settings.stretched(1).cycle_epochs, Point::iteration(1));
    }
}
