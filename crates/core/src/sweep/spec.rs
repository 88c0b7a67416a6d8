//! Reads a sweep file and flags into grids, and writes the complete sweep file back.
//!
//! A setting with one value is fixed, one with several is an axis. Flags win over the file. It may not know what the
//! settings mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Trial;
use super::defaults;
use super::grid::{Axis, Grid, GridSample, unknown};
use super::idle::idle;
use super::levels;
use super::own_data::{self, OwnData, is_data_path};
use super::settings::{Decides, Field, Settings};
use crate::net::custom::OwnNetwork;
use tombola_words::catalogue;
use tombola_words::error::{Error, Result};
use tombola_words::value::{Control, Value};
use tombola_words::{DataForm, DataOptions};

/// The first line of a complete sweep file.
const COMPLETE: &str = "# What was asked, complete: every setting, defaults written out.";

/// File systems take 255 bytes; a name is also a part of longer ones.
const LONGEST_NAME: usize = 200;

/// The setting that came when ratios of four digits came to mean what they are the rounding of.
const ROUND_RATES: &str = "round-rates";

/// A setting given as a flag, with one value or several.
pub type Flag = Axis;

/// A whole sweep, before it is expanded.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Name of the sweep and of its results folder.
    pub name: Option<String>,
    /// Blocks whose trials are joined.
    pub grids: Vec<Grid>,
    /// Networks that the file defines.
    pub networks: BTreeMap<String, OwnNetwork>,
    /// Data of the user's own: those that the file defines, and those that are named by their paths.
    pub datasets: BTreeMap<String, Arc<OwnData>>,
    /// How the sweep is run; only settings that decide nothing else.
    pub run: Settings,
    /// The folder that relative paths in `load` start from; that of the program if nothing.
    pub base: Option<PathBuf>,
    /// Where files lie that `load` has these words for, if that is known already.
    pub places: BTreeMap<String, PathBuf>,
    /// Keys of settings that somebody gave, in the file or as flags: not those that a complete sweep writes out.
    given: BTreeSet<&'static str>,
    /// The file's `[networks]`, kept to be written back.
    network_tables: Option<toml::Value>,
}

impl Spec {
    /// Joins a sweep file's text, if there is one, and flags.
    ///
    /// # Errors
    /// When the file is no TOML, a key is unknown, or a value has the wrong form; the message names the line.
    pub fn read(file: Option<&str>, flags: &[Flag]) -> Result<Self> {
        Self::read_over(None, file, flags)
    }

    /// As [`Spec::read`], with the defaults of somebody else under both, whatever the file says.
    ///
    /// # Errors
    /// As there, and when nobody has defaults of that name.
    pub fn read_over(whose: Option<&str>, file: Option<&str>, flags: &[Flag]) -> Result<Self> {
        let mut table: toml::Table = match file {
            Some(text) => text.parse().map_err(|error| syntax(text, &error))?,
            None => toml::Table::new(),
        };
        let place = |error: Error, key: &str| match file.and_then(|text| line_of(text, key)) {
            Some(line) => error.at(format!("line {line}")),
            None => error,
        };
        let name = match table.remove("name") {
            Some(toml::Value::String(name)) if is_name(&name) => Some(name),
            Some(other) => {
                let error = Error::input(format!(
                    "`name`: found `{other}`, expected letters, digits, `-`, `_` and `.`, at most {LONGEST_NAME} bytes"
                ));
                return Err(place(error, "name"));
            }
            None => None,
        };
        let datasets = own_data::read(table.remove("datasets").as_ref()).map_err(|error| place(error, "datasets"))?;
        let datasets = datasets.into_iter().map(|(name, data)| (name, Arc::new(data))).collect();
        let mut network_tables = table.remove("networks");
        let networks = read_networks(network_tables.as_ref())?;
        // Those that are lists of nodes are written back by themselves.
        if let Some(toml::Value::Table(tables)) = &mut network_tables {
            tables.retain(|name, _| networks.get(name).is_none_or(|network| !network.is_named_by_content()));
        }
        let network_tables = network_tables.filter(|tables| tables.as_table().is_none_or(|tables| !tables.is_empty()));
        let blocks = match table.remove("grid") {
            None => vec![toml::Table::new()],
            Some(toml::Value::Array(blocks)) => blocks
                .into_iter()
                .map(|block| match block {
                    toml::Value::Table(block) => Ok(block),
                    other => Err(Error::input(format!("`grid`: found `{other}`, expected blocks under `[[grid]]`"))),
                })
                .collect::<Result<_>>()?,
            Some(_) => {
                let error =
                    Error::input("`grid` must be blocks of settings").hint("write `[[grid]]`, with two brackets");
                return Err(place(error, "grid"));
            }
        };
        let mut spec = Self {
            name,
            grids: Vec::new(),
            networks,
            datasets,
            run: Settings::default(),
            base: None,
            places: BTreeMap::new(),
            given: flags.iter().map(|flag| flag.field.key).collect(),
            network_tables,
        };
        let in_file = table.remove("defaults");
        let below = match (whose, in_file) {
            (Some(whose), _) => defaults::named(&whose.into()).map_err(|error| error.at("`--defaults`"))?,
            (None, Some(word)) => defaults::named(&word).map_err(|error| place(error, "defaults"))?,
            (None, None) => Grid::default(),
        };
        let mut base = Grid::default();
        spec.overlay(&mut base, &table, true, &place)?;
        for block in &blocks {
            let mut grid = base.clone();
            spec.overlay(&mut grid, block, false, &place)?;
            levels::make_room(
                &mut grid,
                &flags.iter().map(|flag| (flag.field.key, flag.values.as_slice())).collect::<Vec<_>>(),
            );
            for flag in flags {
                spec.put(&mut grid, flag.clone(), true).map_err(|error| error.at(format!("`--{}`", flag.field.key)))?;
            }
            if !file.is_some_and(Self::wrote) {
                spec.given.extend(grid.axes.iter().map(|axis| axis.field.key));
            }
            levels::settle(&mut grid)?;
            for axis in &below.axes {
                if grid.axes.iter().all(|own| own.field.key != axis.field.key) {
                    grid.axes.push(axis.clone());
                }
            }
            spec.grids.push(grid);
        }
        if file.is_some_and(|text| Self::wrote(text) && !takes_rounded_rates(text)) {
            spec.keep_rates_as_written();
        }
        // A shell expands `~` in a flag, but nobody does in a file.
        for path in [&mut spec.run.out, &mut spec.run.data_dir].into_iter().flatten() {
            *path = at_home(path);
        }
        Ok(spec)
    }

    /// Puts the settings of one table over a grid.
    fn overlay(
        &mut self,
        grid: &mut Grid,
        table: &toml::Table,
        top: bool,
        place: &impl Fn(Error, &str) -> Error,
    ) -> Result<()> {
        twice(table.keys()).map_err(|(error, key)| place(error, key))?;
        let given = |(key, value): (&String, &toml::Value)| {
            let field = Field::find(key)?;
            Some((
                field.key,
                if value.as_str() == Some("auto") { vec!["auto".to_string()] } else { vec![String::new()] },
            ))
        };
        let given: Vec<(&str, Vec<String>)> = table.iter().filter_map(given).collect();
        levels::make_room(grid, &given.iter().map(|(key, values)| (*key, values.as_slice())).collect::<Vec<_>>());
        for (key, value) in table {
            match key.as_str() {
                "zip" => grid.zip.extend(read_zip(value).map_err(|error| place(error, key))?),
                "exclude" => grid.exclude.extend(read_exclude(value).map_err(|error| place(error, key))?),
                "where" => grid.conditions.extend(read_where(value).map_err(|error| place(error, key))?),
                "sample" => {
                    let seed = table.get("sample-seed").map_or(Ok(1), |seed| read_count("sample-seed", seed, 0));
                    let seed = seed.map_err(|error| place(error, "sample-seed"))?;
                    let count = read_count(key, value, 1).map_err(|error| place(error, key))?;
                    grid.sample = Some(GridSample { count: usize::try_from(count).unwrap_or(usize::MAX), seed });
                }
                "sample-seed" if table.contains_key("sample") => {}
                _ => {
                    let field = Field::find(key).ok_or_else(|| place(unknown(key), key))?;
                    let axis = read_axis(field, key, value).map_err(|error| place(error, key))?;
                    self.put(grid, axis, top).map_err(|error| place(error, key))?;
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, grid: &mut Grid, axis: Axis, top: bool) -> Result<()> {
        // Read here so that the error can name its place.
        let axis = axis.shown()?;
        if axis.field.decides != Decides::Run {
            grid.set(axis);
            return Ok(());
        }
        match axis.values.as_slice() {
            [value] if top => axis.field.assign(&mut self.run, value),
            [_] => Err(Error::input(format!("`{}` says how the whole sweep is run, not one block", axis.field.key))
                .hint("move it above the first `[[grid]]`")),
            values => {
                Err(Error::input(format!("`{}` has {} values, but it cannot be an axis", axis.field.key, values.len()))
                    .hint("give it one value"))
            }
        }
    }

    /// All trials of all blocks, in order, each once.
    ///
    /// # Errors
    /// As [`Grid::expand`], and when a network or data set is unknown.
    pub fn trials(&self) -> Result<Vec<Trial>> {
        let mut trials: Vec<Trial> = Vec::new();
        for (number, grid) in self.grids.iter().enumerate() {
            let place = |error: Error| match self.grids.len() {
                1 => error,
                _ => error.at(format!("grid block {}", number + 1)),
            };
            for settings in grid.expand().map_err(place)? {
                self.add_trials(settings, &mut trials).map_err(place)?;
            }
        }
        for level in &self.run.control_levels {
            let has =
                |trial: &Trial| trial.settings.control != Control::None && trial.settings.prune_iterations == *level;
            if !trials.iter().any(has) {
                return Err(Error::input(format!(
                    "`control-levels` names {level}, and no trial has {level} prunings and a control"
                ))
                .hint("name numbers of prunings that the sweep has, and ask for `control` or `controls`"));
            }
        }
        if trials.is_empty() {
            return Err(Error::input("the sweep has no trials").hint("`exclude` and `where` leave none; relax them"));
        }
        Ok(trials)
    }

    /// What was given that none of its trials, of these settings, looks at: each in words.
    pub fn idle<'s>(&self, trials: impl Iterator<Item = &'s Settings> + Clone) -> Vec<String> {
        idle(&self.given, trials)
    }

    /// Adds the trial of one point of a grid, and its twins.
    fn add_trials(&self, mut settings: Settings, trials: &mut Vec<Trial>) -> Result<()> {
        settings.epochs_save.clone_from(&self.run.epochs_save);
        self.check_network(&settings.network)?;
        self.check_data(&settings.dataset)?;
        settings.own_set = self.datasets.get(&settings.dataset).cloned();
        settings.own_network = self.networks.contains_key(&settings.network);
        let twins: &[Control] = match self.run.controls && settings.prune_iterations > 0 {
            true if settings.control == Control::None => &[Control::None, Control::Reinit, Control::RandomMask],
            _ => &[settings.control],
        };
        let levels = &self.run.control_levels;
        let has_controls = levels.is_empty() || levels.contains(&settings.prune_iterations);
        for &control in twins.iter().filter(|control| has_controls || **control == Control::None) {
            let settings = Settings { control, ..settings.clone() }.resolve()?;
            trials.push(Trial { number: trials.len() + 1, settings });
        }
        Ok(())
    }

    /// Takes the networks that are named by files into the sweep: `read` gives the network in one. From then on they are called by
    /// the names of those files.
    ///
    /// # Errors
    /// When one cannot be read, or two of the same name differ.
    pub fn take_network_files(&mut self, read: impl Fn(&Path) -> Result<OwnNetwork>) -> Result<()> {
        let mut found: BTreeMap<String, OwnNetwork> = BTreeMap::new();
        let axes = self.grids.iter_mut().flat_map(|grid| grid.axes.iter_mut().chain(grid.exclude.iter_mut().flatten()));
        for axis in axes.filter(|axis| axis.field.key == "network") {
            for value in &mut axis.values {
                if self.networks.contains_key(value) || !is_network_file(value) {
                    continue;
                }
                let network = read(Path::new(value.as_str()))?;
                let name = network.name.clone();
                let known = found.get(&name).or_else(|| self.networks.get(&name));
                if known.is_some_and(|known| known.canonical() != network.canonical()) {
                    return Err(Error::input(format!("two networks that differ are called `{name}`"))
                        .hint("give one of the files another name"));
                }
                value.clone_from(&name);
                found.insert(name, network);
            }
        }
        self.networks.extend(found);
        Ok(())
    }

    /// Takes the user's own data into the sweep: `look` says what lies at the path of each that a trial may be trained on, and of
    /// which nobody knows yet. Those that are named by their paths are called by the last part of it from then on.
    ///
    /// # Errors
    /// When one cannot be read, or two of the same name differ.
    pub fn take_data(
        &mut self,
        look: impl Fn(&Path, &DataOptions) -> Result<(PathBuf, DataForm, Vec<String>)>,
    ) -> Result<()> {
        let axes = self.grids.iter_mut().flat_map(|grid| grid.axes.iter_mut().chain(grid.exclude.iter_mut().flatten()));
        let mut named = Vec::new();
        for value in axes.filter(|axis| axis.field.key == "dataset").flat_map(|axis| &mut axis.values) {
            if is_data_path(value) && !self.datasets.contains_key(value) {
                let data = OwnData::at(PathBuf::from(value.as_str()));
                let name = data.name.clone();
                match self.datasets.get(&name) {
                    Some(known) if known.path != data.path => {
                        return Err(Error::input(format!(
                            "two data sets are called `{name}`: `{}` and `{}`",
                            known.path.display(),
                            data.path.display()
                        ))
                        .hint("give them blocks `[datasets.NAME]` of their own"));
                    }
                    Some(_) => {}
                    None => drop(self.datasets.insert(name.clone(), Arc::new(data))),
                }
                value.clone_from(&name);
            }
            named.push(value.clone());
        }
        for (name, data) in &mut self.datasets {
            if data.form.is_none() && named.contains(name) {
                let (path, form, mut class_names) = look(&data.path, &data.options)?;
                if class_names.len() > own_data::MOST_NAMES {
                    class_names.clear();
                }
                *data = Arc::new(OwnData { path, form: Some(form), class_names, ..OwnData::clone(data) });
            }
        }
        Ok(())
    }

    fn check_data(&self, name: &str) -> Result<()> {
        if self.datasets.contains_key(name) {
            return Ok(());
        }
        catalogue::find(name).map(|_| ()).map_err(|error| {
            match tombola_words::error::nearest(name, self.datasets.keys().map(String::as_str)) {
                Some(own) => error.hint(format!("did you mean your own data set `{own}`?")),
                None => error,
            }
        })
    }

    fn check_network(&self, name: &str) -> Result<()> {
        if self.networks.contains_key(name) {
            return Ok(());
        }
        crate::net::zoo::canonical_name(name).map(|_| ()).map_err(|error| {
            match tombola_words::error::nearest(name, self.networks.keys().map(String::as_str)) {
                Some(own) => error.hint(format!("did you mean your own network `{own}`?")),
                None => error,
            }
        })
    }

    /// The first line in which the complete file of another sweep differs, the other's first; nothing if both ask for the
    /// same trials. How they are run makes no difference, nor what the sweep is called.
    pub fn difference(&self, other: &Self) -> Option<(String, String)> {
        let asked = |spec: &Self| Self { run: Settings::default(), name: None, ..spec.clone() }.to_toml();
        let (own, others) = (asked(self), asked(other));
        let (mut own, mut others) = (own.lines(), others.lines());
        loop {
            match (others.next(), own.next()) {
                (None, None) => return None,
                (one, two) if one == two => {}
                (one, two) => return Some((one.unwrap_or_default().into(), two.unwrap_or_default().into())),
            }
        }
    }

    /// Says that a path, as a setting has it, starts from another folder than [`Spec::base`].
    pub fn name_from(&mut self, folder: &Path, word: &str) {
        self.places.insert(word.to_string(), folder.join(at_home(Path::new(word))));
    }

    /// Where a path that `load` or its like names lies: `~` is the user's folder, and a relative path starts from [`Spec::base`].
    pub fn place(&self, path: &Path) -> PathBuf {
        if let Some(place) = self.places.get(&path.display().to_string()) {
            return place.clone();
        }
        let path = at_home(path);
        match (&self.base, path.is_absolute()) {
            (_, true) => path,
            (Some(base), false) => base.join(path),
            // Without a folder that the program runs in, the path is all there is.
            (None, false) => std::path::absolute(&path).unwrap_or(path),
        }
    }

    /// Has ratios mean what is written, to the last digit, unless the sweep says something else: as programs did that knew no
    /// `round-rates`, so that their results folders go on as they began.
    pub fn keep_rates_as_written(&mut self) {
        let Some(field) = Field::find(ROUND_RATES) else { return };
        for grid in self.grids.iter_mut().filter(|grid| grid.axes.iter().all(|axis| axis.field.key != ROUND_RATES)) {
            grid.axes.push(Axis { field, values: vec![false.show()] });
        }
    }

    /// Whether a text was written by [`Spec::to_toml`].
    pub fn wrote(text: &str) -> bool {
        text.starts_with(COMPLETE)
    }
}

/// Whether a complete sweep file is of a program, and a folder, in which ratios of four digits mean the rates that they are the
/// rounding of.
pub fn takes_rounded_rates(text: &str) -> bool {
    text.lines().any(|line| line.trim() == format!("{ROUND_RATES} = true"))
}

/// Whether a word for a network is the name of a file that describes one.
pub fn is_network_file(word: &str) -> bool {
    Path::new(word).extension().is_some_and(|ending| ending == "toml" || ending == "onnx")
}

/// A path with `~` written out, where it is known.
fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) if !home.is_empty() => Path::new(&home).join(rest),
        _ => path.to_path_buf(),
    }
}

/// Whether it can be the name of a folder, everywhere that files go.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.starts_with('.') && name.chars().all(is_name_letter)
}

/// Letters and digits of all scripts, and the marks that some file systems write apart from their letters.
fn is_name_letter(letter: char) -> bool {
    letter.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&letter) || "-_.".contains(letter)
}

fn syntax(text: &str, error: &toml::de::Error) -> Error {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line.map_or_else(String::new, |line| format!("line {line}: "));
    Error::input(format!("{place}{}", error.message()))
        .hint("the file must be TOML: `key = value`, text in quotes, lists in brackets")
}

/// The first line that sets `key`. A table may set it too, in which case the first is as good a place as any.
fn line_of(text: &str, key: &str) -> Option<usize> {
    text.lines()
        .position(|line| {
            let line = line.trim_start().trim_start_matches(['"', '\'', '[']);
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(['=', ']', '.']))
        })
        .map(|index| index + 1)
}

/// The line of a sweep file's text that an error is of, which was found only when settings were put together: that of the first setting
/// that the message names, unless it stands there more than once.
pub fn line_of_error(text: &str, message: &str) -> Option<usize> {
    let named =
        message.split('`').skip(1).step_by(2).find_map(|word| Field::find(word).filter(|field| field.key == word))?;
    let lines: Vec<usize> =
        std::iter::once(&named.key).chain(named.aliases).filter_map(|key| line_of(text, key)).collect();
    let [line] = lines.as_slice() else { return None };
    let rest: Vec<&str> = text.lines().skip(*line).collect();
    let again = std::iter::once(&named.key).chain(named.aliases).any(|key| line_of(&rest.join("\n"), key).is_some());
    (!again).then_some(*line)
}

/// The name of the sweep that a file holds, if the file itself gives none: its file name without the ending.
pub fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_string()).unwrap_or_default();
    let name: String = stem.chars().map(|letter| if is_name_letter(letter) { letter } else { '-' }).collect();
    if is_name(&name) { name } else { "sweep".to_string() }
}

mod reading;
mod writing;

pub use reading::said_twice;
use reading::{read_axis, read_count, read_exclude, read_networks, read_where, read_zip, twice};

#[cfg(test)]
mod tests;
