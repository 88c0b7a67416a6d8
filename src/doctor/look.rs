//! Collects what one rank finds. What could take long, because a disk or a driver does not answer, is looked at in
//! threads of its own and left out when time is up, so that no rank keeps the others waiting.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::Checkup;
use super::facts::{Cores, Data, Facts, First, Memory, Mpi, Program, Recovery, Slurm};
use super::loaded::mapped;
use super::{folder, gpus};
use tombola_cluster::coordinator::limit;
use tombola_cluster::link::launcher::{self, Launch};
use tombola_core::memory::{FreeMemory, free_memory};
use tombola_data as data;
use tombola_words::error::Result;
use tombola_words::error::ignored;

/// Time for everything. Rank 0 waits some seconds longer for the other ranks.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// What Open MPI 4 needs to be told so that it notices a host that is gone.
const KEEPALIVE: [&str; 3] = ["oob_tcp_keepalive_time", "oob_tcp_keepalive_intvl", "oob_tcp_keepalive_probes"];

/// Who is looking.
#[derive(Debug, Clone)]
pub struct Own {
    /// The rank; 0 if started alone.
    pub rank: usize,
    /// The host's name.
    pub host: String,
    /// What the launcher says.
    pub launch: Option<Launch>,
    /// What MPI says.
    pub mpi: Option<Mpi>,
    /// The program that looks.
    pub build: Build,
}

/// What a program is made of.
#[derive(Debug, Clone)]
pub struct Build {
    /// Whether it can train.
    pub torch: bool,
    /// Whether it can run as many ranks.
    pub mpi: bool,
    /// The MPI library that it is linked to.
    pub library: Option<String>,
    /// Counts the GPUs that libtorch finds.
    pub gpus: fn() -> Option<usize>,
}

impl Build {
    /// A program without libtorch and MPI.
    pub fn bare() -> Self {
        Self { torch: false, mpi: false, library: None, gpus: || None }
    }
}

/// Looks at everything.
pub fn look(asked: &Checkup, own: Own) -> Facts {
    let until = Instant::now() + PATIENCE;
    let first_of_host = own.mpi.as_ref().is_none_or(|mpi| mpi.local_rank == 0);
    let torch = own.build.gpus;
    let gpus = Pending::begin(move || gpus::look(torch));
    let checksum = first_of_host.then(|| Pending::begin(|| checksum(Path::new("/proc/self/exe"))));
    let begin = |name: &String| PendingData::begin(name, asked.run.data_dir.clone(), first_of_host);
    let data: Vec<PendingData> = asked.datasets.iter().map(begin).collect();
    let first = (own.rank == 0).then(|| {
        let folder = asked.folder.clone();
        (Pending::begin(move || folder::look(&folder)), Pending::begin(slurm))
    });
    let data = data.into_iter().map(|one| one.answer(until)).collect();
    let system_host = line_of("/proc/sys/kernel/hostname").unwrap_or_default();
    Facts {
        rank: own.rank,
        host: own.host,
        system_host,
        machine: line_of("/proc/sys/kernel/random/boot_id"),
        process: std::process::id(),
        program: Program {
            version: env!("CARGO_PKG_VERSION").to_string(),
            torch: own.build.torch,
            mpi: own.build.mpi,
            libtorch: libtorch(),
            library: own.build.library,
            checksum: checksum.and_then(|checksum| checksum.answer(until)).flatten(),
        },
        launch: own.launch,
        starter: launcher::starter(),
        mpi: own.mpi,
        cores: cores(),
        memory: free_memory().map(|FreeMemory { bytes, limit }| Memory { free: bytes, limit }),
        data,
        first: first.map(|(folder, slurm)| First {
            folder: folder.answer(until),
            slurm: slurm.answer(until).flatten(),
            recovery: recovery(&variable_or_file),
        }),
        gpus: gpus.answer(until),
    }
}

/// Something that is being looked at.
struct Pending<T>(Receiver<T>);

impl<T: Send + 'static> Pending<T> {
    fn begin(look: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        ignored(
            std::thread::Builder::new().name("doctor".into()).spawn(move || sender.send(look())),
            "without a thread there will be no answer",
        );
        Self(receiver)
    }

    fn answer(self, until: Instant) -> Option<T> {
        self.0.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    }
}

/// A data set that is being looked for and, by the first rank of a host, read.
struct PendingData {
    name: String,
    folder: Pending<Result<PathBuf>>,
    checksum: Option<Pending<Option<String>>>,
}

impl PendingData {
    fn begin(name: &str, data_dir: Option<PathBuf>, read: bool) -> Self {
        let (own, place) = (name.to_string(), data_dir.clone());
        let folder = Pending::begin(move || data::places::find(&own, place.as_deref()));
        let own = name.to_string();
        let load = move || data::load(&own, data_dir.as_deref()).ok().map(|set| set.fingerprint);
        Self { name: name.to_string(), folder, checksum: read.then(|| Pending::begin(load)) }
    }

    fn answer(self, until: Instant) -> (String, Option<Result<Data>>) {
        let Self { name, folder, checksum } = self;
        let found = folder.answer(until).map(|found| {
            let folder = found?.display().to_string();
            Ok(Data { folder, checksum: checksum.and_then(|checksum| checksum.answer(until)).flatten() })
        });
        (name, found)
    }
}

fn line_of(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.lines().next()?.trim().to_string())
}

/// The name of this host, for a process without MPI.
pub fn host() -> String {
    line_of("/proc/sys/kernel/hostname").unwrap_or_else(|| "this host".to_string())
}

fn checksum(path: &Path) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut std::fs::File::open(path).ok()?, &mut hasher).ok()?;
    Some(hasher.finalize().to_hex().to_string())
}

/// The version of libtorch, from the files that lie around it in its archive and in Python's package.
pub fn libtorch() -> Option<String> {
    let library = mapped("libtorch_cpu.so").or_else(|| mapped("libtorch.so"))?;
    let root = library.parent()?.parent()?;
    if let Ok(text) = std::fs::read_to_string(root.join("build-version")) {
        return Some(text.trim().to_string());
    }
    version_of(&std::fs::read_to_string(root.join("version.py")).ok()?)
}

fn version_of(python: &str) -> Option<String> {
    let line = python.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(line.trim_matches(['\'', '"', ' ']).to_string())
}

fn cores() -> Cores {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Cores {
        usable: std::thread::available_parallelism().map_or(1, usize::from),
        allowed: allowed.unwrap_or_default().trim().to_string(),
        online: line_of("/sys/devices/system/cpu/online").unwrap_or_default(),
    }
}

/// The job of Slurm's that this process is part of.
fn slurm() -> Option<Slurm> {
    let job = std::env::var("SLURM_JOB_ID").ok()?;
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let described = limit::answer("scontrol", &["show", "job", "-o", &job]);
    Some(Slurm {
        left: limit::time_left(&job),
        restarts: number("SLURM_RESTART_COUNT"),
        scontrol: described.is_some(),
        requeue: described.and_then(|text| requeue_of(&text)),
        nodes: number("SLURM_JOB_NUM_NODES"),
        job,
    })
}

fn requeue_of(text: &str) -> Option<bool> {
    text.split_whitespace().find_map(|word| word.strip_prefix("Requeue=")).map(|value| value == "1")
}

/// How `mpirun` was called, from the variables that it hands on to the ranks.
fn recovery(setting: &impl Fn(&str) -> Option<String>) -> Recovery {
    let enabled = setting("orte_enable_recovery").is_some_and(|value| ["1", "true", "yes"].contains(&value.as_str()));
    let missing = KEEPALIVE.iter().filter(|name| setting(name).is_none());
    Recovery { enabled, keepalive_missing: missing.map(|name| format!("OMPI_MCA_{name}")).collect() }
}

/// A setting of Open MPI's: from the environment, or from the files that it reads.
fn variable_or_file(name: &str) -> Option<String> {
    let file = || {
        let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".openmpi/mca-params.conf"));
        let files = home.into_iter().chain([PathBuf::from("/etc/openmpi/openmpi-mca-params.conf")]);
        files.filter_map(|path| std::fs::read_to_string(path).ok()).find_map(|text| setting_in(&text, name))
    };
    std::env::var(format!("OMPI_MCA_{name}")).ok().or_else(file)
}

fn setting_in(text: &str, name: &str) -> Option<String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_string()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_answer_is_left_out() {
        let (sender, receiver) = channel::<()>();
        let stuck = Pending::begin(move || receiver.recv());
        let quick = Pending::begin(|| 7);
        assert_eq!(quick.answer(Instant::now() + PATIENCE), Some(7));
        assert!(stuck.answer(Instant::now()).is_none());
        drop(sender);
    }

    #[test]
    fn this_process_is_described() {
        let cores = cores();
        assert!(cores.usable >= 1 && !cores.allowed.is_empty());
        assert_eq!(checksum(Path::new("/proc/self/exe")).map(|text| text.len()), Some(64));
        assert!(mapped("libc.so.6").is_some());
        assert!(mapped("libnothing.so").is_none());
    }

    #[test]
    fn versions_and_settings_are_read_as_they_are_written() {
        assert_eq!(version_of("from x import y\n__version__ = '2.11.0+cpu'\n").as_deref(), Some("2.11.0+cpu"));
        assert_eq!(requeue_of("JobId=7 Requeue=1 Restarts=0"), Some(true));
        assert_eq!((requeue_of("Requeue=0"), requeue_of("")), (Some(false), None));
        let file = "# comment\noob_tcp_keepalive_time = 60\n";
        assert_eq!(setting_in(file, "oob_tcp_keepalive_time").as_deref(), Some("60"));
        assert_eq!(setting_in(file, "oob_tcp_keepalive"), None);
    }

    #[test]
    fn settings_of_mpirun_that_are_missing_are_named() {
        let all = recovery(&|_| Some("1".into()));
        assert_eq!(all, Recovery { enabled: true, keepalive_missing: Vec::new() });
        let some = recovery(&|name| (name == KEEPALIVE[0]).then(|| "60".into()));
        assert!(!some.enabled);
        assert_eq!(some.keepalive_missing, ["OMPI_MCA_oob_tcp_keepalive_intvl", "OMPI_MCA_oob_tcp_keepalive_probes"]);
    }
}
