//! MPI from its beginning to its end, and what it says of the ranks. Only this file and `post` know MPI.
//!
//! The thread that begins MPI ends it, and one thread at a time uses it (`MPI_THREAD_SERIALIZED`). A process that ends in any way
//! but through [`MpiSession::finish`] takes the whole start with it, because the others would wait for it in `MPI_Finalize` for
//! ever.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::time::Duration;

use mpi::Threading;
use mpi::environment::Universe;
use mpi::ffi;
use mpi::raw::AsRaw;
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::CommunicatorCollectives;

use super::beginning::Beginning;
use super::post::{Post, count};
use tombola_cluster::link::launcher::{self, Launch};
use tombola_core::place::{Place, Sharers, ShownGpus, has_own_gpus};
use tombola_words::error::{Error, Result};
use tombola_words::fault::Fault;
use tombola_words::process;

/// Exit code of a process that ends without taking leave. Never 0: with Open MPI `MPI_Abort(0)` hangs.
const ABANDONED: c_int = 101;
/// Longest time that `MPI_Finalize` may take once everybody has said goodbye.
const FAREWELL: Duration = Duration::from_secs(10);
/// The length of a text that is not there.
const NOTHING: u64 = u64::MAX;

/// MPI, from its beginning to its end.
pub struct MpiSession {
    world: SimpleCommunicator,
    rank: usize,
    size: usize,
    /// Dropping it is `MPI_Finalize`.
    universe: Option<Universe>,
    /// Place among the ranks of this host, and how many those are.
    pub local: (usize, usize),
    /// Name of this host.
    pub host: String,
    /// Where this rank stands among those that it shares GPUs with, as long as rank 0 trains.
    pub place: Place,
    /// The process of each other rank on this host, by rank, where its number means the same here.
    pub neighbours: BTreeMap<usize, Neighbour>,
    /// What the library allows threads to do.
    threading: Threading,
}

impl MpiSession {
    /// Begins MPI.
    ///
    /// # Errors
    /// When MPI cannot be used from one thread of several, or knows of fewer ranks than the launcher started.
    pub fn begin(launch: Launch) -> Result<Self> {
        if let Some(fault) = Fault::of(launch.rank) {
            fault.strike_before_mpi();
        }
        let session = Self::open()?;
        let fit = session.threads().and_then(|_| launcher::check_size(launch, session.size()));
        if let Err(error) = fit {
            // The same is wrong with all ranks: each says so and ends.
            session.finish(error.kind.exit_code());
            return Err(error);
        }
        Ok(session)
    }

    /// Begins MPI, whatever it is like: for whoever wants to tell what is wrong with it.
    ///
    /// # Errors
    /// When it was begun before, or the system gives no thread.
    pub fn open() -> Result<Self> {
        // `MPI_Finalize` of Open MPI waits for all ranks, those that are gone too, unless told otherwise. Nothing here
        // needs that wait: goodbyes are messages.
        // SAFETY: this is the only thread yet.
        unsafe { std::env::set_var("OMPI_MCA_async_mpi_finalize", "1") };
        let beginning = Beginning::watch()?;
        let (universe, threading) = mpi::initialize_with_threading(Threading::Serialized)
            .ok_or_else(|| Error::environment("MPI was begun twice in one process"))?;
        beginning.init_has_ended();
        let world = universe.world();
        // A rank that is gone must not end the others: errors are answered, not fatal.
        // SAFETY: the communicator is valid until MPI ends.
        unsafe { ffi::MPI_Comm_set_errhandler(world.as_raw(), ffi::RSMPI_ERRORS_RETURN) };
        let node = world.split_shared(world.rank());
        let local = (count(node.rank()), count(node.size()));
        let host = mpi::environment::processor_name().unwrap_or_else(|_| "unknown host".to_string());
        let neighbours = neighbours(&world, &node);
        let shown = ShownGpus::here();
        let sharers = Sharers::of(local.0, &shown_to_all(&node, &shown));
        let place = Place { host: host.clone(), shown, own: has_own_gpus(), sharers, dedicated: false };
        drop((node, beginning));
        let (rank, size) = (count(world.rank()), count(world.size()));
        Ok(Self { world, rank, size, universe: Some(universe), local, host, place, neighbours, threading })
    }

    /// The threading level of the library, in words.
    ///
    /// # Errors
    /// When it does not allow the process threads beside the one that owns MPI.
    pub fn threads(&self) -> Result<String> {
        if self.threading >= Threading::Serialized {
            return Ok(format!("{:?}", self.threading));
        }
        Err(Error::environment(format!(
            "the MPI library gives threading level {:?}, expected at least Serialized",
            self.threading
        ))
        .hint("use an MPI library built with thread support"))
    }

    /// The own rank.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of ranks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The way to the other ranks.
    pub fn post(&self) -> Post {
        Post::new(self.size())
    }

    /// Ends MPI; then this process may end with `code`.
    pub fn finish(mut self, code: u8) {
        // Should one of them be gone by now, MPI would wait for it for ever.
        std::thread::spawn(move || {
            std::thread::sleep(FAREWELL);
            signal_hook::low_level::exit(i32::from(code));
        });
        self.universe = None;
    }

    /// Ends this process at once, without the others.
    pub fn leave(mut self, code: u8) -> ! {
        std::mem::forget(self.universe.take());
        signal_hook::low_level::exit(i32::from(code))
    }
}

impl Drop for MpiSession {
    fn drop(&mut self) {
        if self.universe.is_some() {
            self.world.abort(ABANDONED);
        }
    }
}

impl std::fmt::Debug for MpiSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {} of {} on {}", self.rank(), self.size(), self.host)
    }
}

/// The process of another rank on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Its number.
    pub process: u32,
    /// When it began: a number may be given again.
    began: u64,
}

impl Neighbour {
    /// Whether it has ended.
    pub fn is_gone(&self) -> bool {
        process::began(self.process) != Some(self.began)
    }
}

/// The process of each other rank on this host, but for those whose numbers mean something else: of other containers.
fn neighbours(world: &SimpleCommunicator, node: &SimpleCommunicator) -> BTreeMap<usize, Neighbour> {
    let (process, numbers) = (std::process::id(), process::numbers().unwrap_or_default());
    let own = [world.rank() as u64, u64::from(process), process::began(process).unwrap_or_default(), numbers];
    let mut all = vec![0; own.len() * count(node.size())];
    node.all_gather_into(&own[..], &mut all[..]);
    let others = all
        .chunks_exact(own.len())
        .filter(|other| other[0] != own[0] && other[2] > 0 && other[3] > 0 && other[3] == own[3]);
    others.map(|other| (other[0] as usize, Neighbour { process: other[1] as u32, began: other[2] })).collect()
}

/// What each rank of this host is shown, by its place there.
fn shown_to_all(node: &SimpleCommunicator, own: &ShownGpus) -> Vec<ShownGpus> {
    let visible = texts(node, own.visible.as_deref());
    let daemons = texts(node, own.daemon.as_deref());
    visible.into_iter().zip(daemons).map(|(visible, daemon)| ShownGpus { visible, daemon }).collect()
}

/// What each rank of a communicator says, by its place there. To say nothing is not to say the empty text.
fn texts(node: &SimpleCommunicator, own: Option<&str>) -> Vec<Option<String>> {
    let mut lengths = vec![NOTHING; count(node.size())];
    node.all_gather_into(&own.map_or(NOTHING, |text| text.len() as u64), &mut lengths[..]);
    let said = |length: u64| (length != NOTHING).then_some(length as usize);
    let longest = lengths.iter().filter_map(|length| said(*length)).max().unwrap_or(0);
    let mut padded = own.unwrap_or_default().as_bytes().to_vec();
    padded.resize(longest, 0);
    let mut all = vec![0u8; longest * lengths.len()];
    node.all_gather_into(&padded[..], &mut all[..]);
    let text = |(place, length): (usize, &u64)| {
        let bytes = all.get(place * longest..)?.get(..said(*length)?)?;
        Some(String::from_utf8_lossy(bytes).to_string())
    };
    lengths.iter().enumerate().map(text).collect()
}

/// What the MPI library says of itself.
pub fn library() -> String {
    let version = mpi::environment::library_version().unwrap_or_default();
    version.lines().next().unwrap_or("unknown").trim_end_matches('\0').to_string()
}
