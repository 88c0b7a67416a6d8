//! What the first bytes of an image say of it, and how large an image may be. It knows no format.

/// No image that is learned from has more; many small files claim to.
const MOST_PIXELS: u64 = 1 << 26;
/// No side is longer.
const LONGEST_SIDE: u32 = 65_535;
/// What the first bytes of an image say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PictureForm {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Whether there is more than grey.
    pub is_coloured: bool,
    /// Whether it says how transparent it is.
    pub has_alpha: bool,
    /// Bits of a value, 8 or 16.
    pub bits: u8,
}

/// Refuses an image that says it has no pixels, or too many to be learned from.
pub(super) fn check_size(width: u32, height: u32) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(format!("it has {width}x{height} pixels"));
    }
    if width > LONGEST_SIDE || height > LONGEST_SIDE || pixels > MOST_PIXELS {
        return Err(format!(
            "it says that it has {width}x{height} pixels; expected sides up to {LONGEST_SIDE} and at most {MOST_PIXELS} pixels"
        ));
    }
    Ok(())
}
