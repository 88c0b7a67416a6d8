//! Settings that name a moment of a training, where weights go back to, and where a network comes from.

use std::path::PathBuf;

use super::{Point, Value};

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
    /// When the masks of one kind have settled. The number tells kinds of masks and rules apart; it is 0 in settings, where
    /// the other settings say which.
    EarlyBird(u64),
    /// Within an epoch. In plans and journals it is so many steps from the beginning; in settings it may be epochs and steps.
    At(Point),
}

impl Moment {
    /// The moment of a point: an epoch where one ends there.
    pub fn of(point: Point) -> Self {
        point.whole_epochs().map_or(Self::At(point), Self::Epoch)
    }

    /// As it stands in plans, where an epoch has so many steps.
    #[must_use]
    pub fn settled(self, steps: usize) -> Self {
        match self {
            Self::At(point) => Self::of(point.settled(steps)),
            other => other,
        }
    }

    /// The number of epochs after which it is known, where that is fixed, if epochs have so many steps.
    pub fn known_after(self, steps: impl FnOnce() -> usize) -> Option<usize> {
        match self {
            Self::Epoch(epoch) | Self::BestUntil(epoch) => Some(epoch),
            Self::At(point) => {
                let steps = steps().max(1);
                Some(point.steps(steps).div_ceil(steps))
            }
            Self::Best | Self::Last | Self::EarlyBird(_) => None,
        }
    }

    /// Whether it is the moment at which masks have settled.
    pub fn is_early_bird(self) -> bool {
        matches!(self, Self::EarlyBird(_))
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.show())
    }
}

impl Value for Moment {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            "`best`, `last`, `early-bird`, `best-until:K`, or a point as `epoch:10`, `500it`, `1.5ep` or `1ep50it`"
                .to_string()
        };
        if let Some(point) = Point::parse(text).ok().filter(|_| Point::names_unit(text)) {
            return Ok(Self::of(point));
        }
        let (word, epoch) = match text.split_once(':') {
            Some((word, epoch)) => (word, Some(epoch.parse().map_err(|_| expected())?)),
            None => (text, None),
        };
        match (word, epoch) {
            ("early-bird", None) => Ok(Self::EarlyBird(0)),
            ("best", None) => Ok(Self::Best),
            ("last", None) => Ok(Self::Last),
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
            Self::EarlyBird(0) => "early-bird".to_string(),
            Self::EarlyBird(kind) => format!("early-bird:{kind:016x}"),
            Self::At(point) => point.show(),
        }
    }
}

/// Ratios at which the masks of all epochs are drawn and compared.
#[derive(Debug, Clone, PartialEq)]
pub enum TrackMasks {
    /// Those at which the sweep prunes.
    Auto,
    /// None but what early birds need.
    None,
    /// These.
    Ratios(Vec<f64>),
}

impl Value for TrackMasks {
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let expected = "`auto`, `none` or ratios above 0 and below 1, such as `0.3,0.5`";
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            text => {
                let ratios = Vec::<f64>::parse(text).map_err(|_| expected.to_string())?;
                let fit = !ratios.is_empty() && ratios.iter().all(|ratio| *ratio > 0.0 && *ratio < 1.0);
                if fit { Ok(Self::Ratios(ratios)) } else { Err(expected.to_string()) }
            }
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => "auto".to_string(),
            Self::None => "none".to_string(),
            Self::Ratios(ratios) => ratios.show(),
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
    /// Their values within an epoch of the dense training (the same, which counts iterations), as [`Moment::At`].
    At(Point),
}

impl Rewind {
    /// Going back to a point: to an epoch where one ends there.
    fn to(point: Point) -> Self {
        match point.whole_epochs() {
            Some(0) => Self::Init,
            Some(epoch) => Self::Epoch(epoch),
            None => Self::At(point),
        }
    }

    /// As it stands in plans, where an epoch has so many steps.
    #[must_use]
    pub fn settled(self, steps: usize) -> Self {
        match self {
            Self::At(point) => Self::to(point.settled(steps)),
            other => other,
        }
    }

    /// The moment of the dense training that it goes back to, if any.
    pub fn moment(self) -> Option<Moment> {
        match self {
            Self::Epoch(epoch) => Some(Moment::Epoch(epoch)),
            Self::At(point) => Some(Moment::At(point)),
            Self::None | Self::LearningRate | Self::Init | Self::Random => None,
        }
    }
}

impl Value for Rewind {
    fn parse(text: &str) -> Result<Self, String> {
        let point = Point::parse(text).ok().filter(|_| Point::names_unit(text));
        match (text, point) {
            ("none", _) => Ok(Self::None),
            ("lr", _) => Ok(Self::LearningRate),
            ("init", _) => Ok(Self::Init),
            ("random", _) => Ok(Self::Random),
            (_, Some(point)) => Ok(Self::to(point)),
            _ => {
                Err("`none`, `lr`, `init`, `random`, or a point as `epoch:10`, `500it`, `1.5ep` or `1ep50it`"
                    .to_string())
            }
        }
    }

    fn show(&self) -> String {
        match self {
            Self::None => "none".to_string(),
            Self::LearningRate => "lr".to_string(),
            Self::Init => "init".to_string(),
            Self::Random => "random".to_string(),
            Self::Epoch(epoch) => format!("epoch:{epoch}"),
            Self::At(point) => point.show(),
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
    /// From this state dict.
    Path(PathBuf),
}

/// A file that a setting names, or none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamedFile(pub Option<PathBuf>);

impl Value for NamedFile {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            "" => Err("`none` or the path of a file".to_string()),
            path => Ok(Self(Some(PathBuf::from(path)))),
        }
    }

    fn show(&self) -> String {
        self.0.as_ref().map_or_else(|| "none".to_string(), |path| path.display().to_string())
    }
}

impl Value for Load {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "auto" => Ok(Self::Auto),
            "" => Err("`none`, `auto` or the path of a state dict (safetensors or .pth)".to_string()),
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
