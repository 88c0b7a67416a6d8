//! What a TIFF promises of its own directory, looked at before the library believes it: a short file may name tables of hundreds of
//! megabytes.
//!
//! Adobe: "TIFF, revision 6.0", section 2; BigTIFF as libtiff describes it.

/// Bytes of one value of each type, from 1; others count as one byte.
const SIZES: [u64; 19] = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8];

/// Refuses a TIFF whose first directory names more values than the file has bytes for. Everything else passes: the library says what is
/// wrong with it.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let (is_big_endian, version) = match bytes {
        [b'I', b'I', version, 0, ..] => (false, *version),
        [b'M', b'M', 0, version, ..] => (true, *version),
        _ => return Ok(()),
    };
    let number = |place: u64, length: usize| -> Option<u64> {
        let start = usize::try_from(place).ok()?;
        let digits = bytes.get(start..start.checked_add(length)?)?;
        let join = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Some(if is_big_endian { digits.iter().fold(0, join) } else { digits.iter().rev().fold(0, join) })
    };
    // Where the directory is, and the bytes of its count, of an entry and of an entry's count.
    let (at, count_bytes, entry_bytes, values_bytes) = match version {
        42 => (number(4, 4), 2, 12, 4),
        43 => (number(8, 8), 8, 20, 8),
        _ => return Ok(()),
    };
    let Some((at, entries)) = at.and_then(|at| Some((at, number(at, count_bytes)?))) else { return Ok(()) };
    for entry in 0..entries.min(bytes.len() as u64 / entry_bytes) {
        let place = at.saturating_add(count_bytes as u64).saturating_add(entry * entry_bytes);
        let (Some(tag), Some(kind), Some(values)) =
            (number(place, 2), number(place.saturating_add(2), 2), number(place.saturating_add(4), values_bytes))
        else {
            return Ok(());
        };
        let size = SIZES.get(kind as usize).copied().unwrap_or(1).max(1);
        if values.saturating_mul(size) > bytes.len() as u64 {
            return Err(format!(
                "it is cut off: its field {tag} has {values} values, more than the {} bytes can hold",
                bytes.len()
            ));
        }
    }
    Ok(())
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
        assert!(check(&little(8_388_353)).unwrap_err().contains("field 279 has 8388353 values"));
        assert_eq!(check(&little(2)), Ok(()));
        let big = [&b"MM\0*\0\0\0\x08\0\x01"[..], &[1, 23, 0, 3, 0x7f, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert!(check(&big).is_err());
        assert_eq!(check(b"II*\0"), Ok(()));
        assert_eq!(check(b"\x89PNG\r\n\x1a\n"), Ok(()));
    }
}
