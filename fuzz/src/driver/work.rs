//! The process that fuzzes one target. What it says on its standard output is for the process that started it (`watch.rs`),
//! which also finds the input that it died of.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::coverage::Coverage;
use super::mutate::Mutator;
use super::tally::FuzzTally;
use super::trial::{self, FuzzFinding, Measured};
use tombola_fuzz::{FuzzTarget, scratch};
use tombola_words::error::{Error, Result};
use tombola_words::speech;

/// An input that takes so long is not waited for.
const HANG: Duration = Duration::from_secs(20);
/// The exit code then.
pub(crate) const HUNG: i32 = 86;

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) struct FuzzWork {
    /// How long.
    pub(crate) time: Duration,
    /// How many inputs.
    pub(crate) inputs: u64,
    /// Where the random numbers begin.
    pub(crate) seed: u64,
    /// Kept inputs, a folder a target.
    pub(crate) corpus: PathBuf,
    /// Where inputs go that something is wrong with.
    pub(crate) findings: PathBuf,
    /// Where inputs go that reach something new, if anywhere.
    pub(crate) keep: Option<PathBuf>,
}

/// The kept inputs of a target, by name.
pub(crate) fn kept(corpus: &Path, target: &FuzzTarget) -> Vec<(PathBuf, Vec<u8>)> {
    let entries =
        fs::read_dir(corpus.join(target.name)).map(|all| all.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    files.sort();
    files.into_iter().filter_map(|path| fs::read(&path).ok().map(|bytes| (path, bytes))).collect()
}

/// Where the input lies that a process is at: its length in eight bytes, and the input.
pub(crate) fn current(process: u32) -> PathBuf {
    scratch::of_process(process).join("current")
}

/// Fuzzes a target.
///
/// # Errors
/// When the folders for inputs cannot be written.
pub(crate) fn run(target: &'static FuzzTarget, work: &FuzzWork) -> Result<()> {
    trial::keep_panics();
    let path = current(std::process::id());
    let fail = |error: std::io::Error| Error::file("write", &path, &error);
    fs::create_dir_all(scratch::folder()).map_err(fail)?;
    let mut fuzzing = Fuzzing {
        target,
        work,
        current: File::create(&path).map_err(fail)?,
        coverage: Coverage::new(),
        corpus: Vec::new(),
        tally: FuzzTally::default(),
        known: Vec::new(),
        began: Instant::now(),
    };
    watch_over();
    fuzzing.all()
}

/// Milliseconds since the start of the process at which the input that runs began; 0 between inputs.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// Ends this process when an input never comes back.
fn watch_over() {
    let start = Instant::now();
    std::thread::spawn(move || {
        let (mut seen, mut since) = (0, start);
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let input = BEGAN.load(Relaxed);
            if input != seen {
                (seen, since) = (input, Instant::now());
            } else if since.elapsed() > HANG {
                std::process::exit(HUNG);
            }
        }
    });
}

struct Fuzzing<'w> {
    target: &'static FuzzTarget,
    work: &'w FuzzWork,
    current: File,
    coverage: Coverage,
    corpus: Vec<Vec<u8>>,
    tally: FuzzTally,
    /// What was found before.
    known: Vec<FuzzFinding>,
    began: Instant,
}

impl Fuzzing<'_> {
    fn all(&mut self) -> Result<()> {
        let random = ChaCha8Rng::seed_from_u64(self.work.seed);
        let mut mutator = Mutator::new(self.target, random);
        let seeds = (self.target.seeds)();
        let kept = kept(&self.work.corpus, self.target).into_iter().map(|(_, bytes)| bytes);
        for input in seeds.into_iter().chain(kept) {
            // All of them, whether or not they reach something new: without counters nothing does.
            self.input(&input)?;
            self.corpus.push(input);
        }
        let mut told = Instant::now();
        while self.tally.inputs < self.work.inputs && self.began.elapsed() < self.work.time {
            let all = self.corpus.len();
            let (one, other) = (&self.corpus[mutator.choose(all)], &self.corpus[mutator.choose(all)]);
            // Of two, the shorter: it takes less time, and a change hits what matters.
            let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
            let input = mutator.changed(short, long);
            if self.input(&input)? {
                self.keep(&input)?;
                self.corpus.push(input);
            }
            if told.elapsed() > Duration::from_secs(1) {
                told = Instant::now();
                self.tell()?;
            }
        }
        self.tell()
    }

    /// Runs an input, and says whether it reached something new.
    fn input(&mut self, input: &[u8]) -> Result<bool> {
        let fail = |error: std::io::Error| Error::file("write", &current(std::process::id()), &error);
        let noted = [&(input.len() as u64).to_le_bytes()[..], input].concat();
        self.current.write_all_at(&noted, 0).map_err(fail)?;
        self.tally.inputs += 1;
        BEGAN.store(self.tally.inputs, Relaxed);
        let Measured { time, memory, finding } = trial::run(self.target, input);
        self.tally.longest = self.tally.longest.max(time);
        self.tally.memory = self.tally.memory.max(memory);
        match finding {
            Some(finding) => {
                self.found(input, finding)?;
                Ok(false)
            }
            None => Ok(self.coverage.is_new()),
        }
    }

    fn found(&mut self, input: &[u8], finding: FuzzFinding) -> Result<()> {
        if self.known.iter().any(|known| (known.kind, &known.place) == (finding.kind, &finding.place)) {
            return Ok(());
        }
        let path = save(&self.work.findings, self.target, input, &finding)?;
        let reason = finding.reason.escape_debug();
        speech::print(&format!("finding {} {reason}; the input: {}\n", path.display(), shown(input)))?;
        self.known.push(finding);
        Ok(())
    }

    fn keep(&self, input: &[u8]) -> Result<()> {
        let Some(folder) = &self.work.keep else { return Ok(()) };
        write_named(&folder.join(self.target.name), "", input).map(|_| ())
    }

    fn tell(&mut self) -> Result<()> {
        self.tally.reached = self.coverage.reached();
        self.tally.counters = self.coverage.all();
        speech::print(&format!("tally {}\n", self.tally.line()))
    }
}

/// Keeps an input that something is wrong with.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn save(findings: &Path, target: &FuzzTarget, input: &[u8], finding: &FuzzFinding) -> Result<PathBuf> {
    write_named(findings, &format!("{}-{}-", target.name, finding.kind), input)
}

/// An input in a line, for whoever has the log of a machine and not its files. A long one is cut.
pub(crate) fn shown(input: &[u8]) -> String {
    const MOST: usize = 2000;
    let more = if input.len() > MOST { format!(" … {} bytes in all", input.len()) } else { String::new() };
    format!("{}{more}", input[..input.len().min(MOST)].escape_ascii())
}

/// Writes a file that is named after what is in it.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_named(folder: &Path, prefix: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = folder.join(format!("{prefix}{:08x}", crc32fast::hash(bytes)));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, bytes));
    written.map_err(|error| Error::file("write", &path, &error))?;
    Ok(path)
}
