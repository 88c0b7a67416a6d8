//! Settings that name layers of a network by patterns. It may not know which networks there are.

use super::Value;

/// What separates a pattern from its ratio.
const IS: char = '=';

/// A name of layers, in which `*` stands for any letters: `conv1`, `layer*.0.downsample`. The words `first` and `last` are layers by
/// their places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LayerPattern(String);

impl LayerPattern {
    /// The first layer that has connections.
    pub const FIRST: &str = "first";
    /// The last layer that has connections.
    pub const LAST: &str = "last";

    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_matches(['"', '\'']);
        let odd = |letter: char| letter.is_whitespace() || ",[](){}\"'=".contains(letter);
        match text.is_empty() || text.contains(odd) {
            true => Err("names of layers, such as `conv1`, `layer*.0.downsample`, `first` or `last`".to_string()),
            false => Ok(Self(text.to_string())),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it names the layer `name`, or a module that the layer is part of.
    pub fn names(&self, name: &str) -> bool {
        let wild = |text: &str| fits(self.0.as_bytes(), text.as_bytes());
        wild(name) || name.match_indices('.').any(|(end, _)| wild(&name[..end]))
    }
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    // The place after the last `*`, and how much of the text it has taken: more is tried where the rest does not fit.
    let (mut at, mut place, mut star) = (0, 0, None);
    while place < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at + 1, place));
            at += 1;
        } else if pattern.get(at) == text.get(place) {
            (at, place) = (at + 1, place + 1);
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            (at, place) = (after, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

/// Layers by their names: the order makes no difference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayerSet(Vec<LayerPattern>);

impl LayerSet {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn patterns(&self) -> &[LayerPattern] {
        &self.0
    }
}

impl Value for LayerSet {
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let mut names: Vec<LayerPattern> = items(text).map(LayerPattern::read).collect::<Result<_, _>>()?;
        names.sort();
        names.dedup();
        Ok(Self(names))
    }

    fn show(&self) -> String {
        let items: Vec<&str> = self.0.iter().map(LayerPattern::text).collect();
        format!("[{}]", items.join(", "))
    }
}

/// Ratios of layers by their names: `[fc=0.5, conv*=0.1]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerRatios(Vec<(LayerPattern, f64)>);

impl LayerRatios {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, that which says most first: of several that name a layer, the first counts.
    pub fn pairs(&self) -> &[(LayerPattern, f64)] {
        &self.0
    }

    /// With other numbers in their place.
    #[must_use]
    pub fn map(&self, number: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().map(|(pattern, ratio)| (pattern.clone(), number(*ratio))).collect())
    }
}

impl Value for LayerRatios {
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "names of layers and their ratios from 0 to below 1, such as `fc=0.5, conv*=0.1`".to_string();
        let pair = |item: &str| {
            let (name, ratio) = item.trim_matches(['"', '\'']).split_once(IS)?;
            let ratio = f64::parse(ratio.trim()).ok().filter(|ratio| (0.0..1.0).contains(ratio))?;
            Some((LayerPattern::read(name).ok()?, ratio))
        };
        let mut pairs: Vec<(LayerPattern, f64)> = items(text).map(pair).collect::<Option<_>>().ok_or_else(expected)?;
        // The longer a pattern is without its stars, the more it says.
        let is_place = |pattern: &LayerPattern| [LayerPattern::FIRST, LayerPattern::LAST].contains(&pattern.text());
        // A place says less than any name.
        let says = |pattern: &LayerPattern| match is_place(pattern) {
            true => 0,
            false => pattern.0.len() - pattern.0.matches('*').count(),
        };
        pairs.sort_by(|(one, _), (other, _)| says(other).cmp(&says(one)).then(one.cmp(other)));
        match pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            true => Err("each layer once".to_string()),
            false => Ok(Self(pairs)),
        }
    }

    fn show(&self) -> String {
        let items: Vec<String> = self.0.iter().map(|(name, ratio)| format!("{}{IS}{ratio:?}", name.text())).collect();
        format!("[{}]", items.join(", "))
    }
}

/// The items of a list, whatever separates them.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    inner.split([',', ' ']).map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters_and_a_module_for_all_within() {
        let names = |pattern: &str, name: &str| LayerPattern::read(pattern).unwrap().names(name);
        for (pattern, name) in [
            ("conv1", "conv1"),
            ("layer*.0.downsample", "layer3.0.downsample.0"),
            ("layer1", "layer1.0.conv2"),
            ("*", "fc"),
            ("*conv*", "layer1.0.conv2"),
            ("l*r*.conv1", "layer1.0.conv1"),
        ] {
            assert!(names(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("conv1", "layer1.0.conv1"), ("conv", "conv1"), ("layer1", "layer10.0"), ("f*d", "fc")]
        {
            assert!(!names(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn lists_of_names_are_sets_and_ratios_have_the_one_that_says_most_first() {
        let names = LayerSet::parse("[fc, conv1, fc]").unwrap();
        assert_eq!(names, LayerSet::parse("conv1 fc").unwrap());
        assert_eq!(names.show(), "[conv1, fc]");
        assert_eq!(LayerSet::parse(&names.show()), Ok(names));
        let ratios = LayerRatios::parse("*=0.1, conv*=0.2, conv1=0.3").unwrap();
        assert_eq!(ratios.show(), "[conv1=0.3, conv*=0.2, *=0.1]");
        assert_eq!(LayerRatios::parse("first=0.1, fc=0.2").unwrap().show(), "[fc=0.2, first=0.1]");
        assert_eq!(LayerRatios::parse(&ratios.show()), Ok(ratios));
        assert_eq!(LayerRatios::parse("[]"), Ok(LayerRatios::default()));
        for wrong in ["fc", "fc=1", "fc=-0.1", "=0.5", "fc=0.1, fc=0.2", "fc=x"] {
            assert!(LayerRatios::parse(wrong).is_err(), "{wrong}");
        }
        assert!(LayerSet::parse("a=b").is_err());
    }
}
