//! The values of keys in the table of a layer: numbers, pairs of them, shares and switches.

use std::ops::RangeInclusive;

use toml::{Table, Value};

use crate::net::op::Real;
use tombola_words::error::{Error, Result};

/// Reads a whole number; `default` stands for a missing key.
pub(super) fn number(table: &Table, key: &str, range: RangeInclusive<usize>, default: Option<usize>) -> Result<usize> {
    let expected = || format!("expected a whole number from {} to {}", range.start(), range.end());
    match (table.get(key), default) {
        (Some(Value::Integer(found)), _) => usize::try_from(*found)
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| Error::input(format!("`{key} = {found}` is out of range: {}", expected()))),
        (Some(other), _) => Err(Error::input(format!("`{key}` is {}: {}", kind(other), expected()))),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(Error::input(format!("`{key}` is missing: {}", expected()))),
    }
}

pub(super) fn switch(table: &Table, key: &str, default: bool) -> Result<bool> {
    match table.get(key) {
        Some(Value::Boolean(value)) => Ok(*value),
        Some(other) => Err(Error::input(format!("`{key}` is {}: expected `true` or `false`", kind(other)))),
        None => Ok(default),
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a point",
        Value::Boolean(_) => "`true` or `false`",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// Reads a whole number for height and width, or a list of one for each.
pub(super) fn pair(
    table: &Table,
    key: &str,
    range: RangeInclusive<usize>,
    default: Option<[usize; 2]>,
) -> Result<[usize; 2]> {
    let Some(Value::Array(list)) = table.get(key) else {
        return match (default, table.contains_key(key)) {
            (Some(default), false) => Ok(default),
            _ => number(table, key, range, None).map(|both| [both; 2]),
        };
    };
    let [height, width] = &list[..] else {
        return Err(Error::input(format!("`{key}` has {} numbers: expected one, or `[height, width]`", list.len())));
    };
    let one = |value: &Value| {
        let single = Table::from_iter([(key.to_string(), value.clone())]);
        number(&single, key, range.clone(), None)
    };
    Ok([one(height)?, one(width)?])
}

/// Reads a share that is left out.
pub(super) fn share(table: &Table, key: &str) -> Result<Real> {
    let expected = "expected a number from 0 up to, but not, 1";
    match table.get(key) {
        Some(Value::Float(share)) if (0.0..1.0).contains(share) => Ok(Real(*share + 0.0)),
        Some(Value::Integer(0)) => Ok(Real(0.0)),
        Some(Value::Float(share)) => Err(Error::input(format!("`{key} = {share}` is out of range: {expected}"))),
        Some(other) => Err(Error::input(format!("`{key}` is {}: {expected}", kind(other)))),
        None => Err(Error::input(format!("`{key}` is missing: {expected}"))),
    }
}
