//! Whether a JPEG is whole: the library fills up with grey what a file that was cut off lacks. And how large it says that it is.
//!
//! ITU-T T.81, annex B: a file ends with the marker EOI; within coded data, 0xFF is followed by 0 or by a restart marker. Markers SOF0 to
//! SOF15 without DHT, JPG and DAC begin the head of a frame: its length, bits, height, width and components.

const SOI: [u8; 2] = [0xff, 0xd8];
const SOS: u8 = 0xda;
const EOI: u8 = 0xd9;

/// What the head of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JpegFrame {
    pub(super) height: u32,
    pub(super) width: u32,
    pub(super) components: u64,
}

/// Refuses a JPEG without an end. Everything else passes: the library says what is wrong with it.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    frame(bytes).map(drop)
}

/// The head of the first frame, of a JPEG that has one and an end.
pub(super) fn frame(bytes: &[u8]) -> Result<Option<JpegFrame>, String> {
    let mut frame = None;
    if !bytes.starts_with(&SOI) {
        return Ok(frame);
    }
    let cut_off = || Err("it is cut off: a JPEG without its end".to_string());
    let mut place = SOI.len();
    // Segments say how long they are, so what they hold (a small picture, with an end of its own) is passed over.
    loop {
        match bytes.get(place..) {
            Some([0xff, 0xff, ..]) => place += 1,
            Some([0xff, EOI, ..]) => return Ok(frame),
            Some([0xff, marker, high, low, rest @ ..]) if *marker >= 0xc0 => {
                let begins_frame = (0xc0..=0xcf).contains(marker) && ![0xc4, 0xc8, 0xcc].contains(marker);
                if let (true, None, [_, high, low, wide, narrow, components, ..]) = (begins_frame, frame, rest) {
                    let side = |high: u8, low: u8| u32::from(u16::from_be_bytes([high, low]));
                    let (height, width) = (side(*high, *low), side(*wide, *narrow));
                    frame = Some(JpegFrame { height, width, components: u64::from(*components) });
                }
                place += 2 + usize::from(u16::from_be_bytes([*high, *low]));
                if *marker == SOS {
                    place = coded_end(bytes, place);
                }
            }
            Some([0xff, _, _, _, ..]) => return Ok(frame),
            Some(rest) if rest.len() >= 4 => return Ok(frame),
            _ => return cut_off(),
        }
    }
}

/// Where the next marker stands behind coded data that begin at `place`.
fn coded_end(bytes: &[u8], mut place: usize) -> usize {
    while let Some([first, second, ..]) = bytes.get(place..) {
        if *first == 0xff && *second != 0 && *second != 0xff && !(0xd0..=0xd7).contains(second) {
            return place;
        }
        place += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_jpeg_that_is_cut_off_is_told_from_a_whole_one() {
        let image =
            image::ImageBuffer::from_fn(40, 30, |x, y| image::Rgb([(x * 6) as u8, (y * 8) as u8, (x * y) as u8]));
        let mut whole = Vec::new();
        image.write_to(&mut Cursor::new(&mut whole), image::ImageFormat::Jpeg).unwrap();
        assert_eq!(frame(&whole), Ok(Some(JpegFrame { height: 30, width: 40, components: 3 })));
        assert_eq!(check(&[whole.clone(), vec![0; 9]].concat()), Ok(()), "padding behind the end");
        for length in [whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            assert!(check(&whole[..length]).is_err(), "{length}");
        }
        assert_eq!(check(b"no jpeg"), Ok(()));
    }
}
