//! Data of the user's own in a sweep: the blocks `[datasets.NAME]`, and paths in the place of a name. It may not know what lies at a path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tombola_words::catalogue;
use tombola_words::error::{Error, Result, nearest};
use tombola_words::{Alpha, AxesOrder, DataForm, DataOptions, DataShape, Resize};

/// Keys that say what the data are and how they are read.
const KEYS: [&str; 13] = [
    "path",
    "size",
    "resize",
    "channels",
    "alpha",
    "test-share",
    "train",
    "validation",
    "test",
    "values",
    "labels",
    "axes",
    "skip-damaged",
];
/// Keys that say what was found: the program writes them into the file of a results folder.
const FOUND: [&str; 8] = ["content", "shape", "bytes", "classes", "training", "validating", "testing", "class-names"];
/// Of so many classes the names are kept: those of more would make long files, and nobody reads tables of so many.
pub(super) const MOST_NAMES: usize = 1000;
/// Endings of files that hold a whole set.
const ENDINGS: [&str; 12] =
    ["npz", "npy", "parquet", "csv", "tsv", "tar", "tgz", "gz", "mat", "safetensors", "bin", "idx"];

/// A data set of the user's own.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnData {
    /// What the sweep calls it.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// How it is read.
    pub options: DataOptions,
    /// What was found there; none before anybody looked.
    pub form: Option<DataForm>,
    /// Names of its classes in their order; none before anybody looked, or of more than a thousand classes. They decide nothing.
    pub class_names: Vec<String>,
}

impl OwnData {
    /// What lies at a path, called by the last part of it, before anybody looked.
    pub fn at(path: PathBuf) -> Self {
        Self { name: name_of_path(&path), path, options: DataOptions::default(), form: None, class_names: Vec::new() }
    }

    /// What was found.
    ///
    /// # Errors
    /// When nobody looked.
    pub fn form(&self) -> Result<&DataForm> {
        self.form.as_ref().ok_or_else(|| {
            Error::input(format!("nothing is known of the data set `{}` in `{}`", self.name, self.path.display()))
                .hint("`tombola data look` says what it is")
        })
    }

    /// Its block in a sweep file.
    pub fn to_toml(&self) -> String {
        // A name without quotes where TOML allows one.
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        let name = match self.name.chars().all(is_plain) {
            true => self.name.clone(),
            false => toml::Value::from(self.name.as_str()).to_string(),
        };
        let mut table = toml::Table::new();
        let mut put = |key: &str, value: toml::Value| drop(table.insert(key.to_string(), value));
        let text = |value: &str| toml::Value::from(value);
        let number = |value: usize| toml::Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
        put("path", text(&self.path.display().to_string()));
        let options = &self.options;
        if let Some((height, width)) = options.size {
            put("size", toml::Value::Array(vec![number(height), number(width)]));
        }
        if options.resize == Resize::Crop {
            put("resize", text("crop"));
        }
        if let Some(channels) = options.channels {
            put("channels", number(channels));
        }
        match options.alpha {
            Alpha::Drop => {}
            Alpha::White => put("alpha", text("white")),
            Alpha::Black => put("alpha", text("black")),
        }
        if let Some(share) = options.test_share {
            put("test-share", toml::Value::Float(share));
        }
        let words = [
            ("train", &options.train),
            ("validation", &options.validation),
            ("test", &options.test),
            ("values", &options.values),
            ("labels", &options.labels),
        ];
        for (key, word) in words {
            if let Some(word) = word {
                put(key, text(word));
            }
        }
        match options.axes {
            None => {}
            Some(AxesOrder::First) => put("axes", text("first")),
            Some(AxesOrder::Last) => put("axes", text("last")),
        }
        if options.skip_damaged {
            put("skip-damaged", toml::Value::Boolean(true));
        }
        if let Some(form) = &self.form {
            put("content", text(&form.content));
            put("shape", toml::Value::Array(form.shape.0.iter().map(|size| number(*size)).collect()));
            put("bytes", toml::Value::Boolean(form.bytes));
            let counts = [form.classes, form.train, form.validation, form.test];
            for (key, count) in FOUND[3..].iter().zip(counts) {
                put(key, number(count));
            }
            if !self.class_names.is_empty() {
                put(FOUND[7], toml::Value::Array(self.class_names.iter().map(|name| text(name)).collect()));
            }
        }
        format!("\n[datasets.{name}]\n{table}")
    }
}

/// Whether a word in the place of a data set's name is a path: it has a slash or the ending of a file that holds a set.
pub fn is_data_path(word: &str) -> bool {
    let has_ending = |path: &Path| {
        path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
    };
    word.contains('/') || word == "." || word == ".." || word.starts_with('~') || has_ending(Path::new(word))
}

/// The name of the data set at a path: the last part of it, without the ending; `-own` tells it from a known set of that name.
fn name_of_path(path: &Path) -> String {
    let own = if path.extension().is_some() && !path.is_dir() { path.file_stem() } else { path.file_name() };
    let name = own.map_or_else(|| "data".to_string(), |name| name.to_string_lossy().into_owned());
    if catalogue::find(&name).is_ok() || is_data_path(&name) { format!("{name}-own") } else { name }
}

/// Reads the blocks of a sweep file.
pub(super) fn read(value: Option<&toml::Value>) -> Result<BTreeMap<String, OwnData>> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let tables = value.as_table().ok_or_else(|| {
        Error::input("`datasets` must hold tables").hint("write `[datasets.NAME]` and under it `path = \"FOLDER\"`")
    })?;
    let mut sets = BTreeMap::new();
    for (name, table) in tables {
        let at = |error: Error| error.at(format!("`[datasets.{name}]`"));
        if catalogue::find(name).is_ok() {
            return Err(at(Error::input("a data set that is known has this name").hint("give yours another name")));
        }
        if is_data_path(name) || name.is_empty() {
            return Err(at(Error::input("a name of letters, digits, `-` and `_` is expected")));
        }
        let table = table.as_table().ok_or_else(|| at(Error::input("expected a table with `path`")))?;
        sets.insert(name.clone(), own_data(name, table).map_err(at)?);
    }
    Ok(sets)
}

fn own_data(name: &str, table: &toml::Table) -> Result<OwnData> {
    for key in table.keys() {
        if !KEYS.contains(&key.as_str()) && !FOUND.contains(&key.as_str()) {
            let error = Error::input(format!("unknown key `{key}`"));
            return Err(match nearest(key, KEYS.iter().copied()) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.hint(format!("the keys are {}", KEYS.join(", "))),
            });
        }
    }
    let block = DataBlock(table);
    let path = block.text("path")?.ok_or_else(|| {
        Error::input("`path` is missing")
            .hint("say where the data lie, relative to the sweep file: `path = \"FOLDER\"`")
    })?;
    let options = DataOptions {
        size: block.size()?,
        resize: block.word("resize", &[("stretch", Resize::Stretch), ("crop", Resize::Crop)])?.unwrap_or_default(),
        channels: block.one_of("channels", &[1, 3, 4])?,
        alpha: block
            .word("alpha", &[("drop", Alpha::Drop), ("white", Alpha::White), ("black", Alpha::Black)])?
            .unwrap_or_default(),
        test_share: block.share("test-share")?,
        train: block.text("train")?,
        validation: block.text("validation")?,
        test: block.text("test")?,
        values: block.text("values")?,
        labels: block.text("labels")?,
        axes: block.word("axes", &[("first", AxesOrder::First), ("last", AxesOrder::Last)])?,
        skip_damaged: block.truth("skip-damaged")?.unwrap_or(false),
    };
    Ok(OwnData {
        name: name.to_string(),
        path: path.into(),
        options,
        form: block.form()?,
        class_names: block.class_names()?,
    })
}

/// A block under `[datasets.NAME]`, and what its keys may hold.
struct DataBlock<'a>(&'a toml::Table);

impl DataBlock<'_> {
    fn wrong(key: &str, found: &toml::Value, expected: &str) -> Error {
        let error = Error::input(format!("`{key}`: found `{found}`, expected {expected}"));
        error.hint(match key {
            "size" => {
                "as `size = 64` or `size = [48, 64]`; without it, images keep the size that they have".to_string()
            }
            "channels" => "1 is grey, 3 is colour, 4 is colour and alpha; without it, the images say".to_string(),
            "test-share" => "as `test-share = 0.2`; without it, a fifth is held out".to_string(),
            "path" => "say where the data lie, relative to the sweep file: `path = \"FOLDER\"`".to_string(),
            _ if FOUND.contains(&key) => {
                "the program wrote it: take all keys from `content` on out of the block".to_string()
            }
            _ => format!("write what is expected, or leave `{key}` out"),
        })
    }

    fn get<T>(&self, key: &str, expected: &str, read: impl Fn(&toml::Value) -> Option<T>) -> Result<Option<T>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(found) => read(found).map(Some).ok_or_else(|| Self::wrong(key, found, expected)),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        self.get(key, "a text in quotes", |value| Some(value.as_str()?.to_string()))
    }

    fn truth(&self, key: &str) -> Result<Option<bool>> {
        self.get(key, "true or false", toml::Value::as_bool)
    }

    fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let names: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.get(key, &names.join(" or "), |value| {
            let text = value.as_str()?;
            words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant)
        })
    }

    fn count(value: &toml::Value) -> Option<usize> {
        usize::try_from(value.as_integer()?).ok()
    }

    fn one_of(&self, key: &str, numbers: &[usize]) -> Result<Option<usize>> {
        let names: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        self.get(key, &names.join(" or "), |value| Self::count(value).filter(|number| numbers.contains(number)))
    }

    fn share(&self, key: &str) -> Result<Option<f64>> {
        self.get(key, "a number above 0 and below 1", |value| {
            value.as_float().filter(|share| *share > 0.0 && *share < 1.0)
        })
    }

    /// One number for both sides, or height and width.
    fn size(&self) -> Result<Option<(usize, usize)>> {
        let side = |value: &toml::Value| Self::count(value).filter(|side| (1..=4096).contains(side));
        self.get("size", "a side or `[height, width]`, from 1 to 4096", |value| match value {
            toml::Value::Array(sides) => match sides.as_slice() {
                [height, width] => Some((side(height)?, side(width)?)),
                _ => None,
            },
            one => side(one).map(|side| (side, side)),
        })
    }

    fn class_names(&self) -> Result<Vec<String>> {
        let names = self.get(FOUND[7], "a list of texts", |value| {
            value.as_array()?.iter().map(|name| Some(name.as_str()?.to_string())).collect()
        })?;
        Ok(names.unwrap_or_default())
    }

    fn form(&self) -> Result<Option<DataForm>> {
        let Some(content) = self.text("content")? else { return Ok(None) };
        if content.len() != 64 || !content.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
            return Err(Error::input(format!("`content`: found `{content}`, expected 64 hexadecimal digits")));
        }
        let counted = |key: &str| {
            let count = self.get(key, "a whole number", Self::count)?;
            count.ok_or_else(|| Error::input(format!("`content` is given, but `{key}` is missing")))
        };
        let shape = self.get("shape", "one to three sizes", |value| {
            let sizes: Option<Vec<usize>> = value.as_array()?.iter().map(Self::count).collect();
            let shape = DataShape(sizes?);
            let is_possible = shape.0.iter().all(|size| *size <= 1 << 24) && shape.shape().is_some();
            is_possible.then_some(shape)
        })?;
        let shape = shape.ok_or_else(|| Error::input("`content` is given, but `shape` is missing"))?;
        let bytes = self.truth("bytes")?.unwrap_or(true);
        let [classes, train, validation, test] =
            [counted(FOUND[3])?, counted(FOUND[4])?, counted(FOUND[5])?, counted(FOUND[6])?];
        if !(2..=65_535).contains(&classes) {
            return Err(Error::input(format!("`classes`: found {classes}, expected 2 to 65535")));
        }
        Ok(Some(DataForm { content, shape, bytes, classes, train, validation, test }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<BTreeMap<String, OwnData>> {
        let table: toml::Table = text.parse().unwrap();
        read(table.get("datasets"))
    }

    #[test]
    fn blocks_are_written_as_they_are_read() {
        let text = "[datasets.birds]\npath = \"data/birds\"\nsize = 64\nresize = \"crop\"\nchannels = 3\nalpha = \"white\"\n\
                    test-share = 0.25\ntrain = \"a\"\nvalidation = \"b\"\ntest = \"c\"\nvalues = \"x\"\nlabels = \"y\"\naxes = \"last\"\n\
                    skip-damaged = true";
        let mut sets = read_text(text).unwrap();
        let birds = sets.get_mut("birds").unwrap();
        assert_eq!((birds.options.size, birds.options.axes), (Some((64, 64)), Some(AxesOrder::Last)));
        birds.form = Some(DataForm {
            content: "0f".repeat(32),
            shape: DataShape(vec![3, 64, 64]),
            bytes: true,
            classes: 200,
            train: 10,
            validation: 0,
            test: 5,
        });
        birds.class_names = vec!["a \"bird\"".to_string(), "é".to_string()];
        assert_eq!(read_text(&birds.to_toml()).unwrap()["birds"], *birds);
    }

    #[test]
    fn wrong_blocks_are_told_with_what_is_expected() {
        for (block, part) in [
            ("[datasets.birds]", "`path` is missing"),
            ("[datasets.birds]\npath = \"x\"\nsizes = 3", "unknown key `sizes`"),
            ("[datasets.birds]\npath = \"x\"\nsize = 0", "from 1 to 4096"),
            ("[datasets.birds]\npath = \"x\"\nchannels = 2", "1 or 3 or 4"),
            ("[datasets.birds]\npath = \"x\"\ntest-share = 1", "below 1"),
            ("[datasets.birds]\npath = \"x\"\ncontent = \"12\"", "64 hexadecimal digits"),
            ("[datasets.mnist]\npath = \"x\"", "a data set that is known has this name"),
            ("[datasets.birds]\npath = 3", "a text in quotes"),
        ] {
            let error = read_text(block).unwrap_err();
            assert!(error.to_string().contains(part), "{block}: {error}");
            let is_value = error.message.contains(": found `") && !block.contains("content");
            assert!(!is_value || error.hint.is_some(), "{block}: {error}");
        }
    }

    #[test]
    fn paths_are_told_from_names() {
        for path in ["data/birds", "./birds", "birds.npz", "BIRDS.CSV", "~/birds", "."] {
            assert!(is_data_path(path), "{path}");
        }
        for name in ["birds", "cifar-10", "fashion_mnist"] {
            assert!(!is_data_path(name), "{name}");
        }
        // A known set has its name to itself.
        assert_eq!(name_of_path(Path::new("data/mnist")), "mnist-own");
        assert_eq!(name_of_path(Path::new("data/birds.v2.npz")), "birds.v2");
    }
}
