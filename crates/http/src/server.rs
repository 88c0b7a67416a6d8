//! Connections: each has a thread, a time and one answer. Whoever sends slowly or does not read is in nobody's way.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::host::OwnNames;
use crate::request::{MOST_HEAD, PageRequest, Parsed, Refusal, RequestMethod, parse};

/// Connections that are served at the same time. One more ends the oldest.
const MOST_CONNECTIONS: usize = 64;
/// Threads, those of connections that were ended and have not noticed yet among them.
const MOST_THREADS: usize = 2 * MOST_CONNECTIONS;
/// Stack of a thread: pages are made on the heap.
const STACK: usize = 1 << 20;
/// Time to say what is asked for.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Time that one piece of an answer may take to leave, and the size of a piece.
const PIECE: (Duration, usize) = (Duration::from_secs(10), 64 << 10);
/// Bytes a second that a reader must take, after the time for one piece.
const SLOWEST: usize = 16 << 10;
/// Time and bytes for what a client still sends while it reads: closing on it would take the answer away.
const FAREWELL: (Duration, usize) = (Duration::from_secs(1), 256 << 10);
/// Longest wait for threads whose connections were ended to be gone.
const MAKING_ROOM: Duration = Duration::from_secs(2);
/// Pause after the system refused a connection.
const REFUSED: Duration = Duration::from_millis(50);

/// What is sent back.
#[derive(Debug, Clone)]
pub struct PageAnswer {
    /// A status of HTTP.
    pub status: u16,
    /// Its type, as HTTP has it.
    pub kind: &'static str,
    /// The page, which many answers may share.
    pub body: Arc<str>,
}

impl PageAnswer {
    /// A few words.
    pub fn words(status: u16, words: impl Into<Arc<str>>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: words.into() }
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct PageServer {
    listener: TcpListener,
    address: SocketAddr,
    names: OwnNames,
}

/// What all connections have in common.
struct Shared<A> {
    names: OwnNames,
    answer: A,
    /// Those that are served, the oldest first.
    open: Mutex<BTreeMap<u64, TcpStream>>,
    threads: AtomicUsize,
}

impl PageServer {
    /// Listens on an address of this machine, which has the name `machine`.
    ///
    /// # Errors
    /// When the system refuses: the port is taken, or the address is not this machine's.
    pub fn bind(address: SocketAddr, machine: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        // An address of the sixth version that stands for one of the fourth is that one.
        let own = match address.ip() {
            std::net::IpAddr::V6(ip) if ip != Ipv6Addr::UNSPECIFIED => ip.to_canonical(),
            ip => ip,
        };
        Ok(Self { listener, address, names: OwnNames::new(own, machine) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers, by what `answer` makes of a path, until the process ends.
    pub fn serve(self, answer: impl Fn(&str) -> PageAnswer + Send + Sync + 'static) -> ! {
        let shared = Arc::new(Shared {
            names: self.names,
            answer,
            open: Mutex::new(BTreeMap::new()),
            threads: AtomicUsize::new(0),
        });
        let mut number = 0;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    number += 1;
                    Shared::take(&shared, number, stream);
                }
                // The client is gone again, or there are no file descriptors for it: others come and go.
                Err(_) => std::thread::sleep(REFUSED),
            }
        }
    }
}

impl<A: Fn(&str) -> PageAnswer + Send + Sync + 'static> Shared<A> {
    /// Serves a connection in a thread of its own. One that cannot be served is closed.
    fn take(shared: &Arc<Self>, number: u64, stream: TcpStream) {
        let Ok(handle) = stream.try_clone() else { return };
        {
            let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
            while open.len() >= MOST_CONNECTIONS {
                let Some((_, oldest)) = open.pop_first() else { break };
                // Its thread wakes and ends; should the client be gone already, it does so by itself.
                oldest.shutdown(Shutdown::Both).unwrap_or(());
            }
            open.insert(number, handle);
        }
        // Those whose places were taken end at once, if the processor has time for them.
        let begun = Instant::now();
        while shared.threads.load(Ordering::Relaxed) >= MOST_THREADS {
            if begun.elapsed() >= MAKING_ROOM {
                shared.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        shared.threads.fetch_add(1, Ordering::Relaxed);
        let place = ConnectionPlace { shared: Arc::clone(shared), number };
        let thread = std::thread::Builder::new().name("page".into()).stack_size(STACK);
        let talk = move || {
            // Whoever asked may have gone.
            place.shared.talk(stream).unwrap_or(());
        };
        // Where there is no thread, the place is given back, and the client sees its connection end.
        drop(thread.spawn(talk));
    }

    /// One request and its answer.
    fn talk(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let (answer, with_body) = match read_head(&mut stream)? {
            Parsed::Whole(asked) => (self.answer_to(&asked), asked.method == RequestMethod::Get),
            Parsed::Refused(refusal) => (refused(refusal), true),
            Parsed::Unfinished => return Ok(()),
        };
        write(&mut stream, &answer, with_body)?;
        stream.shutdown(Shutdown::Write)?;
        farewell(&mut stream)
    }

    fn answer_to(&self, asked: &PageRequest) -> PageAnswer {
        match self.names.has(&asked.host) {
            true => (self.answer)(&asked.path),
            false => PageAnswer::words(
                421,
                "this server answers to `localhost` and to addresses, not to other names: a page from elsewhere could read it\n",
            ),
        }
    }
}

/// The place of a connection among those that are served, until its thread ends, however that ends.
struct ConnectionPlace<A> {
    shared: Arc<Shared<A>>,
    number: u64,
}

impl<A> Drop for ConnectionPlace<A> {
    fn drop(&mut self) {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        self.shared.threads.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads until it is known what is asked for, or the time is over.
fn read_head(stream: &mut TcpStream) -> std::io::Result<Parsed> {
    let begun = Instant::now();
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let Some(left) = HEAD_WITHIN.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) else {
            return Ok(Parsed::Unfinished);
        };
        stream.set_read_timeout(Some(left))?;
        let room = piece.len().min(MOST_HEAD - head.len());
        let count = match stream.read(&mut piece[..room]) {
            Ok(0) => return Ok(Parsed::Unfinished),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        head.extend_from_slice(&piece[..count]);
        // A head ends with a line.
        if piece[..count].contains(&b'\n') || head.len() >= MOST_HEAD {
            match parse(&head) {
                Parsed::Unfinished => {}
                parsed => return Ok(parsed),
            }
        }
    }
}

fn refused(refusal: Refusal) -> PageAnswer {
    match refusal {
        Refusal::Malformed(why) => PageAnswer::words(400, format!("no request of HTTP: {why}\n")),
        Refusal::Method => PageAnswer::words(405, "only GET\n"),
        Refusal::TooLong => PageAnswer::words(431, format!("more than {MOST_HEAD} bytes before the empty line\n")),
        Refusal::Version => PageAnswer::words(505, "only HTTP/1.1\n"),
    }
}

fn write(stream: &mut TcpStream, answer: &PageAnswer, with_body: bool) -> std::io::Result<()> {
    let PageAnswer { status, kind, body } = answer;
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    };
    let allow = if *status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n",
        body.len()
    );
    let body = if with_body { body.as_bytes() } else { &[] };
    let begun = Instant::now();
    stream.set_write_timeout(Some(PIECE.0))?;
    stream.write_all(head.as_bytes())?;
    let mut sent = 0;
    for piece in body.chunks(PIECE.1) {
        stream.write_all(piece)?;
        sent += piece.len();
        if begun.elapsed() > PIECE.0 + Duration::from_secs((sent / SLOWEST) as u64) {
            return Err(ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

/// Reads on until the client has closed too, within bounds.
fn farewell(stream: &mut TcpStream) -> std::io::Result<()> {
    let begun = Instant::now();
    let (mut taken, mut piece) = (0, [0; 4096]);
    while taken < FAREWELL.1 {
        let Some(left) = FAREWELL.0.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) else { break };
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => break,
            count => taken += count,
        }
    }
    Ok(())
}
