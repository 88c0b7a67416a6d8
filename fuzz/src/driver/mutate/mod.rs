//! Changes inputs at random, the same way for the same seed.
//!
//! Most changes are made inside of one part of an input, in the language of the target, and lengths and checksums are put right
//! (`InputForm`); some are made to the bytes as they are, so that those are wrong.

mod bytes;
mod text;
mod values;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use tombola_fuzz::{FuzzTarget, Grammar};

/// Makes inputs for one target.
pub(crate) struct Mutator {
    target: &'static FuzzTarget,
    words: Vec<Vec<u8>>,
    random: ChaCha8Rng,
}

impl Mutator {
    pub(crate) fn new(target: &'static FuzzTarget, random: ChaCha8Rng) -> Self {
        let words = (target.words)().into_iter().map(String::into_bytes).collect();
        Self { target, words, random }
    }

    /// The place of an input that is to be changed: as often one of the newest as any.
    pub(crate) fn choose(&mut self, corpus: usize) -> usize {
        let from = if self.random.random() { corpus.saturating_sub(16) } else { 0 };
        self.random.random_range(from..corpus)
    }

    /// Something like `input`, perhaps with a piece of `other`.
    pub(crate) fn changed(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let steps = 1 << self.random.random_range(0..5);
        let parts = (self.target.form.split)(input).filter(|parts| !parts.is_empty());
        let mut made = match parts {
            Some(mut parts) if self.random.random_ratio(7, 8) => {
                for _ in 0..steps {
                    self.change_parts(&mut parts, other);
                }
                (self.target.form.join)(&parts)
            }
            _ => {
                let mut whole = input.to_vec();
                for _ in 0..steps {
                    bytes::change(&mut whole, other, &self.words, &mut self.random);
                }
                whole
            }
        };
        made.truncate(self.target.longest);
        made
    }

    fn change_parts(&mut self, parts: &mut Vec<Vec<u8>>, other: &[u8]) {
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let random = &mut self.random;
        let place = random.random_range(0..parts.len());
        // Whole parts move rarely: there are none to be moved in most forms.
        match random.random_range(0..40) {
            0 => {
                parts.remove(place);
            }
            1 if parts.len() < 64 => parts.insert(random.random_range(0..=parts.len()), parts[place].clone()),
            2 => {
                let to = random.random_range(0..parts.len());
                parts.swap(place, to);
            }
            3 => {
                if let Some(from) = (self.target.form.split)(other).filter(|from| !from.is_empty()) {
                    let part = from[random.random_range(0..from.len())].clone();
                    parts.insert(random.random_range(0..=parts.len()), part);
                }
            }
            step => {
                let part = &mut parts[place];
                match self.target.grammar {
                    Grammar::Text if step < 34 => text::change(part, &self.words, random),
                    Grammar::Values if step < 34 => values::change(part, &self.words, random),
                    _ => bytes::change(part, other, &self.words, random),
                }
            }
        }
    }
}
