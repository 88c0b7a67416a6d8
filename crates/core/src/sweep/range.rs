//! Values of a setting that are given as a range: `{ log = [1e-3, 1], n = 8 }`.
//!
//! Numbers are rounded to six digits, so that they can be read, typed and found again. It may not know what settings mean.

use rand::Rng;

use super::settings::{Field, Settings};
use tombola_words::error::{Error, Result};
use tombola_words::stream::stream;

/// More values than this are a slip of the keyboard.
const MOST_VALUES: i64 = 10_000;

/// How values lie in a range.
#[derive(Clone, Copy, PartialEq)]
enum Spread {
    /// Evenly, both ends included.
    Linear,
    /// By equal factors, both ends included.
    Log,
    /// Drawn at random, each value as likely as any other.
    Uniform,
    /// Drawn at random, each factor as likely as any other.
    LogUniform,
}

const SPREADS: [(&str, Spread); 4] = [
    ("linear", Spread::Linear),
    ("log", Spread::Log),
    ("uniform", Spread::Uniform),
    ("log-uniform", Spread::LogUniform),
];

/// Whether a table is such a range.
pub(super) fn is_range(table: &toml::Table) -> bool {
    SPREADS.iter().any(|(word, _)| table.contains_key(*word))
}

/// The values that a range is of, as text: whole numbers where the setting takes no others, each once.
///
/// # Errors
/// When it lacks something, or the setting takes none of its values.
pub(super) fn values(field: &Field, table: &toml::Table) -> Result<Vec<String>> {
    let shown = toml::Value::Table(table.clone()).to_string();
    let wrong = |what: &str| {
        Error::input(format!("`{}`: found `{shown}`, {what}", field.key))
            .hint("for example `{ log = [1e-3, 1], n = 8 }`; linear, log, uniform or log-uniform, the last two drawn by `seed`")
    };
    let mut spreads = SPREADS.iter().filter_map(|(word, spread)| Some((*spread, table.get(*word)?)));
    let (Some((spread, ends)), None) = (spreads.next(), spreads.next()) else {
        return Err(wrong("expected one of linear, log, uniform and log-uniform"));
    };
    if let Some(key) =
        table.keys().find(|key| !["n", "seed"].contains(&key.as_str()) && SPREADS.iter().all(|(word, _)| word != key))
    {
        return Err(wrong(&format!("which has `{key}` beside `n` and `seed`")));
    }
    let number = |value: &toml::Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    let ends: Option<Vec<f64>> = ends.as_array().and_then(|ends| ends.iter().map(number).collect());
    let (low, high) = match ends.as_deref() {
        Some([low, high]) if low < high && low.is_finite() && high.is_finite() => (*low, *high),
        _ => return Err(wrong("expected its two ends, the lower first")),
    };
    let by_factors = matches!(spread, Spread::Log | Spread::LogUniform);
    if by_factors && low <= 0.0 {
        return Err(wrong("expected ends above 0"));
    }
    let random = matches!(spread, Spread::Uniform | Spread::LogUniform);
    let least = if random { 1 } else { 2 };
    let count = match table.get("n").and_then(toml::Value::as_integer) {
        Some(count) if (least..=MOST_VALUES).contains(&count) => count as usize,
        _ => return Err(wrong(&format!("expected `n`, a whole number from {least} to {MOST_VALUES}"))),
    };
    let seed = match table.get("seed") {
        None => 1,
        Some(seed) if random => seed
            .as_integer()
            .and_then(|seed| u64::try_from(seed).ok())
            .ok_or_else(|| wrong("expected a whole number as its `seed`"))?,
        Some(_) => return Err(wrong("which draws nothing, so a `seed` means nothing")),
    };
    let mut numbers = stream(seed, "range of values", &[]);
    let mut texts: Vec<String> = Vec::with_capacity(count);
    for index in 0..count {
        let share = if random { numbers.random::<f64>() } else { index as f64 / (count - 1) as f64 };
        let value = match by_factors {
            true => (low.ln() + share * (high.ln() - low.ln())).exp(),
            false => low + share * (high - low),
        };
        let text = taken(field, six_digits(value)).ok_or_else(|| wrong("which this setting cannot be"))?;
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    Ok(texts)
}

/// A number rounded to six digits. The last bits of logarithms differ between machines.
fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// The number as the setting takes it, if it does.
fn taken(field: &Field, value: f64) -> Option<String> {
    let takes = |text: &String| (field.set)(&mut Settings::default(), text).is_ok();
    Some(format!("{value:?}")).filter(takes).or_else(|| Some(format!("{}", value.round())).filter(takes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &str, text: &str) -> Result<Vec<String>> {
        let table: toml::Table = format!("r = {text}").parse().unwrap();
        values(Field::find(key).unwrap(), table["r"].as_table().unwrap())
    }

    #[test]
    fn values_lie_evenly_or_by_equal_factors_with_both_ends() {
        assert_eq!(range("lr", "{ log = [1e-3, 1], n = 4 }").unwrap(), ["0.001", "0.01", "0.1", "1.0"]);
        assert_eq!(range("lr", "{ linear = [0.1, 0.4], n = 4 }").unwrap(), ["0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(range("lr", "{ log = [1e-3, 1], n = 8 }").unwrap()[1], "0.0026827");
        assert_eq!(range("batch-size", "{ log = [16, 128], n = 4 }").unwrap(), ["16", "32", "64", "128"]);
        assert_eq!(range("epochs", "{ linear = [1, 3], n = 9 }").unwrap(), ["1", "2", "3"]);
    }

    #[test]
    fn random_values_are_those_of_their_seed() {
        let drawn = range("lr", "{ log-uniform = [1e-3, 1], n = 5, seed = 3 }").unwrap();
        assert_eq!(drawn, range("lr", "{ log-uniform = [1e-3, 1], n = 5, seed = 3 }").unwrap());
        assert_ne!(drawn, range("lr", "{ log-uniform = [1e-3, 1], n = 5 }").unwrap());
        assert!(drawn.len() == 5 && drawn.iter().all(|text| (1e-3..=1.0).contains(&text.parse::<f64>().unwrap())));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "{ log = [1, 0.1], n = 3 }",
            "{ log = [0, 1], n = 3 }",
            "{ log = [1e-3, 1] }",
            "{ log = [1e-3, 1], n = 1 }",
            "{ log = [1e-3, 1], n = 3, m = 2 }",
            "{ log = [1e-3, 1], linear = [0, 1], n = 3 }",
            "{ log = [1e-3, 1], n = 3, seed = 1 }",
            "{ linear = [-2, -1], n = 3 }",
        ] {
            let error = range("lr", text).expect_err(text);
            assert!(error.message.contains("learning-rate") && error.hint.is_some(), "{error}");
        }
        assert!(
            range("network", "{ linear = [1, 2], n = 2 }").is_ok(),
            "any text is a name; the network is looked for later"
        );
    }
}
