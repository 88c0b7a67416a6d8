//! Which device a worker trains on.
//!
//! The program is linked to libtorch's CPU part alone, so that one binary serves machines with and without a GPU. The
//! CUDA part is loaded when it is first asked for, and only where an NVIDIA driver is present: otherwise torch would say
//! "no GPU" on a GPU machine, without a word.

use std::sync::OnceLock;

use tch::{Cuda, Device};

use crate::error::{Error, Result};

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
    fn a_gpu_that_is_not_there_is_an_error_with_a_cure() {
        let missing = device(Some(&format!("cuda:{}", gpus())), 0).unwrap_err();
        assert_eq!(missing.kind, crate::error::Kind::Environment);
    }
}
