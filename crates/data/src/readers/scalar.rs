//! The types of numbers that files have, and what they become. It does not know where numbers come from.

use crate::example::{Label, Numbers};
use tombola_words::error::{Error, Result};

/// The type of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
    /// A text of so many letters of four bytes, as NumPy's.
    Text(usize),
    /// A text of so many bytes.
    Bytes(usize),
}

/// One of the sizes of an example: how many places, and how many values the next place is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stride {
    pub(super) size: usize,
    pub(super) step: usize,
}

impl Scalar {
    /// Bytes of one value.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Text(letters) => letters.saturating_mul(4),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Whether it is text.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Text(_) | Self::Bytes(_))
    }

    /// The values of an example in the order of its sizes, the last of them fastest.
    ///
    /// # Errors
    /// Text, and whole numbers that are too large.
    pub(super) fn numbers(self, raw: &[u8], big_endian: bool, strides: &[Stride]) -> Result<Numbers> {
        let value = Raw { scalar: self, bytes: raw, big_endian };
        Ok(match self {
            Self::U8 => Numbers::Bytes(in_order(strides, |place| raw[place])),
            Self::Bool | Self::F16 | Self::Bf16 | Self::F32 | Self::F64 => {
                Numbers::Floats(in_order(strides, |place| value.float(place) as f32))
            }
            Self::Text(_) | Self::Bytes(_) => {
                return Err(Error::input("holds text; expected numbers")
                    .hint("name the array of the values with `values`, or write numbers"));
            }
            _ => {
                let numbers = in_order(strides, |place| value.whole(place));
                Numbers::Whole(numbers.into_iter().collect::<Option<Vec<i64>>>().ok_or_else(too_large)?)
            }
        })
    }

    /// The value at `place` as a class.
    ///
    /// # Errors
    /// A number that is none of a class.
    pub(super) fn label(self, raw: &[u8], big_endian: bool, place: usize) -> Result<Label> {
        let value = Raw { scalar: self, bytes: raw, big_endian };
        match self {
            Self::F16 | Self::Bf16 | Self::F32 | Self::F64 => class_of(value.float(place)),
            Self::Text(_) => {
                let letters = value.part(place).chunks_exact(4).map(|letter| {
                    let four = [letter[0], letter[1], letter[2], letter[3]];
                    if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
                });
                let text: Option<String> = letters.map(char::from_u32).collect();
                let text = text.ok_or_else(|| Error::input("is damaged: a label is no text"))?;
                Ok(Label::Word(text.trim_end_matches('\0').to_string()))
            }
            Self::Bytes(_) => {
                let text = String::from_utf8_lossy(value.part(place)).into_owned();
                Ok(Label::Word(text.trim_end_matches('\0').to_string()))
            }
            _ => value.whole(place).map(Label::Number).ok_or_else(too_large),
        }
    }

    /// The value at `place` as a float.
    pub(super) fn float(self, raw: &[u8], big_endian: bool, place: usize) -> f64 {
        Raw { scalar: self, bytes: raw, big_endian }.float(place)
    }
}

/// The class that a float stands for.
pub(super) fn class_of(number: f64) -> Result<Label> {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Ok(Label::Number(number as i64));
    }
    Err(Error::input(format!("the label {number} is no whole number"))
        .hint("labels are classes: Tombola does not fit numbers. Write whole numbers or words"))
}

fn too_large() -> Error {
    Error::input(format!("a number is larger than {}", i64::MAX)).hint("write it as a float or a smaller type")
}

struct Raw<'a> {
    scalar: Scalar,
    bytes: &'a [u8],
    big_endian: bool,
}

impl Raw<'_> {
    fn part(&self, place: usize) -> &[u8] {
        let size = self.scalar.size();
        self.bytes.get(place * size..(place + 1) * size).unwrap_or_default()
    }

    /// Its bits, the lowest first.
    fn bits(&self, place: usize) -> u64 {
        let part = self.part(place);
        let add = |bits: u64, byte: &u8| (bits << 8) | u64::from(*byte);
        if self.big_endian { part.iter().fold(0, add) } else { part.iter().rev().fold(0, add) }
    }

    /// None where it is too large.
    fn whole(&self, place: usize) -> Option<i64> {
        let bits = self.bits(place);
        Some(match self.scalar {
            Scalar::Bool => i64::from(bits != 0),
            Scalar::I8 => i64::from(bits as u8 as i8),
            Scalar::I16 => i64::from(bits as u16 as i16),
            Scalar::I32 => i64::from(bits as u32 as i32),
            Scalar::I64 => bits as i64,
            Scalar::U64 => i64::try_from(bits).ok()?,
            Scalar::U8 | Scalar::U16 | Scalar::U32 => bits as i64,
            _ => return None,
        })
    }

    fn float(&self, place: usize) -> f64 {
        let bits = self.bits(place);
        match self.scalar {
            Scalar::F16 => half(bits as u16),
            Scalar::Bf16 => f64::from(f32::from_bits((bits as u32) << 16)),
            Scalar::F32 => f64::from(f32::from_bits(bits as u32)),
            Scalar::F64 => f64::from_bits(bits),
            Scalar::U64 => bits as f64,
            _ => self.whole(place).unwrap_or_default() as f64,
        }
    }
}

/// IEEE 754's number of 16 bits.
fn half(bits: u16) -> f64 {
    let (sign, exponent, fraction) = (bits >> 15, i32::from(bits >> 10) & 0x1f, f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2.0_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2.0_f64.powi(exponent - 15),
    };
    if sign == 1 { -size } else { size }
}

/// What `value` gives for each place, the last of the sizes fastest.
pub(super) fn in_order<T>(strides: &[Stride], mut value: impl FnMut(usize) -> T) -> Vec<T> {
    let none = Stride { size: 1, step: 0 };
    let padded: Vec<Stride> =
        std::iter::repeat_n(none, 3usize.saturating_sub(strides.len())).chain(strides.iter().copied()).collect();
    let [first, second, third] = [padded[0], padded[1], padded[2]];
    let mut all = Vec::with_capacity(first.size * second.size * third.size);
    for a in 0..first.size {
        for b in 0..second.size {
            let start = a * first.step + b * second.step;
            all.extend((0..third.size).map(|c| value(start + c * third.step)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_type_and_order_are_what_they_are() {
        let one = |scalar: Scalar, bytes: &[u8], big| {
            let strides = [Stride { size: 1, step: 1 }];
            scalar.numbers(bytes, big, &strides).unwrap()
        };
        assert_eq!(one(Scalar::U8, &[200], false), Numbers::Bytes(vec![200]));
        assert_eq!(one(Scalar::I8, &[200], false), Numbers::Whole(vec![-56]));
        assert_eq!(one(Scalar::I16, &[0xff, 0xfe], true), Numbers::Whole(vec![-2]));
        assert_eq!(one(Scalar::U16, &[1, 2], false), Numbers::Whole(vec![513]));
        assert_eq!(one(Scalar::I32, &(-7_i32).to_be_bytes(), true), Numbers::Whole(vec![-7]));
        assert_eq!(one(Scalar::I64, &i64::MIN.to_le_bytes(), false), Numbers::Whole(vec![i64::MIN]));
        assert_eq!(one(Scalar::F64, &0.1_f64.to_be_bytes(), true), Numbers::Floats(vec![0.1]));
        assert_eq!(one(Scalar::F32, &1.5_f32.to_le_bytes(), false), Numbers::Floats(vec![1.5]));
        assert_eq!(one(Scalar::Bf16, &0x3fc0_u16.to_le_bytes(), false), Numbers::Floats(vec![1.5]));
        // A truth is a number and no byte: 1 of 255 is not what is meant.
        assert_eq!(one(Scalar::Bool, &[1], false), Numbers::Floats(vec![1.0]));
        for (bits, number) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 5.960_464_5e-8), (0x7bff, 65504.0), (0x7c00, f32::INFINITY)]
        {
            assert_eq!(one(Scalar::F16, &u16::to_le_bytes(bits), false), Numbers::Floats(vec![number]));
        }
        let strides = [Stride { size: 1, step: 1 }];
        assert!(Scalar::U64.numbers(&u64::MAX.to_le_bytes(), false, &strides).is_err());
    }

    #[test]
    fn values_come_in_the_order_that_is_asked_for() {
        // Two channels of 2x3, channels first.
        let raw: Vec<u8> = (0..12).collect();
        let strides = [Stride { size: 2, step: 3 }, Stride { size: 3, step: 1 }, Stride { size: 2, step: 6 }];
        let expected = vec![0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11];
        assert_eq!(Scalar::U8.numbers(&raw, false, &strides).unwrap(), Numbers::Bytes(expected));
    }

    #[test]
    fn labels_are_numbers_or_words() {
        let text = ["c\0\0\0", "a\0\0\0", "\0\0\0\0"].concat();
        assert_eq!(Scalar::Text(3).label(text.as_bytes(), false, 0).unwrap(), Label::Word("ca".into()));
        assert_eq!(Scalar::Bytes(2).label(b"xyz\0", false, 1).unwrap(), Label::Word("z".into()));
        assert_eq!(Scalar::F32.label(&3_f32.to_le_bytes(), false, 0).unwrap(), Label::Number(3));
        assert!(Scalar::F32.label(&3.5_f32.to_le_bytes(), false, 0).unwrap_err().hint.is_some());
    }
}
