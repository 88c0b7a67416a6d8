//! From values of TOML to axes, conditions and networks. It may not know what settings mean, nor where a file lies.

use std::collections::BTreeMap;

use crate::net::custom::{self, OwnNetwork};
use crate::sweep::condition::Condition;
use crate::sweep::grid::{Axis, unknown};
use crate::sweep::range;
use crate::sweep::settings::Field;
use crate::sweep::spellings::Spelling;
use tombola_words::error::{Error, Result};

/// A setting as a file has it: under its own key or under a word whose values mean others.
pub(super) fn read_axis(field: &'static Field, key: &str, value: &toml::Value) -> Result<Axis> {
    let mut values = texts(field, value)?;
    if let Some(spelling) = Spelling::find(key) {
        if value.as_table().is_some_and(range::is_range) {
            return Err(Error::input(format!("`{key}`: found a range, expected a value or a list of values"))
                .hint(format!("give `{}` the range", field.key)));
        }
        for text in &mut values {
            *text = spelling
                .meaning(text)
                .map_err(|expected| Error::input(format!("`{key}`: found `{text}`, expected {expected}")))?;
        }
    }
    Ok(Axis { field, values })
}

/// The values of a setting as text: a list of them is an axis, unless one value is itself a list.
fn texts(field: &Field, value: &toml::Value) -> Result<Vec<String>> {
    if let Some(table) = value.as_table().filter(|table| range::is_range(table)) {
        return range::values(field, table);
    }
    let items = match value {
        toml::Value::Array(items) if !field.list => items.as_slice(),
        toml::Value::Array(items) if items.iter().any(toml::Value::is_array) => items.as_slice(),
        toml::Value::Array(items) if are_apart(field, items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().map(|item| text_of(field, item)).collect()
}

/// Whether the items of a list are values by themselves.
fn are_apart(field: &Field, items: &[toml::Value]) -> bool {
    let words: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
    words.is_some_and(|words| field.apart(&words).is_some())
}

fn text_of(field: &Field, value: &toml::Value) -> Result<String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(format!("{number:?}")),
        toml::Value::Boolean(truth) => Ok(truth.to_string()),
        // `[ratios]`: layers and their numbers.
        toml::Value::Table(pairs) if field.key == "ratios" => {
            let pair = |(name, ratio): (&String, &toml::Value)| Ok(format!("{name}={}", text_of(field, ratio)?));
            Ok(format!("[{}]", pairs.iter().map(pair).collect::<Result<Vec<String>>>()?.join(", ")))
        }
        toml::Value::Array(items) if field.list => {
            if let [toml::Value::String(word)] = items.as_slice() {
                return Ok(word.clone());
            }
            let items: Vec<String> = items.iter().map(|item| text_of(field, item)).collect::<Result<_>>()?;
            Ok(format!("[{}]", items.join(", ")))
        }
        other => Err(Error::input(format!("`{}`: found `{other}`, expected a value or a list of values", field.key))),
    }
}

/// Refuses two spellings of one setting, of which either could be meant. Also gives the second one.
pub(super) fn twice<'a>(keys: impl Iterator<Item = &'a String>) -> Result<(), (Error, &'a str)> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for key in keys {
        let Some(field) = Field::find(key) else { continue };
        if let Some(other) = seen.insert(field.key, key) {
            return Err((said_twice(&format!("`{other}`"), &format!("`{key}`"), field), key));
        }
    }
    Ok(())
}

/// The error for two spellings of one setting.
pub fn said_twice(one: &str, other: &str, field: &Field) -> Error {
    Error::input(format!("{one} and {other} are one setting, `{}`, given twice", field.key))
        .hint("leave one of them out")
}

pub(super) fn read_zip(value: &toml::Value) -> Result<Vec<Vec<String>>> {
    let wrong = || {
        Error::input(format!("`zip`: found `{value}`, expected lists of keys"))
            .hint("for example `zip = [[\"pruning-ratio\", \"prune-iterations\"]]`")
    };
    let words = |value: &toml::Value| -> Result<Vec<String>> {
        let items = value.as_array().ok_or_else(wrong)?;
        items.iter().map(|item| item.as_str().map(str::to_string).ok_or_else(wrong)).collect()
    };
    let groups = value.as_array().ok_or_else(wrong)?;
    match groups.iter().any(toml::Value::is_str) {
        true => Ok(vec![words(value)?]),
        false => groups.iter().map(words).collect(),
    }
}

pub(super) fn read_exclude(value: &toml::Value) -> Result<Vec<Vec<Axis>>> {
    let wrong = || {
        Error::input(format!("`exclude`: found `{value}`, expected a list of tables"))
            .hint("for example `exclude = [{ reinit = \"random\", pruning-ratio = 0.5 }]`")
    };
    let one = |table: &toml::Value| -> Result<Vec<Axis>> {
        let table = table.as_table().filter(|table| !table.is_empty()).ok_or_else(wrong)?;
        twice(table.keys()).map_err(|(error, _)| error.at("`exclude`"))?;
        let axis = |(key, value): (&String, &toml::Value)| {
            let field = Field::find(key).ok_or_else(|| unknown(key).at("`exclude`"))?;
            read_axis(field, key, value)?.shown().map_err(|error| error.at("`exclude`"))
        };
        table.iter().map(axis).collect()
    };
    value.as_array().ok_or_else(wrong)?.iter().map(one).collect()
}

pub(super) fn read_where(value: &toml::Value) -> Result<Vec<Condition>> {
    let wrong = || {
        Error::input(format!("`where`: found `{value}`, expected a condition in quotes, or a list of them"))
            .hint("for example `where = \"epochs > 10 and learning-rate > 0.1\"`")
    };
    let items = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    items.iter().map(|item| Condition::read(item.as_str().ok_or_else(wrong)?)).collect()
}

pub(super) fn read_count(key: &str, value: &toml::Value, least: u64) -> Result<u64> {
    let count = value.as_integer().and_then(|count| u64::try_from(count).ok()).filter(|count| *count >= least);
    count.ok_or_else(|| Error::input(format!("`{key}`: found `{value}`, expected a whole number of at least {least}")))
}

pub(super) fn read_networks(value: Option<&toml::Value>) -> Result<BTreeMap<String, OwnNetwork>> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let tables = value.as_table().ok_or_else(|| {
        Error::input("`networks` must hold tables").hint("write `[networks.NAME]` and under it `layers = [...]`")
    })?;
    let mut networks = BTreeMap::new();
    for (name, table) in tables {
        if crate::net::zoo::is_reserved(name) {
            return Err(Error::input(format!("`[networks.{name}]` has the name of a built-in network"))
                .hint("give your network another name"));
        }
        networks.insert(name.clone(), custom::parse(name, table)?);
    }
    Ok(networks)
}
