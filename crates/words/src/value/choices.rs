//! Settings that are one of a few words.

use super::Value;

/// Defines an enumeration whose values are words, with further spellings after `|`.
macro_rules! choices {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $word_doc:literal])+ $variant:ident = $word:literal $(| $alias:literal)*),+ $(,)? })*) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[doc = $word_doc])+ $variant,)+
        }

        impl Value for $name {
            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($word $(| $alias)* => Ok(Self::$variant),)+
                    _ => Err(format!("one of {}", Self::words().iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))),
                }
            }

            fn show(&self) -> String {
                match self { $(Self::$variant => $word,)+ }.to_string()
            }

            fn words() -> &'static [&'static str] {
                &[$($word),+]
            }
        }
    )*};
}

choices! {
    /// The rule that turns gradients into steps; each as in PyTorch.
    Optimizer {
        /// Stochastic gradient descent with momentum.
        Sgd = "sgd",
        /// Adam with L2 weight decay.
        Adam = "adam",
        /// Adam with decoupled weight decay.
        AdamW = "adamw",
        /// Adadelta, rho 0.9.
        Adadelta = "adadelta",
        /// RMSprop, smoothing 0.99.
        RmsProp = "rmsprop",
    }

    /// How the learning rate changes over the epochs.
    Schedule {
        /// Constant.
        None = "none" | "constant",
        /// Times `gamma` after each of `lr-milestones`.
        Manual = "manual" | "multistep",
        /// Times `gamma` every `step-epochs`.
        Step = "step",
        /// Times `gamma` when the validation loss has not improved for `patience` epochs.
        Plateau = "plateau",
        /// Half a cosine from the learning rate to `min-lr`.
        Cosine = "cosine",
        /// Cosine with warm restarts.
        CosineRestarts = "cosine-restarts" | "cosine-warm-restarts" | "cosine_r",
        /// Triangle between `min-lr` and the learning rate.
        Cyclic = "cyclic",
    }

    /// Which waves of images are left.
    ImageFilter {
        /// All: images are as they are.
        None = "none",
        /// Long ones: the grey image times a Gaussian in the Fourier domain.
        LowPass = "low-pass" | "lowpass",
        /// Short ones: the grey image less its long ones.
        HighPass = "high-pass" | "highpass",
    }

    /// The output layer of a network that is loaded.
    Head {
        /// As the file has it.
        Loaded = "loaded",
        /// With its initial weights.
        New = "new",
    }

    /// The weights that weight decay acts on.
    DecayOn {
        /// All, as PyTorch's optimisers do unless they are told otherwise.
        All = "all",
        /// Those of convolutions and fully connected layers.
        Weights = "weights",
    }

    /// What becomes of the last images of an epoch where they are fewer than a batch.
    LastBatch {
        /// A batch of their own, unless that is one image in which a batch norm has a single value: then as `join`.
        Auto = "auto",
        /// A batch of their own.
        Keep = "keep",
        /// They are left out of this epoch.
        Drop = "drop",
        /// They belong to the batch before.
        Join = "join",
    }

    /// Which shortcut a residual network uses where the shape changes (He et al. 2016, section 4.2).
    ShortcutOption {
        /// Identity with zero channels added: no weights.
        A = "a" | "A",
        /// 1x1 convolution and batch norm.
        B = "b" | "B",
    }

    /// The numbers that a network computes with. Weights, batch norms, the loss and the optimiser are float32 in any case.
    Precision {
        /// 32 bits.
        Fp32 = "fp32" | "float32",
        /// Float32 whose products are taken with ten bits of mantissa, on NVIDIA GPUs.
        Tf32 = "tf32",
        /// 16 bits with the range of 32 in convolutions, linear layers and what lies between them.
        Bf16 = "bf16" | "bfloat16",
    }

    /// Scale of batch norms before training.
    NormStart {
        /// 1.0, PyTorch's default.
        One = "1.0" | "one" | "1",
        /// 0.5, as in network slimming.
        Half = "0.5" | "half",
        /// Uniform in [0, 1], as in open_lth.
        Uniform = "uniform",
    }

    /// What is removed.
    PruningType {
        /// Single weights.
        Unstructured = "unstructured" | "u",
        /// Whole channels.
        Structured = "structured" | "s",
    }

    /// How weights or channels are scored; the lowest scores are pruned.
    Criterion {
        /// Weights: absolute value (Han et al. 2015).
        Magnitude = "magnitude",
        /// Weights or channels: a random number from the seed.
        Random = "random",
        /// Weights: squared magnitude over the sum of those of its layer that are not smaller (Lee et al. 2021).
        Lamp = "lamp",
        /// Weights: |gradient · weight| before training (Lee et al. 2019).
        Snip = "snip",
        /// Weights: what removing them does to the gradient's norm before training (Wang et al. 2020).
        Grasp = "grasp",
        /// Weights: flow of an all-ones image through absolute weights, without data (Tanaka et al. 2020).
        SynFlow = "synflow",
        /// Channels: absolute batch-norm scale (Liu et al. 2017).
        NormScale = "bn-scale" | "gamma",
        /// Channels: mean absolute value of the filter's weights (Li et al. 2017).
        L1 = "l1",
        /// Channels: root of the mean square of the filter's weights.
        L2 = "l2",
        /// Channels: distance of the filter from all others of its layer (He et al. 2019).
        GeometricMedian = "geometric-median" | "fpgm",
        /// Channels: |sum of gradient · weight| over the filter (Molchanov et al. 2019).
        Taylor = "taylor",
    }

    /// Which weights or channels compete with each other.
    Scope {
        /// All prunable ones of the network.
        Global = "global",
        /// Those of each layer among themselves.
        Layer = "layer" | "layerwise" | "local",
        /// Weights of each layer among themselves, at Erdős–Rényi-kernel densities (Evci et al. 2020).
        Erk = "erk",
        /// All weights, each measured by the standard deviation of its layer: one factor for all (Han et al. 2015).
        Deviation = "deviation",
    }

    /// What happens to the channels of residual streams.
    Streams {
        /// They stay; channels are pruned inside blocks only.
        Whole = "whole",
        /// Each is pruned in all layers that write or read it, as one.
        Group = "group",
    }

    /// How long a ticket trains.
    Budget {
        /// As many epochs as the dense network (Scratch-E of Liu et al. 2019).
        Epochs = "epochs" | "all" | "scratch-e",
        /// As many multiply-adds as the dense network (Scratch-B), schedule stretched alike.
        Flops = "flops" | "scratch-b",
        /// What is left of the dense network's epochs after the draw.
        Remaining = "remaining",
    }

    /// When masks have settled enough to draw an early bird (You et al. 2020).
    EarlyBirdRule {
        /// The last `window` distances between successive epochs are all below epsilon: the paper's text.
        Paper = "paper",
        /// The newest mask is no farther than epsilon from each of the `window` - 1 before: the authors' program.
        Code = "code",
    }

    /// Which layers may be pruned.
    PruneLayers {
        /// Convolutions and fully connected layers.
        All = "all",
        /// Convolutions only, as the original script does.
        Conv = "conv",
        /// Fully connected layers only.
        Linear = "linear",
        /// Convolutions that look at more than one pixel.
        Spatial = "spatial",
        /// Convolutions of one pixel.
        Pointwise = "pointwise",
    }

    /// How the mask of a training changes while it runs.
    WhileTraining {
        /// It stays as it was drawn.
        None = "none",
        /// More weights go, by a cubic rule (Zhu and Gupta 2017, equation 1).
        Gradual = "gradual",
        /// As many weights come back as go (Evci et al. 2020, algorithm 1).
        Rigl = "rigl",
    }

    /// The twin of a ticket that shows what the ticket is worth.
    Control {
        /// The ticket itself.
        None = "none",
        /// The ticket's mask on newly initialised weights.
        Reinit = "reinit",
        /// As many weights or channels in each layer as the ticket keeps, but random ones.
        RandomMask = "random-mask",
        /// The ticket again with another data order; the error barrier between both is measured.
        Fork = "fork",
    }

    /// What a sweep is asked.
    Find {
        /// Nothing: all of it is trained.
        None = "none",
        /// The sparsest ticket that matches the dense network.
        Sparsest = "sparsest",
    }

    /// How often a schedule over a whole training moves.
    ScheduleBy {
        /// Once an epoch.
        Epoch = "epoch",
        /// At every step.
        Iteration = "iteration" | "step",
    }

    /// On which part of the data the reported epoch is chosen.
    Select {
        /// Held out from training and test.
        Validation = "validation" | "val",
        /// The test set, to repeat protocols that did.
        Test = "test",
    }

    /// Which snapshots stay on disk when nothing needs them any more.
    Keep {
        /// Each training's ticket (mask and weights at the draw) and what tickets are rewound to.
        Tickets = "tickets",
        /// None but those that `save` and `epochs-save` ask for.
        Nothing = "nothing",
    }

    /// What a failed training does to the rest of a run.
    OnFail {
        /// What descends from it is left out, the rest goes on.
        Continue = "continue",
        /// No new trainings are begun, running ones stop after their epoch.
        Stop = "stop",
    }

    /// Whether the process that coordinates trains too.
    Role {
        /// It does unless there is a process for every device without it.
        Auto = "auto",
        /// It does.
        Shared = "shared",
        /// It does not.
        Dedicated = "dedicated",
    }
}

impl Criterion {
    /// Whether it can score single weights.
    pub fn scores_weights(self) -> bool {
        matches!(self, Self::Magnitude | Self::Random | Self::Lamp | Self::Snip | Self::Grasp | Self::SynFlow)
    }

    /// Whether it can score channels.
    pub fn scores_channels(self) -> bool {
        self == Self::Random || !self.scores_weights()
    }

    /// Whether it takes gradients of the loss on training images.
    pub fn needs_images(self) -> bool {
        matches!(self, Self::Snip | Self::Grasp | Self::Taylor)
    }
}
