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
    encoded.collect()
}

fn words() -> Vec<String> {
    ["\u{89}PNG\r\n\u{1a}\n", "IHDR", "IDAT", "PLTE", "tRNS", "RIFF", "WEBPVP8L", "BM", "II*\0", "MM\0*"]
        .map(str::to_string)
        .to_vec()
}
