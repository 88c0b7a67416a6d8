//! Numbers of any type that files have, as float32.

use safetensors::Dtype;

/// The values as float32; nothing for types that are no numbers with a fraction.
pub(super) fn floats(kind: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = || bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    Some(match kind {
        Dtype::F32 => {
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
        }
        Dtype::F64 => wide(bytes).map(|value| f64::from_le_bytes(value) as f32).collect(),
        Dtype::BF16 => pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect(),
        Dtype::F16 => pairs().map(half).collect(),
        _ => return None,
    })
}

/// Which values are not 0, of any type that masks have.
pub(super) fn is_one(kind: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match kind {
        Dtype::BOOL | Dtype::U8 => bytes.iter().map(|value| f32::from(*value)).collect(),
        Dtype::I8 => bytes.iter().map(|value| f32::from(i8::from_le_bytes([*value]))).collect(),
        Dtype::I16 => bytes.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]]))).collect(),
        Dtype::I32 => {
            bytes.chunks_exact(4).map(|four| i32::from_le_bytes([four[0], four[1], four[2], four[3]]) as f32).collect()
        }
        Dtype::I64 => wide(bytes).map(|value| i64::from_le_bytes(value) as f32).collect(),
        _ => return floats(kind, bytes),
    })
}

/// The name of a type as PyTorch has it.
pub(super) fn name_of(kind: Dtype) -> String {
    match kind {
        Dtype::F16 => "float16".to_string(),
        Dtype::BF16 => "bfloat16".to_string(),
        Dtype::F32 => "float32".to_string(),
        Dtype::F64 => "float64".to_string(),
        Dtype::BOOL => "bool".to_string(),
        Dtype::U8 => "uint8".to_string(),
        Dtype::I8 => "int8".to_string(),
        Dtype::I16 => "int16".to_string(),
        Dtype::I32 => "int32".to_string(),
        Dtype::I64 => "int64".to_string(),
        other => format!("{other:?}"),
    }
}

fn wide(bytes: &[u8]) -> impl Iterator<Item = [u8; 8]> + '_ {
    bytes.chunks_exact(8).map(|eight| {
        let mut value = [0; 8];
        value.copy_from_slice(eight);
        value
    })
}

/// A number of IEEE 754's binary16: one bit of sign, five of exponent, ten of fraction.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) =
        (u32::from(bits >> 15) << 31, u32::from(bits >> 10) & 0x1f, u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction as f32 / 16_777_216.0,
        0x1f => f32::from_bits(0x7f80_0000 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    f32::from_bits(sign | magnitude.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_doubles_become_the_nearest_float() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x7bff, 65504.0),
            (0x8000, -0.0),
        ] {
            assert_eq!(half(bits).to_bits(), f32::to_bits(value), "{bits:#06x}");
        }
        assert!(half(0x7c00).is_infinite() && half(0x7c01).is_nan());
        assert_eq!(floats(Dtype::BF16, &[0x80, 0x3f, 0, 0xc0]).unwrap(), [1.0, -2.0]);
        assert_eq!(floats(Dtype::F64, &0.1f64.to_le_bytes()).unwrap(), [0.1]);
        assert_eq!(floats(Dtype::I64, &[0; 8]), None);
        assert_eq!(is_one(Dtype::I64, &1i64.to_le_bytes()).unwrap(), [1.0]);
    }
}
