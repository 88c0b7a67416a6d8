//! Whether the workers of a sweep compute alike, in words: numbers that are compared should differ by settings alone.

use std::collections::{BTreeMap, BTreeSet};

use tombola_core::folder::journal::counted;
use tombola_words::arithmetic::Arithmetic;

/// What is to be said when a worker comes that computes with `own`: `done` are the trainings that are there, `beside` what the
/// other workers compute with. Nothing where all are alike, and nothing twice.
pub(super) fn warning(
    own: &Arithmetic,
    mut done: BTreeMap<Arithmetic, usize>,
    beside: &BTreeSet<Arithmetic>,
) -> Option<String> {
    done.remove(own);
    if beside.contains(own) {
        return None;
    }
    let named: Vec<String> = beside.iter().map(Arithmetic::to_string).collect();
    let (what, cure) = match (done.is_empty(), named.is_empty()) {
        (true, true) => return None,
        (false, _) => (
            format!("this run computes on {own}; of the trainings that are there, {}", counted(&done)),
            "train on what they were trained on, or in another folder with `--out`",
        ),
        (true, false) => (
            format!("some workers compute on {own}, others on {}", named.join("; ")),
            "give the sweep workers of one kind",
        ),
    };
    Some(format!("warning: {what}. That alone changes their numbers (hint: {cure})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(threads: usize) -> Arithmetic {
        Arithmetic { device: "cpu".into(), instructions: "AVX2".into(), threads, deterministic: false }
    }

    #[test]
    fn workers_that_compute_otherwise_are_told_once() {
        let said = |own, done: &[(usize, usize)], beside: &[usize]| {
            let done = done.iter().map(|(count, trainings)| (threads(*count), *trainings)).collect();
            warning(&threads(own), done, &beside.iter().map(|count| threads(*count)).collect())
        };
        assert_eq!((said(1, &[], &[]), said(1, &[(1, 5)], &[]), said(1, &[(2, 5)], &[1])), (None, None, None));
        let text = said(2, &[(1, 5), (2, 1)], &[]).unwrap();
        assert!(
            text.contains("this run computes on cpu (AVX2), 2 threads; of the trainings that are there, 5 on"),
            "{text}"
        );
        let text = said(2, &[], &[1]).unwrap();
        assert!(
            text.contains("some workers compute on cpu (AVX2), 2 threads, others on cpu (AVX2), 1 thread."),
            "{text}"
        );
    }
}
