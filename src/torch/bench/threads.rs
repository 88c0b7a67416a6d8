//! Threads of this process that work side by side: all prepare, begin at once when all have, and end at one moment. So nobody is
//! measured while others still prepare.
//!
//! It may not know what they do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, ScopedJoinHandle, scope};
use std::time::{Duration, Instant};

use tombola_cluster::worker::explain;
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};

/// What each of `count` threads gives that first do `prepare` and then, for `lasting`, `work` on what that made; each is told the
/// moment at which it is to end. Before they begin `may_begin` is asked.
///
/// One that fails, by a panic too, or that the system does not give, keeps no other from its result.
///
/// # Errors
/// That of `may_begin`.
pub(crate) fn side_by_side<T>(
    count: usize,
    lasting: Duration,
    prepare: impl Fn() -> Result<T> + Sync,
    work: impl Fn(T, Instant) -> f64 + Sync,
    may_begin: impl FnOnce() -> Result<()>,
) -> Result<Vec<Result<f64>>> {
    let one = |ready: Sender<()>, end: Receiver<Instant>| -> Result<f64> {
        let prepared = caught(&prepare);
        drop(ready);
        // Whoever gives no moment has not begun.
        let end = end.recv().map_err(|_| Error::environment("it was not told to begin"))?;
        let prepared = prepared?;
        caught(|| Ok(work(prepared, end)))
    };
    scope(|scope| {
        let (ready, all_ready) = channel::<()>();
        let mut ends = Vec::new();
        let mut threads: Vec<Result<ScopedJoinHandle<Result<f64>>>> = Vec::new();
        for number in 0..count {
            let (send_end, end) = channel();
            let (one, ready) = (&one, ready.clone());
            // Of workers nobody is told that they panicked.
            let thread = Builder::new().name(format!("worker {number}")).spawn_scoped(scope, move || one(ready, end));
            ends.push(send_end);
            threads.push(thread.map_err(|error| Error::environment(format!("cannot start a thread: {error}"))));
        }
        drop(ready);
        // Nothing is ever sent: it ends when each has let go of its end.
        ignored(all_ready.recv(), "that it ends is all that there is to know");
        may_begin()?;
        let end = Instant::now() + lasting;
        ends.iter().for_each(|thread| ignored(thread.send(end), "one that has ended needs no end"));
        let join = |thread: ScopedJoinHandle<Result<f64>>| thread.join().unwrap_or_else(|panic| Err(explain(&*panic)));
        Ok(threads.into_iter().map(|thread| thread.and_then(join)).collect())
    })
}

/// The result of `work`, or its panic as an error: that is how tensor operations fail.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(explain(&*panic)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[test]
    fn one_that_fails_keeps_no_other_from_its_result() {
        let started = AtomicUsize::new(0);
        let prepare = || match started.fetch_add(1, SeqCst) {
            0 => Err(Error::input("refused")),
            1 => panic!("out of memory"),
            number => Ok(number),
        };
        let work = |number: usize, _| if number == 2 { panic!("broke while working") } else { 10.0 };
        let found = side_by_side(5, Duration::ZERO, prepare, work, || Ok(())).unwrap();
        let mut errors: Vec<String> =
            found.iter().filter_map(|one| Some(one.as_ref().err()?.message.clone())).collect();
        errors.sort();
        assert_eq!(errors, ["broke while working", "out of memory: out of memory", "refused"]);
        assert_eq!(found.iter().flatten().sum::<f64>(), 20.0);
    }

    #[test]
    fn nobody_begins_before_all_have_prepared_and_all_are_given_the_same_end() {
        let (prepared, begun) = (AtomicUsize::new(0), Instant::now());
        let work = |(), end: Instant| {
            assert_eq!(prepared.load(SeqCst), 4);
            (end - begun).as_secs_f64()
        };
        let prepare = || Ok(_ = prepared.fetch_add(1, SeqCst));
        let asked = || match prepared.load(SeqCst) {
            4 => Ok(()),
            other => Err(Error::input(format!("asked when {other} had prepared"))),
        };
        let found = side_by_side(4, Duration::from_secs(100), prepare, work, asked).unwrap();
        let found: Vec<f64> = found.into_iter().map(Result::unwrap).collect();
        assert!(found.iter().all(|end| *end == found[0] && *end >= 100.0), "{found:?}");
    }

    #[test]
    fn without_leave_nobody_works() {
        let work = |(), _| panic!("it began");
        let refused = || Err(Error::input("nobody is there"));
        let error = side_by_side(3, Duration::ZERO, || Ok(()), work, refused).unwrap_err();
        assert_eq!(error.message, "nobody is there");
    }
}
