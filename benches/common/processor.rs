//! Processor time from `/proc`: of a thread, of a process, of its children, and of everybody else on the machine.
//!
//! All of it in seconds, and 0 where the system has no `/proc`.

use std::time::Instant;

/// Linux counts in hundredths of a second for programs, whatever its own clock does.
const TICKS: f64 = 100.0;

/// Time of the calling thread, finer than that of processes.
pub(crate) fn thread() -> f64 {
    let nanoseconds = words("/proc/thread-self/schedstat").first().and_then(|word| word.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

/// Time of this process, all its threads.
pub(crate) fn process() -> f64 {
    ticks(0)
}

/// Time of the children of this process that have ended, and of theirs.
pub(crate) fn children() -> f64 {
    ticks(2)
}

/// Two neighbouring fields of `/proc/self/stat`, user and system time, from the `first` of them on.
fn ticks(first: usize) -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may hold anything; it ends with the last parenthesis. User time is field 14.
    let behind = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = behind.split_whitespace().skip(11).filter_map(|word| word.parse().ok()).collect();
    fields.iter().skip(first).take(2).sum::<f64>() / TICKS
}

fn words(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(str::to_string).collect()
}

/// What others do on the machine while something is measured.
#[derive(Debug)]
pub(crate) struct Others {
    begun: Instant,
    before: f64,
}

impl Others {
    /// Begins to watch.
    pub(crate) fn watch() -> Self {
        Self { begun: Instant::now(), before: Self::time() }
    }

    /// Cores that others kept busy since then. Children of this process count as others until they have ended.
    pub(crate) fn cores(&self) -> f64 {
        ((Self::time() - self.before) / self.begun.elapsed().as_secs_f64()).max(0.0)
    }

    fn time() -> f64 {
        let fields = words("/proc/stat");
        let number = |place: usize| fields.get(place).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
        // Behind the word `cpu`: user, nice, system, idle, waiting for disks, interrupts (two), taken by the host.
        let busy: f64 = [1, 2, 3, 6, 7, 8].into_iter().map(number).sum();
        busy / TICKS - process() - children()
    }
}
