//! Training curves as event files of TensorBoard: records of TensorFlow's `Event`, each with its length and two checksums
//! (CRC-32C, masked as `tensorflow/core/lib/hash/crc32c.h` says).

use std::path::Path;

use prost::Message;

use tombola_core::folder::journal::History;
use tombola_core::folder::write_atomically;
use tombola_core::plan::Plan;
use tombola_words::error::{Error, Result};
use tombola_words::record::{EpochRecord, Evaluation};

/// The name that TensorBoard looks for.
const FILE: &str = "events.out.tfevents.0.tombola";
const VERSION: &str = "brain.Event:2";

#[derive(Clone, PartialEq, Message)]
struct SummaryEvent {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// Writes a folder for each training that has begun, named after it, into `folder`; steps are epochs. What was there of
/// these trainings is replaced, so it can be done again at any time.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, plan: &Plan, history: &History) -> Result<usize> {
    let mut written = 0;
    for (index, stage) in plan.stages.iter().enumerate() {
        let Some(known) = history.stages.get(&stage.id).filter(|known| !known.epochs.is_empty()) else { continue };
        let own = folder.join(format!("{}-{}", name(&plan.label(index)), stage.id));
        std::fs::create_dir_all(&own).map_err(|error| Error::file("make", &own, &error))?;
        let bytes = events(known.epochs.values());
        write_atomically(&own.join(FILE), |file| file.write_all(&bytes))?;
        written += 1;
    }
    Ok(written)
}

/// A label as the name of a folder.
fn name(label: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let words = label.split(|c| !kept(c)).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// The records of one training. Times are seconds of training, since epochs have no dates.
fn events<'e>(epochs: impl Iterator<Item = &'e EpochRecord>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let first = SummaryEvent { file_version: Some(VERSION.to_string()), ..SummaryEvent::default() };
    record(&mut bytes, &first.encode_to_vec());
    let mut seconds = 0.0;
    for epoch in epochs {
        seconds += epoch.seconds;
        let mut values = vec![scalar("learning_rate", epoch.learning_rate)];
        let parts = [("train", Some(epoch.train)), ("validation", Some(epoch.validation)), ("test", epoch.test)];
        for (part, evaluation) in parts {
            if let Some(evaluation) = evaluation.and_then(Evaluation::measured) {
                values.push(scalar(&format!("loss/{part}"), evaluation.loss));
                values.push(scalar(&format!("accuracy/{part}"), evaluation.accuracy()));
            }
        }
        let event = SummaryEvent {
            wall_time: seconds,
            step: epoch.epoch as i64,
            file_version: None,
            summary: Some(Summary { values }),
        };
        record(&mut bytes, &event.encode_to_vec());
    }
    bytes
}

fn scalar(tag: &str, value: f64) -> SummaryValue {
    SummaryValue { tag: tag.to_string(), simple_value: Some(value as f32) }
}

fn record(bytes: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    bytes.extend(length);
    bytes.extend(masked(&length).to_le_bytes());
    bytes.extend(data);
    bytes.extend(masked(data).to_le_bytes());
}

fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_words::record::Evaluation;

    #[test]
    fn records_are_framed_and_hold_the_numbers() {
        let evaluation = |loss, correct, images| Evaluation { loss, correct, images, top5: None };
        let epoch = EpochRecord {
            epoch: 3,
            learning_rate: 0.5,
            train: evaluation(1.5, 3, 4),
            validation: evaluation(2.5, 0, 0),
            test: None,
            seconds: 2.0,
        };
        let bytes = events([epoch].iter());
        // Empty CRC-32C of RFC 3720's 32 zeros is 8a9136aa: the checksum is the right one.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let length = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        let first = length(0);
        assert_eq!(SummaryEvent::decode(&bytes[12..12 + first]).unwrap().file_version.as_deref(), Some(VERSION));
        let start = 16 + first;
        let event = SummaryEvent::decode(&bytes[start + 12..start + 12 + length(start)]).unwrap();
        assert_eq!(bytes.len(), start + 16 + length(start));
        let values: Vec<(String, f32)> =
            event.summary.unwrap().values.into_iter().map(|value| (value.tag, value.simple_value.unwrap())).collect();
        let expected = [("learning_rate", 0.5), ("loss/train", 1.5), ("accuracy/train", 0.75)];
        assert_eq!(values, expected.map(|(tag, value)| (tag.to_string(), value)));
        assert_eq!((event.step, event.wall_time), (3, 2.0));
    }

    #[test]
    fn labels_become_names_of_folders() {
        assert_eq!(name("resnet on cifar-10, seed 1: level 2/3"), "resnet-on-cifar-10-seed-1-level-2-3");
    }
}
