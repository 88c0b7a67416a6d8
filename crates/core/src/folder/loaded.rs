//! What the networks of a results folder were loaded from: which files, with which checksums, as the first run saw them.
//!
//! It stands in `sweep.toml` as comments, which programs that do not know of it pass over:
//! `# loaded = { load = "c.pth", place = "/home/me/c.pth", blake3 = "0123…" }`. So tables and all other views of a folder need
//! none of these files, and a run refuses one that was changed.

use std::path::Path;

use super::written::{text_in, write_text};
use crate::checkpoint::{Choices, NamePairs, Taken, TakenMask, mask_in, weights};
use crate::net::{Snapshot, initial};
use crate::plan::{LoadedFile, LoadedFiles, LoadedPart, Network, Plan};
use crate::sweep::Spec;
use tombola_words::error::{Error, Result};
use tombola_words::value::Head;

/// What such a line begins with.
const LINE: &str = "# loaded = ";

/// The files that a results folder was loaded from; none if there is no such folder, or one of a program that did not note them.
///
/// # Errors
/// When its `sweep.toml` cannot be read, is not what was written, or says it in a way that cannot be understood.
pub fn loaded_of(folder: &Path) -> Result<LoadedFiles> {
    let Some(text) = text_in(folder)? else { return Ok(LoadedFiles::new()) };
    loaded_in(&text).map_err(|error| error.at(format!("`{}`", folder.join("sweep.toml").display())))
}

/// The files that the text of a complete sweep file notes.
///
/// # Errors
/// When such a line is damaged.
pub(super) fn loaded_in(text: &str) -> Result<LoadedFiles> {
    let mut files = LoadedFiles::new();
    for line in text.lines().filter_map(|line| line.strip_prefix(LINE)) {
        let wrong = || {
            Error::input(format!("found `{LINE}{line}`, expected the keys `load`, `place` and `blake3`"))
                .hint("restore the line as the program wrote it, or remove it: then the file is opened again")
        };
        let table: toml::Table = format!("loaded = {line}").parse().map_err(|_| wrong())?;
        let text = |key: &str| table.get("loaded")?.get(key)?.as_str().map(str::to_string);
        let (Some(word), Some(place), Some(checksum)) = (text("load"), text("place"), text("blake3")) else {
            return Err(wrong());
        };
        files.insert(word, LoadedFile { place: place.into(), checksum });
    }
    Ok(files)
}

/// Writes what a results folder is of into its `sweep.toml`: the complete sweep, and the files that it is loaded from. Files that
/// an earlier sweep in this folder was loaded from stay noted.
///
/// # Errors
/// When the file cannot be written, or what stands there cannot be read.
pub fn write_down(folder: &Path, spec: &Spec, loaded: &LoadedFiles) -> Result<()> {
    let mut files = loaded_of(folder)?;
    files.extend(loaded.clone());
    let sweep = spec.to_toml();
    let (first, rest) = sweep.split_once('\n').unwrap_or((&sweep, ""));
    let mut text = format!("{first}\n");
    for (word, file) in &files {
        text.push_str(&format!(
            "{LINE}{{ load = {}, place = {}, blake3 = {} }}\n",
            quoted(word),
            quoted(&file.place.display().to_string()),
            quoted(&file.checksum)
        ));
    }
    text.push_str(rest);
    write_text(folder, &text)
}

/// A string of TOML on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            _ if letter.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => quoted.push(letter),
        }
    }
    quoted + "\""
}

/// What names mean in what is loaded.
fn names_of(part: LoadedPart) -> Result<Option<NamePairs>> {
    part.names
        .map(|file| NamePairs::read(&file.place, &file.bytes()?).map_err(|error| error.at("`load-names`")))
        .transpose()
}

/// Reads the mask that a stage is given; nothing if it draws one.
///
/// # Errors
/// When the file is not the one that the plan is of, has no mask, or one of another network.
pub fn load_given_mask(plan: &Plan, stage: usize, network: &Network) -> Result<Option<TakenMask>> {
    let Some(part) = plan.loaded_mask(stage) else { return Ok(None) };
    let Network { graph, layout } = network;
    let names = names_of(part)?;
    let mask = mask_in(&part.file.place, &part.file.bytes()?, graph, layout, names.as_ref());
    mask.map(Some).map_err(|error| error.at("`load-mask`"))
}

/// Reads the weights and statistics that a dense network is, or trains from; nothing if that is no file.
///
/// # Errors
/// When the file is not the one that the plan is of, no state dict, of another network, or has values that are no numbers.
pub fn load_weights_of(plan: &Plan, stage: usize, network: &Network) -> Result<Option<Taken>> {
    let Some(part) = plan.loaded_weights(stage) else { return Ok(None) };
    let settings = &plan.stages[stage].settings;
    let key = if plan.loaded_file(stage).is_some() { "`load`" } else { "`load-init`" };
    let seed = settings.init_seed.unwrap_or(settings.seed);
    let new_head = (settings.load_head == Head::New).then(|| initial(&network.layout, settings.norm_start, seed, 0));
    let choices = Choices { names: names_of(part)?, new_head };
    let mut taken = load_checkpoint(part.file, network, &choices).map_err(|error| error.at(key))?;
    if plan.loaded_file(stage).is_none() {
        // Training begins here, and with all weights.
        taken.snapshot = Snapshot { epoch: 0, step: 0, batches: 0, mask: None, ..taken.snapshot };
    }
    Ok(Some(taken))
}

fn load_checkpoint(file: &LoadedFile, network: &Network, choices: &Choices) -> Result<Taken> {
    let Network { graph, layout } = network;
    let taken = weights(&file.place, &file.bytes()?, graph, layout, choices)?;
    let snapshot = &taken.snapshot;
    let parameters = layout.parameters.iter().map(|p| (&p.name, &snapshot.parameters[p.range()]));
    let buffers = layout.buffers.iter().map(|buffer| (&buffer.name, &snapshot.buffers[buffer.range()]));
    let odd = |values: &[f32]| values.iter().filter(|value| !value.is_finite()).count();
    let found: Vec<(&String, usize, usize)> = parameters
        .chain(buffers)
        .map(|(name, values)| (name, odd(values), values.len()))
        .filter(|(_, odd, _)| *odd > 0)
        .collect();
    let Some((name, count, len)) = found.first() else { return Ok(taken) };
    let more = match found.len() - 1 {
        0 => String::new(),
        1 => ", and one more tensor has such values".to_string(),
        more => format!(", and {more} more tensors have such values"),
    };
    Err(Error::input(format!(
        "`{}`: `{name}` has {count} of {len} values that are NaN or infinite, expected numbers{more}",
        file.place.display()
    ))
    .hint(
        "that training had diverged: load a checkpoint of an earlier epoch, or train the network anew without `--load`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn file(place: &str, checksum: &str) -> LoadedFile {
        LoadedFile { place: place.into(), checksum: checksum.into() }
    }

    #[test]
    fn what_was_loaded_is_read_back_whatever_it_is_called_and_the_sweep_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let spec = Spec::read(Some("load = [\"a\"]\nseed = [1, 2]"), &[]).unwrap();
        let files: LoadedFiles = BTreeMap::from([
            ("a \"b\"\n#\\".to_string(), file("/x/a \"b\"\n#", "12")),
            ("ü.pth".into(), file("/ü", "3")),
        ]);
        write_down(folder.path(), &spec, &files).unwrap();
        assert_eq!(loaded_of(folder.path()).unwrap(), files);
        let text = std::fs::read_to_string(folder.path().join("sweep.toml")).unwrap();
        assert_eq!(Spec::read(Some(&text), &[]).unwrap().to_toml(), spec.to_toml());
        assert!(Spec::wrote(&text));
        // A sweep that loads something else does not forget them.
        let other: LoadedFiles = BTreeMap::from([("new".to_string(), file("/n", "4"))]);
        write_down(folder.path(), &spec, &other).unwrap();
        assert_eq!(loaded_of(folder.path()).unwrap().len(), 3);
    }

    #[test]
    fn a_damaged_note_is_told_and_none_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(loaded_of(folder.path()).unwrap().is_empty());
        assert!(loaded_in(&format!("{LINE}{{ load = \"a\" }}\n")).unwrap_err().message.contains("`blake3`"));
    }
}
