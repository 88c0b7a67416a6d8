//! The fields of the first directory of a TIFF, as they are used to look at what the library is not asked for, and before the library
//! believes them: a short file may name tables of hundreds of megabytes.
//!
//! It knows nothing of pixels. Adobe: "TIFF, revision 6.0", section 2; BigTIFF as libtiff describes it.

/// Bytes of one value of each type, from 1; others count as one byte.
const SIZES: [u64; 19] = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8];

/// Numbers of the fields that are asked for.
pub(super) mod tag {
    /// Where all of them are.
    pub(in crate::own) const ALL: std::ops::RangeInclusive<u64> = WIDTH..=KIND_OF_NUMBERS;
    pub(in crate::own) const WIDTH: u64 = 256;
    pub(in crate::own) const HEIGHT: u64 = 257;
    pub(in crate::own) const BITS: u64 = 258;
    pub(in crate::own) const COMPRESSION: u64 = 259;
    pub(in crate::own) const MEANING: u64 = 262;
    pub(in crate::own) const ORDER_OF_BITS: u64 = 266;
    pub(in crate::own) const STRIP_STARTS: u64 = 273;
    pub(in crate::own) const TURN: u64 = 274;
    pub(in crate::own) const SAMPLES: u64 = 277;
    pub(in crate::own) const STRIP_ROWS: u64 = 278;
    pub(in crate::own) const STRIP_LENGTHS: u64 = 279;
    pub(in crate::own) const PLANES: u64 = 284;
    pub(in crate::own) const COLOURS: u64 = 320;
    pub(in crate::own) const TILE_WIDTH: u64 = 322;
    pub(in crate::own) const TILE_HEIGHT: u64 = 323;
    pub(in crate::own) const TILE_STARTS: u64 = 324;
    pub(in crate::own) const TILE_LENGTHS: u64 = 325;
    pub(in crate::own) const EXTRA_SAMPLES: u64 = 338;
    pub(in crate::own) const KIND_OF_NUMBERS: u64 = 339;
}

/// JPEG, in the field of the compression.
pub(super) const JPEG: u64 = 7;
/// Red, green and blue, in the field of the meaning.
pub(super) const COLOUR: u64 = 2;

/// The fields of a TIFF, each a number, the type of its values, how many these are, and where they begin.
pub(super) struct TiffFields<'file> {
    bytes: &'file [u8],
    is_big_endian: bool,
    fields: Vec<TiffField>,
}

struct TiffField {
    tag: u64,
    kind: u64,
    values: u64,
    place: u64,
}

/// Whether bytes begin as a TIFF does, or as a BigTIFF.
pub(super) fn is_tiff(bytes: &[u8]) -> bool {
    begun(bytes).is_some()
}

/// The order of the bytes and the version.
fn begun(bytes: &[u8]) -> Option<(bool, u8)> {
    match bytes {
        [b'I', b'I', version @ (42 | 43), 0, ..] => Some((false, *version)),
        [b'M', b'M', 0, version @ (42 | 43), ..] => Some((true, *version)),
        _ => None,
    }
}

impl<'file> TiffFields<'file> {
    /// Reads the first directory, as far as there is one; nothing of a file that is no TIFF.
    pub(super) fn of(bytes: &'file [u8]) -> Option<Self> {
        let (is_big_endian, version) = begun(bytes)?;
        let mut found = Self { bytes, is_big_endian, fields: Vec::new() };
        // Where the directory is, and the bytes of its count, of an entry and of a count or a place in an entry.
        let (at, count_bytes, entry_bytes, word) = match version {
            43 => (found.number(8, 8)?, 8, 20, 8),
            _ => (found.number(4, 4)?, 2, 12, 4),
        };
        let entries = found.number(at, count_bytes)?;
        for entry in 0..entries.min(bytes.len() as u64 / entry_bytes) {
            let place = at.saturating_add(count_bytes as u64).saturating_add(entry * entry_bytes);
            let Some(field) = found.field(place, word) else { break };
            found.fields.push(field);
        }
        Some(found)
    }

    /// Refuses a TIFF whose first directory has a field twice or names more values than the file has bytes for. Everything else
    /// passes: the library says what is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        let length = self.bytes.len();
        // Of two, the library may take the other one.
        let mut known: Vec<u64> =
            self.fields.iter().map(|field| field.tag).filter(|tag| tag::ALL.contains(tag)).collect();
        known.sort_unstable();
        if let Some(pair) = known.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("it is damaged: its field {} stands there twice", pair[0]));
        }
        match self.fields.iter().find(|field| field.values.saturating_mul(size(field.kind)) > length as u64) {
            Some(TiffField { tag, values, .. }) => Err(format!(
                "it is cut off: its field {tag} has {values} values, more than the {length} bytes can hold"
            )),
            None => Ok(()),
        }
    }

    /// The whole numbers of a field; nothing where the file has none or they are of another type.
    pub(super) fn numbers(&self, tag: u64) -> Option<Vec<u64>> {
        let field = self.fields.iter().find(|field| field.tag == tag)?;
        let bytes = match field.kind {
            1 | 3 | 4 | 16 => size(field.kind),
            _ => return None,
        };
        let places = (0..field.values).map(|value| field.place.checked_add(value * bytes));
        // Each is looked up, so that a count beyond the end of the file ends at once.
        places.map(|place| self.number(place?, bytes as usize)).collect()
    }

    /// The first number of a field, or what the standard says where the file says nothing.
    pub(super) fn first_or(&self, tag: u64, usual: u64) -> u64 {
        self.numbers(tag).and_then(|numbers| numbers.first().copied()).unwrap_or(usual)
    }

    /// The file with another number in a field of one short number.
    pub(super) fn with(&self, tag: u64, number: u16) -> Option<Vec<u8>> {
        let field = self.fields.iter().find(|field| field.tag == tag && field.kind == 3 && field.values == 1)?;
        let start = usize::try_from(field.place).ok()?;
        let mut changed = self.bytes.to_vec();
        let digits = if self.is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        changed.get_mut(start..start.checked_add(2)?)?.copy_from_slice(&digits);
        Some(changed)
    }

    /// Bytes of the file.
    pub(super) fn bytes_at(&self, start: u64, length: u64) -> Option<&'file [u8]> {
        let start = usize::try_from(start).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    }

    fn field(&self, place: u64, word: usize) -> Option<TiffField> {
        let (tag, kind) = (self.number(place, 2)?, self.number(place.checked_add(2)?, 2)?);
        let values = self.number(place.checked_add(4)?, word)?;
        let inline = place.checked_add(4)?.checked_add(word as u64)?;
        // What fits into the entry is there, else where the entry says.
        let fits = values.saturating_mul(size(kind)) <= word as u64;
        Some(TiffField { tag, kind, values, place: if fits { inline } else { self.number(inline, word)? } })
    }

    fn number(&self, place: u64, length: usize) -> Option<u64> {
        let start = usize::try_from(place).ok()?;
        let digits = self.bytes.get(start..start.checked_add(length)?)?;
        let join = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Some(if self.is_big_endian { digits.iter().fold(0, join) } else { digits.iter().rev().fold(0, join) })
    }
}

fn size(kind: u64) -> u64 {
    SIZES.get(kind as usize).copied().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_values_than_bytes_are_refused_in_both_orders_of_bytes() {
        let little = |count: u32| {
            let entry = [&279_u16.to_le_bytes()[..], &4_u16.to_le_bytes(), &count.to_le_bytes(), &[0; 4]].concat();
            [b"II*\0\x08\0\0\0\x01\0".to_vec(), entry, vec![0; 8]].concat()
        };
        let check = |bytes: &[u8]| TiffFields::of(bytes).unwrap().check();
        assert!(check(&little(8_388_353)).unwrap_err().contains("field 279 has 8388353 values"));
        assert_eq!(check(&little(2)), Ok(()));
        let entry = [&257_u16.to_le_bytes()[..], &3_u16.to_le_bytes(), &1_u32.to_le_bytes(), &[1, 0, 0, 0]].concat();
        let twice = [b"II*\0\x08\0\0\0\x02\0".to_vec(), entry.clone(), entry].concat();
        assert!(check(&twice).unwrap_err().contains("field 257 stands there twice"));
        let big = [&b"MM\0*\0\0\0\x08\0\x01"[..], &[1, 23, 0, 3, 0x7f, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert!(check(&big).is_err());
        assert!(TiffFields::of(b"II*\0").is_none() && TiffFields::of(b"\x89PNG\r\n\x1a\n").is_none());
    }

    #[test]
    fn numbers_lie_in_their_entry_or_where_it_says() {
        // Two short numbers in the entry, then three behind the directory.
        let mut file = b"MM\0*\0\0\0\x08\0\x02".to_vec();
        file.extend([1, 2, 0, 3, 0, 0, 0, 2, 0, 8, 0, 4]);
        file.extend([1, 0x40, 0, 3, 0, 0, 0, 3, 0, 0, 0, 34]);
        file.extend([0, 1, 0, 2, 1, 0]);
        let fields = TiffFields::of(&file).unwrap();
        assert_eq!(fields.numbers(tag::BITS), Some(vec![8, 4]));
        assert_eq!(fields.numbers(tag::COLOURS), Some(vec![1, 2, 256]));
        assert_eq!((fields.numbers(tag::WIDTH), fields.first_or(tag::SAMPLES, 1)), (None, 1));
        assert_eq!(fields.with(tag::WIDTH, 1), None);
    }
}
