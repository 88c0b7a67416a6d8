//! Where the masks of a training's epochs lie in their file: one row of bytes an epoch, as NumPy reads them.
//!
//! It may not know of files.

/// Bytes before the first row.
pub(crate) const HEADER: usize = 128;

/// Which epochs a file has rows for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskPlace {
    /// The epoch of the first row.
    pub first: usize,
    /// Number of rows.
    pub rows: usize,
    /// Bits of a mask.
    pub len: usize,
}

impl MaskPlace {
    pub(crate) fn row_bytes(&self) -> usize {
        self.len.div_ceil(8)
    }

    pub(crate) fn offset(&self, epoch: usize) -> u64 {
        (HEADER + epoch.saturating_sub(self.first) * self.row_bytes()) as u64
    }

    /// NumPy's header, version 1.0.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend_from_slice(&(HEADER as u16 - 10).to_le_bytes());
        let text =
            format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, {}), }}", self.rows, self.row_bytes());
        header.extend_from_slice(text.as_bytes());
        header.resize(HEADER - 1, b' ');
        header.push(b'\n');
        header
    }
}
