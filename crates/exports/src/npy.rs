//! Masks as an archive of NumPy arrays (`numpy.load`): for each layer with connections an array of `bool` in the shape of its
//! weight; what images are normalised by is the comment of the archive, since whoever reads it
//! takes each array for a mask. The form is NEP 1, version 1.0, in a zip archive.

use super::Exported;
use tombola_core::checkpoint::zipped;
use tombola_words::error::{Error, Result};

/// The bytes of the file.
pub(super) fn masks(ticket: &Exported) -> Result<Vec<u8>> {
    let mask = ticket.state.mask.as_ref().ok_or_else(|| {
        Error::input("this training has no mask: it is of a dense network")
            .hint("name a ticket: `tombola explain` lists them")
    })?;
    let connections = ticket.layout.parameters.iter().filter(|parameter| parameter.role.is_connection());
    let files = connections.map(|parameter| {
        let stored: Vec<u8> = parameter.range().map(|position| u8::from(mask.get(position))).collect();
        (format!("{}.npy", parameter.name), array(&parameter.shape, &parameter.to_pytorch(&stored)))
    });
    zipped::archive(files, &ticket.normalisation().unwrap_or_default())
}

/// An array of `bool`.
fn array(shape: &[usize], values: &[u8]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let mut header = format!("{{'descr': '|b1', 'fortran_order': False, 'shape': ({}), }}", sizes.trim_end());
    // Values begin at a multiple of 64 bytes; ten come before the header.
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(values);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_begins_with_its_shape_and_is_aligned() {
        let bytes = array(&[2, 3], &[1, 0, 1, 0, 0, 1]);
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!((10 + length) % 64, 0);
        let header = String::from_utf8_lossy(&bytes[10..10 + length]).into_owned();
        assert!(header.contains("'shape': (2, 3,)") && header.ends_with('\n'), "{header}");
        assert_eq!(&bytes[10 + length..], [1, 0, 1, 0, 0, 1]);
    }
}
