//! Which masks are drawn after every epoch of a training, and when an early bird counts as drawn.
//!
//! It may not know of files, workers or torch.

use super::pruning::Pruning;
use super::revision::mask_revisions;
use crate::mask::Settling;
use tombola_words::value::{Control, MaybeTarget, Moment, Value};

/// One kind of mask that is drawn after every epoch of a training. Nothing is pruned by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Tells it apart from the others: 64 bits of the hash of all that decides the mask.
    pub key: u64,
    /// How it is drawn; `pruning.rate` is the tracked ratio. Draw, rewind, control and budget mean nothing here.
    pub pruning: Pruning,
}

impl Track {
    /// The kind of mask that `pruning` would draw. A twin has that of its ticket: its own is random, and settles at once.
    pub fn of(pruning: &Pruning) -> Self {
        let Pruning { rate, channels, criterion, scope, layers, output_rate, streams, round_channels, .. } = pruning;
        let Pruning { layer_rates, .. } = pruning;
        let mut text = format!("mask 1\n{rate:?}\n{channels}\n{}\n{}\n", criterion.show(), scope.show());
        match channels {
            true => text.push_str(&format!("{}\n{round_channels}\n", streams.show())),
            false => text.push_str(&format!("{}\n{output_rate:?}\n", layers.kind.show())),
        }
        // Only where there are any, so that masks of earlier programs keep their keys.
        if !layers.spared.is_empty() {
            text.push_str(&format!("spare={}\n", layers.spared.show()));
        }
        if let Some(target) = pruning.target {
            text.push_str(&format!("target={}\n", MaybeTarget(Some(target)).show()));
        }
        layer_rates.iter().for_each(|(layer, rate)| text.push_str(&format!("rate {}={rate:?}\n", layer.text())));
        text.push_str(&mask_revisions(pruning));
        // What is watched then is the mask itself.
        text.extend(pruning.changing.map(|changing| changing.words()));
        Self { key: hash(&text), pruning: Pruning { control: Control::None, ..pruning.clone() } }
    }
}

/// An early bird that is drawn from a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bird {
    /// What `Moment::EarlyBird` carries: a hash of the track and the rule.
    pub key: u64,
    /// The masks that it looks at: a [`Track::key`] of the same training.
    pub track: u64,
    /// When they count as settled.
    pub settling: Settling,
}

impl Bird {
    /// The snapshot at which it is drawn.
    pub fn moment(&self) -> Moment {
        Moment::EarlyBird(self.key)
    }

    /// The early bird of some masks.
    pub fn of(track: &Track, settling: Settling) -> Self {
        let Settling { rule, window, epsilon } = settling;
        let text = format!("early bird 1\n{:016x}\n{}\n{window}\n{epsilon:?}\n", track.key, rule.show());
        Self { key: hash(&text), track: track.key, settling }
    }
}

/// Never 0, which stands for "no kind in particular".
pub(super) fn hash(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(bytes).max(1)
}
