//! When the mask of a training changes while it runs, and how much of it: gradual magnitude pruning and RigL.
//!
//! It may not know of networks, settings or torch: steps in, ratios and shares out.

use std::f64::consts::PI;

use tombola_words::error::{Error, Result};

/// How a mask changes while a training runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Changing {
    /// By which rule.
    pub rule: ChangeRule,
    /// Steps between two changes.
    pub every: usize,
    /// Share of the steps of the training after which it stays: above 0, at most 1.
    pub until: f64,
}

/// What happens at a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ChangeRule {
    /// The smallest weights go (Zhu and Gupta 2017, "To prune, or not to prune", equation 1).
    Gradual {
        /// Ratio at the start.
        start: f64,
        /// Steps before the first change.
        from: usize,
    },
    /// The smallest weights of each layer go and as many with large gradients come (Evci et al. 2020, "Rigging the Lottery",
    /// algorithm 1).
    Rigl {
        /// Share of the weights of a layer at the first step: the paper's alpha.
        drop: f64,
    },
}

/// The changes of a training of known length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangeCourse {
    changing: Changing,
    /// Steps after which the mask stays: T_end in the paper of RigL, t₀ + nΔt in that of gradual pruning.
    end: usize,
}

impl Changing {
    /// The changes of a training of `steps` steps, counted from its first.
    ///
    /// # Errors
    /// When none would happen in it.
    pub fn over(self, steps: usize) -> Result<ChangeCourse> {
        let end = (self.until * steps as f64).round() as usize;
        let (key, first) = match self.rule {
            ChangeRule::Gradual { from, .. } => ("mask-from", from),
            ChangeRule::Rigl { .. } => ("mask-every", self.every),
        };
        if first < end {
            return Ok(ChangeCourse { changing: self, end });
        }
        Err(Error::input(format!(
            "`{key}`: found the first change after {first} steps, expected one before step {end}, from which on the mask stays (`mask-until` {} of \
             {steps} steps)",
            self.until
        ))
        .hint(format!("give a smaller `{key}`, a larger `mask-until`, or more `epochs`")))
    }

    /// The rule, in the word that settings have for it.
    pub fn name(&self) -> &'static str {
        match self.rule {
            ChangeRule::Gradual { .. } => "gradual",
            ChangeRule::Rigl { .. } => "rigl",
        }
    }

    /// How it changes, as lines of a text that names it.
    pub fn words(&self) -> String {
        let Self { rule, every, until } = self;
        let rule = match rule {
            ChangeRule::Gradual { start, from } => format!("gradual {start:?} {from}"),
            ChangeRule::Rigl { drop } => format!("rigl {drop:?}"),
        };
        format!("while training: {rule} {every} {until:?}\n")
    }

    /// The ratio of its first mask, where it ends at `ratio`.
    pub fn first_ratio(&self, ratio: f64) -> f64 {
        match self.rule {
            ChangeRule::Gradual { start, .. } => start,
            ChangeRule::Rigl { .. } => ratio,
        }
    }
}

impl ChangeCourse {
    /// Steps after which the mask has the ratio that it ends with.
    pub fn settles(&self) -> usize {
        match self.changing.rule {
            ChangeRule::Gradual { .. } => self.end,
            ChangeRule::Rigl { .. } => 0,
        }
    }

    /// The ratio that gradual pruning comes to after `taken` steps, on its way to `ratio`; nothing where the mask stays as it is.
    ///
    /// With s_i the start and s_f the end it is s_t = s_f + (s_i − s_f) (1 − (t − t₀) / (T_end − t₀))³ at t = t₀ + k · every. The last
    /// change is at T_end, whether or not that is one of those, so that s_f is reached exactly.
    pub fn ratio_after(&self, taken: usize, ratio: f64) -> Option<f64> {
        let ChangeRule::Gradual { start, from } = self.changing.rule else { return None };
        if taken == self.end {
            return Some(ratio);
        }
        if taken == 0 || taken < from || taken > self.end || !(taken - from).is_multiple_of(self.changing.every) {
            return None;
        }
        let left = 1.0 - (taken - from) as f64 / (self.end - from) as f64;
        Some(ratio + (start - ratio) * left.powi(3))
    }

    /// The share of the alive weights of each layer that RigL replaces instead of the step that comes after `taken` others;
    /// nothing where that step is one as any other: α / 2 · (1 + cos(t π / T_end)).
    pub fn share_instead(&self, taken: usize) -> Option<f64> {
        let ChangeRule::Rigl { drop } = self.changing.rule else { return None };
        let changes = taken > 0 && taken < self.end && taken.is_multiple_of(self.changing.every);
        changes.then(|| drop / 2.0 * (1.0 + (taken as f64 * PI / self.end as f64).cos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gradual(start: f64, from: usize, every: usize, until: f64) -> Changing {
        Changing { rule: ChangeRule::Gradual { start, from }, every, until }
    }

    #[test]
    fn ratios_are_those_of_the_equation_and_the_last_is_the_final_one() {
        // T_end = 17: changes after 2, 7 and 12 steps, and after 17, the end.
        let course = gradual(0.1, 2, 5, 0.85).over(20).unwrap();
        let found: Vec<(usize, f64)> =
            (0..=20).filter_map(|taken| Some((taken, course.ratio_after(taken, 0.9)?))).collect();
        let by_hand = [(2, 0.1), (7, 0.9 - 0.8 * 8.0 / 27.0), (12, 0.9 - 0.8 / 27.0), (17, 0.9)];
        assert_eq!(found.len(), by_hand.len());
        for ((step, ratio), (expected_step, expected)) in found.into_iter().zip(by_hand) {
            assert!(step == expected_step && (ratio - expected).abs() < 1e-12, "{step}: {ratio}");
        }
        // An end that is no multiple comes all the same.
        let course = gradual(0.0, 0, 4, 0.5).over(20).unwrap();
        let steps: Vec<usize> = (0..=20).filter(|taken| course.ratio_after(*taken, 0.5).is_some()).collect();
        assert_eq!((steps, course.settles()), (vec![4, 8, 10], 10));
    }

    #[test]
    fn rigl_replaces_less_and_less_until_it_ends_and_nothing_at_the_first_step() {
        let course = Changing { rule: ChangeRule::Rigl { drop: 0.4 }, every: 3, until: 0.6 }.over(20).unwrap();
        let found: Vec<(usize, f64)> =
            (0..20).filter_map(|taken| Some((taken, course.share_instead(taken)?))).collect();
        let steps: Vec<usize> = found.iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [3, 6, 9]);
        for (step, share) in found {
            assert!((share - 0.2 * (1.0 + (step as f64 * PI / 12.0).cos())).abs() < 1e-12);
        }
        assert_eq!((course.ratio_after(3, 0.5), course.settles()), (None, 0));
    }

    #[test]
    fn a_training_too_short_for_a_change_is_refused_with_its_numbers() {
        let error = gradual(0.0, 8, 1, 0.75).over(10).unwrap_err();
        assert!(error.message.contains("`mask-from`") && error.message.contains("step 8"), "{error}");
        let rigl = Changing { rule: ChangeRule::Rigl { drop: 0.3 }, every: 100, until: 0.75 };
        let error = rigl.over(100).unwrap_err();
        assert!(error.message.contains("`mask-every`") && error.hint.unwrap().contains("epochs"));
        assert!(rigl.over(200).is_ok());
    }

    proptest! {
        #[test]
        fn ratios_grow_from_the_start_to_the_end(
            start in 0.0f64..0.5, more in 0.0f64..0.5, from in 0usize..50, every in 1usize..60, until in 0.01f64..=1.0, steps in 1usize..400,
        ) {
            let ratio = start + more;
            if let Ok(course) = gradual(start, from, every, until).over(steps) {
                let ratios: Vec<f64> = (0..=steps).filter_map(|taken| course.ratio_after(taken, ratio)).collect();
                prop_assert!(ratios.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
                prop_assert_eq!(ratios.last().copied(), Some(ratio));
                prop_assert!(ratios[0] >= start - 1e-12 && course.settles() <= steps);
            }
        }
    }
}
