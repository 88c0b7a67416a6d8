//! The process that does the checks, as the one that watches it sees it. A check that takes too long is ended with all processes that it
//! started.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::told::{CheckResult, CheckWord};
use super::{INNER, SelftestCheck, SelftestWish, trouble};
use tombola_words::error::{Error, Result, ignored};
use tombola_words::process::kill_group;

/// How often a wish to stop is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// Lines of what a process that ended by itself had said.
const LAST_WORDS: usize = 4;

/// A process that does checks, and what it has told.
pub(super) struct Watched {
    child: Child,
    lines: Receiver<String>,
    errors: Option<std::thread::JoinHandle<String>>,
    stop: Arc<AtomicBool>,
    /// When the running check began, and where it is.
    begun: Instant,
    step: String,
    /// Whether it has told anything, and whether a check has begun and not ended.
    heard: bool,
    begun_one: bool,
    /// Why it is over, if it was ended.
    ended: Option<String>,
    /// Seconds for each check, in place of its own.
    limit: Option<u64>,
}

impl Watched {
    /// Starts it for these checks; `scratch` is an empty folder for what they write.
    pub(super) fn start(
        wish: &SelftestWish,
        checks: &[&SelftestCheck],
        scratch: &Path,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let own = std::env::current_exe().map_err(|error| trouble("find", &error))?;
        let names: Vec<&str> = checks.iter().map(|check| check.name).collect();
        let mut command = Command::new(own);
        command.args(["selftest", "--only", &names.join(",")]).arg(format!("--{INNER}")).arg(scratch);
        if let Some(device) = &wish.device {
            command.args(["--device", device]);
        }
        if let Some(folder) = &wish.data_dir {
            command.arg("--data-dir").arg(folder);
        }
        // Its end of this pipe tells it that nobody watches any more.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // With all that it starts it is one group, which can be ended as one.
        let mut child = command.process_group(0).spawn().map_err(|error| trouble("start", &error))?;
        let (sender, lines) = channel();
        let output = child.stdout.take();
        let reader = move || {
            for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(|line| line.ok())
            {
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        ignored(
            std::thread::Builder::new().name("checks".into()).spawn(reader),
            "without a thread nothing is heard, which counts as too long",
        );
        let errors = child.stderr.take().map(|mut errors| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                ignored(errors.read_to_end(&mut text), "what was read until then is kept");
                String::from_utf8_lossy(&text).to_string()
            })
        });
        Ok(Self {
            child,
            lines,
            errors,
            stop: Arc::clone(stop),
            begun: Instant::now(),
            step: "its start".into(),
            heard: false,
            begun_one: false,
            ended: None,
            limit: wish.limit,
        })
    }

    /// The result of `check`; nothing where the process is over, or was ended because it took too long.
    pub(super) fn next(&mut self, check: &SelftestCheck, until: Instant) -> Result<Option<CheckResult>> {
        let limit = Duration::from_secs(self.limit.unwrap_or(check.limit));
        loop {
            if self.stop.load(Ordering::Relaxed) {
                self.end();
                return Err(Error::interrupted("nothing is recorded of it"));
            }
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => match CheckWord::read(&line) {
                    Some(CheckWord::Begin(name)) if name == check.name => {
                        (self.heard, self.begun_one) = (true, true);
                        (self.begun, self.step) = (Instant::now(), "its start".to_string());
                    }
                    Some(CheckWord::Step(step)) => self.step = step,
                    Some(CheckWord::Done(mut result)) if result.check == check.name => {
                        result.seconds = self.begun.elapsed().as_secs_f64();
                        (self.begun, self.begun_one) = (Instant::now(), false);
                        return Ok(Some(result));
                    }
                    _ => {}
                },
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if now >= until {
                self.ended = Some("no time was left".to_string());
            } else if self.begun.elapsed() >= limit {
                self.ended = Some(format!("not ended after {} s", limit.as_secs()));
            }
            if self.ended.is_some() {
                self.end();
                return Ok(None);
            }
        }
    }

    /// What is to be said of `check`, at which the process was ended or ended by itself.
    pub(super) fn ended(&mut self, check: &SelftestCheck, until: Instant) -> Result<CheckResult> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let status = self.child.wait().map_err(|error| trouble("wait for", &error))?;
        let words = self.errors.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let words: Vec<String> = words.lines().filter(|line| !line.trim().is_empty()).map(str::to_string).collect();
        // Before its first check: a device that is not there, or a library. That concerns all of them.
        if let (None, Some(2 | 3), false) = (&self.ended, status.code(), self.heard) {
            let part = |word| words.iter().find_map(|line| line.strip_prefix(word)).map(str::to_string);
            let message =
                part("error: ").unwrap_or_else(|| format!("the process that does the checks ended with {status}"));
            return Err(Error { hint: part("hint: "), ..Error::environment(message) });
        }
        let step = &self.step;
        let mut result = match self.ended.take() {
            Some(reason) if Instant::now() >= until && !self.begun_one => CheckResult::skip(reason),
            // It may have been slow, or have hung: nobody knows.
            Some(reason) if Instant::now() >= until => {
                CheckResult::warn(format!("{reason}: it was at {step}"), "give more by `--minutes`")
            }
            Some(reason) => {
                let cure = match self.limit {
                    Some(limit) => format!("`--limit {limit}` may be too short for this machine: leave it out"),
                    None => "run it again with `--only` and nothing else on the machine; if it hangs there each time, the device or \
                             its driver does"
                        .to_string(),
                };
                CheckResult::fail(format!("{reason}: it was at {step}"), cure)
            }
            None => {
                let cure = match (status.signal(), words.is_empty()) {
                    (Some(9), _) => "the system may have ended it because memory ran out: `dmesg` tells",
                    (_, true) => "`tombola doctor` looks at libraries and drivers",
                    (_, false) => "what it said last is above; `tombola doctor` looks at libraries and drivers",
                };
                CheckResult::fail(format!("the process that does the checks ended with {status} at {step}"), cure)
            }
        };
        result.details = words.iter().rev().take(LAST_WORDS).rev().cloned().collect();
        (result.check, result.seconds) = (check.name.to_string(), seconds);
        Ok(result)
    }

    /// Ends it with all that it started.
    fn end(&mut self) {
        if kill_group(self.child.id()).is_err() {
            ignored(self.child.kill(), "it may be over already");
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.end();
            ignored(self.child.wait(), "nobody asks how it ended");
        }
    }
}
