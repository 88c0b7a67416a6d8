//! A request to `tombola serve`. What it is does not depend on how its bytes arrive, nor on what follows its head.

use std::net::{IpAddr, Ipv4Addr};

use crate::form::{Grammar, WHOLE};
use crate::{FuzzTarget, few_copies};
use tombola_http::host::OwnNames;
use tombola_http::request::{MOST_HEAD, Parsed, parse};

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "http",
    run,
    seeds,
    form: WHOLE,
    grammar: Grammar::Text,
    words,
    // Longer than a head may be.
    longest: MOST_HEAD + 1000,
    memory: few_copies,
};

fn run(bytes: &[u8]) {
    let parsed = parse(bytes);
    let half = parse(&bytes[..bytes.len() / 2]);
    assert!(half == Parsed::Unfinished || half == parsed, "half of it is {half:?}, and all of it {parsed:?}");
    let longer = [bytes, b"\r\nContent-Length: 9\r\n\r\nbody"].concat();
    match &parsed {
        Parsed::Unfinished => assert!(bytes.len() < MOST_HEAD, "the rest of a head that is too long is waited for"),
        Parsed::Refused(_) => assert_eq!(parse(&longer), parsed),
        Parsed::Whole(asked) => {
            assert_eq!(parse(&longer), parsed, "what follows the head changes it");
            assert!(asked.path.starts_with('/') && asked.path.bytes().all(|byte| byte.is_ascii_graphic()));
            let loopback = OwnNames::new(IpAddr::V4(Ipv4Addr::LOCALHOST), "machine");
            let everywhere = OwnNames::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), "machine");
            assert!(
                !loopback.has(&asked.host) || everywhere.has(&asked.host),
                "{} is one server's name only",
                asked.host
            );
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "GET / HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\n\r\n",
        "HEAD /results.csv?x=1 HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\nbody",
        "GET /version HTTP/1.1\nHost: [::1]:80\nCookie: a=b\n\n",
        "POST / HTTP/1.1\r\nHost: machine\r\nContent-Length: 1000000000000000000\r\n\r\n",
        "GET /%2e%2e/journal HTTP/1.1\r\nHost: localhost.\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    let long = format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(MOST_HEAD / 6));
    texts.into_iter().map(str::to_string).chain([long]).map(String::into_bytes).collect()
}

fn words() -> Vec<String> {
    let words = [
        "GET",
        "HEAD",
        "POST",
        "HTTP/1.1",
        "HTTP/2",
        "Host:",
        "host: x\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n\n",
        " ",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "127.0.0.1",
        "localhost",
        "machine",
        "0.0.0.0",
        ":80",
        ":99999",
        "..",
        "%2e",
        "?",
    ];
    words.map(str::to_string).to_vec()
}
