//! Values as Python writes them.

/// A number with a point.
pub(super) fn number(value: f64) -> String {
    special(value).unwrap_or_else(|| format!("{value:?}"))
}

/// A float32 in as few digits as tell it from its neighbours.
pub(super) fn float(value: f32) -> String {
    special(f64::from(value)).unwrap_or_else(|| format!("{value:?}"))
}

fn special(value: f64) -> Option<String> {
    let word = match value {
        value if value.is_nan() => "nan",
        f64::INFINITY => "inf",
        f64::NEG_INFINITY => "-inf",
        _ => return None,
    };
    Some(format!("float(\"{word}\")"))
}

pub(super) fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// A text in quotes, whatever it holds.
pub(super) fn quoted(text: &str) -> String {
    let letter = |letter: char| match letter {
        '"' | '\\' => format!("\\{letter}"),
        letter if letter.is_control() => format!("\\U{:08x}", u32::from(letter)),
        letter => letter.to_string(),
    };
    format!("\"{}\"", text.chars().map(letter).collect::<String>())
}

/// Several values, each as it is written.
pub(super) fn tuple<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    match &*values {
        [one] => format!("({one},)"),
        _ => format!("({})", values.join(", ")),
    }
}

/// Height and width: one number where they are the same, or where there is no height.
pub(super) fn sides(sides: [usize; 2], is_signal: bool) -> String {
    if is_signal || sides[0] == sides[1] { sides[1].to_string() } else { tuple(sides) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_and_no_number_ends_a_literal() {
        assert_eq!(quoted("a\"); import os #\n"), "\"a\\\"); import os #\\U0000000a\"");
        assert_eq!(number(1e-5), "1e-5");
        assert_eq!(number(f64::NEG_INFINITY), "float(\"-inf\")");
        assert_eq!(float(0.1), "0.1");
        assert_eq!((tuple([3]), tuple([3, 4]), sides([3, 3], false)), ("(3,)".into(), "(3, 4)".into(), "3".into()));
    }
}
