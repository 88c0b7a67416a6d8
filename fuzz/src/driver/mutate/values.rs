//! Changes of MessagePack that leave it MessagePack: one value, with all that is in it, in the place of another.

use std::ops::Range;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::bytes::{self, edge};

/// One change; of bytes that are no MessagePack, any.
pub(super) fn change(part: &mut Vec<u8>, words: &[Vec<u8>], random: &mut ChaCha8Rng) {
    let starts = starts(part);
    if starts.is_empty() {
        return bytes::change(part, &[], words, random);
    }
    let any = |random: &mut ChaCha8Rng| starts[random.random_range(0..starts.len())];
    let place = any(random);
    let own = span(part, place);
    match random.random_range(0..6) {
        0..3 => {
            let new = value(words, random);
            part.splice(own, new);
        }
        3 => {
            let copied = part[span(part, any(random))].to_vec();
            part.splice(own, copied);
        }
        // One more or less than its list says.
        4 => {
            let copied = if random.random() { part[own.clone()].to_vec() } else { Vec::new() };
            part.splice(if copied.is_empty() { own } else { own.start..own.start }, copied);
        }
        _ => part[place] = random.random(),
    }
}

/// A value of some kind.
fn value(words: &[Vec<u8>], random: &mut ChaCha8Rng) -> Vec<u8> {
    let big = |first: u8, bytes: &[u8]| [&[first], bytes].concat();
    match random.random_range(0..14) {
        0 => vec![0xc0],
        1 => vec![0xc2 + random.random_range(0..2)],
        2 => vec![random.random_range(0..0x80)],
        3 => vec![random.random_range(0xe0..=0xff)],
        4 | 5 => big(0xcf, &edge(random).to_be_bytes()),
        6 => big(0xd3, &edge(random).to_be_bytes()),
        7 => {
            let numbers = [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MAX, f64::MIN_POSITIVE, -0.0, 1e300];
            big(0xcb, &numbers[random.random_range(0..numbers.len())].to_be_bytes())
        }
        8 => vec![[0x80, 0x90, 0xa0][random.random_range(0..3)]],
        // Lists, maps, texts and bytes that promise what is not there.
        9 => big([0xdd, 0xdf, 0xdb, 0xc6][random.random_range(0..4)], &(edge(random) as u32).to_be_bytes()),
        10 => vec![0x91; random.random_range(1..2000)],
        11 => {
            let length = random.random_range(0..40);
            [vec![0xc4, length], vec![random.random(); usize::from(length)]].concat()
        }
        12 => [0xca].into_iter().chain(f32::NAN.to_be_bytes()).collect(),
        _ => {
            let word = words.get(random.random_range(0..words.len().max(1))).cloned().unwrap_or_default();
            [vec![0xd9, word.len() as u8], word].concat()
        }
    }
}

/// The first byte of each value, those inside of others too.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let (mut starts, mut place) = (Vec::new(), 0);
    while let Some((own, _)) = head(bytes, place) {
        starts.push(place);
        place += own;
    }
    starts
}

/// All of the value that begins at `start`.
fn span(bytes: &[u8], start: usize) -> Range<usize> {
    let (mut place, mut missing) = (start, 1usize);
    while missing > 0 {
        let Some((own, inside)) = head(bytes, place) else { break };
        place += own;
        missing = (missing - 1).saturating_add(inside);
    }
    start..place.min(bytes.len())
}

/// How long a value is without those in it, and how many those are. Nothing behind the end.
fn head(bytes: &[u8], place: usize) -> Option<(usize, usize)> {
    let first = *bytes.get(place)?;
    let number = |width: usize| {
        let digits = bytes.get(place + 1..place + 1 + width)?;
        Some(digits.iter().fold(0usize, |number, digit| number << 8 | usize::from(*digit)))
    };
    let (own, inside) = match first {
        0x00..0x80 | 0xc0..0xc4 | 0xe0..=0xff => (1, 0),
        0x80..0x90 => (1, 2 * usize::from(first & 15)),
        0x90..0xa0 => (1, usize::from(first & 15)),
        0xa0..0xc0 => (1 + usize::from(first & 31), 0),
        0xc4 | 0xd9 => (2 + number(1)?, 0),
        0xc5 | 0xda => (3 + number(2)?, 0),
        0xc6 | 0xdb => (5 + number(4)?, 0),
        0xc7 => (3 + number(1)?, 0),
        0xc8 => (4 + number(2)?, 0),
        0xc9 => (6 + number(4)?, 0),
        0xca | 0xce | 0xd2 => (5, 0),
        0xcb | 0xcf | 0xd3 => (9, 0),
        0xcc | 0xd0 => (2, 0),
        0xcd | 0xd1 => (3, 0),
        0xd4..0xd9 => (2 + (1 << (first - 0xd4)), 0),
        0xdc => (3, number(2)?),
        0xdd => (5, number(4)?),
        0xde => (3, 2 * number(2)?),
        0xdf => (5, 2 * number(4)?),
    };
    Some((own, inside))
}
