//! `hamming.csv`: how far the masks of each two epochs of a training are from each other.
//!
//! `distance` is the share of differing bits, `chance` that of two independent random masks with as many ones, `relative`
//! the one over the other.

use std::io::{Result, Write};

use super::sheet::CsvSheet;
use super::tracked;
use super::tracked::COLUMNS;
use tombola_core::folder::journal::History;
use tombola_core::mask::hamming::chance;
use tombola_core::plan::Plan;

const MEASURED: [&str; 7] = ["epoch", "other_epoch", "bits", "differing", "distance", "chance", "relative"];

/// Writes the table.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(file: &mut dyn Write, plan: &Plan, history: &History) -> Result<()> {
    let first = tracked::first_trials(plan);
    let mut sheet = CsvSheet::new(file, COLUMNS.into_iter().chain(MEASURED))?;
    for (stage, trial) in plan.stages.iter().zip(first) {
        let Some(known) = history.stages.get(&stage.id) else { continue };
        for track in &stage.tracks {
            let Some(masks) = known.masks.get(&track.key) else { continue };
            for (&epoch, mask) in masks {
                for (other_epoch, &differing) in (mask.first..epoch).zip(&mask.distances) {
                    let Some(other) = masks.get(&other_epoch) else { continue };
                    let distance = f64::from(differing) / mask.len.max(1) as f64;
                    let chance = chance(mask.len, mask.alive, other.alive);
                    tracked::put(&mut sheet, stage, trial, track)?;
                    sheet.put(epoch)?;
                    sheet.put(other_epoch)?;
                    sheet.put(mask.len)?;
                    sheet.put(differing)?;
                    sheet.float(Some(distance))?;
                    sheet.float(Some(chance))?;
                    sheet.float((chance > 0.0).then(|| distance / chance))?;
                    sheet.end_row()?;
                }
            }
        }
    }
    sheet.finish()
}
