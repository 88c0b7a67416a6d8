//! The types that settings can have: how each is read from text and written back.
//!
//! Flags, sweep files, tables and identities all go through these two functions, so one spelling means one thing
//! everywhere. It may not know which settings exist.

use std::path::PathBuf;

/// Something that a setting can be.
pub trait Value: Sized {
    /// Whether one value is itself a list (`[80, 120]`).
    const LIST: bool = false;
    /// Whether the bare flag means yes.
    const FLAG: bool = false;

    /// Reads one value. The error says what was expected, to follow "expected".
    fn parse(text: &str) -> Result<Self, String>;

    /// Writes it so that [`Value::parse`] gives it back exactly.
    fn show(&self) -> String;

    /// The words that can be given, where there are only a few.
    fn words() -> &'static [&'static str] {
        &[]
    }
}

macro_rules! numbers {
    ($($type:ty: $expected:literal),*) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                // Underscores as in TOML and Rust: 50_000.
                text.replace('_', "").parse().map_err(|_| $expected.to_string())
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

numbers!(usize: "a whole number", u64: "a whole number");

impl Value for f64 {
    fn parse(text: &str) -> Result<Self, String> {
        match text.replace('_', "").parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number + 0.0),
            _ => Err("a number".to_string()),
        }
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl Value for bool {
    const FLAG: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "yes" | "1" => Ok(true),
            "false" | "no" | "0" => Ok(false),
            _ => Err("`true` or `false`".to_string()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn words() -> &'static [&'static str] {
        &["true", "false"]
    }
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("some text".to_string()) } else { Ok(text.to_string()) }
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("a path".to_string()) } else { Ok(PathBuf::from(text)) }
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

/// `auto`, or a value.
impl<T: Value> Value for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(None),
            _ => T::parse(text).map(Some).map_err(|expected| format!("{expected} or `auto`")),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "auto".to_string(), T::show)
    }
}

/// A list. `[80, 120]`, `80,120` and `80 120` mean the same.
impl<T: Value> Value for Vec<T> {
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        text.trim_matches(|c: char| c.is_whitespace() || "[]()".contains(c))
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|item| !item.is_empty())
            .map(|item| T::parse(item).map_err(|expected| format!("a list of items, each {expected}")))
            .collect()
    }

    fn show(&self) -> String {
        let items: Vec<String> = self.iter().map(T::show).collect();
        format!("[{}]", items.join(", "))
    }
}

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
}

/// A point in a training at which the full state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Moment {
    /// After this many epochs; 0 is before the first.
    Epoch(usize),
    /// The epoch with the highest accuracy on the selecting part; the first of equals.
    Best,
    /// The best epoch among the first this many.
    BestUntil(usize),
    /// The end.
    Last,
}

impl Moment {
    /// The number of epochs after which it is known, where that is fixed.
    pub fn epoch(self) -> Option<usize> {
        match self {
            Self::Epoch(epoch) | Self::BestUntil(epoch) => Some(epoch),
            Self::Best | Self::Last => None,
        }
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.show())
    }
}

impl Value for Moment {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "`best`, `last`, `epoch:K` or `best-until:K`, such as `epoch:10`".to_string();
        let (word, epoch) = match text.split_once(':') {
            Some((word, epoch)) => (word, Some(epoch.parse().map_err(|_| expected())?)),
            None => (text, None),
        };
        match (word, epoch) {
            ("best", None) => Ok(Self::Best),
            ("last", None) => Ok(Self::Last),
            ("epoch", Some(epoch)) => Ok(Self::Epoch(epoch)),
            ("best-until", Some(epoch)) if epoch > 0 => Ok(Self::BestUntil(epoch)),
            _ => Err(expected()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Epoch(epoch) => format!("epoch:{epoch}"),
            Self::BestUntil(epoch) => format!("best-until:{epoch}"),
            Self::Best => "best".to_string(),
            Self::Last => "last".to_string(),
        }
    }
}

/// Where the weights that a mask keeps go back to before they train again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Rewind {
    /// Nowhere: fine-tuned at the last learning rate (Han et al. 2015).
    None,
    /// Nowhere, but the learning-rate schedule starts again (Renda et al. 2020, "learning rate rewinding").
    LearningRate,
    /// Their initial values (Frankle & Carbin 2019).
    Init,
    /// New random values.
    Random,
    /// Their values after this many epochs of the dense training (Frankle et al. 2020).
    Epoch(usize),
}

impl Value for Rewind {
    fn parse(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("epoch:").map(str::parse)) {
            ("none", _) => Ok(Self::None),
            ("lr", _) => Ok(Self::LearningRate),
            ("init", _) | (_, Some(Ok(0))) => Ok(Self::Init),
            ("random", _) => Ok(Self::Random),
            (_, Some(Ok(epoch))) => Ok(Self::Epoch(epoch)),
            _ => Err("`none`, `lr`, `init`, `random` or `epoch:K`, such as `epoch:10`".to_string()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::None => "none".to_string(),
            Self::LearningRate => "lr".to_string(),
            Self::Init => "init".to_string(),
            Self::Random => "random".to_string(),
            Self::Epoch(epoch) => format!("epoch:{epoch}"),
        }
    }
}

/// Where the dense network comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// It is trained.
    None,
    /// From a finished training with the same settings under the results folder; trained if there is none.
    Auto,
    /// From this safetensors file.
    Path(PathBuf),
}

impl Value for Load {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "auto" => Ok(Self::Auto),
            "" => Err("`none`, `auto` or the path of a safetensors file".to_string()),
            path => Ok(Self::Path(PathBuf::from(path))),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::None => "none".to_string(),
            Self::Auto => "auto".to_string(),
            Self::Path(path) => path.display().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_list_means_the_same() {
        for text in ["[80, 120]", "80,120", "80 120", "[80 120]", "[80,", " [ 80 , 120 ] "] {
            let list = Vec::<usize>::parse(text).unwrap();
            assert_eq!(list[0], 80, "{text}");
            assert_eq!(list.len() == 2, text != "[80,", "{text}");
        }
        assert_eq!(Vec::<usize>::parse("[]"), Ok(vec![]));
        assert!(Vec::<usize>::parse("80,x").unwrap_err().contains("a whole number"));
    }

    #[test]
    fn what_is_shown_is_read_back() {
        assert_eq!(f64::parse(&0.1f64.show()), Ok(0.1));
        assert_eq!(f64::parse(&5e-4f64.show()), Ok(5e-4));
        assert_eq!(Moment::parse(&Moment::Epoch(7).show()), Ok(Moment::Epoch(7)));
        assert_eq!(Rewind::parse(&Rewind::LearningRate.show()), Ok(Rewind::LearningRate));
        assert_eq!(Option::<usize>::parse(&None::<usize>.show()), Ok(None));
        assert_eq!(Criterion::parse(&Criterion::Random.show()), Ok(Criterion::Random));
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        assert!(f64::parse("nan").is_err() && f64::parse("inf").is_err() && f64::parse("").is_err());
        assert!(usize::parse("-1").is_err() && usize::parse("1.5").is_err());
        assert_eq!(f64::parse("-0.0").unwrap().to_bits(), 0.0f64.to_bits());
    }

    #[test]
    fn rewinding_to_epoch_0_is_rewinding_to_init() {
        assert_eq!(Rewind::parse("epoch:0"), Ok(Rewind::Init));
    }
}
