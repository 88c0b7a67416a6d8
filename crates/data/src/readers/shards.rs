//! Shards of WebDataset: archives (`.tar`, `.tar.gz`) in which files that are called the same but for their endings are one example:
//! `000.jpg` and `000.cls`, or `000.json` with a `label`. Nothing is unpacked to the disk, and names lead nowhere.

use std::cell::Cell;
use std::io::Read;
use std::path::{Path, PathBuf};

use tar::{Archive, EntryType};

use super::source::{ByteSource, broken};
use super::stored::MOST_EXAMPLE;
use super::tree::is_image;
use crate::example::{Content, Example, Label, Reader, Take};
use tombola_words::DataOptions;
use tombola_words::error::{Error, Result, printable};

/// A name, and a label, are not longer.
const MOST_NAME: u64 = 1 << 16;
/// A text of JSON is not longer.
const MOST_JSON: u64 = 1 << 20;

/// The examples of one archive.
pub(super) struct TarShard {
    path: PathBuf,
    /// The ending, or the key in JSON, of the labels.
    label: Option<String>,
}

/// The files that make an example.
#[derive(Default)]
struct ShardSample {
    key: String,
    image: Option<Content>,
    label: Option<Label>,
    /// What else there is, for people.
    endings: Vec<String>,
}

impl TarShard {
    pub(super) fn new(path: &Path, options: &DataOptions) -> Self {
        Self { path: path.to_path_buf(), label: options.labels.clone() }
    }

    /// Takes the example that is complete now; nothing of files that belong to none.
    fn give(&self, sample: ShardSample, take: &mut Take) -> Result<()> {
        let name = printable(&format!("`{}` of `{}`", sample.key, self.path.display()));
        match (sample.image, sample.label) {
            (Some(content), Some(label)) => take(Example { name, label, content }),
            (None, None) => Ok(()),
            (image, _) => Err(Error::input(format!(
                "{name} has no {}; found {}",
                if image.is_some() { "label" } else { "image" },
                sample.endings.join(", ")
            ))
            .hint(
                "an example is an image (`.jpg`, `.png`, …) and, next to it, a `.cls` with its class or a `.json` with a `label`; `labels` \
                 names another ending or key. Archives of folders: unpack them and give the folder",
            )),
        }
    }

    /// What one file adds to an example.
    fn add(&self, sample: &mut ShardSample, ending: &str, entry: &mut dyn Read) -> Result<()> {
        let asked = self.label.as_deref();
        let short = |entry: &mut dyn Read, most: u64| {
            let mut bytes = Vec::new();
            entry.take(most + 1).read_to_end(&mut bytes).map_err(|error| broken(&error))?;
            match bytes.len() as u64 > most {
                true => Err(Error::input(format!("`{ending}` has more than {most} bytes"))
                    .hint("the archive is none of WebDataset")),
                false => Ok(bytes),
            }
        };
        if asked == Some(ending) || (ending == "cls" && asked.is_none()) {
            let text = short(entry, MOST_NAME)?;
            let text = String::from_utf8_lossy(&text).trim().to_string();
            sample.label = Some(label_of(&text));
        } else if ending == "json" {
            let json: serde_json::Value = serde_json::from_slice(&short(entry, MOST_JSON)?)
                .map_err(|error| Error::input(format!("the JSON is none: {error}")).hint(super::source::AGAIN))?;
            let keys: &[&str] = match &asked {
                Some(asked) => &[asked],
                None => &["label", "cls", "class", "target"],
            };
            match keys.iter().find_map(|key| json.get(*key)) {
                Some(serde_json::Value::String(word)) => sample.label = Some(label_of(word)),
                Some(number) if number.is_i64() => sample.label = number.as_i64().map(Label::Number),
                _ => {}
            }
        } else if is_image(&format!("x.{ending}")) && !ending.contains('.') {
            let mut bytes = Vec::new();
            entry.take(MOST_EXAMPLE + 1).read_to_end(&mut bytes).map_err(|error| broken(&error))?;
            sample.image = Some(match bytes.len() as u64 {
                0 => Content::Damaged("it is empty".to_string()),
                1..=MOST_EXAMPLE => Content::File(bytes),
                _ => Content::Damaged(format!("it has more than {MOST_EXAMPLE} bytes")),
            });
        }
        Ok(())
    }
}

fn label_of(text: &str) -> Label {
    text.parse().map_or_else(|_| Label::Word(text.to_string()), Label::Number)
}

/// What stands before the first point of the last piece of a name, and what behind it.
fn cut(name: &str) -> Option<(&str, &str)> {
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    let point = start + name[start..].find('.')?;
    (point > start).then(|| (&name[..point], &name[point + 1..]))
}

/// The name in an extended header, which has lines `LENGTH KEY=VALUE`.
fn extended(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
        let line = rest.get(space + 1..length)?;
        if let Some(name) = line.strip_prefix(b"path=") {
            return Some(String::from_utf8_lossy(name).trim_end_matches('\n').to_string());
        }
        rest = rest.get(length..)?;
    }
    None
}

impl Reader for TarShard {
    fn read(&self, take: &mut Take) -> Result<()> {
        let at = |error: Error| error.at(format!("`{}`", self.path.display()));
        let damaged = |error: std::io::Error| at(broken(&error));
        let ended = Cell::new(false);
        let mut archive = Archive::new(ToTheEnd { inner: ByteSource::of_file(&self.path)?.open()?, ended: &ended });
        let (mut sample, mut next_name) = (ShardSample::default(), None);
        // As they lie: the library would hold names of any length.
        for entry in archive.entries().map_err(damaged)?.raw(true) {
            let mut entry = entry.map_err(damaged)?;
            let kind = entry.header().entry_type();
            if matches!(kind, EntryType::GNULongName | EntryType::XHeader) {
                let mut bytes = Vec::new();
                entry.by_ref().take(MOST_NAME).read_to_end(&mut bytes).map_err(damaged)?;
                next_name = match kind {
                    EntryType::XHeader => extended(&bytes),
                    _ => Some(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_string()),
                };
                continue;
            }
            let own = || String::from_utf8_lossy(&entry.header().path_bytes()).into_owned();
            let name = next_name.take().unwrap_or_else(own);
            let Some((key, ending)) = cut(&name).filter(|_| kind.is_file()) else { continue };
            if key != sample.key {
                let whole =
                    std::mem::replace(&mut sample, ShardSample { key: key.to_string(), ..ShardSample::default() });
                self.give(whole, take)?;
            }
            let ending = ending.to_lowercase();
            self.add(&mut sample, &ending, &mut entry).map_err(|error| at(error.at(format!("`{name}`"))))?;
            sample.endings.push(format!("`.{ending}`"));
            if sample.endings.len() > 1000 {
                return Err(at(Error::input(format!("`{key}` has more than 1000 endings"))
                    .hint("the archive is none of WebDataset")));
            }
        }
        self.give(sample, take)?;
        // An archive ends with empty blocks; behind them nobody reads on.
        if ended.get() {
            return Err(at(Error::input("is cut off: an archive ends with two empty blocks, which are not there")
                .hint(super::source::AGAIN)));
        }
        Ok(())
    }
}

/// Notes when somebody read up to the end of a file and on.
struct ToTheEnd<'a, R> {
    inner: R,
    ended: &'a Cell<bool>,
}

impl<R: Read> Read for ToTheEnd<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.ended.set(self.ended.get() || count == 0 && !buffer.is_empty());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{examples, gzip, tar_gz};

    fn read(bytes: &[u8], options: &DataOptions) -> Result<Vec<Example>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train-0000.tar");
        std::fs::write(&path, bytes).unwrap();
        examples(&TarShard::new(&path, options))
    }

    fn short(examples: &[Example]) -> Vec<(String, Label)> {
        examples.iter().map(|one| (one.name.split(" of").next().unwrap().to_string(), one.label.clone())).collect()
    }

    #[test]
    fn an_archive_that_is_cut_between_two_files_is_told() {
        let one = tar_gz(&[("1.png", b"one"), ("1.cls", b"3"), ("2.png", b"two"), ("2.cls", b"4")]);
        let mut whole = Vec::new();
        flate2::read::GzDecoder::new(one.as_slice()).read_to_end(&mut whole).unwrap();
        assert_eq!(read(&whole, &DataOptions::default()).unwrap().len(), 2);
        // A block for the name and one for the content of each file.
        let error = read(&whole[..4 * 512], &DataOptions::default()).unwrap_err();
        assert!(error.message.contains("cut off"), "{error}");
    }

    #[test]
    fn files_with_one_name_are_an_example() {
        let none = DataOptions::default();
        let bytes = tar_gz(&[
            ("d/001.jpg", b"one"),
            ("d/001.cls", b"3\n"),
            ("d/002.json", br#"{"label": "cat", "id": 7}"#),
            ("d/002.PNG", b"two"),
            ("README", b"text"),
            ("../../003.cls", b"-1"),
            ("../../003.seg.png", b"mask"),
            ("../../003.webp", b"three"),
        ]);
        let all = read(&bytes, &none).unwrap();
        let expected =
            [("`d/001`", Label::Number(3)), ("`d/002`", Label::Word("cat".into())), ("`../../003`", Label::Number(-1))];
        assert_eq!(short(&all), expected.map(|(name, label)| (name.to_string(), label)));
        assert_eq!(all[2].content, Content::File(b"three".to_vec()));
        let options = DataOptions { labels: Some("id".into()), ..none };
        let bytes = tar_gz(&[("2.json", br#"{"label": "cat", "id": 7}"#), ("2.png", b"two")]);
        assert_eq!(read(&bytes, &options).unwrap()[0].label, Label::Number(7));
    }

    #[test]
    fn long_names_are_read_in_both_of_their_forms() {
        let name = format!("{}/1.jpg", "x".repeat(150));
        let mut gnu = tar::Builder::new(Vec::new());
        for (name, content) in [(name.clone(), "image"), (name.replace("jpg", "cls"), "5")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            gnu.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        let record = |name: &str| {
            let length = name.len() + 10;
            format!("{length} path={name}\n").into_bytes()
        };
        let mut pax = tar::Builder::new(Vec::new());
        for (name, content) in [(name.clone(), "image"), (name.replace("jpg", "cls"), "5")] {
            for (kind, content) in
                [(EntryType::XHeader, record(&name)), (EntryType::Regular, content.as_bytes().to_vec())]
            {
                let mut header = tar::Header::new_ustar();
                header.set_entry_type(kind);
                header.set_size(content.len() as u64);
                header.set_cksum();
                pax.append(&header, content.as_slice()).unwrap();
            }
        }
        for bytes in [gnu.into_inner().unwrap(), pax.into_inner().unwrap()] {
            let all = read(&bytes, &DataOptions::default()).unwrap();
            assert_eq!(short(&all), [(format!("`{}`", name.trim_end_matches(".jpg")), Label::Number(5))]);
        }
    }

    #[test]
    fn what_is_no_example_is_named() {
        let none = DataOptions::default();
        let error = read(&tar_gz(&[("1.jpg", b"x"), ("1.txt", b"x")]), &none).unwrap_err();
        assert!(
            error.message.contains("`1` of") && error.message.contains("has no label; found `.jpg`, `.txt`"),
            "{error}"
        );
        assert!(read(&tar_gz(&[("1.cls", b"1")]), &none).unwrap_err().message.contains("has no image"));
        let whole = tar_gz(&[("1.cls", b"1"), ("1.jpg", b"1")]);
        assert!(read(&whole[..whole.len() / 2], &none).is_err());
        let long = vec![b'1'; 70_000];
        assert!(read(&gzip(&tar_gz(&[("1.cls", &long)])), &none).is_err());
    }
}
