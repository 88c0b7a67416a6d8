//! `tombola serve`: the report of a results folder as a page that renews itself, on this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command, value_parser};
use tiny_http::{Header, Method, Request, Response, Server};

use super::folder;
use super::report::report_of;
use tombola_views::report::{Report, page};
use tombola_views::tables;
use tombola_words::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  tombola serve results/quickstart
  tombola serve results/quickstart --port 9000
  ssh -L 8080:localhost:8080 cluster.example.org tombola serve sweeps/results/quickstart

Only programs on this machine can read it, unless `--address` says otherwise. It serves the page and the tables, made anew from
the journal, and no other file; it changes nothing.";

/// A page is not made more often than this, however many ask.
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
    let mut shown = Shown::new(folder::given(matches))?;
    let ip = matches.get_one::<IpAddr>("address").copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = matches.get_one::<u16>("port").copied().unwrap_or_default();
    let server = Server::http(SocketAddr::new(ip, port)).map_err(|error| {
        Error::environment(format!("cannot listen on {ip}, port {port}: {error}"))
            .hint("another program may have the port: choose one with `--port`, or 0 for any that is free")
    })?;
    super::print(&format!("http://{}/\n", server.server_addr()))?;
    for request in server.incoming_requests() {
        // Whoever asked may have gone.
        let _ = answer(&mut shown, request);
    }
    Ok(())
}

fn answer(shown: &mut Shown, request: Request) -> std::io::Result<()> {
    let with = |text: String, kind: &str, status: u16| {
        let header = Header::from_bytes(&b"Content-Type"[..], kind.as_bytes());
        let response = Response::from_string(text).with_status_code(status);
        header.into_iter().fold(response, Response::with_header)
    };
    if !matches!(request.method(), Method::Get | Method::Head) {
        return request.respond(with("only GET\n".into(), "text/plain", 405));
    }
    // Names are compared, never joined to a path: nothing else can be reached.
    let path = request.url().split('?').next().unwrap_or_default().to_string();
    let response = match path.as_str() {
        "/" => with(shown.page().to_string(), "text/html; charset=utf-8", 200),
        "/version" => with(shown.version(), "text/plain", 200),
        path => match path.strip_prefix('/').and_then(|name| shown.table(name)) {
            Some(table) => with(table, "text/csv; charset=utf-8", 200),
            None => with("not here: see /\n".into(), "text/plain", 404),
        },
    };
    request.respond(response)
}

/// The page, and when it was made.
struct Shown {
    folder: PathBuf,
    page: String,
    version: String,
    made: Instant,
}

impl Shown {
    fn new(folder: PathBuf) -> Result<Self> {
        // What is written while the page is made belongs to the next one.
        let version = version(&folder);
        let page = renewing(&report_of(&folder)?);
        Ok(Self { folder, page, version, made: Instant::now() })
    }

    fn page(&mut self) -> &str {
        let version = self.version();
        if version != self.version && self.made.elapsed() >= AGE {
            // A folder that is being written may not be readable for a moment: the last page stays.
            if let Ok(report) = report_of(&self.folder) {
                (self.page, self.version, self.made) = (renewing(&report), version, Instant::now());
            }
        }
        &self.page
    }

    /// Changes when the journal does.
    fn version(&self) -> String {
        version(&self.folder)
    }

    fn table(&self, name: &str) -> Option<String> {
        let results = tables::names().contains(&name).then(|| folder::Results::read(&self.folder))?.ok()?;
        tables::text(name, &results.plan, &results.history).ok()
    }
}

fn version(folder: &Path) -> String {
    std::fs::metadata(folder.join("journal")).map_or_else(|_| "none".to_string(), |file| file.len().to_string())
}

fn renewing(report: &Report) -> String {
    page(std::slice::from_ref(report), "Served by Tombola; renews itself.").replace("</body>", RENEW)
}
