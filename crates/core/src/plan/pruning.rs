//! How a level comes from the one before: what is pruned, by what, when, and where weights go back to.
//!
//! It may not know of stages, files or torch.

use crate::mask::{Changing, Settling};
use crate::sweep::settings::Settings;
use tombola_words::value::{
    Budget, Control, Criterion, LayerPattern, LayerSet, Moment, PruneLayers, Rewind, Scope, Streams, Target, Value,
};

/// How a level comes from the one before.
#[derive(Debug, Clone, PartialEq)]
pub struct Pruning {
    /// Share of the weights or channels still alive that is pruned.
    pub rate: f64,
    /// Whether channels are pruned, not single weights.
    pub channels: bool,
    /// How weights or channels are scored.
    pub criterion: Criterion,
    /// Which weights or channels compete.
    pub scope: Scope,
    /// Which layers may be pruned.
    pub layers: LayerChoice,
    /// Layers that are pruned at rates of their own, that which says most first.
    pub layer_rates: Vec<(LayerPattern, f64)>,
    /// Share of the rate for the output layer.
    pub output_rate: f64,
    /// What happens to the channels of residual streams.
    pub streams: Streams,
    /// How small the network becomes, where that and no rate decides.
    pub target: Option<Target>,
    /// Layers keep a multiple of this many channels.
    pub round_channels: usize,
    /// Training images from which gradients are taken, where the criterion needs them.
    pub score_images: usize,
    /// The parent's snapshot that the mask is drawn from.
    pub draw: Moment,
    /// Where the kept weights go back to.
    pub rewind: Rewind,
    /// Whether this is a twin for comparison.
    pub control: Control,
    /// Epochs of a fine-tuning.
    pub fine_tune_epochs: usize,
    /// Learning rate of a fine-tuning, if not the last of the schedule.
    pub fine_tune_lr: Option<f64>,
    /// How long it trains.
    pub budget: Budget,
    /// When an early bird counts as drawn.
    pub settling: Settling,
    /// What teaches it, if anything does.
    pub teaching: Option<Teaching>,
    /// Points at which the barrier of a fork is measured.
    pub barrier_points: usize,
    /// The file that the mask is taken from instead of being drawn, and that of its names, by the words that settings have for them.
    pub mask: Option<(String, Option<String>)>,
    /// How its mask changes while it trains, if it does; `rate` is the ratio that it ends with.
    pub changing: Option<Changing>,
    /// Whether the weights before training came from a file, so that going back to them is going back to a snapshot.
    pub begins_loaded: bool,
}

/// The layers that may be pruned.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerChoice {
    /// Those of a kind,
    pub kind: PruneLayers,
    /// but for these.
    pub spared: LayerSet,
}

impl LayerChoice {
    /// Every layer that has connections.
    pub fn all() -> Self {
        Self::of(PruneLayers::All)
    }

    /// All of a kind.
    pub fn of(kind: PruneLayers) -> Self {
        Self { kind, spared: LayerSet::default() }
    }

    /// Whether it leaves no connection out.
    pub fn is_all(&self) -> bool {
        self.kind == PruneLayers::All && self.spared.is_empty()
    }
}

/// How a training learns from the dense network that it descends from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Teaching {
    /// Share of the loss, from 0 to 1.
    pub share: f64,
    /// What scores are divided by.
    pub temperature: f64,
    /// The snapshot of the dense training that teaches.
    pub moment: Moment,
}

impl Pruning {
    /// The same, of which it is known that its target takes this share of the channels.
    #[must_use]
    pub fn at_share(&self, share: f64) -> Self {
        Self { target: None, rate: share, ..self.clone() }
    }

    /// Whether its target is a time, so that how much goes has to be measured.
    pub fn is_timed(&self) -> bool {
        matches!(self.target, Some(Target::Time(_)))
    }

    /// What the settings say about a pruning at `rate`.
    pub fn of(settings: &Settings, rate: f64) -> Self {
        Self {
            rate,
            channels: settings.prunes_channels(),
            criterion: settings.criterion(),
            scope: settings.scope(),
            // A mask that is given is over all layers.
            layers: match settings.load_mask.0.is_some() {
                true => LayerChoice::all(),
                false => LayerChoice { kind: settings.prune_layers, spared: settings.spare.clone() },
            },
            layer_rates: settings.layer_rates(),
            output_rate: settings.output_rate,
            streams: settings.streams,
            target: settings.target.0,
            round_channels: settings.round_channels,
            score_images: settings.score_images,
            draw: settings.draw,
            rewind: settings.rewind,
            control: settings.control,
            fine_tune_epochs: settings.fine_tune_epochs.unwrap_or(settings.epochs),
            fine_tune_lr: settings.fine_tune_lr,
            budget: settings.budget,
            settling: Settling {
                rule: settings.early_bird_rule,
                window: settings.early_bird_window,
                epsilon: settings.early_bird_epsilon,
            },
            teaching: (settings.distill > 0.0).then(|| Teaching {
                share: settings.distill,
                temperature: settings.distill_temperature,
                moment: if settings.draw == Moment::Best { Moment::Best } else { Moment::Last },
            }),
            barrier_points: settings.barrier_points,
            mask: settings.load_mask.0.is_some().then(|| {
                (settings.load_mask.show(), settings.load_names.0.is_some().then(|| settings.load_names.show()))
            }),
            changing: settings.changing(),
            begins_loaded: settings.load_init.0.is_some(),
        }
    }

    /// When it is drawn, for people: an early bird by its rule, not by the key that tells it from others.
    pub fn drawn_at(&self) -> String {
        match self.draw.is_early_bird() {
            true => format!("the early bird ({})", self.settling.words()),
            false => self.draw.to_string(),
        }
    }

    /// As it draws the mask before its first step.
    #[must_use]
    pub fn at_the_start(&self) -> Self {
        let rate = self.changing.map_or(self.rate, |changing| changing.first_ratio(self.rate));
        Self { rate, ..self.clone() }
    }

    /// The layers whose weights the density counts: pruned channels take weights of any layer with them.
    pub fn layers_counted(&self) -> LayerChoice {
        if self.channels { LayerChoice::all() } else { self.layers.clone() }
    }

    /// Whether filters of several layers meet in one comparison, or in the score of one channel.
    pub fn compares_layers(&self) -> bool {
        self.scope != Scope::Layer || self.streams == Streams::Group
    }

    /// The rewind, or new weights for the re-initialised twin. Weights that a file gave are those before the first epoch.
    pub fn effective_rewind(&self) -> Rewind {
        match (self.control, self.rewind) {
            (Control::Reinit, _) => Rewind::Random,
            (_, Rewind::Init) if self.begins_loaded => Rewind::Epoch(0),
            (_, rewind) => rewind,
        }
    }
}
