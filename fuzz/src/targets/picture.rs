//! An image: PNG, JPEG, WebP, BMP or TIFF. What is decoded has as many values as its size says, and bombs are refused before they
//! are unpacked.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Luma, Rgb, Rgba};

use crate::FuzzTarget;
use crate::form::{Grammar, WHOLE};
use tombola_data::own::{Wanted, decode_picture, look_at_picture};
use tombola_words::{Alpha, Resize};

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "picture",
    run,
    seeds,
    form: WHOLE,
    grammar: Grammar::Bytes,
    words,
    longest: 4096,
    // A short file may hold the most pixels that any may have, in one value of 16 bits each.
    memory: |_| crate::MOST_MEMORY,
};

/// Images of more pixels are looked at, not decoded: they take a second each.
const MOST_PIXELS: u32 = 1 << 20;

fn run(bytes: &[u8]) {
    let Ok(form) = look_at_picture(bytes) else { return };
    if form.height.saturating_mul(form.width) > MOST_PIXELS {
        return;
    }
    let turn = usize::from(bytes.len() as u8);
    let wanted = Wanted {
        channels: [1, 3, 4][turn % 3],
        bits: form.bits,
        size: if turn % 2 == 0 { (form.height as usize, form.width as usize) } else { (5, 3) },
        resize: if turn % 4 < 2 { Resize::Stretch } else { Resize::Crop },
        alpha: [Alpha::Drop, Alpha::White, Alpha::Black][turn / 3 % 3],
    };
    let Ok(numbers) = decode_picture(bytes, &wanted) else { return };
    assert_eq!(numbers.len(), wanted.size.0 * wanted.size.1 * wanted.channels);
}

fn seeds() -> Vec<Vec<u8>> {
    let colour = image::ImageBuffer::from_fn(7, 5, |x, y| Rgb([(x * 30) as u8, (y * 40) as u8, 9]));
    let clear = image::ImageBuffer::from_fn(4, 4, |x, y| Rgba([(x * 60) as u8, 7, (y * 60) as u8, (x * y) as u8]));
    let deep = image::ImageBuffer::from_fn(3, 6, |x, y| Luma([(x * 9000 + y * 77) as u16]));
    let images: [DynamicImage; 3] =
        [DynamicImage::ImageRgb8(colour), DynamicImage::ImageRgba8(clear), DynamicImage::ImageLuma16(deep)];
    let formats = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff];
    let encoded = images.iter().flat_map(|image| {
        formats.iter().filter_map(|format| {
            let mut bytes = Vec::new();
            image.write_to(&mut Cursor::new(&mut bytes), *format).ok().map(|()| bytes)
        })
    });
    encoded.chain(TIFFS.map(|(meaning, bits, samples)| tiff(meaning, bits, samples))).collect()
}

/// What zero means, bits and samples of the TIFFs below.
const TIFFS: [(u16, u16, u16); 8] =
    [(0, 2, 1), (1, 4, 1), (3, 1, 1), (3, 4, 1), (1, 8, 2), (3, 8, 2), (0, 16, 2), (2, 8, 4)];

/// A TIFF of 6x3 pixels of the kinds that no encoder here writes: what zero means or 3 for a palette, and bits of the samples of a pixel.
fn tiff(meaning: u16, bits: u16, samples: u16) -> Vec<u8> {
    let pixels: Vec<u8> = (0..3 * (6 * bits * samples).div_ceil(8)).map(|at| at.wrapping_mul(37) as u8).collect();
    let palette: Vec<u8> = (0..6_u16 << bits.min(8)).map(|at| at.wrapping_mul(51) as u8).collect();
    let behind = 8 + pixels.len() as u32;
    let whole = |value: u16| [value.to_le_bytes(), [0; 2]].concat();
    let mut fields = vec![(256, 1, whole(6)), (257, 1, whole(3)), (262, 1, whole(meaning)), (277, 1, whole(samples))];
    fields.push(match samples {
        1 => (258, 1, whole(bits)),
        2 => (258, 2, [bits.to_le_bytes(), bits.to_le_bytes()].concat()),
        // The first bytes of a palette are no bits; these follow.
        _ => (258, u32::from(samples), (behind + palette.len() as u32).to_le_bytes().to_vec()),
    });
    fields.extend([
        (259, 1, whole(1)),
        (278, 1, whole(3)),
        (338, 1, whole(1)),
        (273, 1, whole(8)),
        (279, 1, whole(pixels.len() as u16)),
    ]);
    if meaning == 3 {
        fields.push((320, 3 << bits, behind.to_le_bytes().to_vec()));
    }
    fields.sort();
    let bits = bits.to_le_bytes().repeat(usize::from(samples));
    let place = behind + (palette.len() + bits.len()) as u32;
    let field = |(tag, count, value): &(u16, u32, Vec<u8>)| {
        [&tag.to_le_bytes()[..], &3_u16.to_le_bytes(), &count.to_le_bytes(), value].concat()
    };
    let directory: Vec<u8> = fields.iter().flat_map(field).collect();
    let count = (fields.len() as u16).to_le_bytes();
    [b"II*\0", &place.to_le_bytes()[..], &pixels, &palette, &bits, &count, &directory, &[0; 4]].concat()
}

fn words() -> Vec<String> {
    ["\u{89}PNG\r\n\u{1a}\n", "IHDR", "IDAT", "PLTE", "tRNS", "RIFF", "WEBPVP8L", "BM", "II*\0", "MM\0*"]
        .map(str::to_string)
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_seeds_are_images() {
        for seed in seeds() {
            assert!(look_at_picture(&seed).is_ok(), "{:?}", look_at_picture(&seed));
        }
        for (meaning, bits, samples) in TIFFS {
            let wanted = Wanted { channels: 3, bits: 8, size: (3, 6), resize: Resize::Stretch, alpha: Alpha::Drop };
            let found = decode_picture(&tiff(meaning, bits, samples), &wanted);
            assert!(found.is_ok(), "{meaning} {bits} {samples}: {found:?}");
        }
    }
}
