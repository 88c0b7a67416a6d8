//! What one rank found about itself and its host: plain values that travel to rank 0. It may not know how they were
//! found, nor what follows from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use tombola_cluster::link::launcher::{Launch, Starter};
use tombola_core::place::{Sharers, ShownGpus};
use tombola_words::error::Result;

/// Everything that one rank found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Number of the rank; 0 for a process that is started alone.
    pub rank: usize,
    /// Name of the host, as MPI has it where there is MPI.
    pub host: String,
    /// Name of the host, as its system has it.
    pub system_host: String,
    /// Which start of which machine this is: the same for all processes on it, whatever they call it.
    pub machine: Option<String>,
    /// Number of the process.
    pub process: u32,
    /// The program itself.
    pub program: Program,
    /// What the launcher says, where several ranks were started.
    pub launch: Option<Launch>,
    /// Which launcher that is.
    pub starter: Option<Starter>,
    /// What MPI says, where it was begun.
    pub mpi: Option<Mpi>,
    /// Processor cores.
    pub cores: Cores,
    /// Memory that the process may still take, where the system tells.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// GPUs; nothing if driver or torch gave no answer in time.
    pub gpus: Option<Gpus>,
    /// Each data set that was asked for: nothing if the file system gave no answer in time.
    pub data: BTreeMap<String, Option<Result<Data>>>,
    /// What only rank 0 looks at.
    pub first: Option<First>,
}

/// The running program.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// Whether it can train.
    pub torch: bool,
    /// Whether it can run as many ranks.
    pub mpi: bool,
    /// Version of libtorch, where its folder says it.
    pub libtorch: Option<String>,
    /// The MPI library that it is linked to, in its own words.
    pub library: Option<String>,
    /// Checksum of the program's file; the first rank of each host makes it.
    pub checksum: Option<String>,
}

/// What MPI says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mpi {
    /// The threading level.
    ///
    /// # Errors
    /// When it is too low.
    pub threads: Result<String>,
    /// Ranks.
    pub size: usize,
    /// The own place among those that share memory.
    pub local_rank: usize,
    /// How many those are.
    pub local_size: usize,
    /// Those of them that share GPUs with this one, by what they told each other.
    #[serde(default)]
    pub sharers: Sharers,
}

/// Processor cores.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Cores {
    /// Cores that this process may use at once, limits of control groups included.
    pub usable: usize,
    /// Their numbers, as the system lists them: `0-3,8`.
    pub allowed: String,
    /// Those of the whole machine.
    pub online: String,
}

/// Memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes that can still be taken.
    pub free: u64,
    /// The limit that they are the rest of, and whose it is; nothing where it is the host's memory.
    pub limit: Option<(u64, String)>,
}

/// GPUs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Gpus {
    /// Those that the driver shows to this process.
    pub driver: usize,
    /// Version of the driver.
    pub driver_version: Option<String>,
    /// Those that torch can use; nothing in a program without torch.
    pub torch: Option<usize>,
    /// Whether torch's CUDA part could be loaded.
    pub cuda_loaded: bool,
    /// `CUDA_VISIBLE_DEVICES`.
    pub visible: Option<String>,
    /// The folder of the MPS daemon that the process is told to use, if one listens there.
    #[serde(default)]
    pub daemon: Option<String>,
    /// Whether the launcher says that it gave each rank GPUs of its own.
    pub own: bool,
    /// Whether a daemon of NVIDIA's Multi-Process Service runs.
    pub mps: bool,
}

impl Gpus {
    /// GPUs that trainings could use; without torch, those that the driver shows.
    pub fn count(&self) -> usize {
        self.torch.unwrap_or(self.driver)
    }

    /// What the process is shown.
    pub fn shown(&self) -> ShownGpus {
        ShownGpus { visible: self.visible.clone(), daemon: self.daemon.clone() }
    }
}

/// A data set that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// Where.
    pub folder: String,
    /// Checksum of what it holds; the first rank of each host makes it.
    pub checksum: Option<String>,
}

/// What only rank 0 looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct First {
    /// The results folder; nothing if the file system gave no answer in time.
    pub folder: Option<Folder>,
    /// The job of Slurm's that this is part of.
    pub slurm: Option<Slurm>,
    /// How `mpirun` of Open MPI 4 was called.
    pub recovery: Recovery,
}

/// The results folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Folder {
    /// Its name.
    pub name: String,
    /// The nearest folder above it that is there, or itself: what was tried.
    pub tried: String,
    /// Another process that holds it, in words.
    pub holder: Option<String>,
    /// Whether a small file could be written, and the milliseconds until it was on the disk.
    ///
    /// # Errors
    /// When it could not.
    pub written: Result<f64>,
    /// Whether a lock keeps a second process out.
    pub locks: Locks,
    /// Free bytes, where the system says it.
    pub free: Option<u64>,
}

/// Whether locks on files work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Locks {
    /// A second lock is refused while the first is held.
    Work,
    /// It is not.
    Share,
    /// The file system knows none.
    Unsupported,
    /// Asking for one fails, and how.
    Fail(String),
    /// No file could be written to try them on.
    Untried,
}

/// A job of Slurm's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Slurm {
    /// Its number.
    pub job: String,
    /// Seconds left, where Slurm says it.
    pub left: Option<f64>,
    /// How often it was started again.
    pub restarts: Option<usize>,
    /// Whether `scontrol` is there, with which a job puts itself back into the queue.
    pub scontrol: bool,
    /// Whether Slurm would queue it again.
    pub requeue: Option<bool>,
    /// Nodes that the job has.
    pub nodes: Option<usize>,
}

/// How `mpirun` of Open MPI 4 was called.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Recovery {
    /// Whether with `--enable-recovery`.
    pub enabled: bool,
    /// The settings that let it notice a host that is gone, and are not made.
    pub keepalive_missing: Vec<String>,
}

/// A rank's clock as seen from rank 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Seconds that it is ahead.
    pub ahead: f64,
    /// Seconds that the question and its answer took: the difference is known to half of this.
    pub round_trip: f64,
}

/// What came of asking all ranks.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Gathered {
    /// What each rank found that answered, in order.
    pub facts: Vec<Facts>,
    /// Those that did not, and why.
    pub silent: BTreeMap<usize, String>,
    /// Clocks of the ranks but 0.
    pub clocks: BTreeMap<usize, Clock>,
}
