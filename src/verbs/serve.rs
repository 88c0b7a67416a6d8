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
    let shown = Mutex::new(Shown::new(folder.clone())?);
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
    // One is made at a time, whoever waits: each takes memory of its own.
    let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
    if path == "/" {
        return PageAnswer { status: 200, kind: "text/html; charset=utf-8", body: shown.page() };
    }
    match path.strip_prefix('/').and_then(|name| shown.table(name)) {
        Some(body) => PageAnswer { status: 200, kind: "text/csv; charset=utf-8", body },
        None => PageAnswer::words(404, "not here: see /\n"),
    }
}

/// The page and the tables, and when they were made.
struct Shown {
    folder: PathBuf,
    page: Arc<str>,
    version: String,
    made: Instant,
    tables: BTreeMap<&'static str, ServedTable>,
}

/// A table as it was at some version.
struct ServedTable {
    text: Arc<str>,
    version: String,
    made: Instant,
}

impl Shown {
    fn new(folder: PathBuf) -> Result<Self> {
        // What is written while the page is made belongs to the next one.
        let version = version(&folder);
        let page = renewing(&report_of(&folder)?).into();
        Ok(Self { folder, page, version, made: Instant::now(), tables: BTreeMap::new() })
    }

    fn page(&mut self) -> Arc<str> {
        let version = version(&self.folder);
        if version != self.version && self.made.elapsed() >= AGE {
            // A folder that is being written may not be readable for a moment: the last page stays.
            if let Ok(report) = report_of(&self.folder) {
                (self.page, self.version, self.made) = (renewing(&report).into(), version, Instant::now());
            }
        }
        Arc::clone(&self.page)
    }

    fn table(&mut self, name: &str) -> Option<Arc<str>> {
        let name = tables::names().into_iter().find(|known| *known == name)?;
        let version = version(&self.folder);
        let known = self.tables.get(name);
        if let Some(table) = known.filter(|table| table.version == version || table.made.elapsed() < AGE) {
            return Some(Arc::clone(&table.text));
        }
        let results = folder::Results::read(&self.folder).ok()?;
        let text: Arc<str> = tables::text(name, &results.plan, &results.history).ok()?.into();
        self.tables.insert(name, ServedTable { text: Arc::clone(&text), version, made: Instant::now() });
        Some(text)
    }
}

/// Changes when the journal does.
fn version(folder: &Path) -> String {
    std::fs::metadata(folder.join("journal")).map_or_else(|_| "none".to_string(), |file| file.len().to_string())
}

fn renewing(report: &Report) -> String {
    page(std::slice::from_ref(report), "Served by Tombola; renews itself.").replace("</body>", RENEW)
}
