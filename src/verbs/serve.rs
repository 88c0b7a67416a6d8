//! `tombola serve`: the report of a results folder as a page that renews itself, on this machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command, value_parser};

use super::folder;
use super::report::report_of;
use tombola_http::server::{PageAnswer, PageServer};
use tombola_views::report::{Report, page};
use tombola_views::tables;
use tombola_words::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  tombola serve results/quickstart
  tombola serve results/quickstart --port 9000
  ssh -L 8080:localhost:8080 cluster.example.org tombola serve sweeps/results/quickstart

Only programs on this machine can read it, unless `--address` says otherwise. It serves the page and the tables, made anew from
the journal, and no other file; it changes nothing. It answers to `localhost` and to addresses, at any port, and with `--address`
to the name of this machine; to other names it says why not.";

/// The path of the page.
const PAGE: &str = "/";
/// A page or a table is not made more often than this, however many ask.
const AGE: Duration = Duration::from_secs(2);
/// Asks from time to time whether there is something new, and loads the page again if so.
const RENEW: &str = "<script>\n\"use strict\";\nlet known = null;\nsetInterval(async () => {\n  try {\n    \
    const text = await (await fetch(\"/version\")).text();\n    if (known !== null && text !== known) location.reload();\n    \
    known = text;\n  } catch {}\n}, 3000);\n</script>\n</body>";

/// The verb.
pub fn command() -> Command {
    Command::new("serve")
        .about("Show the report in a browser, renewed while the sweep runs")
        .after_help(EXAMPLES)
        .arg(folder::argument().help("Results folder of a sweep, running or not"))
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("NUMBER")
                .value_parser(value_parser!(u16))
                .default_value("8080")
                .help("Where to listen; 0 lets the system choose"),
        )
        .arg(
            Arg::new("address")
                .long("address")
                .value_name("ADDRESS")
                .value_parser(value_parser!(IpAddr))
                .help("Network address to listen on [default: 127.0.0.1, this machine only]"),
        )
}

/// Serves until it is interrupted.
///
/// # Errors
/// When the folder holds no sweep, or the port is taken.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let folder = folder::given(matches);
    let mut shown = Shown { folder: folder.clone(), made: BTreeMap::new() };
    // What cannot be shown is told before anybody asks.
    shown.text(PAGE)?;
    let shown = Mutex::new(shown);
    let ip = matches.get_one::<IpAddr>("address").copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = matches.get_one::<u16>("port").copied().unwrap_or_default();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let server = PageServer::bind(SocketAddr::new(ip, port), machine.trim()).map_err(|error| {
        Error::environment(format!("cannot listen on {ip}, port {port}: {error}"))
            .hint("another program may have the port: choose one with `--port`, or 0 for any that is free")
    })?;
    super::print(&format!("http://{}/\n", server.address()))?;
    server.serve(move |path| answer(&folder, &shown, path))
}

/// What a path stands for. Paths are compared, never joined to that of the folder: nothing else can be reached.
fn answer(folder: &Path, shown: &Mutex<Shown>, path: &str) -> PageAnswer {
    if path == "/version" {
        return PageAnswer::words(200, version(folder));
    }
    let (name, kind) = match path {
        PAGE => (Some(PAGE), "text/html; charset=utf-8"),
        _ => (tables::names().into_iter().find(|name| path.strip_prefix('/') == Some(name)), "text/csv; charset=utf-8"),
    };
    // One is made at a time, whoever waits: each takes memory of its own.
    let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
    match name.and_then(|name| shown.text(name).ok()) {
        Some(body) => PageAnswer { status: 200, kind, body },
        None => PageAnswer::words(404, "not here: see /\n"),
    }
}

/// The page and the tables, as they were made last.
struct Shown {
    folder: PathBuf,
    made: BTreeMap<&'static str, ServedText>,
}

/// A text as it was at some version.
#[derive(Clone)]
struct ServedText {
    text: Arc<str>,
    version: String,
    made: Instant,
}

impl Shown {
    /// The page (`PAGE`) or the table of a name. A folder that is being written may not be readable for a moment: then what was
    /// made before stays.
    ///
    /// # Errors
    /// When the folder cannot be read, and could not before.
    fn text(&mut self, name: &'static str) -> Result<Arc<str>> {
        // What is written while it is made belongs to the next one.
        let version = version(&self.folder);
        let known = self.made.get(name).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.version == version || known.made.elapsed() < AGE) {
            return Ok(Arc::clone(&known.text));
        }
        match (make(&self.folder, name), known) {
            (Ok(text), _) => {
                let text: Arc<str> = text.into();
                self.made.insert(name, ServedText { text: Arc::clone(&text), version, made: Instant::now() });
                Ok(text)
            }
            (Err(_), Some(known)) => Ok(known.text),
            (Err(error), None) => Err(error),
        }
    }
}

/// The page or a table as it is now.
fn make(folder: &Path, name: &str) -> Result<String> {
    if name == PAGE {
        return report_of(folder).map(|report| renewing(&report));
    }
    let results = folder::Results::read(folder)?;
    tables::text(name, &results.plan, &results.history)
}

/// Changes when a journal of the folder does.
fn version(folder: &Path) -> String {
    let length = |part: &PathBuf| {
        let found = std::fs::metadata(part.join("journal"));
        found.map_or_else(|_| "none".to_string(), |file| file.len().to_string())
    };
    let parts = folder::parts(folder).unwrap_or_default();
    parts.iter().map(length).collect::<Vec<_>>().join(" ")
}

fn renewing(report: &Report) -> String {
    page(std::slice::from_ref(report), "Served by Tombola; renews itself.").replace("</body>", RENEW)
}
