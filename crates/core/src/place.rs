//! Which device a worker or a rank takes, given what was asked for and what its host has.
//!
//! It may not know torch or MPI, so that whoever only wants to know what would happen can ask too. How many GPUs there are
//! is asked for only where it matters: finding out may load a library of gigabytes.

mod shown;

pub use shown::{Sharers, ShownGpus, has_own_gpus};

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
pub fn choose(wish: Option<&str>, worker: usize, shown: &ShownGpus, gpus: impl Fn() -> usize) -> Result<DeviceChoice> {
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
        (0, _) => Err(shown.without_gpu()),
        (count, Some(number)) if number >= count => Err(Error::environment(format!(
            "`cuda:{number}` is not there: torch finds {count} GPU(s), numbered from 0"
        ))),
        (count, number) => Ok(DeviceChoice::Gpu(number.unwrap_or(worker % count))),
    }
}

/// Where a rank stands among those that it shares GPUs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its host.
    pub host: String,
    /// What the launcher shows it.
    pub shown: ShownGpus,
    /// Whether the launcher says that it gave each rank GPUs of its own.
    pub own: bool,
    /// The ranks that share its GPUs, as far as what they were shown tells.
    pub sharers: Sharers,
    /// Whether the first rank of the host is rank 0 and trains nothing.
    pub dedicated: bool,
}

impl Place {
    /// Whether no other rank has the GPUs that this one sees, although all may call them the same: with control groups each
    /// task of Slurm's has a GPU 0. A batch script leaves the same word to ranks that see all GPUs of the host.
    pub fn is_alone(&self, gpus: usize) -> bool {
        self.own && gpus == 1
    }

    /// Those that share `gpus` GPUs with this rank.
    fn sharers(&self, gpus: usize) -> Sharers {
        if self.is_alone(gpus) { self.sharers.alone() } else { self.sharers }
    }

    /// Which of `gpus` GPUs this rank takes, `each` ranks to a GPU; the first ranks get the first GPU.
    fn gpu(&self, gpus: usize, each: usize) -> Result<usize> {
        let sharers = self.sharers(gpus);
        let first = usize::from(self.dedicated && sharers.with_first);
        let (worker, workers) = (sharers.rank - first.min(sharers.rank), sharers.size - first);
        if workers <= gpus * each {
            return Ok(worker / each);
        }
        let (host, fewest) = (&self.host, workers.div_ceil(gpus.max(1)));
        Err(match sharers.size == sharers.local_size {
            true => Error::environment(format!("{host} has {gpus} GPU(s) for {workers} ranks that train, {each} to a GPU"))
                .hint(format!(
                    "start {} ranks on it, or let several share a GPU: `--ranks-per-gpu {fewest}`",
                    gpus * each + first
                )),
            false => Error::environment(format!(
                "{host} shows {gpus} GPU(s) to {workers} ranks that train, {each} to a GPU: those with {}",
                self.shown.words()
            ))
            .hint(format!(
                "have the launcher show them to {} of the ranks, or let several share a GPU: `--ranks-per-gpu {fewest}`",
                gpus * each + first
            )),
        })
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

/// Whether rank 0, which stands at `place`, leaves its devices to the other ranks that share them.
///
/// # Errors
/// As [`choose`].
pub fn is_dedicated(wish: Wish, place: &Place, gpus: impl Fn() -> usize) -> Result<bool> {
    Ok(match wish.coordinator {
        Role::Shared => false,
        Role::Dedicated => true,
        // A launcher that shows GPUs to the others alone means it so; on the CPU rank 0 would hold those up.
        Role::Auto if wish.device != Some("cpu") && place.sharers.left_out && gpus() == 0 => true,
        // On CPU the coordinator takes a small share of a core; a GPU that it does not need is left to the others. One that
        // nobody else sees would stand unused.
        Role::Auto => match choose(wish.device, 0, &place.shown, &gpus)? {
            DeviceChoice::Gpu(_) => place.sharers(gpus()).size > gpus() * wish.ranks_per_gpu,
            DeviceChoice::Cpu => false,
        },
    })
}

/// The device of the rank that stands at `place`: the CPU, or the GPU that is its turn.
///
/// # Errors
/// When a GPU is asked for that is not there, or there are more ranks than GPUs for them.
pub fn of_rank(wish: Wish, place: &Place, gpus: impl Fn() -> usize) -> Result<DeviceChoice> {
    match (wish.device, choose(wish.device, 0, &place.shown, &gpus)?) {
        (None | Some("cuda"), DeviceChoice::Gpu(_)) => place.gpu(gpus(), wish.ranks_per_gpu).map(DeviceChoice::Gpu),
        (_, choice) => Ok(choice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Wish = Wish { device: None, ranks_per_gpu: 1, coordinator: Role::Auto };

    /// The ranks of a host, by what `CUDA_VISIBLE_DEVICES` of each is.
    fn host(visible: &[Option<&str>]) -> Vec<Place> {
        let shown = |visible: &Option<&str>| ShownGpus { visible: visible.map(str::to_string), daemon: None };
        let all: Vec<ShownGpus> = visible.iter().map(shown).collect();
        let place = |own: usize| Place {
            host: "node7".to_string(),
            shown: all[own].clone(),
            own: false,
            sharers: Sharers::of(own, &all),
            dedicated: false,
        };
        (0..all.len()).map(place).collect()
    }

    /// As many ranks, which all see all GPUs.
    fn alike(ranks: usize) -> Vec<Place> {
        host(&vec![None; ranks])
    }

    /// What the ranks of the host of rank 0 do: the number of a GPU, or nothing for a rank 0 that trains nothing.
    fn gpus(wish: Wish, mut places: Vec<Place>, gpus: impl Fn(&Place) -> usize) -> Result<Vec<Option<usize>>> {
        let dedicated = is_dedicated(wish, &places[0], || gpus(&places[0]))?;
        places.iter_mut().for_each(|place| place.dedicated = dedicated);
        let device = |place: &Place| match of_rank(wish, place, || gpus(place))? {
            DeviceChoice::Gpu(number) => Ok(Some(number)),
            DeviceChoice::Cpu => panic!("the CPU"),
        };
        let first = dedicated.then_some(Ok(None));
        let rest = places.iter().skip(usize::from(dedicated)).map(device);
        first.into_iter().chain(rest).collect()
    }

    #[test]
    fn a_device_that_is_no_device_is_refused() {
        let all = ShownGpus::default();
        for word in ["gpu", "cuda:", "cuda:x", ""] {
            assert!(choose(Some(word), 0, &all, || 2).unwrap_err().message.contains("expected `cpu`"));
        }
        assert_eq!(choose(Some("cpu"), 3, &all, || panic!("not asked")).unwrap(), DeviceChoice::Cpu);
    }

    #[test]
    fn workers_take_the_gpus_in_turn_and_the_cpu_where_there_is_none() {
        let all = ShownGpus::default();
        assert_eq!(choose(None, 3, &all, || 0).unwrap(), DeviceChoice::Cpu);
        assert_eq!(choose(None, 3, &all, || 2).unwrap(), DeviceChoice::Gpu(1));
        assert_eq!(choose(Some("cuda:1"), 4, &all, || 2).unwrap(), DeviceChoice::Gpu(1));
        assert!(choose(Some("cuda:2"), 0, &all, || 2).unwrap_err().message.contains("torch finds 2 GPU(s)"));
    }

    #[test]
    fn where_no_gpu_can_be_used_the_variable_that_hides_them_is_named() {
        let error = |visible: Option<&str>| {
            let shown = ShownGpus { visible: visible.map(str::to_string), daemon: None };
            let error = choose(Some("cuda"), 0, &shown, || 0).unwrap_err();
            (error.message, error.hint.unwrap())
        };
        for value in ["", "-1", "NoDevFiles", " ", "0,0"] {
            let (message, hint) = error(Some(value));
            assert_eq!(message, format!("no GPU can be used: `CUDA_VISIBLE_DEVICES={value}` shows none"));
            assert!(hint.contains("or unset it") && hint.contains("`--device cpu`"), "{hint}");
        }
        let (message, hint) = error(Some("7"));
        assert_eq!(message, "no GPU can be used: torch finds none with `CUDA_VISIBLE_DEVICES=7`");
        assert!(hint.contains("`nvidia-smi -L` lists"), "{hint}");
        assert_eq!(error(None).0, "no GPU can be used: torch finds none");
    }

    #[test]
    fn ranks_take_the_gpus_of_their_host_in_turn() {
        let four = gpus(ANY, alike(4), |_| 4).unwrap();
        assert_eq!(four, [0, 1, 2, 3].map(Some));
        let shared = gpus(Wish { ranks_per_gpu: 2, ..ANY }, alike(4), |_| 2).unwrap();
        assert_eq!(shared, [0, 0, 1, 1].map(Some));
        // Rank 0 takes none: the second rank of its host has the first GPU.
        assert_eq!(gpus(ANY, alike(3), |_| 2).unwrap(), [None, Some(0), Some(1)]);
        // The same for a value that all have, however it is written.
        let written = host(&[Some("4,5"), Some("4, 5"), Some(" 4,5")]);
        assert_eq!(gpus(ANY, written, |_| 2).unwrap(), [None, Some(0), Some(1)]);
    }

    #[test]
    fn more_ranks_than_gpus_are_refused_with_the_number_that_fits() {
        let error = of_rank(ANY, &alike(4)[1], || 2).unwrap_err();
        assert!(error.message.contains("node7 has 2 GPU(s) for 4 ranks"), "{error}");
        assert!(error.hint.unwrap().contains("start 2 ranks on it, or let several share a GPU: `--ranks-per-gpu 2`"));
    }

    #[test]
    fn ranks_that_the_launcher_shows_one_gpu_each_take_that_and_rank_0_its_own() {
        for visible in [
            ["0", "1", "2", "3"],
            ["GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-1", "GPU-2", "GPU-3"],
            ["MIG-1f9a2a5c-7a3d-5d0a-9a63-1f3e4f6f7c11", "MIG-2", "MIG-3", "MIG-4"],
        ] {
            let places = host(&visible.map(Some));
            assert_eq!(gpus(ANY, places, |_| 1).unwrap(), [0; 4].map(Some), "{visible:?}");
        }
    }

    #[test]
    fn ranks_with_the_same_gpus_share_those_as_all_of_a_host_would() {
        let pairs = || host(&[Some("0"), Some("0"), Some("1"), Some("1")]);
        let two = Wish { ranks_per_gpu: 2, ..ANY };
        assert_eq!(gpus(two, pairs(), |_| 1).unwrap(), [0; 4].map(Some));
        // Of the pair with rank 0 one can train without it, of the other pair both want to.
        let mut second = pairs().remove(2);
        second.dedicated = true;
        let error = of_rank(ANY, &second, || 1).unwrap_err();
        let expected = "node7 shows 1 GPU(s) to 2 ranks that train, 1 to a GPU: those with `CUDA_VISIBLE_DEVICES=1`";
        assert_eq!(error.message, expected);
        let hint = error.hint.unwrap();
        assert!(hint.contains("to 1 of the ranks") && hint.contains("`--ranks-per-gpu 2`"), "{hint}");
        let first = host(&[Some("0"), Some("0"), Some("1")]);
        assert_eq!(gpus(ANY, first, |_| 1).unwrap(), [None, Some(0), Some(0)]);
        let more = host(&[Some("0,1"), Some("0,1"), Some("2,3"), Some("2,3")]);
        assert_eq!(gpus(ANY, more, |_| 2).unwrap(), [0, 1, 0, 1].map(Some));
    }

    #[test]
    fn lists_that_overlap_are_the_launchers_and_each_begins_with_its_own() {
        // Turned lists, a common way to give each rank another first GPU.
        let turned = host(&[Some("0,1,2"), Some("1,2,0"), Some("2,0,1")]);
        assert_eq!(gpus(ANY, turned, |_| 3).unwrap(), [0; 3].map(Some));
        let overlapping = host(&[Some("0,1"), Some("1,2")]);
        assert_eq!(gpus(ANY, overlapping, |_| 2).unwrap(), [0; 2].map(Some));
    }

    #[test]
    fn a_rank_0_that_is_shown_no_gpu_leaves_training_to_the_others_but_not_on_the_cpu() {
        let unset = [Some(""), None, None];
        let shown = [Some("-1"), Some("0"), Some("1")];
        for visible in [unset, shown] {
            let counts = |place: &Place| match place.shown.visible.as_deref() {
                None => 2,
                Some(value) => usize::from(matches!(value, "0" | "1")),
            };
            let rank_0 = &host(&visible)[0];
            for device in [None, Some("cuda")] {
                let wish = Wish { device, ..ANY };
                assert!(is_dedicated(wish, rank_0, || 0).unwrap(), "{visible:?}");
                let found = gpus(wish, host(&visible), counts).unwrap();
                assert_eq!(found[0], None);
            }
            assert!(!is_dedicated(Wish { device: Some("cpu"), ..ANY }, rank_0, || 0).unwrap());
            assert!(!is_dedicated(Wish { coordinator: Role::Shared, ..ANY }, rank_0, || 0).unwrap());
        }
        // Where all are shown none, all train on the processor.
        assert!(!is_dedicated(ANY, &host(&[Some(""), Some("-1")])[0], || 0).unwrap());
    }

    #[test]
    fn tasks_of_slurm_whose_gpus_have_the_same_number_have_one_each() {
        let own = || alike(4).into_iter().map(|place| Place { own: true, ..place });
        assert_eq!(gpus(ANY, own().collect(), |_| 1).unwrap(), [0; 4].map(Some));
        // What a batch script with that flag leaves to the ranks of its mpirun, which see all of them.
        assert_eq!(gpus(ANY, own().collect(), |_| 4).unwrap(), [0, 1, 2, 3].map(Some));
    }

    #[test]
    fn rank_0_steps_back_only_where_every_gpu_has_a_rank_without_it() {
        let steps_back = |wish, ranks: usize, gpus: usize| is_dedicated(wish, &alike(ranks)[0], || gpus).unwrap();
        assert!(steps_back(ANY, 5, 4) && !steps_back(ANY, 4, 4) && !steps_back(ANY, 5, 0));
        assert!(steps_back(Wish { coordinator: Role::Dedicated, ..ANY }, 1, 0));
    }
}
