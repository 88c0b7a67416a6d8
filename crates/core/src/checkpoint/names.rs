//! What the names of tensors mean that other programs write: words that training puts before them, what pruning makes of them,
//! and the pairs of names that a file of the user's gives.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::tables::FileTensor;
use tombola_words::error::{Error, Result};

/// Names that wrap a network and say nothing about it.
const WRAPPINGS: [&str; 2] = ["module", "_orig_mod"];
/// Parts of a name before that of a tensor that are tried as a prefix.
const MOST_PARTS: usize = 32;
/// Words for weights that are an average or another network's: taken last.
const AVERAGES: [&str; 5] = ["ema", "swa", "avg", "teacher", "target"];

/// What a tensor is of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TensorUse {
    /// Weights or statistics.
    Values,
    /// Weights that a mask beside them is meant for (`weight_orig`).
    Unmasked,
    /// Such a mask (`weight_mask`, `mask_conv___weight`).
    Mask,
}

/// A tensor under the name that it has without wrappings.
#[derive(Debug, Clone)]
pub(super) struct Bare {
    pub(super) name: String,
    pub(super) what: TensorUse,
    /// Position in the table.
    pub(super) index: usize,
}

/// The tensors of a table under bare names; those that `names` has are called as it says.
pub(super) fn bare(tensors: &[FileTensor], names: Option<&NamePairs>) -> Vec<Bare> {
    let found: Vec<Bare> = tensors
        .iter()
        .enumerate()
        .map(|(index, tensor)| {
            let (name, what) = parsed(&tensor.name);
            let unwrapped = without_wrappings(&name);
            let given = names.and_then(|names| names.of(&name).or_else(|| names.of(&unwrapped)));
            Bare { name: given.unwrap_or(unwrapped), what, index }
        })
        .collect();
    let mut seen: HashMap<(&str, TensorUse), usize> = HashMap::new();
    found.iter().for_each(|bare| *seen.entry((&bare.name, bare.what)).or_default() += 1);
    // A name that two tensors would share keeps what stands before it.
    let twice: Vec<bool> = found.iter().map(|bare| seen[&(bare.name.as_str(), bare.what)] > 1).collect();
    found
        .into_iter()
        .zip(twice)
        .map(|(bare, twice)| match twice {
            true => Bare { name: parsed(&tensors[bare.index].name).0, ..bare },
            false => bare,
        })
        .collect()
}

fn without_wrappings(name: &str) -> String {
    name.split('.').filter(|part| !WRAPPINGS.contains(part)).collect::<Vec<_>>().join(".")
}

/// The name of what a tensor is about, and what of it the tensor is.
fn parsed(name: &str) -> (String, TensorUse) {
    let (before, last) = name.rsplit_once('.').map_or(("", name), |(before, last)| (before, last));
    // open_lth's masks: a name with `___` for dots.
    if let Some(masked) = last.strip_prefix("mask_").filter(|masked| masked.contains("___")) {
        let dot = if before.is_empty() { "" } else { "." };
        return (format!("{before}{dot}{}", masked.replace("___", ".")), TensorUse::Mask);
    }
    for (ending, what) in [("_orig", TensorUse::Unmasked), ("_mask", TensorUse::Mask)] {
        if let Some(name) = name.strip_suffix(ending).filter(|_| last.len() > ending.len()) {
            return (name.to_string(), what);
        }
    }
    (name.to_string(), TensorUse::Values)
}

/// What stands before the names of the network in a table: that with which most of `fits` agree, and then the plainest one.
/// `fits` says of a name without it, and of the tensor, whether the network has one of that name, and of that shape.
pub(super) fn prefix(
    bare: &[Bare],
    fits: impl Fn(&str, usize) -> Option<bool>,
    leaving_out: &[String],
) -> Option<String> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for Bare { name, index, .. } in bare {
        let starts = std::iter::once(0).chain(name.match_indices('.').map(|(at, _)| at + 1)).take(MOST_PARTS);
        for start in starts {
            if let Some(same) = fits(&name[start..], *index) {
                let (shapes, names) = counts.entry(&name[..start]).or_default();
                *shapes += usize::from(same);
                *names += 1;
            }
        }
    }
    let best = counts.into_iter().filter(|(prefix, _)| !leaving_out.iter().any(|left| left == prefix)).max_by_key(
        |(prefix, (shapes, names))| {
            (*shapes, *names, !is_average(prefix), std::cmp::Reverse(prefix.len()), std::cmp::Reverse(*prefix))
        },
    );
    best.map(|(prefix, _)| prefix.to_string())
}

/// Whether a word says that weights are an average of others, or those of another network.
pub(super) fn is_average(word: &str) -> bool {
    let lower = word.to_lowercase();
    lower.split(['.', '_']).any(|part| AVERAGES.contains(&part))
}

/// Names of a file and what they are called in the network: `"theirs" = "ours"`, of tensors or of what stands before them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamePairs(BTreeMap<String, String>);

impl NamePairs {
    /// Reads the pairs of a TOML file; `path` is for errors.
    ///
    /// # Errors
    /// When it is no TOML, or has something else in it.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<Self> {
        let wrong = |what: String| {
            Error::input(format!("`{}`: {what}", path.display()))
                .hint("write a pair a line: `\"linear.weight\" = \"fc.weight\"`, or of layers: `\"linear\" = \"fc\"`")
        };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is no text".to_string()))?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.message().to_string()))?;
        let mut pairs = BTreeMap::new();
        let mut rest: Vec<(String, toml::Value)> = table.into_iter().collect();
        while let Some((theirs, ours)) = rest.pop() {
            match ours {
                toml::Value::String(ours) => {
                    pairs.insert(theirs, ours);
                }
                // Without quotes, dots in a name are tables in tables.
                toml::Value::Table(inner) => {
                    rest.extend(inner.into_iter().map(|(name, ours)| (format!("{theirs}.{name}"), ours)));
                }
                other => return Err(wrong(format!("`{theirs}`: found `{other}`, expected a name in quotes"))),
            }
        }
        Ok(Self(pairs))
    }

    /// What a name is called: by the longest pair that it begins with.
    fn of(&self, name: &str) -> Option<String> {
        let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
        let starts: Vec<usize> = ends.collect();
        starts.into_iter().rev().find_map(|end| self.0.get(&name[..end]).map(|ours| format!("{ours}{}", &name[end..])))
    }

    /// Those that no tensor begins with.
    pub(super) fn unused(&self, tensors: &[FileTensor]) -> Vec<&str> {
        let names: Vec<(String, String)> = tensors
            .iter()
            .map(|tensor| {
                let name = parsed(&tensor.name).0;
                (without_wrappings(&name), name)
            })
            .collect();
        let begins = |name: &str, theirs: &str| {
            name.strip_prefix(theirs).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let used = |theirs: &str| names.iter().any(|(one, other)| begins(one, theirs) || begins(other, theirs));
        self.0.keys().map(String::as_str).filter(|theirs| !used(theirs)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_names_is_told_from_the_name_in_any_order() {
        let name = |text: &str| {
            let (name, what) = parsed(text);
            (without_wrappings(&name), what)
        };
        assert_eq!(name("module._orig_mod.module.conv.weight"), ("conv.weight".into(), TensorUse::Values));
        assert_eq!(name("features.module.0.weight_orig"), ("features.0.weight".into(), TensorUse::Unmasked));
        assert_eq!(name("a.b.weight_mask"), ("a.b.weight".into(), TensorUse::Mask));
        assert_eq!(name("mask_blocks___3___conv1___weight"), ("blocks.3.conv1.weight".into(), TensorUse::Mask));
        assert_eq!(name("_mask"), ("_mask".into(), TensorUse::Values));
        assert!(is_average("model_ema.") && is_average("ema") && !is_average("schema"));
    }

    #[test]
    fn pairs_of_names_are_of_tensors_or_of_what_stands_before_them() {
        let read = |text: &str| NamePairs::read(Path::new("names.toml"), text.as_bytes());
        let pairs = read("\"linear\" = \"fc\"\n\"linear.bias\" = \"other\"\n").unwrap();
        assert_eq!(pairs.of("linear.weight").unwrap(), "fc.weight");
        assert_eq!(pairs.of("linear.bias").unwrap(), "other");
        assert_eq!(pairs.of("linear2.bias"), None);
        assert_eq!(read("linear.weight = \"fc.weight\"").unwrap().of("linear.weight").unwrap(), "fc.weight");
        for wrong in ["a = 1", "a", "a.b = [\"c\"]"] {
            assert!(read(wrong).unwrap_err().hint.unwrap().contains("a pair a line"), "{wrong}");
        }
    }
}
