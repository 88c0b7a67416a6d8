//! From the examples of a reader to records of bytes, on all processors, in the order of the reader.
//!
//! At most a few examples for each thread are held at a time.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::picture;
use super::settle::{Settled, shown};
use crate::example::{Content, Example, Numbers, Reader};
use crate::images::layout;
use crate::values::ValueKind;
use tombola_words::error::{Error, Result};

/// Examples for each thread that wait before and after it.
const WAITING: usize = 16;

/// An example as it is kept.
#[derive(Debug)]
pub(super) struct Decoding {
    /// Its class.
    pub(super) label: u16,
    /// Its values, channels last: bytes, or numbers of four bytes each, the lowest first.
    pub(super) values: Vec<u8>,
}

/// What became of an example.
type Decoded = (usize, Result<Option<Decoding>>);

/// Gives the records of a part to `keep`, in the order of its reader. Damaged examples are left out where `skips`; gives how many.
///
/// # Errors
/// What the reader or `keep` says, and examples that cannot be decoded or that the first look did not see.
pub(super) fn records(
    reader: &dyn Reader,
    settled: &Settled,
    skips: bool,
    keep: &mut dyn FnMut(Decoding) -> Result<()>,
) -> Result<usize> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (give, take) = sync_channel::<(usize, Example)>(threads * WAITING);
    let (done, finished) = sync_channel::<Decoded>(threads * WAITING);
    let take = Arc::new(Mutex::new(take));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (take, done) = (Arc::clone(&take), done.clone());
            scope.spawn(move || {
                while let Some((number, example)) = next(&take) {
                    if done.send((number, record(example, settled, skips))).is_err() {
                        return;
                    }
                }
            });
        }
        // Only whoever decodes holds these: when all of them have ended, the reader and the keeper are told.
        drop((done, take));
        let reading = scope.spawn(move || {
            let mut number = 0;
            reader.read(&mut |example| {
                number += 1;
                give.send((number - 1, example)).map_err(|_| Error::interrupted("the examples are not needed any more"))
            })
        });
        let kept = in_order(finished, keep);
        let read =
            reading.join().unwrap_or_else(|_| Err(Error::environment("a reader of examples ended without a word")));
        kept.and_then(|skipped| read.map(|()| skipped))
    })
}

fn next(take: &Mutex<Receiver<(usize, Example)>>) -> Option<(usize, Example)> {
    take.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Takes what was decoded in the order of its numbers; gives how many were left out.
fn in_order(finished: Receiver<Decoded>, keep: &mut dyn FnMut(Decoding) -> Result<()>) -> Result<usize> {
    let mut early: BTreeMap<usize, Result<Option<Decoding>>> = BTreeMap::new();
    let (mut wanted, mut skipped) = (0, 0);
    for (number, record) in finished {
        early.insert(number, record);
        while let Some(record) = early.remove(&wanted) {
            wanted += 1;
            match record? {
                Some(record) => keep(record)?,
                None => skipped += 1,
            }
        }
    }
    Ok(skipped)
}

/// The record of an example; none if it is left out.
fn record(example: Example, settled: &Settled, skips: bool) -> Result<Option<Decoding>> {
    let Example { name, label, content } = example;
    let damaged = |why: String| match skips {
        true => Ok(None),
        false => Err(Error::input(format!("`{name}` is damaged: {why}"))
            .hint("put a good file in its place, take it away, or leave such files out with `skip-damaged = true`")),
    };
    let numbers = match (content, &settled.wanted) {
        (Content::Damaged(why), _) => return damaged(why),
        (Content::File(bytes), Some(wanted)) => match picture::decode(&bytes, wanted) {
            Ok(numbers) => numbers,
            Err(why) => return damaged(why),
        },
        (Content::Array(array), None) if layout(array.shape) == layout(settled.shape) => array.numbers,
        _ => return Err(changed(&name)),
    };
    let Some(&label) = settled.places.get(&label) else {
        return Err(Error::input(format!("`{name}` has the label `{}`, which was not there before", shown(&label))));
    };
    let values = match (settled.element, numbers) {
        (ValueKind::Byte, Numbers::Bytes(bytes)) => Some(bytes),
        (ValueKind::Byte, Numbers::Whole(numbers)) => {
            numbers.into_iter().map(|number| u8::try_from(number).ok()).collect::<Option<Vec<u8>>>()
        }
        (ValueKind::Byte, Numbers::Floats(_)) => None,
        (ValueKind::Float, Numbers::Floats(numbers)) => Some(bytes_of(numbers.into_iter())),
        (ValueKind::Float, Numbers::Bytes(numbers)) => Some(bytes_of(numbers.into_iter().map(f32::from))),
        (ValueKind::Float, Numbers::Whole(numbers)) => Some(bytes_of(numbers.into_iter().map(|number| number as f32))),
    };
    let size = settled.shape.size() * settled.element.bytes();
    match values.filter(|values| values.len() == size) {
        Some(values) => Ok(Some(Decoding { label, values })),
        None => Err(changed(&name)),
    }
}

fn bytes_of(numbers: impl Iterator<Item = f32>) -> Vec<u8> {
    numbers.flat_map(f32::to_le_bytes).collect()
}

fn changed(name: &str) -> Error {
    Error::input(format!("`{name}` is another now than when it was first looked at"))
        .hint("leave the files as they are while they are read, and try again")
}
