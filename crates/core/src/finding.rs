//! How many trainings side by side `tombola tune` found to be best, kept for later runs in the user's folder for such things: a
//! file for each kind of work.
//!
//! It may not know of torch, nor how it was measured. Whatever is wrong with a file costs a run no more than the finding.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::folder::atomic::{make_folder, write_atomically};
use crate::net::zoo::{self, Choice};
use tombola_words::error::{Error, Result};
use tombola_words::regular;
use tombola_words::value::{Precision, Value};

/// Raised when the meaning of a field changes.
const FORMAT: u32 = 1;
/// Longer than any finding.
const MOST_BYTES: u64 = 65_536;
/// Numbers of trainings that can be meant.
const TOGETHER: RangeInclusive<usize> = 1..=1024;

/// What is trained where: a finding holds for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunedWork {
    machine: String,
    network: String,
    /// Where the network has it.
    depth: Option<usize>,
    precision: String,
    batch: usize,
    threads: usize,
}

impl TunedWork {
    /// Trainings of a built-in network with some threads each. Nothing where its width, shortcuts or hidden layers are not the
    /// usual ones, which `tombola tune` measures.
    pub fn of(machine: String, choice: &Choice, precision: Precision, batch: usize, threads: usize) -> Option<Self> {
        let (name, usual) = (&choice.name, Choice::named(&choice.name));
        let other_width = zoo::uses_width(name) && choice.width != usual.width;
        let other_shortcut = zoo::uses_shortcut(name) && choice.shortcut != usual.shortcut;
        let other_hidden = zoo::uses_hidden(name) && choice.hidden != usual.hidden;
        let depth = zoo::uses_depth(name).then_some(choice.depth);
        let (network, precision) = (name.clone(), precision.show());
        let is_usual = !other_width && !other_shortcut && !other_hidden;
        is_usual.then_some(Self { machine, network, depth, precision, batch, threads })
    }

    /// The file for it: named after the network, for people, and by a hash of all of it.
    fn path(&self, folder: &Path) -> PathBuf {
        let Self { machine, network, depth, precision, batch, threads } = self;
        let text = format!("{machine}\n{network}\n{depth:?}\n{precision}\n{batch}\n{threads}");
        let hash = blake3::hash(text.as_bytes()).to_hex();
        folder.join(format!("{network}-{}.json", &hash[..16]))
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneFinding {
    format: u32,
    /// Coordinated Universal Time, as `2026-11-25T07:01:02Z`.
    pub date: String,
    #[serde(flatten)]
    work: TunedWork,
    /// Trainings at the same time, on one device.
    pub together: usize,
    /// Images a second of all of them.
    pub rate: f64,
}

impl TuneFinding {
    /// That `together` trainings are best for some work.
    pub fn new(date: String, work: TunedWork, together: usize, rate: f64) -> Self {
        Self { format: FORMAT, date, work, together, rate }
    }

    /// Writes it into a folder, in place of what was found before for the same work.
    ///
    /// # Errors
    /// When the folder cannot be made or written to.
    pub fn save(&self, folder: &Path) -> Result<()> {
        make_folder(folder)?;
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::environment(format!("cannot write what was found: {error}")))?;
        write_atomically(&self.work.path(folder), |file| writeln!(file, "{text}"))
    }

    /// What a folder has for some work, if anything.
    ///
    /// # Errors
    /// When there is a file that cannot be read, or is none of this program's findings for that work.
    pub fn find(folder: &Path, work: &TunedWork) -> Result<Option<Self>> {
        let path = work.path(folder);
        let text = match regular::read_short(&path, MOST_BYTES) {
            Ok(text) => text,
            // Without a folder of that kind nothing was ever found.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(Error::file("read", &path, &error)),
        };
        Self::parse(&text, work).map(Some).map_err(|what| {
            Error::input(format!("`{}` is no finding of `tombola tune`: {what}", path.display()))
                .hint("remove it; `tombola tune` writes it anew")
        })
    }

    /// What the text of a file says of some work.
    ///
    /// # Errors
    /// Why it is none of this program's findings for that work.
    pub fn parse(text: &str, work: &TunedWork) -> std::result::Result<Self, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match json.get("format") {
            Some(format) if *format == FORMAT => {}
            Some(other) => return Err(format!("its format is {other}, expected {FORMAT}")),
            None => return Err("it has no `format`".into()),
        }
        let found: Self = serde_json::from_value(json).map_err(|error| error.to_string())?;
        if found.work != *work {
            return Err("it is of other work than its name says".into());
        }
        // It is printed.
        if found.date.len() > 32 || !found.date.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("its `date` is none".into());
        }
        if !TOGETHER.contains(&found.together) {
            return Err(format!("`together` is {}, expected a number from 1 to 1024", found.together));
        }
        Ok(found)
    }

    /// Workers of a run on the processor, whose trainings may use `cores`; nothing where that many would share cores.
    pub fn on_processor(&self, cores: usize) -> Option<usize> {
        (self.together.saturating_mul(self.work.threads) <= cores).then_some(self.together)
    }

    /// Workers of a run on some GPUs.
    pub fn on_gpus(&self, gpus: usize) -> Option<usize> {
        let workers = self.together.saturating_mul(gpus);
        TOGETHER.contains(&workers).then_some(workers)
    }

    /// The day of it.
    pub fn day(&self) -> &str {
        self.date.split('T').next().unwrap_or_default()
    }
}

/// The folder of findings: below `$XDG_CACHE_HOME`, or `.cache` at home. Nothing where neither is known.
pub fn folder() -> Option<PathBuf> {
    folder_by(|variable| std::env::var_os(variable))
}

fn folder_by(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG specification says that a relative path is to be ignored.
    let cache = folder("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let cache = cache.or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("tombola/tune"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use tombola_words::value::ShortcutOption;

    fn work(choice: &Choice, threads: usize) -> TunedWork {
        TunedWork::of("a machine".into(), choice, Precision::Fp32, 64, threads).unwrap()
    }

    fn finding(threads: usize, together: usize) -> TuneFinding {
        TuneFinding::new("2026-11-25T07:01:02Z".into(), work(&Choice::named("resnet"), threads), together, 100.5)
    }

    #[test]
    fn a_finding_is_found_for_the_work_that_it_is_of_and_for_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("tombola/tune");
        let resnet = Choice::named("resnet");
        assert_eq!(TuneFinding::find(&place, &work(&resnet, 1)).unwrap(), None);
        finding(1, 2).save(&place).unwrap();
        finding(1, 4).save(&place).unwrap();
        assert_eq!(TuneFinding::find(&place, &work(&resnet, 1)).unwrap(), Some(finding(1, 4)));
        let deeper = Choice { depth: 32, ..resnet.clone() };
        for other in [work(&resnet, 2), work(&deeper, 1), work(&Choice::named("resnetb"), 1)] {
            assert_eq!(TuneFinding::find(&place, &other).unwrap(), None, "{other:?}");
        }
        for (machine, precision, batch) in [("b", Precision::Fp32, 64), ("a machine", Precision::Bf16, 64)]
            .into_iter()
            .chain([("a machine", Precision::Fp32, 128)])
        {
            let other = TunedWork::of(machine.into(), &resnet, precision, batch, 1).unwrap();
            assert_eq!(TuneFinding::find(&place, &other).unwrap(), None, "{other:?}");
        }
    }

    #[test]
    fn networks_of_another_form_than_what_is_measured_have_no_finding() {
        let of = |choice: Choice| TunedWork::of("a".into(), &choice, Precision::Fp32, 64, 1);
        assert_eq!(of(Choice { width: 8, ..Choice::named("resnet") }), None);
        assert_eq!(of(Choice { shortcut: ShortcutOption::B, ..Choice::named("resnet") }), None);
        // What a network does not have makes no difference.
        let plain = || Choice::named("lenet-5");
        assert_eq!(of(Choice { width: 8, depth: 8, shortcut: ShortcutOption::B, ..plain() }), of(plain()));
    }

    #[test]
    fn files_that_are_no_findings_are_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let one = finding(1, 4);
        one.save(folder.path()).unwrap();
        let path = one.work.path(folder.path());
        let written = std::fs::read_to_string(&path).unwrap();
        for (text, what) in [
            (String::new(), "EOF"),
            ("{}".into(), "it has no `format`"),
            (written.replace("\"format\": 1", "\"format\": 2"), "its format is 2, expected 1"),
            (written.replace("a machine", "another"), "other work"),
            (written.replace("\"together\": 4", "\"together\": 0"), "`together` is 0"),
            (written.replace("\"together\": 4", "\"together\": -1"), "invalid value"),
            (written.replace("2026-11", "2026\\u001b[2J"), "its `date` is none"),
            (" ".repeat(70_000), "more than 65536 bytes"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let error = TuneFinding::find(folder.path(), &one.work).unwrap_err();
            assert!(error.message.contains(what), "{error}");
            assert!(error.message.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn workers_follow_from_a_finding_where_they_do_not_share_cores() {
        assert_eq!((finding(1, 4).on_processor(4), finding(1, 4).on_processor(3)), (Some(4), None));
        assert_eq!((finding(2, 2).on_processor(4), finding(2, 2).on_processor(3)), (Some(2), None));
        assert_eq!((finding(1, 4).on_gpus(2), finding(1, 1024).on_gpus(2)), (Some(8), None));
        assert_eq!(finding(1, 4).day(), "2026-11-25");
    }

    #[test]
    fn the_folder_is_the_users_for_what_can_be_made_again() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, OsString)> =
                set.iter().map(|(name, value)| (name.to_string(), value.into())).collect();
            folder_by(|wanted| set.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()))
        };
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Some("/x/tombola/tune".into()));
        for unusable in ["", "relative"] {
            let found = with(&[("HOME", "/h"), ("XDG_CACHE_HOME", unusable)]);
            assert_eq!(found, Some("/h/.cache/tombola/tune".into()));
        }
        assert_eq!(with(&[]), None);
    }
}
