//! The mask of a training, wherever its results folder keeps it: in its own store, or in that of a shard.

use super::journal::History;
use super::snapshots::Store;
use crate::mask::Bits;
use crate::net::Layout;
use tombola_words::StageId;
use tombola_words::error::Result;

/// The mask of a stage, from the first of some stores that has it.
///
/// # Errors
/// As [`Store::mask`].
pub fn mask_of(stores: &[Store], history: &History, stage: StageId, layout: &Layout) -> Result<Option<Bits>> {
    let sum = history.stages.get(&stage).and_then(|known| known.mask_sum());
    stores.iter().find_map(|store| store.mask(stage, layout, sum).transpose()).transpose()
}
