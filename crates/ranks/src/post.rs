//! Messages between the processes of an MPI start. Only this file and `mpi` know MPI; `mpi` begins and ends what this one uses.
//!
//! Nothing here waits within MPI, which would take a whole core: sends are started and looked after, receives are probed for. It
//! may not know what messages say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::c_int;
use std::mem::MaybeUninit;

use mpi::ffi;
use mpi::raw::AsRaw;
use mpi::topology::SimpleCommunicator;
use mpi::traits::Equivalence;

use super::pieces::{Assembly, PIECE, SHORT, with_header};
use tombola_words::error::{Error, Result};

/// All messages have this tag: MPI keeps the order of messages with the same one.
const TAG: c_int = 77;
/// But signs of life, which wait behind no message.
const SIGN: c_int = 78;
/// With more than this arriving at once, further messages wait at their senders.
const MOST_ARRIVING: usize = 256 << 20;

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
    /// The way to `size` ranks, of which this process is one. MPI has begun.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            world: SimpleCommunicator::world(),
            size,
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

/// A number that MPI gives.
pub(crate) fn count(number: c_int) -> usize {
    usize::try_from(number).unwrap_or(0)
}
