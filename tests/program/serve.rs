//! The server, by real connections: what it shows, and that no client can stop it, fill it, or be in another's way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

use super::common::{Folder, PROGRAM, wait_until};
use super::report::finished;

/// A server that ends with the test.
struct Served {
    process: Child,
    address: String,
}

impl Served {
    fn of(folder: &Folder) -> Self {
        Self::of_results(folder, "results/sweep")
    }

    fn of_results(folder: &Folder, results: &str) -> Self {
        let mut process = folder.command(PROGRAM).args(["serve", results, "--port", "0"]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_string();
        Self { process, address }
    }

    /// What comes back for some bytes.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).to_string()
    }

    fn get(&self, path: &str) -> String {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
    }

    /// The page comes to somebody else.
    #[track_caller]
    fn expect_page(&self, situation: &str) {
        let begun = Instant::now();
        let answer = self.get("/");
        let found = &answer[..answer.len().min(100)];
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("10 trials took"), "{situation}: {found}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{situation}: {:?}", begun.elapsed());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_server_shows_the_page_and_the_tables_on_this_machine_and_nothing_else() {
    let folder = finished();
    folder.write("secret.txt", "a secret").write("results/sweep/secret.txt", "a secret");
    let served = Served::of(&folder);
    assert!(served.address.starts_with("127.0.0.1:"), "{}", served.address);
    assert!(served.get("/").contains("10 trials took"));
    assert!(served.get("/results.csv").contains("trial,level,stage"));
    for path in [
        "/secret.txt",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/results.csv/../secret.txt",
        "//secret.txt",
        "/sweep.toml",
        "/journal",
        "/%2e%2e/secret.txt",
        "/results.csv%00.txt",
    ] {
        let answer = served.get(path);
        assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("a secret"), "{path}: {answer}");
    }
    for request in [
        &b"\x00\xff\xfe"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ] {
        served.raw(request);
    }
    assert!(
        served.raw(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").contains("405")
    );
    // It is still there, and follows what is written.
    let version = served.get("/version");
    let mut journal = std::fs::OpenOptions::new().append(true).open(folder.path("results/sweep/journal")).unwrap();
    journal.write_all(&[7, 0, 0, 0, 1]).unwrap();
    assert_ne!(served.get("/version"), version);
    assert!(served.get("/").contains("10 trials took"), "a torn journal is no reason to stop");
}

#[test]
fn a_body_is_never_read_whatever_length_it_is_said_to_have() {
    let folder = finished();
    let served = Served::of(&folder);
    for length in ["1000000000000000000", "18446744073709551615", "99999999999999999999", "-1"] {
        for (method, status) in [("POST", "405"), ("PUT", "405"), ("GET", "200"), ("HEAD", "200")] {
            let head = format!("{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\nbody");
            let answer = served.raw(head.as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {length}: {answer:.60}");
        }
    }
    let chunked = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n";
    assert!(served.raw(chunked).starts_with("HTTP/1.1 405"));
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    assert!(served.raw(long.as_bytes()).starts_with("HTTP/1.1 431"));
    served.expect_page("after all of these");
}

#[test]
fn clients_that_do_not_read_or_never_finish_asking_keep_nobody_waiting() {
    let folder = finished();
    let served = Served::of(&folder);
    let connect = || TcpStream::connect(&served.address).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // Many requests one after the other, and not one answer is read.
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..40 {
        let mut client = connect();
        // The server closes when it has answered the first one.
        let _ = client.write_all(&request.repeat(300));
        held.push(client);
    }
    served.expect_page("beside clients that do not read");
    // Half a request, byte by byte, and none at all: more of them than the server has places.
    for count in 0..200 {
        let mut client = connect();
        let _ = client.write_all(&request[..count % 20]);
        held.push(client);
    }
    served.expect_page("beside clients that do not finish");
    served.expect_page("and again");
    drop(held);
    served.expect_page("when they are gone");
}

#[test]
fn a_host_that_is_not_this_machine_gets_no_page() {
    let folder = finished();
    let served = Served::of(&folder);
    let port = served.address.rsplit(':').next().unwrap();
    let ask =
        |host: &str| served.raw(format!("GET /results.csv HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes());
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        for port in ["", &format!(":{port}"), ":9000"] {
            let answer = ask(&format!("Host: {host}{port}\r\n"));
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.contains("trial,level,stage"),
                "{host}{port}: {answer:.60}"
            );
        }
    }
    for host in ["evil.example.com", &format!("evil.example.com:{port}"), "localhost.evil.example.com", "192.0.2.1"] {
        let answer = ask(&format!("Host: {host}\r\n"));
        assert!(
            answer.starts_with("HTTP/1.1 421") && answer.contains("answers to `localhost`"),
            "{host}: {answer:.60}"
        );
        assert!(!answer.contains("trial,level"), "{host}");
    }
    assert!(ask("").starts_with("HTTP/1.1 400"));
    assert!(ask("Host: localhost\r\nHost: evil.example.com\r\n").starts_with("HTTP/1.1 400"));
}

#[test]
fn tables_of_shards_are_made_anew_as_their_journals_grow() {
    let folder = Folder::new();
    folder.write("sweep.toml", "name = \"s\"\ndataset = \"synthetic\"\nsynthetic-size = 60\nnetwork = \"lenet-300-100\"\nepochs = 1\nseed = [1, 2, 3, 4]\n");
    folder.tombola("run sweep.toml --quiet --shard 1/2").expect(0);
    let served = Served::of_results(&folder, "results/s");
    let done = |served: &Served| served.get("/results.csv").matches(",done,").count();
    let before = done(&served);
    assert!(before > 0);
    folder.tombola("run sweep.toml --quiet --shard 2/2").expect(0);
    wait_until("the table with both shards", || done(&served) > before);
}
