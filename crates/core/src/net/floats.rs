//! Vectors of floats as bytes, for messages: MessagePack would give each number a byte of its own and a call.
//!
//! Little-endian, four bytes a number, so that every bit arrives. It may not know what the numbers mean.

use std::fmt::Formatter;

use serde::de::Visitor;
use serde::{Deserializer, Serializer};

/// Writes a vector.
///
/// # Errors
/// When the writer fails.
pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(&to_bytes(values))
}

/// Reads a vector.
///
/// # Errors
/// When there are no bytes, or not four for each number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    deserializer.deserialize_bytes(Floats)
}

/// Takes the numbers straight from the message: a copy of the bytes would cost as much again.
struct Floats;

impl Visitor<'_> for Floats {
    type Value = Vec<f32>;

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("four bytes for each number")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<f32>, E> {
        from_bytes(bytes).ok_or_else(|| E::custom(format!("{} bytes are no whole number of floats", bytes.len())))
    }
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; 4 * values.len()];
    for (place, value) in bytes.chunks_exact_mut(4).zip(values) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    let number = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    bytes.len().is_multiple_of(4).then(|| bytes.chunks_exact(4).map(number).collect())
}

/// Vectors with names.
pub mod named {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_bytes::ByteBuf;

    use super::{from_bytes, to_bytes};

    /// Writes them.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn serialize<S: Serializer>(vectors: &[(String, Vec<f32>)], serializer: S) -> Result<S::Ok, S::Error> {
        let written: Vec<(&str, ByteBuf)> =
            vectors.iter().map(|(name, values)| (name.as_str(), ByteBuf::from(to_bytes(values)))).collect();
        written.serialize(serializer)
    }

    /// Reads them.
    ///
    /// # Errors
    /// When one is no vector of floats.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, Vec<f32>)>, D::Error> {
        let written = Vec::<(String, ByteBuf)>::deserialize(deserializer)?;
        let vectors = written.into_iter().map(|(name, bytes)| Some((name, from_bytes(&bytes)?)));
        vectors.collect::<Option<_>>().ok_or_else(|| serde::de::Error::custom("a vector is cut off"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::mask::Bits;
    use crate::net::{OptimizerState, Snapshot};

    #[test]
    fn every_bit_of_a_snapshot_arrives() {
        let odd = f32::from_bits(0x7fc0_1234);
        let snapshot = Snapshot {
            epoch: 3,
            step: 0,
            batches: 9,
            parameters: vec![0.1, -0.0, f32::MIN_POSITIVE / 2.0, odd],
            buffers: vec![f32::INFINITY],
            optimizer: Some(OptimizerState { steps: 7, vectors: vec![("momentum".to_string(), vec![1.0; 4])] }),
            mask: Some(Arc::new(Bits::from_bools(&[true, false, true, true]))),
        };
        let bytes = rmp_serde::to_vec_named(&snapshot).unwrap();
        let read: Snapshot = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(read.checksum(), snapshot.checksum());
        assert_eq!(read.parameters[3].to_bits(), odd.to_bits());
        assert_eq!((read.epoch, read.mask, read.optimizer), (3, snapshot.mask, snapshot.optimizer));
    }

    #[test]
    fn a_weight_takes_four_bytes() {
        let snapshot = Snapshot {
            epoch: 0,
            step: 0,
            batches: 0,
            parameters: vec![1.0; 10_000],
            buffers: Vec::new(),
            optimizer: None,
            mask: None,
        };
        assert!(rmp_serde::to_vec_named(&snapshot).unwrap().len() < 40_200);
    }
}
