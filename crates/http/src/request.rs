//! The head of a request in HTTP/1.0 or 1.1: a method, a path, a host. Bytes in, words out; it may not know of connections.
//!
//! A body is not looked at, whatever length it is said to have: nobody reads it.

/// Bytes of a head, the empty line at its end among them.
pub const MOST_HEAD: usize = 16 << 10;

/// What may be done with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestMethod {
    /// Have it.
    Get,
    /// Know how long it is.
    Head,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Whether the page itself is wanted.
    pub method: RequestMethod,
    /// From the first `/` on, without what follows a `?`; nothing is decoded in it.
    pub path: String,
    /// The server that the client believes to talk to, with its port.
    pub host: String,
}

/// Why a request is not answered with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no request, and why.
    Malformed(&'static str),
    /// Another method than GET and HEAD.
    Method,
    /// Its head is longer than [`MOST_HEAD`].
    TooLong,
    /// Another version of HTTP.
    Version,
}

/// What some bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a head.
    Unfinished,
    /// A whole head.
    Whole(PageRequest),
    /// Nothing that is answered with a page.
    Refused(Refusal),
}

/// What the bytes are that a client has sent so far. What follows the head is passed over.
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut lines = Vec::new();
    let mut rest = &bytes[..bytes.len().min(MOST_HEAD)];
    loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return match bytes.len() >= MOST_HEAD {
                true => Parsed::Refused(Refusal::TooLong),
                false => Parsed::Unfinished,
            };
        };
        let line = &rest[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        rest = &rest[end + 1..];
        if line.is_empty() {
            return head(&lines).map_or_else(Parsed::Refused, Parsed::Whole);
        }
        lines.push(line);
    }
}

/// A request by the lines of its head.
fn head(lines: &[&[u8]]) -> Result<PageRequest, Refusal> {
    let (first, fields) = lines.split_first().ok_or(Refusal::Malformed("it is empty"))?;
    let mut words = first.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Malformed("its first line is not a method, a path and a version"));
    };
    if !version.starts_with(b"HTTP/") {
        return Err(Refusal::Malformed("its first line is not a method, a path and a version"));
    }
    let method = match method {
        b"GET" => RequestMethod::Get,
        b"HEAD" => RequestMethod::Head,
        _ => return Err(Refusal::Method),
    };
    if !matches!(version, b"HTTP/1.0" | b"HTTP/1.1") {
        return Err(Refusal::Version);
    }
    let target = graphic(target).filter(|target| target.starts_with('/'));
    let target =
        target.ok_or(Refusal::Malformed("its path does not begin with `/`, or has other letters than ASCII"))?;
    let mut host = None;
    for field in fields {
        let (name, value) = split(field)?;
        if name.eq_ignore_ascii_case(b"host") {
            let value = graphic(value.trim_ascii()).ok_or(Refusal::Malformed("its host is no name"))?;
            if host.replace(value).is_some() {
                return Err(Refusal::Malformed("it names two hosts"));
            }
        }
    }
    Ok(PageRequest {
        method,
        path: target.split('?').next().unwrap_or_default().to_string(),
        host: host.ok_or(Refusal::Malformed("it names no host"))?.to_string(),
    })
}

/// Name and value of a field.
fn split(field: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let colon = field.iter().position(|byte| *byte == b':');
    let (name, value) =
        colon.map(|at| (&field[..at], &field[at + 1..])).ok_or(Refusal::Malformed("a field has no name"))?;
    let is_token = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
    match !name.is_empty() && name.iter().all(is_token) {
        true => Ok((name, value)),
        false => Err(Refusal::Malformed("a field has no name")),
    }
}

/// Text without spaces, control characters or letters beyond ASCII.
fn graphic(bytes: &[u8]) -> Option<&str> {
    let is_text = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(bytes).ok().filter(|_| is_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_head_is_a_method_a_path_and_a_host_and_what_follows_is_passed_over() {
        let text = b"GET /results.csv?x=1 HTTP/1.1\r\nhost: localhost:8080\r\nAccept: */*\r\n\r\n";
        let asked =
            PageRequest { method: RequestMethod::Get, path: "/results.csv".into(), host: "localhost:8080".into() };
        assert_eq!(parse(text), Parsed::Whole(asked.clone()));
        assert_eq!(parse(&[text, &b"\xff\x00 whatever"[..]].concat()), Parsed::Whole(asked));
        for length in 0..text.len() {
            assert_eq!(parse(&text[..length]), Parsed::Unfinished, "{length}");
        }
    }

    #[test]
    fn what_is_no_request_for_a_page_is_refused_with_its_reason() {
        let refused = |text: &str| match parse(text.as_bytes()) {
            Parsed::Refused(refusal) => refusal,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(refused("POST / HTTP/1.1\r\nContent-Length: 1000000000000000000\r\n\r\n"), Refusal::Method);
        assert_eq!(refused("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), Refusal::Version);
        assert_eq!(refused(&format!("GET /{} HTTP/1.1", "a".repeat(MOST_HEAD))), Refusal::TooLong);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(MOST_HEAD))), Refusal::TooLong);
        for text in [
            "\r\n",
            "GET\r\n\r\n",
            "GET / x HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET http://evil.example.com/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\u{e9}\r\n\r\n",
            "GET /\u{0} HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            assert!(matches!(refused(text), Refusal::Malformed(_)), "{text:?}");
        }
    }
}
