//! TIFF files that the library reads wrongly, or panics at, without a word: they are refused before it sees them.
//!
//! Adobe: "TIFF, revision 6.0", sections 8 and 15; Technical Note 2 on JPEG.

use super::jpeg;
use super::tiff_fields::{COLOUR, JPEG, TiffFields, tag};

const CMYK: u64 = 5;
const SEPARATE: u64 = 2;

/// Refuses what would be read wrongly, with the reason.
pub(super) fn check(fields: &TiffFields) -> Result<(), String> {
    let number = |tag: u64, usual: u64| fields.first_or(tag, usual);
    let cure = |what: &str| Err(format!("{what}, which is not read: save it as PNG"));
    if number(tag::ORDER_OF_BITS, 1) == 2 {
        return cure("the bits of its bytes are in reverse order (field 266)");
    }
    let tile = fields.numbers(tag::TILE_HEIGHT).and_then(|sides| sides.first().copied());
    let (samples, is_separate) = (number(tag::SAMPLES, 1), number(tag::PLANES, 1) == SEPARATE);
    if is_separate && tile.is_some_and(|tile| tile == 0 || !number(tag::HEIGHT, 0).is_multiple_of(tile)) {
        return cure(
            "its colours lie in tiles of their own (fields 284 and 323), the last of which are larger than the image",
        );
    }
    let has_more = match number(tag::MEANING, 0) {
        CMYK => samples > 4,
        COLOUR => samples > 4 || samples == 4 && number(tag::EXTRA_SAMPLES, 2) == 0,
        _ => false,
    };
    if has_more && (is_separate || number(tag::MEANING, 0) == CMYK) {
        return cure("its pixels have more samples than colours (field 277)");
    }
    if number(tag::COMPRESSION, 1) == JPEG {
        check_jpegs(fields, tile, samples)?;
    }
    Ok(())
}

/// Each strip or tile that is a JPEG is whole, no larger than the strip, and has its samples.
fn check_jpegs(fields: &TiffFields, tile: Option<u64>, samples: u64) -> Result<(), String> {
    let (starts, lengths, rows, columns) = match tile {
        Some(rows) => (tag::TILE_STARTS, tag::TILE_LENGTHS, rows, fields.first_or(tag::TILE_WIDTH, 0)),
        None => {
            let rows = fields.first_or(tag::STRIP_ROWS, u64::MAX).min(fields.first_or(tag::HEIGHT, 0));
            (tag::STRIP_STARTS, tag::STRIP_LENGTHS, rows, fields.first_or(tag::WIDTH, 0))
        }
    };
    let numbers = |tag: u64| fields.numbers(tag).unwrap_or_default();
    for (start, length) in numbers(starts).into_iter().zip(numbers(lengths)) {
        let Some(bytes) = fields.bytes_at(start, length) else {
            return Err("it is cut off: a JPEG in it lies beyond its end".to_string());
        };
        let Some(frame) = jpeg::frame(bytes).map_err(|why| format!("a part of it is a JPEG, of which {why}"))? else {
            return Err("a part of it should be a JPEG, and is none".to_string());
        };
        if u64::from(frame.height) > rows || u64::from(frame.width) > columns || frame.components != samples {
            return Err(format!(
                "a part of it is a JPEG of {}x{} pixels and {} samples; expected up to {columns}x{rows} and {samples}",
                frame.width, frame.height, frame.components
            ));
        }
    }
    Ok(())
}
