//! The GPUs of this host, as the driver and as torch see them. It may not know what they are needed for.

use std::path::{Path, PathBuf};

use super::facts::Gpus;
use tombola_core::place::{ShownGpus, has_own_gpus};

/// Where NVIDIA's Multi-Process Service listens unless it is told otherwise.
const MPS: &str = "/tmp/nvidia-mps";

/// Looks; `torch` counts what libtorch finds. May take seconds, and longer where the driver is in trouble.
pub fn look(torch: fn() -> Option<usize>) -> Gpus {
    let torch = torch();
    let ShownGpus { visible, daemon } = ShownGpus::here();
    Gpus {
        driver: tombola_core::gpus::of_driver(),
        driver_version: driver(),
        torch,
        cuda_loaded: super::loaded::mapped("libtorch_cuda.so").is_some(),
        visible,
        daemon,
        own: has_own_gpus(),
        mps: mps_runs(&std::env::var_os("CUDA_MPS_PIPE_DIRECTORY").map_or_else(|| MPS.into(), PathBuf::from)),
    }
}

/// The version of NVIDIA's driver, where there is one.
pub fn driver() -> Option<String> {
    driver_version(&std::fs::read_to_string("/proc/driver/nvidia/version").ok()?)
}

/// The first number with dots, as `550.54.15`.
fn driver_version(text: &str) -> Option<String> {
    let is_version = |word: &&str| word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_string)
}

/// Whether a daemon listens there. One that was killed leaves its pipe behind.
fn mps_runs(folder: &Path) -> bool {
    let process = std::fs::read_to_string(folder.join("nvidia-cuda-mps-control.pid"));
    let lives = process.map_or(true, |number| Path::new("/proc").join(number.trim()).exists());
    folder.join("control").exists() && lives
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_driver_is_read() {
        let text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC";
        assert_eq!(driver_version(text).as_deref(), Some("550.54.15"));
        assert_eq!(driver_version("something else"), None);
    }

    #[test]
    fn a_daemon_that_was_killed_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!mps_runs(folder.path()));
        std::fs::write(folder.path().join("control"), "").unwrap();
        assert!(mps_runs(folder.path()));
        let pid = folder.path().join("nvidia-cuda-mps-control.pid");
        std::fs::write(&pid, format!("{}\n", std::process::id())).unwrap();
        assert!(mps_runs(folder.path()));
        // No process has this number.
        std::fs::write(&pid, "4194305").unwrap();
        assert!(!mps_runs(folder.path()));
    }
}
