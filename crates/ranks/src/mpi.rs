//! Messages between the processes of an MPI start: the only file that knows MPI.
//!
//! The thread that begins MPI ends it, and one thread at a time uses it (`MPI_THREAD_SERIALIZED`). Nothing here waits within MPI,
//! which would take a whole core: sends are
//! started and looked after, receives are probed for. A process that ends in any way but through
//! [`MpiSession::finish`] takes the whole start with it, because the others would wait for it in `MPI_Finalize` for ever.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::time::Duration;

use mpi::Threading;
use mpi::environment::Universe;
use mpi::ffi;
use mpi::raw::AsRaw;
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::{CommunicatorCollectives, Equivalence};

use super::beginning::Beginning;
use super::pieces::{Assembly, PIECE, SHORT, with_header};
use tombola_cluster::link::launcher::{self, Launch};
use tombola_words::error::{Error, Result};
use tombola_words::fault::Fault;
use tombola_words::process;

/// All messages have this tag: MPI keeps the order of messages with the same one.
const TAG: c_int = 77;
/// But signs of life, which wait behind no message.
const SIGN: c_int = 78;
/// With more than this arriving at once, further messages wait at their senders.
const MOST_ARRIVING: usize = 256 << 20;
/// Exit code of a process that ends without taking leave. Never 0: with Open MPI `MPI_Abort(0)` hangs.
const ABANDONED: c_int = 101;
/// Longest time that `MPI_Finalize` may take once everybody has said goodbye.
const FAREWELL: Duration = Duration::from_secs(10);

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
        drop((node, beginning));
        let (rank, size) = (count(world.rank()), count(world.size()));
        Ok(Self { world, rank, size, universe: Some(universe), local, host, neighbours, threading })
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
        Post {
            world: SimpleCommunicator::world(),
            size: self.size(),
            outgoing: BTreeMap::new(),
            arriving: VecDeque::new(),
            incoming: BTreeMap::new(),
            gone: BTreeSet::new(),
            given_up: BTreeSet::new(),
            news: VecDeque::new(),
            moved: 0,
            one_by_one: false,
        }
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

/// What [`Post::look`] finds.
#[derive(Debug)]
pub enum News {
    /// A whole message of a rank.
    Message(usize, Vec<u8>),
    /// A rank cannot be understood, or not be reached any more, and why.
    Trouble(usize, Error),
}

/// Sends and receives whole messages without waiting.
pub struct Post {
    world: SimpleCommunicator,
    size: usize,
    outgoing: BTreeMap<usize, VecDeque<Sending>>,
    arriving: VecDeque<Arriving>,
    incoming: BTreeMap<usize, Assembly>,
    gone: BTreeSet<usize>,
    /// Those whose messages nobody waits for any more.
    given_up: BTreeSet<usize>,
    news: VecDeque<News>,
    /// Long messages, or pieces of them, that have come or gone.
    moved: u64,
    /// Asking for "anyone" fails once MPI knows that a rank is gone; then each is asked alone.
    one_by_one: bool,
}

// SAFETY: what is not `Send` are handles of MPI's (communicator, requests). They belong to the process, not to a thread: the
// library may be called with them from any thread, one at a time, which exclusive access ensures. `MPI_THREAD_SERIALIZED` allows
// that, and no run begins with less (`MpiSession::threads`).
unsafe impl Send for Post {}

/// A message, or its header, on its way, piece by piece. MPI reads from `bytes` until the last request is done.
struct Sending {
    bytes: Vec<u8>,
    requests: Vec<ffi::MPI_Request>,
}

/// A piece that arrives bit by bit. MPI writes to `bytes` until the request is done.
struct Arriving {
    from: usize,
    tag: c_int,
    bytes: Vec<u8>,
    request: ffi::MPI_Request,
}

impl Post {
    /// Number of ranks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Starts to send a message; one to a rank that is gone goes nowhere.
    pub fn send(&mut self, to: usize, message: Vec<u8>) {
        for bytes in with_header(message) {
            self.start(to, bytes, TAG);
        }
    }

    /// Starts to send a message of some bytes that says no more than that this rank is there. It waits behind nothing.
    pub fn send_sign(&mut self, to: usize, message: Vec<u8>) {
        self.start(to, message, SIGN);
    }

    /// Nobody waits any more for what a rank has begun to send: it may be gone, and what it began never end.
    pub fn give_up(&mut self, rank: usize) {
        self.given_up.insert(rank);
    }

    fn start(&mut self, to: usize, bytes: Vec<u8>, tag: c_int) {
        if self.gone.contains(&to) {
            return;
        }
        let mut requests = Vec::with_capacity(1);
        for piece in bytes.chunks(PIECE) {
            let mut request = MaybeUninit::uninit();
            // SAFETY: `bytes` is neither moved within memory nor freed nor changed before MPI says that the request is
            // done (`Sending`); a piece is shorter than the largest C `int`.
            let code = unsafe {
                ffi::MPI_Isend(
                    piece.as_ptr().cast(),
                    piece.len() as c_int,
                    u8::equivalent_datatype().as_raw(),
                    to as c_int,
                    tag,
                    self.world.as_raw(),
                    request.as_mut_ptr(),
                )
            };
            if code != 0 {
                self.lose(to, code);
                break;
            }
            // SAFETY: MPI has filled it in.
            requests.push(unsafe { request.assume_init() });
        }
        self.outgoing.entry(to).or_default().push_back(Sending { bytes, requests });
    }

    /// Bytes that are still on their way to ranks that live.
    pub fn on_their_way(&self) -> usize {
        let living = self.outgoing.iter().filter(|(to, _)| !self.gone.contains(to));
        living.flat_map(|(_, sendings)| sendings).map(|sending| sending.bytes.len()).sum()
    }

    /// Whether messages are on their way in or out, which MPI moves only while someone looks: how many long ones have
    /// come or gone so far.
    pub fn moving(&self) -> Option<u64> {
        (!self.arriving.is_empty() || self.on_their_way() > 0).then_some(self.moved)
    }

    /// Looks after what is being sent, and for what has arrived. Never waits for a rank that has sent nothing.
    pub fn look(&mut self) -> Option<News> {
        self.look_after_sending();
        while self.news.is_empty() {
            let Some((from, tag, piece)) = self.piece() else { break };
            if tag == SIGN {
                self.news.push_back(News::Message(from, piece));
                break;
            }
            match self.incoming.entry(from).or_default().add(piece) {
                Ok(Some(message)) => self.news.push_back(News::Message(from, message)),
                Ok(None) => {}
                Err(error) => {
                    self.gone.insert(from);
                    self.news.push_back(News::Trouble(from, error));
                }
            }
        }
        self.news.pop_front()
    }

    /// Moves on what is being sent.
    pub fn look_after_sending(&mut self) {
        let mut lost = Vec::new();
        for (&to, sendings) in &mut self.outgoing {
            while let Some(first) = sendings.front_mut() {
                let done = first.requests.iter_mut().try_for_each(test);
                match done {
                    Ok(()) => {
                        self.moved += u64::from(first.bytes.len() > SHORT);
                        sendings.pop_front();
                    }
                    Err(None) => break,
                    Err(Some(code)) => {
                        lost.push((to, code));
                        break;
                    }
                }
            }
        }
        for (to, code) in lost {
            self.lose(to, code);
        }
    }

    /// The next piece that has arrived from anyone. Several arrive side by side, so that a large one keeps nobody waiting.
    fn piece(&mut self) -> Option<(usize, c_int, Vec<u8>)> {
        while let Some(sign) = self.begun(SIGN) {
            self.arriving.push_back(sign);
        }
        while self.most_may_begin() {
            let Some(found) = self.begun(TAG) else { break };
            self.arriving.push_back(found);
        }
        let mut unfinished = BTreeSet::new();
        for place in 0..self.arriving.len() {
            let arriving = &mut self.arriving[place];
            // Pieces of one sender stay in order.
            if unfinished.contains(&(arriving.from, arriving.tag)) {
                continue;
            }
            match test(&mut arriving.request) {
                Err(None) => drop(unfinished.insert((arriving.from, arriving.tag))),
                Ok(()) => {
                    self.moved += u64::from(arriving.bytes.len() > SHORT);
                    return self.arriving.remove(place).map(|arriving| (arriving.from, arriving.tag, arriving.bytes));
                }
                Err(Some(code)) => {
                    let from = arriving.from;
                    self.arriving.remove(place).map(|arriving| arriving.bytes).into_iter().for_each(std::mem::forget);
                    self.lose(from, code);
                    return None;
                }
            }
        }
        None
    }

    /// Whether more may arrive, by what does already from ranks that are waited for.
    fn most_may_begin(&self) -> bool {
        let waited_for = self.arriving.iter().filter(|arriving| !self.given_up.contains(&arriving.from));
        waited_for.map(|arriving| arriving.bytes.len()).sum::<usize>() < MOST_ARRIVING
    }

    /// A piece of anyone that can begin to arrive.
    fn begun(&mut self, tag: c_int) -> Option<Arriving> {
        if !self.one_by_one {
            // SAFETY: a constant of the MPI library.
            match self.begun_by(unsafe { ffi::RSMPI_ANY_SOURCE }, tag) {
                Ok(found) => return found,
                Err(_) => self.one_by_one = true,
            }
        }
        for rank in 0..self.size {
            if self.gone.contains(&rank) {
                continue;
            }
            match self.begun_by(rank as c_int, tag) {
                Ok(None) => {}
                Ok(found) => return found,
                Err(code) => self.lose(rank, code),
            }
        }
        None
    }

    fn begun_by(&self, source: c_int, tag: c_int) -> Result<Option<Arriving>, c_int> {
        let (mut flag, mut message, mut status) = (0, MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: the pointers are valid for the call, and MPI fills in message and status where it sets the flag.
        let code = unsafe {
            let status = status.as_mut_ptr();
            ffi::MPI_Improbe(source, tag, self.world.as_raw(), &mut flag, message.as_mut_ptr(), status)
        };
        match (code, flag) {
            (0, 0) => return Ok(None),
            (0, _) => {}
            (code, _) => return Err(code),
        }
        // SAFETY: the flag is set.
        let (mut message, status) = unsafe { (message.assume_init(), status.assume_init()) };
        let kind = u8::equivalent_datatype().as_raw();
        let mut length = 0;
        // SAFETY: the status is that of the probe.
        unsafe { ffi::MPI_Get_count(&status, kind, &mut length) };
        let mut bytes = vec![0u8; count(length)];
        let mut request = MaybeUninit::uninit();
        // SAFETY: the buffer has the length that the probe gave, and is neither moved within memory nor freed before MPI
        // says that the request is done (`Arriving`).
        let code =
            unsafe { ffi::MPI_Imrecv(bytes.as_mut_ptr().cast(), length, kind, &mut message, request.as_mut_ptr()) };
        if code != 0 {
            return Err(code);
        }
        // SAFETY: MPI has filled it in.
        Ok(Some(Arriving { from: count(status.MPI_SOURCE), tag, bytes, request: unsafe { request.assume_init() } }))
    }

    fn lose(&mut self, rank: usize, code: c_int) {
        if self.gone.insert(rank) {
            let error = Error::environment(format!("MPI cannot reach it any more (error {code})"));
            self.news.push_back(News::Trouble(rank, error));
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        // MPI may still read and write what is on its way.
        std::mem::take(&mut self.outgoing).into_values().flatten().for_each(std::mem::forget);
        std::mem::take(&mut self.arriving).into_iter().for_each(std::mem::forget);
    }
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Post").field("size", &self.size).field("on_their_way", &self.on_their_way()).finish()
    }
}

/// Whether a request is done; `Err(None)` if not yet.
fn test(request: &mut ffi::MPI_Request) -> Result<(), Option<c_int>> {
    // SAFETY: a constant of the MPI library.
    if *request == unsafe { ffi::RSMPI_REQUEST_NULL } {
        return Ok(());
    }
    let (mut flag, mut status) = (0, MaybeUninit::uninit());
    // SAFETY: the request is one of `MPI_Isend` or `MPI_Imrecv` that is not done; MPI sets it to the null request when it is.
    let code = unsafe { ffi::MPI_Test(request, &mut flag, status.as_mut_ptr()) };
    match (code, flag) {
        (0, 0) => Err(None),
        (0, _) => Ok(()),
        (code, _) => Err(Some(code)),
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

fn count(number: c_int) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// What the MPI library says of itself.
pub fn library() -> String {
    let version = mpi::environment::library_version().unwrap_or_default();
    version.lines().next().unwrap_or("unknown").trim_end_matches('\0').to_string()
}
