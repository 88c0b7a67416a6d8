//! Settings that are one of a few words.

use super::value::Value;

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
        CosineRestarts = "cosine-restarts" | "cosine-warm-restarts",
        /// Triangle between `min-lr` and the learning rate.
        Cyclic = "cyclic",
    }

    /// How training images are varied.
    Augment {
        /// Not at all.
        None = "none",
        /// Padded by 4, cropped at random, flipped with probability 1/2.
        CropFlip = "crop-flip" | "pad-crop-flip",
    }

    /// Which shortcut a residual network uses where the shape changes (He et al. 2016, section 4.2).
    ShortcutOption {
        /// Identity with zero channels added: no weights.
        A = "a" | "A",
        /// 1x1 convolution and batch norm.
        B = "b" | "B",
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

    /// How weights are scored; the lowest scores are pruned.
    Criterion {
        /// Absolute value.
        Magnitude = "magnitude",
        /// A random number from the seed.
        Random = "random",
    }

    /// Which weights compete with each other.
    Scope {
        /// All prunable weights of the network.
        Global = "global",
        /// Those of each layer among themselves.
        Layer = "layer" | "layerwise" | "local",
    }

    /// Which layers may be pruned.
    PruneLayers {
        /// Convolutions and fully connected layers.
        All = "all",
        /// Convolutions only, as the seed does.
        Conv = "conv",
        /// Fully connected layers only.
        Linear = "linear",
    }

    /// The twin of a ticket that shows what the ticket is worth.
    Control {
        /// The ticket itself.
        None = "none",
        /// The ticket's mask on newly initialised weights.
        Reinit = "reinit",
        /// As many weights in each layer as the ticket keeps, but random ones.
        RandomMask = "random-mask",
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
