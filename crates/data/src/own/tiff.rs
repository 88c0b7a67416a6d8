//! What the library leaves out of TIFF: palettes, grey with alpha, two and four bits of grey, and what the fourth sample of a pixel
//! stands for.
//!
//! The library unpacks the samples of these too, as soon as the file calls them grey. Adobe: "TIFF, revision 6.0", sections 5 and 18.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, Luma, LumaA, Pixel, Primitive, Rgb, Rgba};
use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::picture_form::PictureForm;
use super::tiff_faults;
use super::tiff_fields::{COLOUR, JPEG, TiffFields, tag};

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
    /// How the image is to be turned to stand as it is looked at.
    turn: Orientation,
}

/// Samples that are unpacked as if they were grey.
struct Samples {
    height: u32,
    width: u32,
    bits: u64,
    /// Of each pixel, those of its colour first.
    each: u64,
    /// Whether these are red, green and blue.
    is_coloured: bool,
    /// Red, green and blue of each value.
    palette: Option<Vec<[u8; 3]>>,
    white_is_zero: bool,
}

impl<'file> Tiff<'file> {
    /// Looks at the fields of a TIFF; nothing where the bytes are none. The error says what is wrong with it.
    pub(super) fn of(bytes: &'file [u8]) -> Result<Option<Self>, String> {
        let Some(fields) = TiffFields::of(bytes) else { return Ok(None) };
        fields.check()?;
        tiff_faults::check(&fields)?;
        let extra =
            fields.numbers(tag::EXTRA_SAMPLES).and_then(|kinds| kinds.first().copied()).map(|kind| match kind {
                0 => Extra::Unsaid,
                1 => Extra::Multiplied,
                _ => Extra::Alpha,
            });
        let turn = u8::try_from(fields.first_or(tag::TURN, 1)).ok().and_then(Orientation::from_exif);
        let turn = turn.unwrap_or(Orientation::NoTransforms);
        Ok(Some(Self { samples: Samples::of(&fields, extra)?, fields, extra, turn }))
    }

    /// What the first bytes say, where the library does not decode it.
    pub(super) fn form(&self) -> Option<PictureForm> {
        let samples = self.samples.as_ref()?;
        Some(self.turned_form(PictureForm {
            height: samples.height,
            width: samples.width,
            is_coloured: samples.is_coloured || samples.palette.is_some(),
            has_alpha: samples.each > samples.colours() && self.has_alpha(),
            bits: if samples.bits == 16 { 16 } else { 8 },
        }))
    }

    /// The form of the image as it is looked at: some are kept on their side.
    pub(super) fn turned_form(&self, form: PictureForm) -> PictureForm {
        match self.turn {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => PictureForm { height: form.width, width: form.height, ..form },
            _ => form,
        }
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

    /// An image that stands as it is looked at, and whose extra sample is alpha, not multiplied, whatever it was in the file.
    pub(super) fn settled(&self, mut image: DynamicImage) -> DynamicImage {
        match (&mut image, self.extra) {
            (DynamicImage::ImageRgba8(image), Some(extra)) => settle(image, extra),
            (DynamicImage::ImageLumaA8(image), Some(extra)) => settle(image, extra),
            (DynamicImage::ImageRgba16(image), Some(extra)) => settle(image, extra),
            (DynamicImage::ImageLumaA16(image), Some(extra)) => settle(image, extra),
            _ => {}
        }
        image.apply_orientation(self.turn);
        image
    }
}

/// Makes alpha of the last sample of each pixel.
fn settle<P: Pixel<Subpixel: Into<u32> + TryFrom<u32>>>(image: &mut ImageBuffer<P, Vec<P::Subpixel>>, extra: Extra) {
    let opaque = P::Subpixel::DEFAULT_MAX_VALUE;
    for pixel in image.pixels_mut() {
        let Some((alpha, colour)) = pixel.channels_mut().split_last_mut() else { continue };
        match (extra, (*alpha).into()) {
            (Extra::Alpha, _) => {}
            // Nothing is seen of it, and Pillow has black there.
            (Extra::Multiplied, 0) if colour.len() == 3 => colour.fill(P::Subpixel::DEFAULT_MIN_VALUE),
            (Extra::Multiplied, 0) => {}
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
    fn of(fields: &TiffFields, extra: Option<Extra>) -> Result<Option<Self>, String> {
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
            // The library takes those of alpha for it; where it leaves samples out, it mixes up the others.
            (4.., 8 | 16) => meaning == COLOUR && (each > 4 || extra == Some(Extra::Unsaid)),
            _ => false,
        };
        let is_plain = is_whole && number(tag::COMPRESSION, 1) != JPEG && (each == 1 || number(tag::PLANES, 1) == 1);
        if !is_left_out || !is_plain {
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
            is_coloured: meaning == COLOUR,
            palette: if meaning == PALETTE { Some(palette(fields)?) } else { None },
            white_is_zero: meaning == 0,
        }))
    }

    fn decoded(&self, fields: &TiffFields, memory: usize) -> Result<DynamicImage, String> {
        let told = |error: tiff::TiffError| format!("it cannot be decoded: {error}");
        let grey = fields.with(tag::MEANING, BLACK_IS_ZERO).ok_or("its field 262 is no short number")?;
        let mut limits = Limits::default();
        (limits.decoding_buffer_size, limits.intermediate_buffer_size) = (memory, memory);
        let mut decoder = Decoder::new(Cursor::new(grey)).map_err(told)?.with_limits(limits);
        if decoder.dimensions().map_err(told)? != (self.width, self.height) {
            return Err("it has two fields of the same number, which say different sizes".to_string());
        }
        let image = match decoder.read_image().map_err(told)? {
            DecodingResult::U8(samples) if self.bits < 8 => self.image(self.unpacked(&samples)),
            DecodingResult::U8(samples) if self.bits == 8 => self.image(samples),
            DecodingResult::U16(samples) => self.image16(samples),
            _ => None,
        };
        image.ok_or_else(|| "it cannot be decoded: it has fewer samples than its size says, or values that its palette has no colour for".to_string())
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
        if let Some(palette) = &self.palette {
            return self.painted(palette, &samples);
        }
        if self.bits < 8 {
            // So that the highest value is white.
            let highest = (1_u8 << self.bits) - 1;
            samples.iter_mut().for_each(|value| *value *= u8::MAX / highest);
        }
        let (samples, has_more) = self.picked(samples, u8::MAX);
        match (self.is_coloured, has_more) {
            (true, true) => self.made::<Rgba<u8>>(samples).map(DynamicImage::from),
            (true, false) => self.made::<Rgb<u8>>(samples).map(DynamicImage::from),
            (false, true) => self.made::<LumaA<u8>>(samples).map(DynamicImage::from),
            (false, false) => self.made::<Luma<u8>>(samples).map(DynamicImage::from),
        }
    }

    fn image16(&self, samples: Vec<u16>) -> Option<DynamicImage> {
        match (self.is_coloured, self.picked(samples, u16::MAX)) {
            (true, (samples, true)) => self.made::<Rgba<u16>>(samples).map(DynamicImage::from),
            (true, (samples, false)) => self.made::<Rgb<u16>>(samples).map(DynamicImage::from),
            (false, (samples, true)) => self.made::<LumaA<u16>>(samples).map(DynamicImage::from),
            (false, (samples, false)) => self.made::<Luma<u16>>(samples).map(DynamicImage::from),
        }
    }

    /// The samples of the colour and the first after them, if there is one: that is alpha, or nobody knows. White is `most`.
    fn picked<S: Copy + std::ops::Sub<Output = S>>(&self, samples: Vec<S>, most: S) -> (Vec<S>, bool) {
        let (each, colours) = (self.each as usize, self.colours() as usize);
        let kept = each.min(colours + 1);
        let colour = |value: S| if self.white_is_zero { most - value } else { value };
        let pixel = |pixel: &[S]| -> Vec<S> {
            let place = pixel.iter().enumerate().take(kept);
            place.map(|(place, value)| if place < colours { colour(*value) } else { *value }).collect()
        };
        (samples.chunks_exact(each).flat_map(pixel).collect(), kept > colours)
    }

    /// The colours that values of a palette stand for; nothing where one has none.
    fn painted(&self, palette: &[[u8; 3]], samples: &[u8]) -> Option<DynamicImage> {
        let colours: Option<Vec<[u8; 3]>> =
            samples.iter().step_by(self.each as usize).map(|value| palette.get(usize::from(*value)).copied()).collect();
        if self.each == 1 {
            return self.made::<Rgb<u8>>(colours?.concat()).map(DynamicImage::from);
        }
        let alpha = samples.iter().skip(1).step_by(2);
        let pixels = colours?.into_iter().zip(alpha).flat_map(|([red, green, blue], alpha)| [red, green, blue, *alpha]);
        self.made::<Rgba<u8>>(pixels.collect()).map(DynamicImage::from)
    }

    fn made<P: Pixel>(&self, samples: Vec<P::Subpixel>) -> Option<ImageBuffer<P, Vec<P::Subpixel>>> {
        let exact = self.width as usize * self.height as usize * usize::from(P::CHANNEL_COUNT);
        if samples.len() == exact { ImageBuffer::from_raw(self.width, self.height, samples) } else { None }
    }

    /// Samples of a pixel that are its colour.
    fn colours(&self) -> u64 {
        if self.is_coloured { 3 } else { 1 }
    }
}

/// The colours of a palette: all reds, then all greens, then all blues, of 16 bits. Some programs write 8, as libtiff knows.
fn palette(fields: &TiffFields) -> Result<Vec<[u8; 3]>, String> {
    let numbers = fields.numbers(tag::COLOURS).unwrap_or_default();
    let colours = numbers.len() / 3;
    if colours == 0 || !numbers.len().is_multiple_of(3) || colours > 256 {
        let found = numbers.len();
        return Err(format!(
            "its palette (field 320) has {found} numbers; expected three for each of up to 256 colours"
        ));
    }
    let shift = if numbers.iter().all(|number| *number < 256) { 0 } else { 8 };
    let of = |colour: usize| [0, 1, 2].map(|plane| (numbers[plane * colours + colour] >> shift) as u8);
    Ok((0..colours).map(of).collect())
}
