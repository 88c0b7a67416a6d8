//! Rows of the table on the terminal that stand below controls: how much better their tickets are, over pairs of one seed.

use std::collections::BTreeSet;

use super::{CellSource, Method, PrintedShare};
use crate::tables::pairs::{TwinPair, difference};
use tombola_words::statistics::{Quantiles, in_digits};

impl CellSource<'_> {
    /// Whether a method is a control that stands beside its ticket with more than one seed.
    pub(super) fn is_compared(&self, method: &Method) -> bool {
        method.pairs.values().any(|pairs| pairs.len() > 1)
    }

    /// What the numbers of such a row are, in place of the name of a method.
    pub(super) fn difference_name(&self) -> String {
        format!("  ticket {} control", self.style.minus())
    }

    /// The mean difference in points, half the width of its interval and its p-value; `between` stands before that.
    pub(super) fn difference_cell(&self, method: &Method, share: PrintedShare, digits: usize, between: &str) -> String {
        let Some(pairs) = method.pairs.get(&share) else { return String::new() };
        self.difference_words(pairs, digits, between).unwrap_or_else(|| self.style.dash().to_string())
    }

    fn difference_words(&self, pairs: &BTreeSet<TwinPair>, digits: usize, between: &str) -> Option<String> {
        let mut quantiles = Quantiles::default();
        let found = difference(pairs, &self.standings, |outcome| outcome.best.test, &mut quantiles)?;
        let mut text = format!("{:+.digits$}", found.mean * 100.0).replace('-', self.style.minus());
        if let Some(half) = found.half_width {
            text.push_str(&format!(" {} {:.digits$}", self.style.plus_minus(), half * 100.0));
        }
        if found.n < pairs.len() {
            text.push('*');
        }
        if let Some(probability) = found.t_probability {
            text.push_str(&format!("{between}p {}", in_digits(probability)));
        }
        Some(text)
    }

    /// The note below the table.
    pub(super) fn difference_note(&self) -> String {
        format!(
            "ticket {} control: mean difference over pairs of one seed in points {} half its 95 % interval, and p-value (paired t); \
             sign-flip p-values are in summary.csv.",
            self.style.minus(),
            self.style.plus_minus()
        )
    }
}
