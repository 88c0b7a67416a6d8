//! Examples that do not fit onto a device: read by a thread in the order of the epoch, a few batches before they are needed.
//!
//! The bytes are those that a set in memory would give. A few batches are held, so memory is bounded by their size. It may not know
//! of networks or of what is done with batches.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tch::{Device, Tensor};

use crate::data_part::{PartName, kind, sizes};
use tombola_data::DataSet;
use tombola_words::error::{Error, Result};

/// Batches that wait.
const WAITING: usize = 3;

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
    batches: Receiver<Vec<u8>>,
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
        let (give, batches) = sync_channel(WAITING);
        let (source, noted) = (Arc::clone(data), failure.clone());
        // A batch that nobody waits for ends the thread.
        std::thread::spawn(move || read(&source, part, &places, &counts, &give, &noted));
        Self { batches, data: Arc::clone(data), part, device, sent: None, failure: failure.clone() }
    }

    /// The examples of the next batch, `[images, height, width, channels]`, on the device. If they could not be read, one example of
    /// zeros, and the reason is noted.
    pub fn next_batch(&mut self) -> Tensor {
        let batch = self.sent.take().or_else(|| self.received());
        if self.device != Device::Cpu {
            self.sent = self.received();
        }
        batch.unwrap_or_else(|| {
            self.failure.note(Error::environment("a batch was asked for that was not read"));
            let images = self.part.of(&self.data).unwrap_or(&self.data.train);
            Tensor::zeros(sizes(1, images), (kind(images), self.device))
        })
    }

    fn received(&self) -> Option<Tensor> {
        let bytes = self.batches.recv().ok()?;
        let images = self.part.of(&self.data)?;
        let count = bytes.len() / images.example_bytes().max(1);
        let batch = Tensor::from_data_size(&bytes, &sizes(count, images), kind(images));
        Some(match self.device {
            Device::Cpu => batch,
            // From memory that does not move, so that the GPU works on while it comes.
            device => batch.pin_memory(device).to_device_(device, kind(images), true, false),
        })
    }
}

fn read(
    data: &DataSet,
    part: PartName,
    places: &[usize],
    counts: &[usize],
    give: &SyncSender<Vec<u8>>,
    failure: &ReadFailure,
) {
    let Some(images) = part.of(data) else { return };
    let size = images.example_bytes();
    let mut start = 0;
    for &count in counts {
        let mut batch = vec![0; count * size];
        for (place, values) in places[start..start + count].iter().zip(batch.chunks_exact_mut(size)) {
            if let Err(error) = images.read(*place, values) {
                failure.note(error);
                return;
            }
        }
        start += count;
        if give.send(batch).is_err() {
            return;
        }
    }
}
