//! A part of a sweep, for runs that share nothing but the sweep file. It may not know of stages or files.

use super::Value;

/// The `index`-th of `count` parts, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1 to `count`.
    pub index: usize,
    /// Parts in all.
    pub count: usize,
}

impl Shard {
    /// Whether the `place`-th thing, counted from 0, is dealt to this part.
    pub fn has(self, place: usize) -> bool {
        place % self.count == self.index - 1
    }

    /// Name of the folder of this part within the results folder.
    pub fn folder(self) -> String {
        format!("shard-{}-of-{}", self.index, self.count)
    }

    /// The part that a folder of this name is of, if it is one.
    pub fn of_folder(name: &str) -> Option<Self> {
        let (index, count) = name.strip_prefix("shard-")?.split_once("-of-")?;
        let shard = Self::parse(&format!("{index}/{count}")).ok()?;
        (shard.folder() == name).then_some(shard)
    }
}

impl Value for Shard {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "a part of the sweep, such as `2/8`".to_string();
        let (index, count) = text.split_once('/').ok_or_else(expected)?;
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| expected());
        match (number(index)?, number(count)?) {
            (index, count) if (1..=count).contains(&index) => Ok(Self { index, count }),
            (0, _) => Err("parts counted from 1: the first of eight is `1/8`".to_string()),
            (_, count) => Err(format!("a part from `1/{count}` to `{count}/{count}`")),
        }
    }

    fn show(&self) -> String {
        format!("{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_dealt_to_exactly_one_part() {
        let parts: Vec<Shard> = (1..=3).map(|index| Shard { index, count: 3 }).collect();
        for place in 0..20 {
            assert_eq!(parts.iter().filter(|part| part.has(place)).count(), 1);
        }
        assert_eq!(Shard::parse(&parts[1].show()), Ok(parts[1]));
        assert_eq!(Shard::of_folder(&parts[1].folder()), Some(parts[1]));
        for name in ["shard-4-of-3", "shard-01-of-3", "shard-1", "stages", "shard-1-of-3-old"] {
            assert_eq!(Shard::of_folder(name), None, "{name}");
        }
    }

    #[test]
    fn parts_that_are_none_are_refused() {
        for text in ["", "3", "0/4", "5/4", "a/b", "1/0", "-1/2"] {
            assert!(Shard::parse(text).is_err(), "{text}");
        }
        assert!(Shard::parse("0/4").unwrap_err().contains("from 1"));
    }
}
