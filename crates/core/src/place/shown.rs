//! What a launcher shows each rank of the GPUs of its host, and which ranks therefore share theirs.
//!
//! A function of two variables of each rank, as those have told each other. It may not know how many GPUs there are, nor what
//! was asked for.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use tombola_words::error::Error;

/// What decides which GPUs a process sees, and in which order.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";
/// What decides which daemon of NVIDIA's Multi-Process Service serves them, and by that how they are numbered.
const DAEMON: &str = "CUDA_MPS_PIPE_DIRECTORY";

/// What a rank is shown of the GPUs of its host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShownGpus {
    /// `CUDA_VISIBLE_DEVICES`. Nothing where it is unset, which shows all; the empty text shows none.
    pub visible: Option<String>,
    /// The folder of the MPS daemon that it is told to use, if one listens there: numbers mean what that daemon has.
    pub daemon: Option<String>,
}

impl ShownGpus {
    /// What this process is shown.
    pub fn here() -> Self {
        let text = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().to_string());
        // A folder where nobody listens changes nothing.
        Self {
            visible: text(VISIBLE),
            daemon: text(DAEMON).filter(|folder| Path::new(folder).join("control").exists()),
        }
    }

    /// The GPUs that are named, as CUDA reads them: up to the first word that names none, and none where one stands twice.
    /// Nothing where all are shown.
    fn named(&self) -> Option<Vec<String>> {
        let words = self.visible.as_ref()?.split(',').map(str::trim);
        let named: Vec<String> = words
            .map_while(|word| match word.starts_with("GPU-") || word.starts_with("MIG-") {
                true => Some(word.to_string()),
                false => Some(word.parse::<usize>().ok()?.to_string()),
            })
            .collect();
        let is_twice = named.iter().collect::<BTreeSet<_>>().len() < named.len();
        Some(if is_twice { Vec::new() } else { named })
    }

    fn is_none(&self) -> bool {
        self.named().is_some_and(|named| named.is_empty())
    }

    /// What the GPU that this process numbers `number` is called by all that have the same daemon.
    pub fn name_of(&self, number: usize) -> String {
        self.named().and_then(|named| named.get(number).cloned()).unwrap_or_else(|| number.to_string())
    }

    /// The variable in words.
    pub fn words(&self) -> String {
        match &self.visible {
            Some(value) => format!("`{VISIBLE}={value}`"),
            None => format!("{VISIBLE} unset"),
        }
    }

    /// Why a process that torch finds no GPU for has none, as far as the variable tells.
    pub(super) fn without_gpu(&self) -> Error {
        let torch = "that libtorch is one with CUDA (its `lib` folder holds libtorch_cuda.so); or use `--device cpu`";
        match self.visible {
            Some(_) if self.is_none() => Error::environment(format!("no GPU can be used: {} shows none", self.words()))
                .hint(format!(
                    "name GPUs that `nvidia-smi -L` lists in {VISIBLE}, each once, or unset it; in a job, ask for GPUs \
                     (`--gres=gpu:N`); or use `--device cpu`"
                )),
            Some(_) => Error::environment(format!("no GPU can be used: torch finds none with {}", self.words()))
                .hint(format!("check that `nvidia-smi -L` lists what it names, and {torch}")),
            None => Error::environment("no GPU can be used: torch finds none")
                .hint(format!("check `nvidia-smi`, and {torch}")),
        }
    }
}

/// The ranks of a host that share their GPUs with one of them, itself counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sharers {
    /// Its place among them.
    pub rank: usize,
    /// How many they are.
    pub size: usize,
    /// Ranks of the host.
    pub local_size: usize,
    /// Whether the first rank of the host is among them.
    pub with_first: bool,
    /// Whether they are shown no GPU, and other ranks of the host are shown some.
    pub left_out: bool,
}

impl Sharers {
    /// Those of the rank at place `own` of its host, by what each rank there is shown.
    ///
    /// Where that differs, the launcher has dealt the GPUs out, and ranks share what they call the same. Lists that only
    /// overlap, or have another order, count as different: launchers turn the list of all GPUs by one for each rank, and mean
    /// the first of each. Should two ranks so come to one GPU, the doctor says it.
    pub fn of(own: usize, shown: &[ShownGpus]) -> Self {
        let seen: Vec<_> = shown.iter().map(|one| (one.named(), &one.daemon)).collect();
        let sharers: Vec<usize> = (0..seen.len()).filter(|place| seen.get(own) == seen.get(*place)).collect();
        let is_none = |one: &ShownGpus| one.is_none();
        Self {
            rank: sharers.iter().position(|place| *place == own).unwrap_or(0),
            size: sharers.len(),
            local_size: shown.len(),
            with_first: sharers.first() == Some(&0),
            left_out: shown.get(own).is_some_and(is_none) && !shown.iter().all(is_none),
        }
    }

    /// The same rank where it shares with nobody.
    pub(super) fn alone(self) -> Self {
        Self { rank: 0, size: 1, with_first: self.with_first && self.rank == 0, ..self }
    }
}

/// Whether the launcher says that it gave each rank GPUs of its own.
pub fn has_own_gpus() -> bool {
    own_gpus(|name| std::env::var(name).ok())
}

fn own_gpus(variable: impl Fn(&str) -> Option<String>) -> bool {
    // The second has what was asked for by other flags too: from Slurm 23.11 on, `cpu=2` for `--cpus-per-task 2`.
    variable("SLURM_GPUS_PER_TASK").is_some() || variable("SLURM_TRES_PER_TASK").is_some_and(|all| all.contains("gpu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(visible: Option<&str>) -> ShownGpus {
        ShownGpus { visible: visible.map(str::to_string), daemon: None }
    }

    fn named(visible: &str) -> Vec<String> {
        shown(Some(visible)).named().unwrap()
    }

    #[test]
    fn the_variable_is_read_as_cuda_reads_it() {
        assert_eq!(shown(None).named(), None);
        for none in ["", " ", "-1", "NoDevFiles", "-1,0", "0,0", "1,0,1", "GPU-a,GPU-a"] {
            assert!(named(none).is_empty(), "`{none}`");
        }
        assert_eq!(named("0"), ["0"]);
        assert_eq!(named(" 0 ,\t01"), ["0", "1"]);
        assert_eq!(named("2,1,-1,0"), ["2", "1"]);
        assert_eq!(named("GPU-8932f937,MIG-1f9a/1/0"), ["GPU-8932f937", "MIG-1f9a/1/0"]);
        assert_eq!((shown(Some("3,5")).name_of(1), shown(None).name_of(1)), ("5".to_string(), "1".to_string()));
    }

    #[test]
    fn unset_and_empty_are_not_the_same() {
        let all = [shown(None), shown(Some("")), shown(Some("-1")), shown(None)];
        let found: Vec<Sharers> = (0..4).map(|own| Sharers::of(own, &all)).collect();
        assert_eq!(found.iter().map(|one| (one.rank, one.size)).collect::<Vec<_>>(), [(0, 2), (0, 2), (1, 2), (1, 2)]);
        assert_eq!(found.iter().map(|one| one.left_out).collect::<Vec<_>>(), [false, true, true, false]);
        assert_eq!(found.iter().map(|one| one.with_first).collect::<Vec<_>>(), [true, false, false, true]);
    }

    #[test]
    fn the_same_number_at_another_daemon_is_another_gpu() {
        let at = |daemon: &str| ShownGpus { visible: Some("0".into()), daemon: Some(daemon.into()) };
        let all = [at("/tmp/a"), at("/tmp/b"), at("/tmp/b"), shown(Some("0"))];
        let found = (0..4).map(|own| Sharers::of(own, &all)).map(|one| (one.rank, one.size));
        assert_eq!(found.collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 2), (0, 1)]);
    }

    #[test]
    fn what_slurm_says_of_cores_is_no_word_about_gpus() {
        let own =
            |name: &'static str, value: &'static str| own_gpus(move |asked| (asked == name).then(|| value.into()));
        assert!(own("SLURM_GPUS_PER_TASK", "1") && own("SLURM_TRES_PER_TASK", "cpu=2,gres/gpu=1"));
        assert!(own("SLURM_TRES_PER_TASK", "gres:gpu:1"));
        assert!(!own("SLURM_TRES_PER_TASK", "cpu=2") && !own("SLURM_TRES_PER_TASK", "cpu:2"));
    }
}
