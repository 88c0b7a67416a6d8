//! Writes the tables of a sweep while it runs, in a thread of their own and from a copy of what is known: those of a large sweep
//! take longer than other ranks wait for a sign of life.
//!
//! It may not know what stands in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_words::error::{Error, Result, ignored};

/// Writes the tables of a sweep as far as it is, from its plan and history into its folder.
pub type WriteTables = fn(&Path, &Plan, &History) -> Result<()>;

/// Tables are rewritten at most this often while a sweep runs,
const EVERY: Duration = Duration::from_secs(20);
/// and so that they take no more than one in this many seconds.
const SHARE: u32 = 50;

/// Tables that are written now and then.
#[derive(Debug)]
pub(super) struct TablesWriter {
    write: WriteTables,
    folder: PathBuf,
    plan: Arc<Plan>,
    due: Instant,
    under_way: Option<JoinHandle<(Result<()>, Duration)>>,
}

impl TablesWriter {
    /// A writer that writes `plan`'s tables into `folder`, and begins with it in a while.
    pub(super) fn new(write: WriteTables, folder: &Path, plan: &Arc<Plan>) -> Self {
        let due = Instant::now() + EVERY;
        Self { write, folder: folder.to_path_buf(), plan: Arc::clone(plan), due, under_way: None }
    }

    /// Begins to write if it is time, and looks what came of it. Never waits.
    ///
    /// # Errors
    /// When the tables could not be written, or the system gives no thread.
    pub(super) fn look(&mut self, history: &History) -> Result<()> {
        match &self.under_way {
            Some(thread) if thread.is_finished() => self.wait(),
            Some(_) => Ok(()),
            None if Instant::now() >= self.due => self.begin(history),
            None => Ok(()),
        }
    }

    fn begin(&mut self, history: &History) -> Result<()> {
        let (write, folder, plan, history) = (self.write, self.folder.clone(), Arc::clone(&self.plan), history.clone());
        let work = move || {
            let begun = Instant::now();
            (write(&folder, &plan, &history), begun.elapsed())
        };
        let thread = std::thread::Builder::new().name("tables".to_string()).spawn(work);
        self.under_way =
            Some(thread.map_err(|error| Error::environment(format!("cannot start a thread for the tables: {error}")))?);
        Ok(())
    }

    /// Waits for the tables that are being written, if any: whoever writes them after this does so alone.
    ///
    /// # Errors
    /// When they could not be written.
    pub(super) fn wait(&mut self) -> Result<()> {
        let Some(thread) = self.under_way.take() else { return Ok(()) };
        // A defect in the tables is one of the run, as if it had written them itself.
        let (result, took) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.due = Instant::now() + EVERY.max(took * SHARE);
        result
    }
}

impl Drop for TablesWriter {
    fn drop(&mut self) {
        if let Some(thread) = self.under_way.take() {
            ignored(
                thread.join(),
                "the run ends with another error than what this may tell; only the files must not change any more",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, OnceLock};
    use tombola_core::plan::outside::Outside;
    use tombola_core::sweep::Spec;

    fn writer(write: WriteTables, folder: &Path) -> TablesWriter {
        let spec = Spec::read(Some("prune-iterations = 0"), &[]).unwrap();
        let plan = Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap();
        let mut writer = TablesWriter::new(write, folder, &Arc::new(plan));
        writer.due = Instant::now();
        writer
    }

    /// Looks until nothing is under way.
    fn settle(writer: &mut TablesWriter) -> Result<()> {
        while writer.under_way.is_some() {
            writer.look(&History::default())?;
            std::thread::yield_now();
        }
        Ok(())
    }

    #[test]
    fn nobody_waits_for_slow_tables_and_there_is_one_writer_at_a_time() {
        /// What a slow writer waits for: the test's word, once for each time that it writes.
        static GATE: OnceLock<(Sender<()>, Mutex<Receiver<()>>)> = OnceLock::new();
        let (open, _) = GATE.get_or_init(|| {
            let (open, opened) = channel();
            (open, Mutex::new(opened))
        });
        let slow: WriteTables = |folder, _, history| {
            GATE.get().unwrap().1.lock().unwrap().recv().unwrap();
            std::fs::write(folder.join("table"), history.runs.to_string()).unwrap();
            Ok(())
        };
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(slow, folder.path());
        let first = History { runs: 1, ..History::default() };
        writer.look(&first).unwrap();
        for _ in 0..1000 {
            writer.due = Instant::now();
            writer.look(&History { runs: 2, ..History::default() }).unwrap();
        }
        assert!(!folder.path().join("table").exists(), "it waits, and the run went on");
        open.send(()).unwrap();
        settle(&mut writer).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("table")).unwrap(), "1", "what was known when it began");
        assert!(writer.due > Instant::now(), "not again at once");
    }

    #[test]
    fn tables_that_cannot_be_written_end_the_run() {
        let full: WriteTables = |_, _, _| Err(Error::environment("no space left"));
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(full, folder.path());
        writer.look(&History::default()).unwrap();
        assert_eq!(settle(&mut writer).unwrap_err().message, "no space left");
        let mut writer = self::writer(full, folder.path());
        writer.look(&History::default()).unwrap();
        assert!(writer.wait().is_err(), "also those that are being written at the end");
    }
}
