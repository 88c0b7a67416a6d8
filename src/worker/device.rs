//! Which device a worker trains on.
//!
//! The program is linked to libtorch's CPU part alone, so that one binary serves machines with and without a GPU. The
//! CUDA part is loaded when it is first asked for, and only where an NVIDIA driver is present: otherwise torch would say
//! "no GPU" on a GPU machine, without a word.

use std::sync::OnceLock;

use tch::{Cuda, Device};

use crate::error::{Error, Result};
use crate::sweep::Settings;
use crate::sweep::value::Role;

/// The device of worker number `worker`: `cpu`, `cuda`, `cuda:N`, or `auto` for a GPU where there is one. Several workers
/// on `cuda` take the GPUs in turn.
///
/// # Errors
/// When a GPU is asked for that is not there, or the word is none of these.
pub fn device(wish: Option<&str>, worker: usize) -> Result<Device> {
    let number = match wish {
        Some("cpu") => return Ok(Device::Cpu),
        Some("cuda") => None,
        Some(word) => Some(word.strip_prefix("cuda:").and_then(|number| number.parse().ok()).ok_or_else(|| {
            Error::input(format!("`device`: found `{word}`, expected `cpu`, `cuda`, `cuda:N` or `auto`"))
        })?),
        None if gpus() == 0 => return Ok(Device::Cpu),
        None => None,
    };
    match (gpus(), number) {
        (0, _) => Err(Error::environment("no GPU can be used: torch finds none".to_string()).hint(
            "check `nvidia-smi`, and that libtorch is one with CUDA (its `lib` folder holds libtorch_cuda.so); or use `--device cpu`",
        )),
        (count, Some(number)) if number >= count => {
            Err(Error::environment(format!("`cuda:{number}` is not there: torch finds {count} GPU(s), numbered from 0")))
        }
        (count, number) => Ok(Device::Cuda(number.unwrap_or(worker % count))),
    }
}

/// Where a rank stands on its host.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its number among the ranks of the host.
    pub local_rank: usize,
    /// Ranks on the host.
    pub local_size: usize,
    /// Whether the first of them is rank 0 and trains nothing.
    pub dedicated: bool,
}

impl Place {
    /// Which of `gpus` GPUs this rank takes, `each` ranks to a GPU; the first ranks get the first GPU.
    fn gpu(self, gpus: usize, each: usize, host: &str) -> Result<usize> {
        let first = usize::from(self.dedicated);
        let (worker, workers) = (self.local_rank - first.min(self.local_rank), self.local_size - first);
        if workers > gpus * each {
            return Err(Error::environment(format!(
                "{host} has {gpus} GPU(s) for {workers} ranks that train, {each} to a GPU"
            ))
            .hint(format!(
                "start {} ranks on it, or let several share a GPU: `--ranks-per-gpu {}`",
                gpus * each + first,
                workers.div_ceil(gpus.max(1))
            )));
        }
        Ok(worker / each)
    }
}

/// Whether rank 0 leaves the devices of its host to the `local_size - 1` other ranks there.
///
/// # Errors
/// When no other rank would be left to train, or as [`device`].
pub fn is_dedicated(run: &Settings, local_size: usize) -> Result<bool> {
    Ok(match run.coordinator {
        Role::Shared => false,
        Role::Dedicated => true,
        // On CPU the coordinator takes a small share of a core; a GPU that it does not need is left to the others.
        Role::Auto => match device(run.device.as_deref(), 0)? {
            Device::Cuda(_) => local_size > gpus() * run.ranks_per_gpu,
            _ => false,
        },
    })
}

/// The device of a rank: the CPU, or the GPU that is its turn.
///
/// # Errors
/// When a GPU is asked for that is not there, or there are more ranks than GPUs for them.
pub fn of_rank(run: &Settings, place: Place, host: &str) -> Result<Device> {
    match (run.device.as_deref(), device(run.device.as_deref(), 0)?) {
        // A launcher that shows each rank one GPU of its own has done the sharing out already.
        (None | Some("cuda"), Device::Cuda(_)) if gpus() == 1 && place.local_size > run.ranks_per_gpu && is_own() => {
            Ok(Device::Cuda(0))
        }
        (None | Some("cuda"), Device::Cuda(_)) => Ok(Device::Cuda(place.gpu(gpus(), run.ranks_per_gpu, host)?)),
        (_, device) => Ok(device),
    }
}

/// Whether the launcher gave this rank GPUs of its own.
fn is_own() -> bool {
    ["SLURM_GPUS_PER_TASK", "SLURM_TRES_PER_TASK"].iter().any(|name| std::env::var_os(name).is_some())
}

/// GPUs that torch can use.
pub fn gpus() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let driver = ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg"];
        if !driver.iter().any(|path| std::path::Path::new(path).exists()) {
            return 0;
        }
        load_cuda();
        usize::try_from(Cuda::device_count()).unwrap_or(0)
    })
}

/// Loads `libtorch_cuda.so` into the process for good. Without it torch registers no GPU.
fn load_cuda() {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the library is the companion of the libtorch this program is linked to; its initialisers register GPU
    // kernels and touch nothing else. It is never unloaded.
    if let Ok(library) = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) } {
        std::mem::forget(library);
    }
}

/// A device in words, for the journal.
pub fn describe(device: Device, threads: usize) -> String {
    match device {
        Device::Cpu => format!("cpu, {threads} thread{}", if threads == 1 { "" } else { "s" }),
        Device::Cuda(number) => format!("cuda:{number}"),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_no_device_is_refused() {
        for word in ["gpu", "cuda:", "cuda:x", ""] {
            assert!(device(Some(word), 0).unwrap_err().message.contains("expected `cpu`"));
        }
        assert_eq!(device(Some("cpu"), 3).unwrap(), Device::Cpu);
    }

    #[test]
    fn ranks_take_the_gpus_of_their_host_in_turn() {
        let place = |local_rank, local_size, dedicated| Place { local_rank, local_size, dedicated };
        let four: Vec<usize> = (0..4).map(|rank| place(rank, 4, false).gpu(4, 1, "a").unwrap()).collect();
        assert_eq!(four, [0, 1, 2, 3]);
        let shared: Vec<usize> = (0..4).map(|rank| place(rank, 4, false).gpu(2, 2, "a").unwrap()).collect();
        assert_eq!(shared, [0, 0, 1, 1]);
        // Rank 0 takes none: the second rank of its host has the first GPU.
        let others: Vec<usize> = (1..3).map(|rank| place(rank, 3, true).gpu(2, 1, "a").unwrap()).collect();
        assert_eq!(others, [0, 1]);
    }

    #[test]
    fn more_ranks_than_gpus_are_refused_with_the_number_that_fits() {
        let error = Place { local_rank: 1, local_size: 4, dedicated: false }.gpu(2, 1, "node7").unwrap_err();
        assert!(error.message.contains("node7 has 2 GPU(s) for 4 ranks"), "{error}");
        assert!(error.hint.unwrap().contains("start 2 ranks on it, or let several share a GPU: `--ranks-per-gpu 2`"));
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_with_a_cure() {
        let missing = device(Some(&format!("cuda:{}", gpus())), 0).unwrap_err();
        assert_eq!(missing.kind, crate::error::Kind::Environment);
    }
}
