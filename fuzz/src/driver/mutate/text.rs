//! Changes of text: of numbers, words, brackets and lines.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::bytes::{self, edge, range};

/// Numbers that programs stumble over.
const NUMBERS: [&str; 14] = [
    "-1",
    "0",
    "1e400",
    "-0.0",
    "nan",
    "inf",
    "-inf",
    "1e-320",
    "0x10",
    "1_000",
    "0.5",
    "1.0",
    "9223372036854775807",
    "-9223372036854775808",
];

/// One change.
pub(super) fn change(text: &mut Vec<u8>, words: &[Vec<u8>], random: &mut ChaCha8Rng) {
    match random.random_range(0..9) {
        0 | 1 => {
            let new = match random.random_range(0..3) {
                0 => NUMBERS[random.random_range(0..NUMBERS.len())].to_string(),
                1 => edge(random).to_string(),
                _ => random.random_range(0..20).to_string(),
            };
            replace(text, |byte| byte.is_ascii_digit() || b"+-.".contains(&byte), new.as_bytes(), random);
        }
        2 | 3 => {
            if let Some(word) = words.get(random.random_range(0..words.len().max(1))) {
                replace(text, |byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte), word, random);
            }
        }
        4 => {
            let (from, to) = (line(text, random), line(text, random));
            let copied = text[from].to_vec();
            text.splice(to.start..to.start, copied);
        }
        5 => {
            text.drain(line(text, random));
        }
        6 => nest(text, random),
        7 => {
            // Another value of a list.
            if let Some(place) = find(text, b',', random) {
                let copied = text[place..text.len().min(place + random.random_range(1..12))].to_vec();
                text.splice(place..place, copied);
            }
        }
        _ => bytes::change(text, b"\"'[]{}=,.\n#", words, random),
    }
}

/// Puts `new` in the place of some run of bytes of a kind.
fn replace(text: &mut Vec<u8>, kind: impl Fn(u8) -> bool, new: &[u8], random: &mut ChaCha8Rng) {
    if text.is_empty() {
        return text.extend(new);
    }
    let start = random.random_range(0..text.len());
    let Some(first) = text[start..].iter().position(|byte| kind(*byte)).map(|place| start + place) else { return };
    let first = text[..first].iter().rposition(|byte| !kind(*byte)).map_or(0, |place| place + 1);
    let length = text[first..].iter().position(|byte| !kind(*byte)).unwrap_or(text.len() - first);
    text.splice(first..first + length, new.iter().copied());
}

/// Some line with its end.
fn line(text: &[u8], random: &mut ChaCha8Rng) -> std::ops::Range<usize> {
    let place = random.random_range(0..=text.len());
    let start = text[..place].iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    let end = text[place..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| place + length + 1);
    start..end
}

fn find(text: &[u8], byte: u8, random: &mut ChaCha8Rng) -> Option<usize> {
    let start = random.random_range(0..=text.len());
    text[start..].iter().position(|found| *found == byte).map(|place| start + place)
}

/// Puts brackets around something, once or very often.
fn nest(text: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    let times = if random.random_ratio(1, 16) { random.random_range(1..400) } else { 1 };
    let inner = range(text.len(), random);
    let (open, close) = [("[", "]"), ("{a=", "}"), ("\"", "\""), ("{residual=[", "]}")][random.random_range(0..4)];
    text.splice(inner.end..inner.end, close.repeat(times).into_bytes());
    text.splice(inner.start..inner.start, open.repeat(times).into_bytes());
}
