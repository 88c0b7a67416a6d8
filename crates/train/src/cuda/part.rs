//! libtorch's CUDA part, and the GPUs that it finds.
//!
//! The program is linked to libtorch's CPU part alone, so that one binary serves machines with and without a GPU. The
//! CUDA part is loaded when it is first asked for, and only where an NVIDIA driver is present: otherwise torch would say
//! "no GPU" on a GPU machine, without a word.

use std::sync::OnceLock;

use tch::Cuda;
use tombola_core::gpus;

/// GPUs that torch can use.
pub fn gpus() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        if !gpus::has_driver() {
            return 0;
        }
        LOADED.get_or_init(load);
        usize::try_from(Cuda::device_count()).unwrap_or(0)
    })
}

/// Whether torch's CUDA part was found, where it was looked for.
static LOADED: OnceLock<bool> = OnceLock::new();

/// Whether libtorch's CUDA part was looked for and found.
pub fn is_loaded() -> bool {
    LOADED.get().copied().unwrap_or(false)
}

/// Loads `libtorch_cuda.so` into the process for good, and says whether it is there. Without it torch registers no GPU.
fn load() -> bool {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the library is the companion of the libtorch this program is linked to; its initialisers register GPU
    // kernels and touch nothing else. It is never unloaded.
    let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
    library.map(std::mem::forget).is_ok()
}
