//! Cuts the bytes of a journal into frames, sound, damaged or torn. It may not know what records tell.
//!
//! A frame is the payload's length and CRC-32, four bytes each, little-endian, then the payload. A kill or a power failure can
//! leave nothing but an incomplete *last* frame. Whatever else is no frame was damaged, and what stands behind it is looked for.

use std::ops::Range;

use tombola_words::record::Record;

/// The first bytes of every journal: a name and the version of the format.
pub const HEADER: &[u8; 16] = b"tombola journal1";
/// What stands before a payload.
const PREFIX: usize = 8;
/// Every record is a MessagePack map with one entry, its kind: so begins every payload.
const FIRST: u8 = 0x81;

/// A part of a journal, and where it lies in the file.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and most are records")]
pub enum Piece {
    /// A frame with a record of this version.
    Sound(Record, Range<usize>),
    /// A frame whose checksum is right, with a record that this version does not know.
    Newer(String, Range<usize>),
    /// Bytes that were written as something else.
    Damaged(Range<usize>),
    /// The beginning of a frame that was being written at the end of the file.
    Torn(Range<usize>),
}

/// The pieces of a journal behind its header, in order and without gaps.
#[derive(Debug)]
pub struct Pieces<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Pieces<'a> {
    /// Of the bytes of a whole file; what stands in place of the header is passed over.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, position: HEADER.len().min(bytes.len()) }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let (from, end) = (self.position, self.bytes.len());
        if from >= end {
            return None;
        }
        let piece =
            frame(self.bytes, from).unwrap_or_else(|| match (from + 1..end).find(|at| is_frame(self.bytes, *at)) {
                Some(next) => Piece::Damaged(from..next),
                None if is_torn(&self.bytes[from..]) => Piece::Torn(from..end),
                None => Piece::Damaged(from..end),
            });
        self.position = piece.range().end;
        Some(piece)
    }
}

impl Piece {
    /// Where it lies in the file.
    pub fn range(&self) -> Range<usize> {
        match self {
            Self::Sound(_, range) | Self::Newer(_, range) | Self::Damaged(range) | Self::Torn(range) => range.clone(),
        }
    }
}

/// A record as a frame.
///
/// # Errors
/// When the record cannot be encoded.
pub(super) fn framed(record: &Record) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let payload = rmp_serde::to_vec_named(record)?;
    let mut frame = Vec::with_capacity(payload.len() + PREFIX);
    frame.extend((payload.len() as u32).to_le_bytes());
    frame.extend(crc32fast::hash(&payload).to_le_bytes());
    frame.extend(payload);
    Ok(frame)
}

/// The frame that begins at `at`, if there is one.
fn frame(bytes: &[u8], at: usize) -> Option<Piece> {
    let payload = payload(bytes, at)?;
    let range = at..at + PREFIX + payload.len();
    Some(match rmp_serde::from_slice(payload) {
        Ok(record) => Piece::Sound(record, range),
        Err(error) => Piece::Newer(error.to_string(), range),
    })
}

fn is_frame(bytes: &[u8], at: usize) -> bool {
    payload(bytes, at).is_some()
}

/// The payload of the frame that begins at `at`, if its checksum is right.
fn payload(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let (length, checksum) = prefix(bytes.get(at..)?)?;
    let start = at + PREFIX;
    // Looked at before the checksum: at nearly every byte that begins no frame, this is all that is done.
    if bytes.get(start) != Some(&FIRST) {
        return None;
    }
    let payload = bytes.get(start..start.checked_add(length)?)?;
    (crc32fast::hash(payload) == checksum).then_some(payload)
}

fn prefix(bytes: &[u8]) -> Option<(usize, u32)> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some((word(0)? as usize, word(4)?))
}

/// Whether the last bytes of a file, behind which no frame begins, are a frame that did not get there as a whole.
fn is_torn(tail: &[u8]) -> bool {
    // Some file systems note a file's length before its bytes.
    if tail.iter().all(|byte| *byte == 0) {
        return true;
    }
    let Some((length, checksum)) = prefix(tail) else { return true };
    let there = &tail[PREFIX..];
    // All of the payload is there where its checksum says so: then it is the length that was damaged.
    length > there.len() && there.first().is_none_or(|first| *first == FIRST) && crc32fast::hash(there) != checksum
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_words::record::Evaluation;
    use tombola_words::value::Moment;
    use tombola_words::{StageId, record::EpochRecord};

    fn records() -> Vec<Record> {
        let stage = StageId::of("stage");
        let epoch = |epoch| EpochRecord {
            epoch,
            learning_rate: 0.1,
            train: Evaluation { loss: 1.0 / 3.0, correct: 5, images: 9, top5: None },
            seconds: 1.5,
            ..EpochRecord::default()
        };
        vec![
            Record::Started { version: "0".into(), time: 1, machine: "m".into() },
            Record::Epoch { stage, epoch: epoch(1) },
            Record::Kept { stage, moment: Moment::Epoch(1), sums: None },
            Record::Ended { how: String::new(), time: 0.0 },
        ]
    }

    fn journal() -> Vec<u8> {
        records().iter().fold(HEADER.to_vec(), |all, record| [all, framed(record).unwrap()].concat())
    }

    fn sound(bytes: &[u8]) -> Vec<Record> {
        Pieces::of(bytes)
            .filter_map(|piece| if let Piece::Sound(record, _) = piece { Some(record) } else { None })
            .collect()
    }

    fn kinds(bytes: &[u8]) -> (usize, usize) {
        let pieces: Vec<Piece> = Pieces::of(bytes).collect();
        let count = |kind: fn(&Piece) -> bool| pieces.iter().filter(|piece| kind(piece)).count();
        (count(|piece| matches!(piece, Piece::Damaged(_))), count(|piece| matches!(piece, Piece::Torn(_))))
    }

    #[test]
    fn any_flipped_bit_is_damage_and_costs_one_record() {
        let whole = journal();
        for place in HEADER.len()..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[place] ^= 1 << bit;
                assert_eq!(kinds(&bytes), (1, 0), "byte {place}, bit {bit}");
                let found = sound(&bytes);
                assert_eq!(found.len(), records().len() - 1, "byte {place}, bit {bit}");
                assert!(found.iter().all(|record| records().contains(record)));
            }
        }
    }

    #[test]
    fn a_cut_is_torn_and_never_damage() {
        let whole = journal();
        for length in HEADER.len()..whole.len() {
            let (damaged, torn) = kinds(&whole[..length]);
            assert!(damaged == 0 && torn <= 1, "{length}");
            let found = sound(&whole[..length]);
            assert_eq!(found, records()[..found.len()]);
        }
    }

    #[test]
    fn zeros_behind_the_end_are_torn_and_in_the_middle_damage() {
        let whole = journal();
        assert_eq!(kinds(&[whole.as_slice(), &[0; 40]].concat()), (0, 1));
        let holed = [whole.as_slice(), &[0; 40], &whole[HEADER.len()..]].concat();
        assert_eq!((kinds(&holed), sound(&holed).len()), ((1, 0), 2 * records().len()));
    }

    #[test]
    fn a_record_of_another_kind_is_newer_and_not_damaged() {
        let payload = b"\x81\xa7Unknown\x80";
        let frame =
            [&(payload.len() as u32).to_le_bytes()[..], &crc32fast::hash(payload).to_le_bytes(), payload].concat();
        let bytes = [journal(), frame].concat();
        assert!(matches!(Pieces::of(&bytes).last(), Some(Piece::Newer(_, range)) if range.end == bytes.len()));
    }
}
