//! Examples that do not fit onto a device: read by threads in the order of the epoch, a few batches before they are needed.
//!
//! The bytes are those that a set in memory would give. A few batches are held, so memory is bounded by their size. It may not know
//! of networks or of what is done with batches.

use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tch::{Device, Tensor};

use crate::data_part::{PartName, kind, sizes};
use tombola_data::DataSet;
use tombola_words::error::{Error, Result};

/// Threads that read, each a batch of its own: a disk answers several at once sooner than one after the other.
const READERS: usize = 4;
/// Batches that wait for each of them, beside the one that it reads.
const WAITING: usize = 1;

/// Why examples could not be read: the first reason. Whoever computed with a batch asks afterwards.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadFailure(Arc<Mutex<Option<Error>>>);

impl ReadFailure {
    fn note(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Takes the reason, if there is one.
    pub(crate) fn check(&self) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

/// Batches that come.
#[derive(Debug)]
pub struct Ahead {
    /// One for each thread: the first has batches 0, [`READERS`], …
    batches: Vec<Receiver<Tensor>>,
    /// The number of the next batch.
    next: usize,
    /// How many examples each batch has.
    counts: Vec<usize>,
    data: Arc<DataSet>,
    part: PartName,
    device: Device,
    /// The next batch on its way to a GPU.
    sent: Option<Tensor>,
    failure: ReadFailure,
}

impl Ahead {
    /// Begins to read the examples at `places` of a part, so many for each batch.
    pub(crate) fn begin(
        data: &Arc<DataSet>,
        part: PartName,
        places: Vec<usize>,
        counts: Vec<usize>,
        device: Device,
        failure: &ReadFailure,
    ) -> Self {
        let ranges: Vec<Range<usize>> = counts
            .iter()
            .scan(0, |end, count| {
                let start = *end;
                *end += count;
                Some(start..*end)
            })
            .collect();
        let work = Arc::new((places, ranges));
        let reader = |number: usize| {
            let (give, batches) = sync_channel(WAITING);
            let (source, work, noted) = (Arc::clone(data), Arc::clone(&work), failure.clone());
            // A batch that nobody waits for ends the thread.
            std::thread::spawn(move || {
                let (places, ranges) = &*work;
                let own = ranges.iter().skip(number).step_by(READERS);
                read(&source, part, own.filter_map(|range| places.get(range.clone())), &give, &noted);
            });
            batches
        };
        let batches = (0..READERS.min(counts.len())).map(reader).collect();
        Self { batches, next: 0, counts, data: Arc::clone(data), part, device, sent: None, failure: failure.clone() }
    }

    /// The examples of the next batch, `[images, height, width, channels]`, on the device. If they could not be read, as many zeros, and
    /// the reason is noted.
    pub fn next_batch(&mut self) -> Tensor {
        let batch = self.sent.take().unwrap_or_else(|| self.received());
        if self.device != Device::Cpu && self.next < self.counts.len() {
            self.sent = Some(self.received());
        }
        batch
    }

    fn received(&mut self) -> Tensor {
        let number = self.next;
        self.next += 1;
        let batch = self.batches.get(number % READERS).and_then(|batches| batches.recv().ok());
        let Some(batch) = batch else {
            self.failure.note(Error::environment("a batch was asked for that was not read"));
            let images = self.part.of(&self.data).unwrap_or(&self.data.train);
            let count = self.counts.get(number).copied().unwrap_or(1);
            return Tensor::zeros(sizes(count, images), (kind(images), self.device));
        };
        let kind = batch.kind();
        match self.device {
            Device::Cpu => batch,
            // From memory that does not move, so that the GPU works on while it comes.
            device => batch.pin_memory(device).to_device_(device, kind, true, false),
        }
    }
}

/// Reads one batch after the other.
fn read<'a>(
    data: &DataSet,
    part: PartName,
    batches: impl Iterator<Item = &'a [usize]>,
    give: &SyncSender<Tensor>,
    failure: &ReadFailure,
) {
    let Some(images) = part.of(data) else { return };
    let size = images.example_bytes();
    for places in batches {
        let batch = Tensor::empty(sizes(places.len(), images), (kind(images), Device::Cpu));
        // SAFETY: the tensor was made above, on the CPU, with so many bytes one after the other, and nobody else has it yet.
        let bytes = unsafe { std::slice::from_raw_parts_mut(batch.data_ptr().cast::<u8>(), places.len() * size) };
        for (place, values) in places.iter().zip(bytes.chunks_exact_mut(size)) {
            if let Err(error) = images.read(*place, values) {
                failure.note(error);
                return;
            }
        }
        if give.send(batch).is_err() {
            return;
        }
    }
}
