//! Which device a worker or a rank takes, given what was asked for and what its host has.
//!
//! It may not know torch, so that whoever only wants to know what would happen can ask too. How many GPUs there are is
//! asked for only where it matters: finding out may load a library of gigabytes.

use tombola_words::error::{Error, Result};
use tombola_words::value::Role;

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The processor.
    Cpu,
    /// A GPU, numbered from 0 among those that the process sees.
    Gpu(usize),
}

/// The device of worker number `worker`: `cpu`, `cuda`, `cuda:N`, or nothing for a GPU where there is one. Several
/// workers on `cuda` take the GPUs in turn.
///
/// # Errors
/// When a GPU is asked for that is not there, or the word is none of these.
pub fn choose(wish: Option<&str>, worker: usize, gpus: impl Fn() -> usize) -> Result<DeviceChoice> {
    let number = match wish {
        Some("cpu") => return Ok(DeviceChoice::Cpu),
        Some("cuda") => None,
        Some(word) => Some(word.strip_prefix("cuda:").and_then(|number| number.parse().ok()).ok_or_else(|| {
            Error::input(format!("`device`: found `{word}`, expected `cpu`, `cuda`, `cuda:N` or `auto`"))
        })?),
        None if gpus() == 0 => return Ok(DeviceChoice::Cpu),
        None => None,
    };
    match (gpus(), number) {
        (0, _) => Err(Error::environment("no GPU can be used: torch finds none".to_string()).hint(
            "check `nvidia-smi`, and that libtorch is one with CUDA (its `lib` folder holds libtorch_cuda.so); or use `--device cpu`",
        )),
        (count, Some(number)) if number >= count => {
            Err(Error::environment(format!("`cuda:{number}` is not there: torch finds {count} GPU(s), numbered from 0")))
        }
        (count, number) => Ok(DeviceChoice::Gpu(number.unwrap_or(worker % count))),
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

/// What was asked about devices.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// `cpu`, `cuda`, `cuda:N`, or nothing for a GPU where there is one.
    pub device: Option<&'a str>,
    /// Ranks that share one GPU.
    pub ranks_per_gpu: usize,
    /// Whether rank 0 trains.
    pub coordinator: Role,
}

/// Whether rank 0 leaves the devices of its host to the `local_size - 1` other ranks there.
///
/// # Errors
/// As [`choose`].
pub fn is_dedicated(wish: Wish, local_size: usize, gpus: impl Fn() -> usize) -> Result<bool> {
    Ok(match wish.coordinator {
        Role::Shared => false,
        Role::Dedicated => true,
        // On CPU the coordinator takes a small share of a core; a GPU that it does not need is left to the others.
        Role::Auto => match choose(wish.device, 0, &gpus)? {
            DeviceChoice::Gpu(_) => local_size > gpus() * wish.ranks_per_gpu,
            DeviceChoice::Cpu => false,
        },
    })
}

/// The device of a rank: the CPU, or the GPU that is its turn. `own`: the launcher gave the rank GPUs of its own.
///
/// # Errors
/// When a GPU is asked for that is not there, or there are more ranks than GPUs for them.
pub fn of_rank(wish: Wish, place: Place, own: bool, host: &str, gpus: impl Fn() -> usize) -> Result<DeviceChoice> {
    let each = wish.ranks_per_gpu;
    match (wish.device, choose(wish.device, 0, &gpus)?) {
        // A launcher that shows each rank one GPU of its own has done the sharing out already.
        (None | Some("cuda"), DeviceChoice::Gpu(_)) if own && gpus() == 1 && place.local_size > each => {
            Ok(DeviceChoice::Gpu(0))
        }
        (None | Some("cuda"), DeviceChoice::Gpu(_)) => place.gpu(gpus(), each, host).map(DeviceChoice::Gpu),
        (_, choice) => Ok(choice),
    }
}

/// Whether the launcher gave this rank GPUs of its own.
pub fn has_own_gpus() -> bool {
    ["SLURM_GPUS_PER_TASK", "SLURM_TRES_PER_TASK"].iter().any(|name| std::env::var_os(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Wish = Wish { device: None, ranks_per_gpu: 1, coordinator: Role::Auto };

    fn place(local_rank: usize, local_size: usize, dedicated: bool) -> Place {
        Place { local_rank, local_size, dedicated }
    }

    #[test]
    fn a_device_that_is_no_device_is_refused() {
        for word in ["gpu", "cuda:", "cuda:x", ""] {
            assert!(choose(Some(word), 0, || 2).unwrap_err().message.contains("expected `cpu`"));
        }
        assert_eq!(choose(Some("cpu"), 3, || panic!("not asked")).unwrap(), DeviceChoice::Cpu);
    }

    #[test]
    fn workers_take_the_gpus_in_turn_and_the_cpu_where_there_is_none() {
        assert_eq!(choose(None, 3, || 0).unwrap(), DeviceChoice::Cpu);
        assert_eq!(choose(None, 3, || 2).unwrap(), DeviceChoice::Gpu(1));
        assert_eq!(choose(Some("cuda:1"), 4, || 2).unwrap(), DeviceChoice::Gpu(1));
        assert!(choose(Some("cuda:2"), 0, || 2).unwrap_err().message.contains("torch finds 2 GPU(s)"));
    }

    #[test]
    fn ranks_take_the_gpus_of_their_host_in_turn() {
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
        let error = of_rank(ANY, place(1, 4, false), false, "node7", || 2).unwrap_err();
        assert!(error.message.contains("node7 has 2 GPU(s) for 4 ranks"), "{error}");
        assert!(error.hint.unwrap().contains("start 2 ranks on it, or let several share a GPU: `--ranks-per-gpu 2`"));
    }

    #[test]
    fn a_rank_with_a_gpu_of_its_own_takes_that() {
        assert_eq!(of_rank(ANY, place(3, 4, false), true, "a", || 1).unwrap(), DeviceChoice::Gpu(0));
    }

    #[test]
    fn rank_0_steps_back_only_where_every_gpu_has_a_rank_without_it() {
        assert!(is_dedicated(ANY, 5, || 4).unwrap() && !is_dedicated(ANY, 4, || 4).unwrap());
        assert!(!is_dedicated(ANY, 5, || 0).unwrap());
        assert!(is_dedicated(Wish { coordinator: Role::Dedicated, ..ANY }, 1, || 0).unwrap());
    }
}
