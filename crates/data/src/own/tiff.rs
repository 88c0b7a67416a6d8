//! What the library leaves out of TIFF: palettes, grey with alpha, two and four bits of grey, and what the fourth sample of a pixel
//! stands for.
//!
//! The library unpacks the samples of these too, as soon as the file calls them grey. Adobe: "TIFF, revision 6.0", sections 5 and 18.

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, Luma, LumaA, Pixel, Primitive, Rgb, Rgba};
use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::picture_form::PictureForm;
use super::tiff_fields::{TiffFields, tag};

const PALETTE: u64 = 3;
const BLACK_IS_ZERO: u16 = 1;

/// What a sample beyond those of the colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extra {
    /// How opaque the pixel is.
    Alpha,
    /// That too, and the colour is multiplied by it.
    Multiplied,
    /// Nothing that is said.
    Unsaid,
}

/// How the pixels of a TIFF are to be read beyond what the library does.
pub(super) struct Tiff<'file> {
    fields: TiffFields<'file>,
    /// Set where the library does not decode it.
    samples: Option<Samples>,
    /// What its extra sample is, if it has one.
    extra: Option<Extra>,
}

/// Samples that are unpacked as if they were grey.
struct Samples {
    height: u32,
    width: u32,
    bits: u64,
    /// One, or two with alpha.
    each: u64,
    /// Red, green and blue of each value.
    palette: Option<Vec<[u8; 3]>>,
    white_is_zero: bool,
}

impl<'file> Tiff<'file> {
    /// Looks at the fields of a TIFF; nothing where the bytes are none. The error says what is wrong with it.
    pub(super) fn of(bytes: &'file [u8]) -> Result<Option<Self>, String> {
        let Some(fields) = TiffFields::of(bytes) else { return Ok(None) };
        fields.check()?;
        if fields.first_or(tag::ORDER_OF_BITS, 1) == 2 {
            return Err(
                "the bits of its bytes are in reverse order (field 266), which is not read: save it as PNG".into()
            );
        }
        let extra =
            fields.numbers(tag::EXTRA_SAMPLES).and_then(|kinds| kinds.first().copied()).map(|kind| match kind {
                0 => Extra::Unsaid,
                1 => Extra::Multiplied,
                _ => Extra::Alpha,
            });
        Ok(Some(Self { samples: Samples::of(&fields)?, fields, extra }))
    }

    /// What the first bytes say, where the library does not decode it.
    pub(super) fn form(&self) -> Option<PictureForm> {
        let samples = self.samples.as_ref()?;
        Some(PictureForm {
            height: samples.height,
            width: samples.width,
            is_coloured: samples.palette.is_some(),
            has_alpha: samples.each == 2 && self.has_alpha(),
            bits: if samples.bits == 16 { 16 } else { 8 },
        })
    }

    /// Whether an extra sample says how opaque a pixel is.
    pub(super) fn has_alpha(&self) -> bool {
        self.extra != Some(Extra::Unsaid)
    }

    /// Decodes what the library does not; nothing where the library does. `memory` in bytes.
    pub(super) fn decoded(&self, memory: usize) -> Option<Result<DynamicImage, String>> {
        let samples = self.samples.as_ref()?;
        Some(samples.decoded(&self.fields, memory).map(|image| self.settled(image)))
    }

    /// An image whose extra sample is alpha, not multiplied, whatever it was in the file.
    pub(super) fn settled(&self, mut image: DynamicImage) -> DynamicImage {
        match (&mut image, self.extra) {
            (DynamicImage::ImageRgba8(image), Some(extra)) => settle(image, extra),
            (DynamicImage::ImageLumaA8(image), Some(extra)) => settle(image, extra),
            (DynamicImage::ImageRgba16(image), Some(extra)) => settle(image, extra),
            (DynamicImage::ImageLumaA16(image), Some(extra)) => settle(image, extra),
            _ => {}
        }
        image
    }
}

/// Makes alpha of the last sample of each pixel.
fn settle<P: Pixel<Subpixel: Into<u32> + TryFrom<u32>>>(image: &mut ImageBuffer<P, Vec<P::Subpixel>>, extra: Extra) {
    let opaque = P::Subpixel::DEFAULT_MAX_VALUE;
    for pixel in image.pixels_mut() {
        let Some((alpha, colour)) = pixel.channels_mut().split_last_mut() else { continue };
        match (extra, (*alpha).into()) {
            (Extra::Alpha, _) | (Extra::Multiplied, 0) => {}
            (Extra::Multiplied, alpha) => {
                for value in colour {
                    let whole = (*value).into() * opaque.into() / alpha;
                    *value = P::Subpixel::try_from(whole).unwrap_or(opaque);
                }
            }
            (Extra::Unsaid, _) => *alpha = opaque,
        }
    }
}

impl Samples {
    /// Nothing where the library decodes the file, or says why not.
    fn of(fields: &TiffFields) -> Result<Option<Self>, String> {
        let number = |tag: u64, usual: u64| fields.first_or(tag, usual);
        let (meaning, each) = (number(tag::MEANING, u64::MAX), number(tag::SAMPLES, 1));
        let bits = fields.numbers(tag::BITS).unwrap_or_else(|| vec![1]);
        let first = bits.first().copied().unwrap_or(1);
        let is_whole = number(tag::KIND_OF_NUMBERS, 1) == 1 && bits.iter().all(|bits| *bits == first);
        let is_grey = meaning <= u64::from(BLACK_IS_ZERO);
        let is_left_out = match (each, first) {
            (1, 1 | 8) => meaning == PALETTE,
            (1, 2 | 4) | (2, 8) => is_grey || meaning == PALETTE,
            (2, 16) => is_grey,
            _ => false,
        };
        if !is_left_out || !is_whole || each == 2 && number(tag::PLANES, 1) != 1 {
            return Ok(None);
        }
        let side = |tag: u64| {
            u32::try_from(number(tag, 0)).map_err(|_| "it has a side of over 4,294,967,295 pixels".to_string())
        };
        Ok(Some(Self {
            height: side(tag::HEIGHT)?,
            width: side(tag::WIDTH)?,
            bits: first,
            each,
            palette: if meaning == PALETTE { Some(palette(fields, 1 << first)?) } else { None },
            white_is_zero: meaning == 0,
        }))
    }

    fn decoded(&self, fields: &TiffFields, memory: usize) -> Result<DynamicImage, String> {
        let told = |error: tiff::TiffError| format!("it cannot be decoded: {error}");
        let grey = fields.with(tag::MEANING, BLACK_IS_ZERO).ok_or("its field 262 is no short number")?;
        let mut limits = Limits::default();
        (limits.decoding_buffer_size, limits.intermediate_buffer_size) = (memory, memory);
        let mut decoder = Decoder::new(Cursor::new(grey)).map_err(told)?.with_limits(limits);
        let image = match decoder.read_image().map_err(told)? {
            DecodingResult::U8(samples) if self.bits < 8 => self.image(self.unpacked(&samples)),
            DecodingResult::U8(samples) if self.bits == 8 => self.image(samples),
            DecodingResult::U16(samples) => self.image16(samples),
            _ => None,
        };
        image.ok_or_else(|| "it cannot be decoded: it has fewer samples than its size says".to_string())
    }

    /// Values of less than a byte, each row of which begins with a byte.
    fn unpacked(&self, packed: &[u8]) -> Vec<u8> {
        let (bits, width) = (self.bits as usize, self.width as usize);
        let mask = (1_u16 << bits) - 1;
        let row = |row: &[u8]| -> Vec<u8> {
            let value = |at: usize| (u16::from(row[at * bits / 8]) >> (8 - bits - at * bits % 8) & mask) as u8;
            (0..width).map(value).collect()
        };
        packed.chunks_exact((width * bits).div_ceil(8)).flat_map(row).collect()
    }

    fn image(&self, mut samples: Vec<u8>) -> Option<DynamicImage> {
        let (width, height) = (self.width, self.height);
        let Some(palette) = &self.palette else {
            // From few bits to eight, so that the highest value is white.
            let highest = if self.bits < 8 { (1_u8 << self.bits) - 1 } else { u8::MAX };
            let eight = |value: u8| value.min(highest) * (u8::MAX / highest);
            let grey = |value: u8| if self.white_is_zero { u8::MAX - eight(value) } else { eight(value) };
            samples.iter_mut().step_by(self.each as usize).for_each(|value| *value = grey(*value));
            return if self.each == 2 {
                ImageBuffer::<LumaA<u8>, _>::from_raw(width, height, samples).map(DynamicImage::from)
            } else {
                ImageBuffer::<Luma<u8>, _>::from_raw(width, height, samples).map(DynamicImage::from)
            };
        };
        // A value has as many bits as the palette has colours for.
        let colour = |value: u8| palette[usize::from(value)];
        if self.each == 2 {
            let pixels = samples.as_chunks::<2>().0.iter();
            let pixels = pixels.flat_map(|[value, alpha]| {
                let [red, green, blue] = colour(*value);
                [red, green, blue, *alpha]
            });
            return ImageBuffer::<Rgba<u8>, _>::from_raw(width, height, pixels.collect()).map(DynamicImage::from);
        }
        let pixels = samples.into_iter().flat_map(colour).collect();
        ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, pixels).map(DynamicImage::from)
    }

    fn image16(&self, mut samples: Vec<u16>) -> Option<DynamicImage> {
        if self.white_is_zero {
            samples.iter_mut().step_by(2).for_each(|value| *value = u16::MAX - *value);
        }
        ImageBuffer::<LumaA<u16>, _>::from_raw(self.width, self.height, samples).map(DynamicImage::from)
    }
}

/// The colours of a palette: all reds, then all greens, then all blues, of 16 bits. Some programs write 8, as libtiff knows.
fn palette(fields: &TiffFields, colours: usize) -> Result<Vec<[u8; 3]>, String> {
    let numbers = fields.numbers(tag::COLOURS).unwrap_or_default();
    if numbers.len() != 3 * colours {
        let found = numbers.len();
        return Err(format!(
            "its palette (field 320) has {found} numbers; expected {}, three for each colour",
            3 * colours
        ));
    }
    let shift = if numbers.iter().all(|number| *number < 256) { 0 } else { 8 };
    let of = |colour: usize| [0, 1, 2].map(|plane| (numbers[plane * colours + colour] >> shift) as u8);
    Ok((0..colours).map(of).collect())
}
