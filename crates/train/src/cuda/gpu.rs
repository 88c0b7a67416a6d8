//! What a GPU is called, and how much of its memory is free.

use std::ffi::{CStr, c_char};

use super::shim::{Shim, done, index, shim};

/// Longer than any name that CUDA gives.
const NAME: usize = 256;

/// The model of GPU `number`, as this process numbers them and NVIDIA calls it: `NVIDIA H100 80GB HBM3`.
///
/// # Errors
/// The reason why it cannot be told.
pub fn model(number: usize) -> Result<String, String> {
    let shim = shim()?;
    let mut text: [c_char; NAME] = [0; NAME];
    // SAFETY: the function writes at most as many bytes as it is told that there are, the last one a 0.
    done(unsafe { (shim.model)(index(number)?, text.as_mut_ptr(), NAME) })?;
    // SAFETY: as above.
    Ok(unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().trim().to_string())
}

/// Bytes of GPU `number` that a training may take. Where the driver has less than are `wanted`, libtorch is asked first to give back
/// what it keeps in reserve and nobody uses: that may wait for the GPU.
///
/// # Errors
/// The reason why it cannot be told.
pub fn free_memory(number: usize, wanted: usize) -> Result<usize, String> {
    free_memory_by(shim()?, number, wanted)
}

pub(super) fn free_memory_by(shim: &Shim, number: usize, wanted: usize) -> Result<usize, String> {
    let device = index(number)?;
    let ask = || {
        let (mut free, mut total) = (0, 0);
        // SAFETY: the function fills both numbers if it succeeds.
        done(unsafe { (shim.memory)(device, &mut free, &mut total) }).map(|()| free)
    };
    let free = ask()?;
    if free >= wanted {
        return Ok(free);
    }
    // What is kept in reserve counts as taken at the driver.
    give_back_by(shim)?;
    ask()
}

/// Gives the memory back that libtorch keeps in reserve: what belonged to graphs that are gone is of no use to anything else, and other
/// processes may want it.
///
/// # Errors
/// The reason why it could not.
pub fn give_back() -> Result<(), String> {
    give_back_by(shim()?)
}

pub(super) fn give_back_by(shim: &Shim) -> Result<(), String> {
    // SAFETY: takes a lock, and catches what goes wrong.
    done(unsafe { (shim.empty)() })
}
