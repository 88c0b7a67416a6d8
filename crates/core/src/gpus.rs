//! GPUs that a host has and trainings do not use: why, in words, and the cure.
//!
//! The words stand in the place of a worker, as the journal has it, so whoever reads that can tell. It may not know of torch: what
//! that finds is told.

use std::path::Path;

/// Signs of a driver of NVIDIA's: on Linux, in containers, under Windows.
const SIGNS: [&str; 3] = ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg"];

/// What stands before the reason in the place of a worker.
const MARK: &str = ", GPUs unused: ";

/// What stands before the reason why steps on a GPU are not replayed, in the place of a worker.
pub const EAGER: &str = ", eager: ";

/// Why steps of a worker on a GPU are not replayed as graphs, as its place tells.
pub fn eager_reason(place: &str) -> Option<&str> {
    let (_, rest) = place.split_once(EAGER)?;
    rest.split(',').next()
}

/// What was found of GPUs.
#[derive(Debug, Clone, Copy)]
pub struct GpuSight<'a> {
    /// GPUs that the driver shows.
    pub driver: usize,
    /// GPUs that torch can use.
    pub torch: usize,
    /// Whether torch's CUDA part could be loaded.
    pub cuda_loaded: bool,
    /// `CUDA_VISIBLE_DEVICES`.
    pub visible: Option<&'a str>,
}

/// Why trainings take the processor where there are GPUs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnusedGpus {
    /// In words without a comma.
    pub reason: String,
}

impl UnusedGpus {
    /// Nothing where torch can use all that the driver shows, or some were hidden on purpose.
    pub fn of(sight: GpuSight) -> Option<Self> {
        let GpuSight { driver, torch, cuda_loaded, visible } = sight;
        let shown = format!("the driver shows {driver} GPU(s)");
        let reason = match (torch, visible) {
            _ if torch >= driver => return None,
            (1.., Some(_)) => return None,
            (0, _) if !cuda_loaded => format!("{shown} but this libtorch has no CUDA part"),
            (0, Some(value)) => {
                format!("{shown} but `CUDA_VISIBLE_DEVICES={}` leaves torch none", value.replace(',', " "))
            }
            _ => format!("{shown} and torch can use {torch}"),
        };
        Some(Self { reason })
    }

    /// What to do about it.
    pub fn cure(&self) -> &'static str {
        if self.reason.contains("no CUDA part") {
            "build with a libtorch whose `lib` folder holds libtorch_cuda.so (set `LIBTORCH`), or say `--device cpu`"
        } else if self.reason.contains("CUDA_VISIBLE_DEVICES") {
            "unset CUDA_VISIBLE_DEVICES, or ask the batch system for GPUs (`--gres=gpu:N`)"
        } else {
            "the driver may be older than libtorch's CUDA, or a GPU be out of order: see `nvidia-smi`"
        }
    }

    /// What follows a device in the place of a worker.
    pub fn mark(&self) -> String {
        format!("{MARK}{}", self.reason)
    }

    /// What the place of a worker tells.
    pub fn in_place(place: &str) -> Option<Self> {
        let (_, rest) = place.split_once(MARK)?;
        Some(Self { reason: rest.split(',').next().unwrap_or_default().to_string() })
    }

    /// For people, with the number of those that it is so of: `2 workers`.
    pub fn words(&self, whose: &str) -> String {
        format!("{whose} on the CPU, GPUs unused: {}", self.reason)
    }
}

/// Whether there is a driver of NVIDIA's.
pub fn has_driver() -> bool {
    SIGNS.iter().any(|path| Path::new(path).exists())
}

/// GPUs that the driver shows; at least one where there is a driver that does not tell.
pub fn of_driver() -> usize {
    count(Path::new("/proc/driver/nvidia/gpus"), Path::new("/dev")).max(usize::from(has_driver()))
}

/// GPUs of the driver. In a container, `/proc` may list those of the whole machine while `/dev` has the own ones.
fn count(proc: &Path, dev: &Path) -> usize {
    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().to_string()).collect()
    };
    let is_gpu = |name: &String| {
        let number = name.strip_prefix("nvidia").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    match names(dev).iter().filter(|name| is_gpu(name)).count() {
        0 => names(proc).len(),
        count => count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_of_a_container_are_counted_rather_than_those_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let (proc, dev) = (folder.path().join("gpus"), folder.path().join("dev"));
        assert_eq!(count(&proc, &dev), 0);
        for name in ["gpus/0000:01:00.0", "gpus/0000:02:00.0", "dev"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        assert_eq!(count(&proc, &dev), 2);
        for name in ["nvidiactl", "nvidia-uvm", "nvidia3", "nvidia"] {
            std::fs::write(dev.join(name), "").unwrap();
        }
        assert_eq!(count(&proc, &dev), 1);
    }

    #[test]
    fn why_steps_are_eager_is_read_back_from_the_place_of_a_worker() {
        let place = format!("node7, cuda:1, NVIDIA H100{EAGER}`TOMBOLA_CUDA_GRAPHS` is `no`, worker 3");
        assert_eq!(eager_reason(&place), Some("`TOMBOLA_CUDA_GRAPHS` is `no`"));
        assert_eq!(eager_reason("node7, cuda:1, NVIDIA H100, graphs, worker 3"), None);
    }

    #[test]
    fn why_gpus_stand_unused_is_read_back_from_the_place_of_a_worker() {
        let sight = |torch, cuda_loaded, visible| GpuSight { driver: 2, torch, cuda_loaded, visible };
        for (found, reason, cure) in [
            (sight(0, false, None), "shows 2 GPU(s) but this libtorch has no CUDA part", "libtorch_cuda.so"),
            (sight(0, true, Some("7,8")), "`CUDA_VISIBLE_DEVICES=7 8` leaves torch none", "unset"),
            (sight(0, true, None), "torch can use 0", "nvidia-smi"),
        ] {
            let unused = UnusedGpus::of(found).unwrap();
            assert!(unused.reason.contains(reason) && unused.cure().contains(cure), "{unused:?}");
            let place = format!("node7, cpu, 2 threads{}, worker 3", unused.mark());
            assert_eq!(UnusedGpus::in_place(&place), Some(unused));
        }
        for fine in [sight(2, true, None), sight(1, true, Some("0"))] {
            assert_eq!(UnusedGpus::of(fine), None);
        }
        assert_eq!(UnusedGpus::in_place("cpu, 2 threads, worker 3"), None);
    }
}
