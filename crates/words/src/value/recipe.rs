//! Settings of recipes that are a word or a list of numbers: what pixels are normalised by, and how much each class counts.

use super::Value;

/// Images whose mean and standard deviation were published, of the training images, in [0, 1], one number a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishedPixels {
    /// As in torchvision's models.
    ImageNet,
    /// CIFAR-10 in most programs of the field: deviations of single images, averaged.
    Cifar,
    /// CIFAR-10.
    Cifar10,
    /// CIFAR-100.
    Cifar100,
    /// MNIST.
    Mnist,
}

impl PublishedPixels {
    const ALL: [(Self, &'static str); 5] = [
        (Self::ImageNet, "imagenet"),
        (Self::Cifar, "cifar"),
        (Self::Cifar10, "cifar-10"),
        (Self::Cifar100, "cifar-100"),
        (Self::Mnist, "mnist"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, word)| word)
    }

    /// Mean of each channel.
    pub fn mean(self) -> &'static [f64] {
        match self {
            Self::ImageNet => &[0.485, 0.456, 0.406],
            Self::Cifar | Self::Cifar10 => &[0.4914, 0.4822, 0.4465],
            Self::Cifar100 => &[0.5071, 0.4867, 0.4408],
            Self::Mnist => &[0.1307],
        }
    }

    /// Standard deviation of each channel.
    pub fn deviation(self) -> &'static [f64] {
        match self {
            Self::ImageNet => &[0.229, 0.224, 0.225],
            Self::Cifar => &[0.2023, 0.1994, 0.2010],
            Self::Cifar10 => &[0.247, 0.2435, 0.2616],
            Self::Cifar100 => &[0.2675, 0.2565, 0.2761],
            Self::Mnist => &[0.3081],
        }
    }
}

/// One number for each channel of the images, or one for all; or the name of images for which it was published.
#[derive(Debug, Clone, PartialEq)]
pub enum ChannelNumbers {
    /// The published ones.
    Published(PublishedPixels),
    /// These.
    Numbers(Vec<f64>),
}

impl ChannelNumbers {
    /// The numbers; `of` says which of the published ones are meant.
    pub fn numbers(&self, of: fn(PublishedPixels) -> &'static [f64]) -> &[f64] {
        match self {
            Self::Published(images) => of(*images),
            Self::Numbers(numbers) => numbers,
        }
    }
}

impl Value for ChannelNumbers {
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let known = PublishedPixels::ALL.iter().find(|(_, word)| *word == text.trim());
        if let Some((images, _)) = known {
            return Ok(Self::Published(*images));
        }
        match Vec::<f64>::parse(text) {
            Ok(numbers) if !numbers.is_empty() => Ok(Self::Numbers(numbers)),
            _ => Err("numbers, one for each channel or one for all, or one of `imagenet`, `cifar`, \
                      `cifar-10`, `cifar-100`, `mnist`"
                .to_string()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Published(images) => images.word().to_string(),
            Self::Numbers(numbers) => numbers.show(),
        }
    }

    fn words() -> &'static [&'static str] {
        &["imagenet", "cifar", "cifar-10", "cifar-100", "mnist"]
    }
}

/// How much the images of each class count in the loss.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// All alike.
    None,
    /// In inverse proportion to how many of the training images are of the class.
    Balanced,
    /// These, one for each class.
    Numbers(Vec<f64>),
}

impl Value for ClassWeights {
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "none" => Ok(Self::None),
            "balanced" => Ok(Self::Balanced),
            text => match Vec::<f64>::parse(text) {
                Ok(numbers) if !numbers.is_empty() && numbers.iter().all(|number| *number >= 0.0) => {
                    Ok(Self::Numbers(numbers))
                }
                _ => Err("`none`, `balanced`, or a number of at least 0 for each class".to_string()),
            },
        }
    }

    fn show(&self) -> String {
        match self {
            Self::None => "none".to_string(),
            Self::Balanced => "balanced".to_string(),
            Self::Numbers(numbers) => numbers.show(),
        }
    }

    fn words() -> &'static [&'static str] {
        &["none", "balanced"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_back_from_what_is_shown() {
        for text in ["imagenet", "mnist", "[0.5, 0.25]", "[0.1]"] {
            assert_eq!(ChannelNumbers::parse(text).unwrap().show(), text);
        }
        for text in ["none", "balanced", "[1.0, 0.5]"] {
            assert_eq!(ClassWeights::parse(text).unwrap().show(), text);
        }
        assert_eq!(ChannelNumbers::parse("0.5 0.25"), Ok(ChannelNumbers::Numbers(vec![0.5, 0.25])));
        assert!(ChannelNumbers::parse("imagnet").is_err() && ChannelNumbers::parse("[]").is_err());
        assert!(ClassWeights::parse("[-1]").is_err() && ClassWeights::parse("").is_err());
    }
}
