//! The masks of every epoch of a training on disk, one NumPy file for each kind.
//!
//! `stages/ID/masks-KIND.npy` is an array of bytes, a row for each epoch: eight bits a byte, the first in the lowest bit, as
//! `numpy.unpackbits(row, bitorder="little")` reads them. Rows that are not trained yet are 0. The journal tells which are
//! there, after they were written, so a kill leaves nothing that is taken for a mask, and what each row holds, so a power failure
//! leaves none either. It may not know of torch.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::atomic::{make_folder, sync_folder_of};
use super::snapshots::Store;
use crate::mask::place::HEADER;
use crate::mask::{Bits, MaskPlace, hamming};
use tombola_words::error::{Error, Result};
use tombola_words::record::MaskRecord;
use tombola_words::{Checksum, StageId, regular};

impl Store {
    /// The file of one kind of masks (`Track::key`) of a stage.
    pub fn mask_path(&self, stage: StageId, track: u64) -> PathBuf {
        self.folder(stage).join(format!("masks-{track:016x}.npy"))
    }

    /// Writes the mask of one epoch, and returns the checksum of its row. A file of another form is begun anew. The row is on
    /// the disk after the next [`Store::sync_masks`].
    ///
    /// # Errors
    /// When the folder or the file cannot be written, or the file has no row for that epoch.
    pub fn write_mask(
        &self,
        stage: StageId,
        track: u64,
        place: MaskPlace,
        epoch: usize,
        mask: &Bits,
    ) -> Result<Checksum> {
        make_folder(&self.folder(stage))?;
        let path = self.mask_path(stage, track);
        if !(place.first..place.first + place.rows).contains(&epoch) || mask.len() != place.len {
            return Err(Error::environment(format!("`{}` has no row for epoch {epoch}", path.display())));
        }
        let fail = |error: &std::io::Error| Error::file("write", &path, error);
        let open = regular::open_with(OpenOptions::new().read(true).write(true).create(true).truncate(false), &path);
        let mut file = open.map_err(|error| fail(&error))?;
        let row = mask.to_bytes();
        let mut write = || -> std::io::Result<()> {
            let header = place.header();
            let mut found = Vec::with_capacity(HEADER);
            (&mut file).take(HEADER as u64).read_to_end(&mut found)?;
            if found != header {
                file.set_len(0)?;
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&header)?;
                // Rows that come later take no room until they are there.
                file.set_len(place.offset(place.first + place.rows))?;
            }
            file.seek(SeekFrom::Start(place.offset(epoch)))?;
            file.write_all(&row)
        };
        write().map_err(|error| fail(&error))?;
        Ok(Checksum::of(&row))
    }

    /// Brings the masks of one kind that were written to the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync_masks(&self, stage: StageId, track: u64) -> Result<()> {
        let path = self.mask_path(stage, track);
        let synced = File::open(&path).and_then(|file| file.sync_data());
        synced.map_err(|error| Error::file("write", &path, &error))?;
        sync_folder_of(&path);
        Ok(())
    }

    /// Whether the masks of some epochs are those that the journal tells of.
    pub fn has_masks<'a>(
        &self,
        stage: StageId,
        track: u64,
        place: MaskPlace,
        known: impl IntoIterator<Item = (usize, &'a MaskRecord)>,
    ) -> bool {
        let path = self.mask_path(stage, track);
        known.into_iter().all(|(epoch, record)| {
            let mut same = false;
            let read = each_row(&path, place, epoch..epoch + 1, |row| {
                same = match record.sum {
                    Some(sum) => Checksum::of(row) == sum,
                    // Journals of before checksums tell how many ones there are.
                    None => row.iter().map(|byte| byte.count_ones() as usize).sum::<usize>() == record.alive,
                };
                Ok(())
            });
            read.is_ok() && same
        })
    }

    /// Whether a file holds the masks that the journal tells of, whatever form the trainings that made it have by now.
    pub fn has_rows(&self, stage: StageId, track: u64, rows: &BTreeMap<usize, MaskRecord>) -> bool {
        let Some((&first, record)) = rows.first_key_value() else { return true };
        let mut place = MaskPlace { first, rows: 0, len: record.len };
        let length = std::fs::metadata(self.mask_path(stage, track)).map_or(0, |found| found.len());
        place.rows = (length.saturating_sub(HEADER as u64) / place.row_bytes().max(1) as u64) as usize;
        self.has_masks(stage, track, place, rows.iter().map(|(epoch, record)| (*epoch, record)))
    }

    /// Reads the masks of some epochs that were written.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else.
    pub fn read_masks(&self, stage: StageId, track: u64, place: MaskPlace, epochs: Range<usize>) -> Result<Vec<Bits>> {
        let path = self.mask_path(stage, track);
        let mut masks = Vec::with_capacity(epochs.len());
        each_row(&path, place, epochs, |row| {
            masks.push(Bits::from_bytes(row, place.len).ok_or_else(|| damaged(&path))?);
            Ok(())
        })?;
        Ok(masks)
    }

    /// Bits that differ between a mask and that of each epoch before it, from the first of the file on. One of them is in
    /// memory at a time.
    ///
    /// # Errors
    /// As [`Store::read_masks`].
    pub fn distances(
        &self,
        stage: StageId,
        track: u64,
        place: MaskPlace,
        epoch: usize,
        mask: &Bits,
    ) -> Result<Vec<u32>> {
        let (path, own) = (self.mask_path(stage, track), mask.to_bytes());
        let mut distances = Vec::with_capacity(epoch.saturating_sub(place.first));
        each_row(&path, place, place.first..epoch, |before| {
            distances.push(hamming::distance_of_bytes(before, &own) as u32);
            Ok(())
        })?;
        Ok(distances)
    }
}

/// The bytes of some rows, one after the other.
fn each_row(
    path: &Path,
    place: MaskPlace,
    epochs: Range<usize>,
    mut visit: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    if epochs.is_empty() {
        return Ok(());
    }
    let fail = |error: &std::io::Error| Error::file("read", path, error);
    let mut file = regular::open(path).map_err(|error| fail(&error))?;
    let mut header = vec![0; HEADER];
    file.read_exact(&mut header).map_err(|error| fail(&error))?;
    if header != place.header() || epochs.start < place.first {
        return Err(damaged(path));
    }
    file.seek(SeekFrom::Start(place.offset(epochs.start))).map_err(|error| fail(&error))?;
    let mut row = vec![0; place.row_bytes()];
    for _ in epochs {
        file.read_exact(&mut row).map_err(|error| fail(&error))?;
        visit(&row)?;
    }
    Ok(())
}

fn damaged(path: &Path) -> Error {
    Error::input(format!("`{}` does not hold the masks of this training", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::dense_id;
    use crate::sweep::Settings;

    fn mask(seed: usize) -> Bits {
        Bits::from_bools(&(0..75).map(|bit| bit * seed % 7 < 3).collect::<Vec<_>>())
    }

    #[test]
    fn masks_come_back_with_their_distances_and_may_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let id = dense_id(&Settings::default(), None, None);
        let place = MaskPlace { first: 3, rows: 4, len: 75 };
        for epoch in [3, 4, 5, 4, 5] {
            let expected: Vec<u32> =
                (3..epoch).map(|other| hamming::distance(&mask(other), &mask(epoch)) as u32).collect();
            assert_eq!(store.distances(id, 9, place, epoch, &mask(epoch)).unwrap(), expected);
            store.write_mask(id, 9, place, epoch, &mask(epoch)).unwrap();
        }
        assert_eq!(store.read_masks(id, 9, place, 4..6).unwrap(), [mask(4), mask(5)]);
        let bytes = std::fs::read(store.mask_path(id, 9)).unwrap();
        assert_eq!(bytes.len(), HEADER + 4 * 10);
        assert!(String::from_utf8_lossy(&bytes[..HEADER]).contains("'shape': (4, 10)"));
    }

    #[test]
    fn a_file_of_another_form_is_begun_anew_and_never_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let id = dense_id(&Settings::default(), None, None);
        let (short, long) = (MaskPlace { first: 1, rows: 2, len: 75 }, MaskPlace { first: 1, rows: 9, len: 75 });
        store.write_mask(id, 1, short, 1, &mask(1)).unwrap();
        assert!(store.read_masks(id, 1, long, 1..2).unwrap_err().message.contains("does not hold"));
        store.write_mask(id, 1, long, 1, &mask(2)).unwrap();
        assert_eq!(store.read_masks(id, 1, long, 1..2).unwrap(), [mask(2)]);
        assert!(store.write_mask(id, 1, long, 10, &mask(2)).unwrap_err().message.contains("epoch 10"));
    }
}
