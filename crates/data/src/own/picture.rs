//! From the bytes of an image file to values in the form that a set has: channels, bits and size.
//!
//! What a file says of its size is checked before anything is unpacked. It knows nothing of labels or of other images.

use std::io::Cursor;

use image::imageops::{self, FilterType};
use image::{
    ColorType, DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, Luma, Pixel, Primitive, Rgb,
    Rgba,
};

use super::jpeg;
use super::picture_form::{PictureForm, check_size};
use super::tiff::Tiff;
use super::tiff_fields::is_tiff;
use crate::example::Numbers;
use tombola_words::guarded::guarded;
use tombola_words::{Alpha, Resize};

/// Pixels of an image that has one side resized and the other not, each of which takes 16 bytes.
const MOST_BETWEEN: u64 = 1 << 24;
/// What decoding one image may take, in bytes.
const MOST_MEMORY: u64 = 1 << 30;

/// What images are brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// 1 (grey), 3 (colour) or 4 (colour and alpha).
    pub channels: usize,
    /// 16 bits a value are numbers from 0 to 1; 8 are bytes.
    pub bits: u8,
    /// Height and width.
    pub size: (usize, usize),
    /// How they come to that.
    pub resize: Resize,
    /// What becomes of alpha where there is no channel for it.
    pub alpha: Alpha,
}

/// Reads the first bytes of an image. The error says what is wrong with it.
pub fn look(bytes: &[u8]) -> Result<PictureForm, String> {
    jpeg::check(bytes)?;
    let tiff = Tiff::of(bytes)?;
    if let Some(form) = tiff.as_ref().and_then(Tiff::form) {
        check_size(form.width, form.height)?;
        return Ok(form);
    }
    let decoder = opened(bytes)?.into_decoder().map_err(|error| told(&error))?;
    let (width, height) = decoder.dimensions();
    let colour = decoder.color_type();
    check_size(width, height)?;
    if matches!(colour, ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err(
            "its values are floating-point numbers; expected 8 or 16 bits: give such images as arrays".to_string()
        );
    }
    let has_alpha = colour.has_alpha() && tiff.as_ref().is_none_or(Tiff::has_alpha);
    let bits = if colour.bytes_per_pixel() / colour.channel_count() == 2 { 16 } else { 8 };
    let form = PictureForm { height, width, is_coloured: colour.has_color(), has_alpha, bits };
    Ok(match tiff {
        Some(tiff) => tiff.turned_form(form),
        None => form,
    })
}

/// Decodes an image and brings it to the form that is wanted: values `[height, width, channels]`. The error says what is wrong with it.
pub fn decode(bytes: &[u8], wanted: &Wanted) -> Result<Numbers, String> {
    // Sizes first: decoders reserve what a file promises.
    look(bytes)?;
    let image = unpacked(bytes)?;
    let (height, width) = (wanted.size.0 as u32, wanted.size.1 as u32);
    let fit = Fitting { height, width, resize: wanted.resize };
    fit.check(image.width(), image.height())?;
    Ok(match (wanted.bits, wanted.channels) {
        (16, 1) => numbers16(&fit.applied(grey16(&image, wanted.alpha))),
        (16, 3) => numbers16(&fit.applied(colour16(&image, wanted.alpha))),
        (16, _) => numbers16(&fit.applied_clear(image.into_rgba16())),
        (_, 1) => Numbers::Bytes(fit.applied(grey(&image, wanted.alpha)).into_raw()),
        (_, 3) => Numbers::Bytes(fit.applied(colour(image, wanted.alpha)).into_raw()),
        _ => Numbers::Bytes(fit.applied_clear(image.into_rgba8()).into_raw()),
    })
}

fn unpacked(bytes: &[u8]) -> Result<DynamicImage, String> {
    // The libraries panic at some files that are damaged.
    let gave_up = || Err("it cannot be decoded: the library of images gives up at it".to_string());
    guarded(|| unguarded(bytes)).unwrap_or_else(gave_up)
}

fn unguarded(bytes: &[u8]) -> Result<DynamicImage, String> {
    let tiff = Tiff::of(bytes)?;
    if let Some(image) = tiff.as_ref().and_then(|tiff| tiff.decoded(MOST_MEMORY as usize)) {
        return image;
    }
    let image = opened(bytes)?.decode().map_err(|error| told(&error))?;
    Ok(match tiff {
        Some(tiff) => tiff.settled(image),
        None => image,
    })
}

fn opened(bytes: &[u8]) -> Result<ImageReader<Cursor<&[u8]>>, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    // The guess knows no BigTIFF.
    if is_tiff(bytes) {
        reader.set_format(ImageFormat::Tiff);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    match reader.format() {
        Some(_) => Ok(reader),
        None => Err("it is no PNG, JPEG, WebP, BMP or TIFF".to_string()),
    }
}

fn told(error: &image::ImageError) -> String {
    match error {
        image::ImageError::Unsupported(_) => format!("it is of a kind that is not read ({error}): save it as PNG"),
        _ => format!("it cannot be decoded: {error}"),
    }
}

/// Pillow's grey: ITU-R BT.601 in 16-bit fixed point.
fn luma(pixel: [u32; 3]) -> u32 {
    (pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 0x8000) >> 16
}

/// A value over a ground of white or black, `most` being opaque.
fn over(value: u32, alpha: u32, most: u32, ground: Alpha) -> u32 {
    let ground = if ground == Alpha::White { most } else { 0 };
    ((u64::from(value) * u64::from(alpha) + u64::from(ground) * u64::from(most - alpha) + u64::from(most / 2))
        / u64::from(most)) as u32
}

fn colour(image: DynamicImage, alpha: Alpha) -> ImageBuffer<Rgb<u8>, Vec<u8>> {
    if alpha == Alpha::Drop || !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    ImageBuffer::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, opaque] = image.get_pixel(x, y).0;
        Rgb([red, green, blue].map(|value| over(value.into(), opaque.into(), 255, alpha) as u8))
    })
}

fn grey(image: &DynamicImage, alpha: Alpha) -> ImageBuffer<Luma<u8>, Vec<u8>> {
    if !image.color().has_color() && (alpha == Alpha::Drop || !image.color().has_alpha()) {
        return image.to_luma8();
    }
    let image = image.to_rgba8();
    ImageBuffer::from_fn(image.width(), image.height(), |x, y| {
        let Rgba([red, green, blue, opaque]) = *image.get_pixel(x, y);
        let value = luma([red, green, blue].map(u32::from));
        Luma([if alpha == Alpha::Drop { value } else { over(value, opaque.into(), 255, alpha) } as u8])
    })
}

fn colour16(image: &DynamicImage, alpha: Alpha) -> ImageBuffer<Rgb<u16>, Vec<u16>> {
    if alpha == Alpha::Drop || !image.color().has_alpha() {
        return image.to_rgb16();
    }
    let image = image.to_rgba16();
    ImageBuffer::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, opaque] = image.get_pixel(x, y).0;
        Rgb([red, green, blue].map(|value| over(value.into(), opaque.into(), 65_535, alpha) as u16))
    })
}

fn grey16(image: &DynamicImage, alpha: Alpha) -> ImageBuffer<Luma<u16>, Vec<u16>> {
    if !image.color().has_color() && (alpha == Alpha::Drop || !image.color().has_alpha()) {
        return image.to_luma16();
    }
    let image = image.to_rgba16();
    ImageBuffer::from_fn(image.width(), image.height(), |x, y| {
        let Rgba([red, green, blue, opaque]) = *image.get_pixel(x, y);
        // 65,535 times the sum of the weights just fits.
        let value = luma([red, green, blue].map(u32::from));
        Luma([if alpha == Alpha::Drop { value } else { over(value, opaque.into(), 65_535, alpha) } as u16])
    })
}

fn numbers16<P: Pixel<Subpixel = u16>>(image: &ImageBuffer<P, Vec<u16>>) -> Numbers {
    Numbers::Floats(image.as_raw().iter().map(|value| f32::from(*value) / 65_535.0).collect())
}

/// A size, and how to come to it.
struct Fitting {
    height: u32,
    width: u32,
    resize: Resize,
}

impl Fitting {
    /// Refuses images that are much wider than high, or the other way round, and would take much memory on their way to a size.
    fn check(&self, width: u32, height: u32) -> Result<(), String> {
        let (wide, high) = match self.resize {
            Resize::Stretch => (self.width, self.height),
            Resize::Crop => self.before_crop(width, height),
        };
        check_size(wide, high)
            .map_err(|_| format!("its sides of {width} and {height} pixels differ too much to be cropped"))?;
        let between = u64::from(width) * u64::from(high);
        if (width, height) == (self.width, self.height) || between <= MOST_BETWEEN {
            return Ok(());
        }
        Err(format!(
            "its {width}x{height} pixels are brought to {}x{} over {between} between, of which at most {MOST_BETWEEN} may be: crop \
             it first",
            self.width, self.height
        ))
    }

    /// Width and height of which one is what is wanted and the other no less, in proportion: torchvision's `Resize` leaves out fractions of
    /// a pixel, too.
    fn before_crop(&self, width: u32, height: u32) -> (u32, u32) {
        let scaled = |length: u32, to: u32, of: u32| {
            u32::try_from(u64::from(length) * u64::from(to) / u64::from(of)).unwrap_or(u32::MAX)
        };
        if u64::from(self.width) * u64::from(height) >= u64::from(self.height) * u64::from(width) {
            (self.width, scaled(height, self.width, width))
        } else {
            (scaled(width, self.height, height), self.height)
        }
    }

    /// The same of images with alpha: what is not seen of a pixel colours no other, as in Pillow.
    fn applied_clear<S>(&self, mut image: ImageBuffer<Rgba<S>, Vec<S>>) -> ImageBuffer<Rgba<S>, Vec<S>>
    where
        S: Primitive + Into<u32> + TryFrom<u32> + 'static,
        Rgba<S>: Pixel<Subpixel = S>,
    {
        if image.dimensions() == (self.width, self.height) {
            return image;
        }
        let most = u64::from(S::DEFAULT_MAX_VALUE.into());
        for Rgba([colour @ .., alpha]) in image.pixels_mut() {
            let alpha = u64::from((*alpha).into());
            for value in colour {
                let whole = (u64::from((*value).into()) * alpha + most / 2) / most;
                *value = u32::try_from(whole).ok().and_then(|whole| S::try_from(whole).ok()).unwrap_or(*value);
            }
        }
        let mut fitted = self.applied(image);
        divide(&mut fitted);
        fitted
    }

    /// Linear, and as wide as what a pixel of the result covers: what Pillow calls bilinear.
    fn applied<P: Pixel + 'static>(&self, image: ImageBuffer<P, Vec<P::Subpixel>>) -> ImageBuffer<P, Vec<P::Subpixel>>
    where
        P::Subpixel: 'static,
    {
        let (width, height) = image.dimensions();
        if (width, height) == (self.width, self.height) {
            return image;
        }
        match self.resize {
            Resize::Stretch => imageops::resize(&image, self.width, self.height, FilterType::Triangle),
            Resize::Crop => {
                let (wide, high) = self.before_crop(width, height);
                let resized = imageops::resize(&image, wide, high, FilterType::Triangle);
                let (left, top) = (middle(resized.width() - self.width), middle(resized.height() - self.height));
                imageops::crop_imm(&resized, left, top, self.width, self.height).to_image()
            }
        }
    }
}

/// Divides each colour by its alpha; what is not seen at all is black.
fn divide<S: Primitive + Into<u32> + TryFrom<u32>>(image: &mut ImageBuffer<Rgba<S>, Vec<S>>)
where
    Rgba<S>: Pixel<Subpixel = S>,
{
    let most = S::DEFAULT_MAX_VALUE;
    for Rgba([colour @ .., alpha]) in image.pixels_mut() {
        let alpha: u32 = (*alpha).into();
        for value in colour.iter_mut().filter(|_| alpha < most.into()) {
            let whole = (*value).into() * most.into() / alpha.max(1);
            *value = S::try_from(whole).unwrap_or(most);
        }
    }
}

/// Half of what is cut away, and of two halves the even one: so does torchvision's `CenterCrop`.
fn middle(rest: u32) -> u32 {
    let half = rest / 2;
    half + (rest % 2) * (half % 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    fn wanted(channels: usize, bits: u8, size: (usize, usize)) -> Wanted {
        Wanted { channels, bits, size, resize: Resize::Stretch, alpha: Alpha::Drop }
    }

    #[test]
    fn files_without_loss_give_back_their_pixels() {
        let image = ImageBuffer::from_fn(5, 3, |x, y| Rgb([(x * 50) as u8, (y * 80) as u8, 7]));
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP] {
            let bytes = encoded(&DynamicImage::ImageRgb8(image.clone()), format);
            let form = look(&bytes).unwrap();
            assert_eq!((form.height, form.width, form.is_coloured, form.bits), (3, 5, true, 8), "{format:?}");
            assert_eq!(decode(&bytes, &wanted(3, 8, (3, 5))).unwrap(), Numbers::Bytes(image.as_raw().clone()));
        }
    }

    #[test]
    fn sixteen_bits_stay_sixteen_bits() {
        let image = ImageBuffer::from_fn(2, 1, |x, _| Luma([(x * 65_535) as u16]));
        let bytes = encoded(&DynamicImage::ImageLuma16(image), ImageFormat::Png);
        assert_eq!(look(&bytes).unwrap().bits, 16);
        assert_eq!(decode(&bytes, &wanted(1, 16, (1, 2))).unwrap(), Numbers::Floats(vec![0.0, 1.0]));
        assert_eq!(decode(&bytes, &wanted(1, 8, (1, 2))).unwrap(), Numbers::Bytes(vec![0, 255]));
    }

    #[test]
    fn alpha_is_dropped_or_laid_over_a_ground() {
        let image = ImageBuffer::from_fn(1, 1, |_, _| Rgba([200, 100, 0, 51]));
        let bytes = encoded(&DynamicImage::ImageRgba8(image), ImageFormat::Png);
        let under = |alpha| decode(&bytes, &Wanted { alpha, ..wanted(3, 8, (1, 1)) }).unwrap();
        assert_eq!(under(Alpha::Drop), Numbers::Bytes(vec![200, 100, 0]));
        assert_eq!(under(Alpha::White), Numbers::Bytes(vec![244, 224, 204]));
        assert_eq!(under(Alpha::Black), Numbers::Bytes(vec![40, 20, 0]));
        // (200 · 19595 + 100 · 38470 + 32768) / 65536 = 118.99…
        assert_eq!(decode(&bytes, &wanted(1, 8, (1, 1))).unwrap(), Numbers::Bytes(vec![118]));
    }

    #[test]
    fn the_middle_is_cut_out_after_the_shorter_side_fits() {
        let image = ImageBuffer::from_fn(8, 2, |x, _| Luma([(x * 10) as u8]));
        let bytes = encoded(&DynamicImage::ImageLuma8(image), ImageFormat::Png);
        let crop = Wanted { resize: Resize::Crop, ..wanted(1, 8, (2, 2)) };
        assert_eq!(decode(&bytes, &crop).unwrap(), Numbers::Bytes(vec![30, 40, 30, 40]));
    }

    #[test]
    fn what_is_much_longer_than_high_is_not_cropped_and_takes_no_memory() {
        let long = encoded(&DynamicImage::new_luma8(50_000, 1), ImageFormat::Png);
        let crop = Wanted { resize: Resize::Crop, ..wanted(1, 8, (64, 64)) };
        assert!(decode(&long, &crop).unwrap_err().contains("differ too much"));
        assert!(decode(&long, &wanted(1, 8, (4096, 16))).unwrap_err().contains("crop it first"));
        assert!(decode(&long, &wanted(1, 8, (8, 8))).is_ok());
    }

    #[test]
    fn what_is_no_image_or_too_large_is_refused_in_words() {
        assert!(look(b"hello").unwrap_err().contains("no PNG"));
        let mut bytes = encoded(&DynamicImage::new_luma8(3, 3), ImageFormat::Png);
        assert!(decode(&bytes[..40], &wanted(1, 8, (3, 3))).is_err());
        // A header of its own with sides of 60,000, and the checksum of it.
        bytes[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let mut checksum = flate2::Crc::new();
        checksum.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
        assert!(look(&bytes).unwrap_err().contains("60000x60000 pixels"), "{:?}", look(&bytes));
    }
}
