//! The tensors of an ONNX file.

use super::proto::{BOOL, DOUBLE, FLOAT, FLOAT16, INT32, INT64, TensorProto};

/// The most values of one tensor.
const MOST_VALUES: usize = 1 << 31;

/// The sizes of a tensor.
///
/// # Errors
/// When one is negative, or they are too large.
pub(super) fn sizes_of(tensor: &TensorProto) -> Result<Vec<usize>, String> {
    let sizes: Option<Vec<usize>> = tensor.dimensions.iter().map(|size| usize::try_from(*size).ok()).collect();
    let sizes = sizes.filter(|sizes| sizes.len() <= tombola_words::MOST_AXES && count_of(sizes) <= MOST_VALUES);
    sizes.ok_or_else(|| format!("the tensor `{}` has the sizes {:?}", tensor.name, tensor.dimensions))
}

/// How many values sizes mean, saturating.
pub(super) fn count_of(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |count, size| count.saturating_mul(*size))
}

/// Whether it holds numbers with points.
pub(super) fn is_of_floats(tensor: &TensorProto) -> bool {
    matches!(tensor.kind, FLOAT | DOUBLE | FLOAT16)
}

/// Its values as float32.
///
/// # Errors
/// When it has other values, too few or too many.
pub(super) fn floats_of(tensor: &TensorProto) -> Result<Vec<f32>, String> {
    is_inside(tensor)?;
    let raw = &tensor.raw;
    let values: Vec<f32> = match tensor.kind {
        FLOAT if raw.is_empty() => tensor.floats.clone(),
        FLOAT => raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        DOUBLE if raw.is_empty() => tensor.doubles.iter().map(|value| *value as f32).collect(),
        DOUBLE => raw.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
        FLOAT16 if raw.is_empty() => tensor.smaller.iter().map(|bits| of_half(*bits as u16)).collect(),
        FLOAT16 => raw.as_chunks().0.iter().map(|bytes| of_half(u16::from_le_bytes(*bytes))).collect(),
        other => return Err(format!("the tensor `{}` is of the kind {other}, expected float32", tensor.name)),
    };
    whole(tensor, values)
}

/// Its values as whole numbers; truth values are 0 and 1.
///
/// # Errors
/// When it has other values, too few or too many.
pub(super) fn integers_of(tensor: &TensorProto) -> Result<Vec<i64>, String> {
    is_inside(tensor)?;
    let raw = &tensor.raw;
    let values: Vec<i64> = match tensor.kind {
        INT64 if raw.is_empty() => tensor.integers.clone(),
        INT64 => raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
        INT32 | BOOL if raw.is_empty() => tensor.smaller.iter().map(|value| i64::from(*value)).collect(),
        INT32 => raw.as_chunks().0.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes))).collect(),
        BOOL => raw.iter().map(|byte| i64::from(*byte)).collect(),
        other => return Err(format!("the tensor `{}` is of the kind {other}, expected int64", tensor.name)),
    };
    whole(tensor, values)
}

fn is_inside(tensor: &TensorProto) -> Result<(), String> {
    match tensor.location == 1 || !tensor.outside.is_empty() {
        true => Err(format!("the values of `{}` lie in another file", tensor.name)),
        false => Ok(()),
    }
}

fn whole<T>(tensor: &TensorProto, values: Vec<T>) -> Result<Vec<T>, String> {
    let expected = count_of(&sizes_of(tensor)?);
    match values.len() == expected {
        true => Ok(values),
        false => Err(format!("the tensor `{}` has {} values, expected {expected}", tensor.name, values.len())),
    }
}

/// The number that 16 bits mean (IEEE 754).
fn of_half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_as_ieee_754_says() {
        let cases =
            [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 2f32.powi(-24)), (0x7bff, 65504.0), (0x3555, 0.333_251_95)];
        for (bits, expected) in cases {
            assert_eq!(of_half(bits), expected);
        }
        assert!(of_half(0x7c01).is_nan() && of_half(0xfc00) == f32::NEG_INFINITY);
    }

    #[test]
    fn a_tensor_that_is_cut_off_is_refused() {
        let mut tensor = TensorProto::of_floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(floats_of(&tensor).unwrap(), [1.0, 2.0, 3.0, 4.0]);
        tensor.raw.pop();
        assert!(floats_of(&tensor).unwrap_err().contains("3 values, expected 4"));
        tensor.dimensions = vec![1 << 40, 1 << 40];
        assert!(floats_of(&tensor).is_err() && sizes_of(&tensor).is_err());
    }
}
