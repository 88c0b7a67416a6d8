//! How training images are varied: a list of alterations, or a word for a usual one.

use super::Value;

/// One way to alter an image. Each is torchvision's where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Alteration {
    /// Mirrored with probability 1/2 (`RandomHorizontalFlip`).
    Flip,
    /// Padded by so many zeros on each side and cropped back at random (`RandomCrop`).
    Crop(usize),
    /// A square of this side hidden, anywhere (DeVries and Taylor 2017).
    Cutout(usize),
    /// A part of at least this share of the image, at a ratio of sides from 3/4 to 4/3, made as large as the image
    /// (`RandomResizedCrop`).
    ResizedCrop(f64),
    /// Rotated by up to so many degrees (`RandomRotation`).
    Rotate(f64),
    /// Brightness, contrast and saturation changed by up to this share (`ColorJitter`).
    Colour(f64),
    /// So many alterations of a list, at this magnitude of 0 to 30 (`RandAugment`).
    RandAugment(usize, usize),
}

/// Words of alterations, and the numbers that those without any have.
const EXPECTED: &str = "`none`, `crop-flip`, or a list of `flip`, `crop:4`, `cutout:8`, `random-resized-crop:0.08`, `rotate:15`, \
                        `colour:0.4` and `randaugment:2:9`";
/// What `torchvision.transforms.RandomResizedCrop` has by default.
const SMALLEST_SHARE: f64 = 0.08;
/// What `torchvision.transforms.RandAugment` has by default.
const RAND_AUGMENT: (usize, usize) = (2, 9);
/// The largest magnitude of `RandAugment`, which has 31.
const MAGNITUDES: usize = 31;
/// Pixels, degrees and counts beyond which nothing makes sense.
const MOST_PIXELS: usize = 1000;

impl Value for Alteration {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || EXPECTED.to_string();
        let mut parts = text.split(':');
        let word = parts.next().unwrap_or_default();
        let numbers: Vec<&str> = parts.collect();
        let whole = |text: &str| text.parse::<usize>().ok().filter(|number| (1..=MOST_PIXELS).contains(number));
        let share = |text: &str, most: f64| f64::parse(text).ok().filter(|number| *number > 0.0 && *number <= most);
        let found = match (word, numbers.as_slice()) {
            ("flip", []) => Some(Self::Flip),
            ("crop", [pixels]) => whole(pixels).map(Self::Crop),
            ("cutout", [side]) => whole(side).map(Self::Cutout),
            ("random-resized-crop", []) => Some(Self::ResizedCrop(SMALLEST_SHARE)),
            ("random-resized-crop", [smallest]) => share(smallest, 1.0).map(Self::ResizedCrop),
            ("rotate", [degrees]) => share(degrees, 180.0).map(Self::Rotate),
            ("colour" | "color", [strength]) => share(strength, 100.0).map(Self::Colour),
            ("randaugment", []) => Some(Self::RandAugment(RAND_AUGMENT.0, RAND_AUGMENT.1)),
            ("randaugment", [count, magnitude]) => {
                let magnitude = magnitude.parse::<usize>().ok().filter(|magnitude| *magnitude < MAGNITUDES);
                whole(count).filter(|count| *count <= 14).zip(magnitude).map(|(n, m)| Self::RandAugment(n, m))
            }
            _ => None,
        };
        found.ok_or_else(expected)
    }

    fn show(&self) -> String {
        match self {
            Self::Flip => "flip".to_string(),
            Self::Crop(pixels) => format!("crop:{pixels}"),
            Self::Cutout(side) => format!("cutout:{side}"),
            Self::ResizedCrop(smallest) => format!("random-resized-crop:{}", smallest.show()),
            Self::Rotate(degrees) => format!("rotate:{}", degrees.show()),
            Self::Colour(strength) => format!("colour:{}", strength.show()),
            Self::RandAugment(count, magnitude) => format!("randaugment:{count}:{magnitude}"),
        }
    }
}

impl Alteration {
    /// Whether it computes with colours or between pixels, which takes bytes of one or three channels.
    pub fn needs_bytes(self) -> bool {
        !matches!(self, Self::Flip | Self::Crop(_) | Self::Cutout(_))
    }
}

/// How training images are varied.
#[derive(Debug, Clone, PartialEq)]
pub enum Augment {
    /// Not at all.
    None,
    /// Padded by 4, cropped at random, flipped with probability 1/2.
    CropFlip,
    /// These, one after the other.
    List(Vec<Alteration>),
}

impl Augment {
    /// What is done, one after the other.
    pub fn alterations(&self) -> Vec<Alteration> {
        match self {
            Self::None => Vec::new(),
            Self::CropFlip => vec![Alteration::Crop(4), Alteration::Flip],
            Self::List(list) => list.clone(),
        }
    }
}

impl Value for Augment {
    const LIST: bool = true;
    const WHOLE: &'static [&'static str] = &["auto", "none", "crop-flip", "pad-crop-flip"];

    fn parse(text: &str) -> Result<Self, String> {
        let items = text.trim_matches(|letter: char| letter.is_whitespace() || "[]()".contains(letter));
        let items: Vec<&str> = items.split([',', ' ']).filter(|item| !item.is_empty()).collect();
        let mut list = Vec::new();
        for item in &items {
            match *item {
                "none" if items.len() == 1 => return Ok(Self::None),
                "crop-flip" | "pad-crop-flip" => list.extend(Self::CropFlip.alterations()),
                item => list.push(Alteration::parse(item)?),
            }
        }
        Ok(match list.as_slice() {
            [] if text.is_empty() => return Err(EXPECTED.to_string()),
            [] => Self::None,
            [Alteration::Crop(4), Alteration::Flip] => Self::CropFlip,
            _ => Self::List(list),
        })
    }

    fn show(&self) -> String {
        match self {
            Self::None => "none".to_string(),
            Self::CropFlip => "crop-flip".to_string(),
            Self::List(list) => list.show(),
        }
    }

    fn words() -> &'static [&'static str] {
        &[
            "none",
            "crop-flip",
            "flip",
            "crop:4",
            "cutout:8",
            "random-resized-crop",
            "rotate:15",
            "colour:0.4",
            "randaugment",
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_variation_has_one_spelling_and_every_other_is_read_back() {
        for text in ["crop-flip", "pad-crop-flip", "[crop:4, flip]", "crop:4,flip", "[crop-flip]"] {
            assert_eq!(Augment::parse(text), Ok(Augment::CropFlip), "{text}");
        }
        for text in ["none", "[]", "[none]"] {
            assert_eq!(Augment::parse(text), Ok(Augment::None), "{text}");
        }
        let all = "[flip, crop:2, cutout:8, random-resized-crop:0.25, rotate:15.0, colour:0.4, randaugment:3:11]";
        assert_eq!(Augment::parse(all).unwrap().show(), all);
        assert_eq!(Augment::parse("[flip, crop:4]").unwrap().show(), "[flip, crop:4]");
        assert_eq!(Augment::parse("randaugment").unwrap().show(), "[randaugment:2:9]");
        assert_eq!(Augment::parse("[crop-flip, cutout:16]").unwrap().show(), "[crop:4, flip, cutout:16]");
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in
            ["", "flop", "crop", "crop:0", "flip:1", "rotate:200", "randaugment:2:31", "[flip, none]", "colour:-1"]
        {
            assert!(Augment::parse(text).is_err(), "{text}");
        }
    }
}
