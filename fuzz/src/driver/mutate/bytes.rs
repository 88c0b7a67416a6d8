//! Changes of bytes that mean nothing in particular.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Numbers at whose sides something often changes.
pub(super) const EDGES: [u64; 16] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// One of `EDGES`, or a number near one.
pub(super) fn edge(random: &mut ChaCha8Rng) -> u64 {
    let edge = EDGES[random.random_range(0..EDGES.len())];
    if random.random() { edge } else { edge.wrapping_add(random.random_range(0..7)).wrapping_sub(3) }
}

/// A range inside of `length` bytes, mostly a short one.
pub(super) fn range(length: usize, random: &mut ChaCha8Rng) -> std::ops::Range<usize> {
    let start = random.random_range(0..=length);
    let most = length - start;
    let long = if random.random_ratio(1, 8) { most } else { most.min(16) };
    start..start + random.random_range(0..=long)
}

/// One change.
pub(super) fn change(bytes: &mut Vec<u8>, other: &[u8], words: &[Vec<u8>], random: &mut ChaCha8Rng) {
    let length = bytes.len();
    let kind = if length == 0 { random.random_range(6..9) } else { random.random_range(0..10) };
    match kind {
        0 => bytes[random.random_range(0..length)] ^= 1 << random.random_range(0..8),
        1 => bytes[random.random_range(0..length)] = random.random(),
        2 => number(bytes, random),
        3 => {
            let place = random.random_range(0..length);
            bytes[place] = bytes[place].wrapping_add(random.random_range(0..35)).wrapping_sub(17);
        }
        4 => {
            bytes.drain(range(length, random));
        }
        5 => {
            let copied = bytes[range(length, random)].to_vec();
            let copies = if random.random_ratio(1, 8) { random.random_range(1..64) } else { 1 };
            insert(bytes, &copied.repeat(copies), random);
        }
        6 => {
            let piece = other[range(other.len(), random)].to_vec();
            insert(bytes, &piece, random);
        }
        7 => {
            if let Some(word) = words.get(random.random_range(0..words.len().max(1))) {
                insert(bytes, word, random);
            }
        }
        8 => {
            let run = vec![random.random(); random.random_range(1..32)];
            insert(bytes, &run, random);
        }
        _ => {
            let (from, to) = (range(length, random), random.random_range(0..length));
            let piece = bytes[from].to_vec();
            let end = (to + piece.len()).min(length);
            bytes[to..end].copy_from_slice(&piece[..end - to]);
        }
    }
}

fn insert(bytes: &mut Vec<u8>, piece: &[u8], random: &mut ChaCha8Rng) {
    let place = random.random_range(0..=bytes.len());
    bytes.splice(place..place, piece.iter().copied());
}

/// Writes a number of one, two, four or eight bytes, in either order.
fn number(bytes: &mut [u8], random: &mut ChaCha8Rng) {
    let width = 1 << random.random_range(0..4);
    if bytes.len() < width {
        return;
    }
    let place = random.random_range(0..=bytes.len() - width);
    let number = edge(random);
    let little = number.to_le_bytes();
    let mut written = little[..width].to_vec();
    if random.random() {
        written.reverse();
    }
    bytes[place..place + width].copy_from_slice(&written);
}
