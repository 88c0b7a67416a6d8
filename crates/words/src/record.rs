//! What the journal holds.
//!
//! Records are MessagePack maps with named fields: a newer program reads older journals, and fields may be added with
//! `#[serde(default)]`. It may not know of files.

use serde::{Deserialize, Serialize};

use crate::arithmetic::Arithmetic;
use crate::value::{Moment, Select};
use crate::{Checksum, StageId};

/// How well a network does on one part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct Evaluation {
    /// Mean cross-entropy over the images, in nats.
    pub loss: f64,
    /// Images classified correctly.
    pub correct: u64,
    /// Images seen.
    pub images: u64,
    /// Images whose class is among the five with the highest scores; of held-out images of a hundred classes and more. Programs of
    /// earlier versions did not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top5: Option<u64>,
}

impl Evaluation {
    /// Share of the images whose class is among the five with the highest scores, where they were counted.
    pub fn top5_accuracy(&self) -> Option<f64> {
        self.top5.map(|top5| top5 as f64 / self.images.max(1) as f64)
    }

    /// Share of the images classified correctly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }

    /// Itself, if there were images: of none there is neither a loss nor an accuracy.
    pub fn measured(self) -> Option<Self> {
        (self.images > 0).then_some(self)
    }
}

/// Both held-out parts, always evaluated together so that they describe the same weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct Scores {
    /// On the validation images.
    pub validation: Evaluation,
    /// On the test images.
    pub test: Evaluation,
}

impl Scores {
    /// On the part on which epochs are chosen.
    pub fn chosen_by(&self, select: Select) -> Evaluation {
        match select {
            Select::Validation => self.validation,
            Select::Test => self.test,
        }
    }
}

/// One epoch of one training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct EpochRecord {
    /// Its number, from 1.
    pub epoch: usize,
    /// Learning rate of its last step.
    pub learning_rate: f64,
    /// On the training images as they were trained on: every image of the epoch, weights as they were at its batch.
    pub train: Evaluation,
    /// After the epoch.
    pub validation: Evaluation,
    /// After the epoch; only where epochs are chosen on the test set.
    #[serde(default)]
    pub test: Option<Evaluation>,
    /// Wall time of training and validation; differs from run to run.
    pub seconds: f64,
}

impl EpochRecord {
    /// The held-out part that tells how the epoch went, and its name: the validation images, or the test images where there
    /// are none and epochs are chosen on the test set.
    pub fn held_out(&self) -> Option<(&'static str, Evaluation)> {
        let named = |name: &'static str| move |part: Evaluation| (name, part);
        let test = || self.test.and_then(Evaluation::measured).map(named("test"));
        self.validation.measured().map(named("validation")).or_else(test)
    }

    /// The part that schedules look at.
    pub fn steering(&self) -> Evaluation {
        self.held_out().map_or(self.validation, |(_, part)| part)
    }

    /// The part that the best epoch is chosen on.
    pub fn selecting(&self) -> Evaluation {
        self.test.unwrap_or(self.validation)
    }
}

/// Channels that a structured pruning may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ChannelCount {
    /// All of them, each once however many layers share it.
    pub prunable: usize,
    /// Those that are alive.
    pub alive: usize,
    /// Those that stay only because their layer would be empty.
    pub forced: usize,
}

/// What a network takes when it computes only what is alive: a compact network for channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Size {
    /// Weights, biases and batch-norm parameters.
    pub parameters: usize,
    /// Multiply-adds for one image, forward.
    pub macs: usize,
    /// Bytes that training keeps for one image from the forward to the backward pass.
    pub activation_bytes: usize,
}

/// How long a ticket of channels takes, where it was pruned to a time: found once, for all that are drawn alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct MeasuredTime {
    /// The share of the channels that went for it, where no layer has a ratio of its own.
    pub share: f64,
    /// Seconds that the dense network takes for a batch,
    pub dense_seconds: f64,
    /// and the ticket without its pruned channels, measured by turns after it was drawn.
    pub seconds: f64,
    /// Images of the batch.
    pub batch: usize,
    /// What all tickets have in common that it is of. Whoever measures does not know; the coordinator fills it in.
    #[serde(default)]
    pub draw: u64,
}

/// A mask and what it does before it is trained with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Drawn {
    /// Weights of the layers that may be pruned.
    pub prunable: usize,
    /// Those of them that are alive.
    pub alive: usize,
    /// Those alive on a path of alive weights from the input to the output.
    pub effective: usize,
    /// All weights, biases and batch-norm parameters.
    pub parameters: usize,
    /// Layers without a single weight alive.
    #[serde(default)]
    pub dead_layers: Vec<String>,
    /// The parent's weights under the mask; for a dense network its initial weights.
    pub pruned: Scores,
    /// What training starts from: after rewinding.
    pub start: Scores,
    /// Channels, where those are pruned.
    #[serde(default)]
    pub channels: Option<ChannelCount>,
    /// The dense network, and what is left of it. Of masked weights only the alive ones are counted; only a program that
    /// skips the others is that fast.
    #[serde(default)]
    pub sizes: Option<(Size, Size)>,
    /// The first epoch that it trains, counted from 0, and the one after the last, where the plan could not know them.
    #[serde(default)]
    pub span: Option<(usize, usize)>,
    /// How its images are normalised; programs of earlier versions did not note it.
    #[serde(default)]
    pub pixels: Option<PixelStatistics>,
    /// How long it takes, where that decided how much was pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<MeasuredTime>,
}

/// What images are normalised by: statistics of the images trained on, of bytes as numbers in [0, 1], of other numbers as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PixelStatistics {
    /// One value a channel.
    pub mean: Vec<f32>,
    /// One value a channel; 1 where all pixels are equal.
    pub standard_deviation: Vec<f32>,
}

impl PixelStatistics {
    /// Each by its name in files, as a list of JSON and of Python: `mean` and `std`.
    pub fn named(&self) -> [(&'static str, String); 2] {
        [("mean", format!("{:?}", self.mean)), ("std", format!("{:?}", self.standard_deviation))]
    }
}

impl Drawn {
    /// This, with the counts and sizes of the mask that it became while it trained. What was measured before training stays.
    #[must_use]
    pub fn settled(self, end: Self) -> Self {
        Self { pruned: self.pruned, start: self.start, span: self.span, pixels: self.pixels, ..end }
    }

    /// Share of the prunable weights that is alive.
    pub fn density(&self) -> f64 {
        self.alive as f64 / self.prunable.max(1) as f64
    }

    /// Share of all parameters that is alive. A dead channel takes its bias, scale and shift along.
    pub fn total_density(&self) -> f64 {
        // Whoever reads a journal has no word for it that counts are possible ones.
        let alive = match (self.channels, self.sizes) {
            (Some(_), Some((_, left))) => left.parameters,
            _ => self.parameters.saturating_sub(self.prunable.saturating_sub(self.alive)),
        };
        alive as f64 / self.parameters.max(1) as f64
    }

    /// Share of the prunable weights that can make a difference.
    pub fn effective_density(&self) -> f64 {
        self.effective as f64 / self.prunable.max(1) as f64
    }
}

/// A network between two others: `(1 - alpha)` of the one and `alpha` of the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BarrierPoint {
    /// Share of the second network.
    pub alpha: f64,
    /// With batch-norm statistics taken anew on the training images.
    pub scores: Scores,
}

/// Test images of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ClassCount {
    /// How many there are.
    pub images: u64,
    /// Of them classified correctly at the best epoch.
    pub best: u64,
    /// At the last epoch.
    pub last: u64,
}

/// How a training ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Outcome {
    /// The epoch with the highest accuracy on the selecting part; the first of equals.
    pub best_epoch: usize,
    /// At that epoch.
    pub best: Scores,
    /// At the last epoch.
    pub last: Scores,
    /// The last epoch, where the training stopped because all its early birds were drawn.
    #[serde(default)]
    pub stopped_at: Option<usize>,
    /// Between the ticket (alpha 0) and this fork of it (alpha 1); empty for other trainings.
    #[serde(default)]
    pub barrier: Vec<BarrierPoint>,
    /// Test images of each class, where `class-accuracy` asked for them; else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassCount>,
    /// What it was computed with: several where it was interrupted and went on elsewhere. Whoever trains does not know; the
    /// coordinator fills it in.
    #[serde(default)]
    pub computed_with: Vec<Arithmetic>,
}

/// What the journal keeps of a mask that was drawn after some epoch and pruned nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct MaskRecord {
    /// Bits: prunable weights or channels.
    pub len: usize,
    /// Those that are 1.
    pub alive: usize,
    /// The first epoch of which there is a mask.
    pub first: usize,
    /// Bits that differ from the mask of each epoch from `first` to the one before.
    pub distances: Vec<u32>,
    /// Of its row on disk. Journals of before it was kept have none.
    #[serde(default)]
    pub sum: Option<Checksum>,
}

/// What the files of a snapshot must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSums {
    /// Of the state dict.
    pub weights: Checksum,
    /// Of the optimiser's vectors; none where there is no such file.
    #[serde(default)]
    pub optimizer: Option<Checksum>,
    /// Of the stage's mask; none at level 0.
    #[serde(default)]
    pub mask: Option<Checksum>,
    /// Of a mask that this snapshot alone has, where masks change while the stage trains; then it has none of the stage's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_mask: Option<Checksum>,
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A process began to work on this sweep.
    Started {
        /// Version of the program.
        version: String,
        /// Seconds since 1970.
        time: u64,
        /// Device, threads and libraries, in words.
        machine: String,
    },
    /// The data that the results are of.
    Data {
        /// Name of the data set.
        dataset: String,
        /// Checksum over all its images and labels.
        fingerprint: String,
    },
    /// A stage's mask was drawn and its first weights evaluated.
    Drawn {
        /// The stage.
        stage: StageId,
        /// What came out.
        drawn: Drawn,
    },
    /// A stage trained an epoch.
    Epoch {
        /// The stage.
        stage: StageId,
        /// What came out.
        epoch: EpochRecord,
    },
    /// The mask of an epoch was drawn; it is on disk.
    Mask {
        /// The stage.
        stage: StageId,
        /// The kind of mask: `Track::key`.
        track: u64,
        /// Epochs trained before it.
        epoch: usize,
        /// Its distances.
        mask: MaskRecord,
    },
    /// A snapshot is on disk.
    Kept {
        /// The stage.
        stage: StageId,
        /// Which.
        moment: Moment,
        /// What its files must hold. Journals of before it was kept have none.
        #[serde(default)]
        sums: Option<SnapshotSums>,
    },
    /// A snapshot was removed: nothing needed it.
    Freed {
        /// The stage.
        stage: StageId,
        /// Which.
        moment: Moment,
    },
    /// The state from which the stage continues after a kill is on disk.
    Progress {
        /// The stage.
        stage: StageId,
        /// Epochs trained in it.
        epoch: usize,
        /// The best epoch so far, whose weights are on disk too.
        #[serde(default)]
        best: Option<usize>,
        /// What the files of the state must hold. Journals of before it was kept have none.
        #[serde(default)]
        sums: Option<SnapshotSums>,
        /// The same of the best epoch.
        #[serde(default)]
        best_sums: Option<SnapshotSums>,
    },
    /// A worker is there and can train.
    Joined {
        /// Its number.
        worker: usize,
        /// Host and device, in words.
        place: String,
        /// What it computes with.
        #[serde(default)]
        arithmetic: Option<Arithmetic>,
        /// Seconds since 1970.
        time: f64,
    },
    /// A worker began a stage, or went on with it.
    Began {
        /// The stage.
        stage: StageId,
        /// The worker's number.
        worker: usize,
        /// Epochs trained before.
        epoch: usize,
        /// Seconds since 1970.
        time: f64,
    },
    /// A stage was stopped on demand; the next run goes on with it.
    Stopped {
        /// The stage.
        stage: StageId,
        /// Seconds since 1970.
        time: f64,
    },
    /// A worker is gone; its stage begins again from its last snapshot.
    Lost {
        /// The worker's number.
        worker: usize,
        /// The stage that it was at.
        stage: Option<StageId>,
        /// How that was noticed.
        reason: String,
        /// Seconds since 1970.
        time: f64,
    },
    /// A stage is done.
    Finished {
        /// The stage.
        stage: StageId,
        /// How it ended.
        outcome: Outcome,
        /// Images trained a second; differs from run to run.
        images_per_second: f64,
        /// Where it was trained, in words.
        place: String,
        /// How often it was started.
        attempts: usize,
        /// Seconds since 1970.
        #[serde(default)]
        time: f64,
    },
    /// A stage could not be trained; it is tried again by the next run, or before if `again` says so.
    Failed {
        /// The stage.
        stage: StageId,
        /// Why.
        reason: String,
        /// Whether this run tries it once more.
        #[serde(default)]
        again: bool,
        /// Seconds since 1970.
        #[serde(default)]
        time: f64,
    },
    /// A process that worked on this sweep came to its end. A killed one leaves no such record.
    Ended {
        /// How, in words.
        how: String,
        /// Seconds since 1970.
        time: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_of_impossible_counts_are_numbers() {
        let drawn = Drawn { prunable: 3, alive: 9, parameters: 0, ..Drawn::default() };
        assert_eq!((drawn.total_density(), drawn.density()), (0.0, 3.0));
        let drawn = Drawn { prunable: 9, alive: 1, parameters: 3, ..Drawn::default() };
        assert_eq!(drawn.total_density(), 0.0);
    }

    #[test]
    fn of_all_parameters_a_dead_channel_takes_its_bias_and_scale_along() {
        let weights = Drawn { prunable: 80, alive: 20, parameters: 100, ..Drawn::default() };
        assert_eq!(weights.total_density(), 0.4);
        // Twenty others, of which half belong to dead channels.
        let left = Size { parameters: 30, ..Size::default() };
        let channels = Some(ChannelCount { prunable: 10, alive: 5, forced: 0 });
        let channels = Drawn { channels, sizes: Some((Size::default(), left)), ..weights };
        assert_eq!(channels.total_density(), 0.3);
    }
}
