//! Verifies the files of data sets: `tombola data check`.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::checksum::{Verdict, verify};
use super::places;
use super::places::look;
use tombola_words::catalogue::{self, CATALOGUE, Known, Source};
use tombola_words::error::{Error, Result};

/// Looks at every file of the sets `names` (all that are found if there are none) and says on `out`, one line a file,
/// whether it is the publisher's, and whether each set can be read.
///
/// # Errors
/// Of kind [`Input`](tombola_words::error::Kind::Input): something is wrong or missing, or nothing was found at all.
pub fn check(names: &[String], data_dir: Option<&Path>, out: &mut dyn Write) -> Result<()> {
    let places = places::places(data_dir);
    if names.is_empty() {
        let all = CATALOGUE.iter().filter(|known| known.source != Source::Made);
        let present: Vec<&Known> = all.filter(|known| look(known, &places).is_some()).collect();
        if present.is_empty() {
            let listed: Vec<String> = places.iter().map(|place| format!("`{}`", place.display())).collect();
            return Err(Error::input(format!("no data set found in {}", listed.join(", "))).hint(
                "run `tombola data fetch fashion-mnist`, or name the directory that holds data sets with `--data-dir`",
            ));
        }
        return check_known(&present, &places, data_dir, out);
    }
    let mut asked = Vec::new();
    for name in names {
        let known = catalogue::find(name)?;
        if known.source == Source::Made {
            return Err(Error::input(format!("`{}` is made by the program and has no files to check", known.name)));
        }
        asked.push(known);
    }
    check_known(&asked, &places, data_dir, out)
}

pub(super) fn check_known(
    sets: &[&Known],
    places: &[PathBuf],
    data_dir: Option<&Path>,
    out: &mut dyn Write,
) -> Result<()> {
    let (mut wrong, mut affected) = (0, Vec::new());
    for known in sets {
        let before = wrong;
        let Some(found) = look(known, places) else {
            let error = places::not_found(known, places, data_dir);
            say(out, &format!("{}  WRONG  {}", known.name, error.message))?;
            wrong += 1;
            affected.push(known.name);
            continue;
        };
        for (file, path) in found.expected.iter().zip(&found.files) {
            let path = path.clone().unwrap_or_else(|| found.folder.join(file.name));
            let verdict = match verify(&path, file) {
                Ok(Verdict::Right) => "right".to_owned(),
                Ok(Verdict::Missing) => "MISSING".to_owned(),
                Ok(Verdict::Wrong(why)) => format!("WRONG  {why}"),
                // One file that may not be read should not hide what is wrong with the others.
                Err(error) => format!("WRONG  {}", error.message),
            };
            wrong += usize::from(verdict != "right");
            say(out, &format!("{}  {}  {verdict}", known.name, path.display()))?;
        }
        if let Some(files) = found.complete() {
            match places::read(known, &files) {
                Ok(data) => say(
                    out,
                    &format!(
                        "{}  reads as {} training and {} test images of {} in {} classes",
                        known.name,
                        data.train.len(),
                        data.test.len(),
                        data.train.shape,
                        data.train.classes
                    ),
                )?,
                Err(error) => {
                    wrong += 1;
                    say(out, &format!("{}  WRONG  cannot be read: {}", known.name, error.message))?;
                }
            }
        }
        if wrong > before {
            affected.push(known.name);
        }
    }
    if wrong == 0 {
        return Ok(());
    }
    let place = data_dir.map(|folder| format!(" --data-dir {}", folder.display())).unwrap_or_default();
    Err(Error::input(format!("{wrong} of the lines above say that something is wrong or missing"))
        .hint(format!("`tombola data fetch {}{place}` gets only what is missing or wrong", affected.join(" "))))
}

fn say(out: &mut dyn Write, line: &str) -> Result<()> {
    writeln!(out, "{line}").map_err(|error| Error::environment(format!("cannot write to the output: {error}")))
}
