//! Whether a request is meant for this server, by the host that it names.
//!
//! A page from elsewhere may let its own name point to this machine, and a browser then lets it read what is served here (DNS
//! rebinding). Its requests still name that host. An address cannot point elsewhere, and `localhost` never does. The port says
//! nothing: a tunnel (`ssh -L 9000:localhost:8080`) may have another one at its near end.

use std::net::{IpAddr, Ipv6Addr};

/// The names that a server answers to.
#[derive(Debug, Clone)]
pub struct OwnNames {
    /// Where it listens.
    address: IpAddr,
    /// The name of the machine, if others may reach the server by it.
    machine: Option<String>,
}

impl OwnNames {
    /// Those of a server that listens at `address`, on a machine of this name.
    pub fn new(address: IpAddr, machine: &str) -> Self {
        let machine = (!address.is_loopback() && !machine.is_empty()).then(|| machine.to_string());
        Self { address, machine }
    }

    /// Whether a host, with or without its port, is this server.
    pub fn has(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        match address(name) {
            Some(address) if address.is_loopback() || address == self.address => true,
            Some(_) => self.address.is_unspecified(),
            None => {
                name.eq_ignore_ascii_case("localhost")
                    || self.machine.as_ref().is_some_and(|machine| name.eq_ignore_ascii_case(machine))
            }
        }
    }
}

/// The host itself; nothing if what follows is no port.
fn without_port(host: &str) -> Option<&str> {
    let end = match host.starts_with('[') {
        true => host.find(']')? + 1,
        false => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let is_port = port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    (port.is_empty() || is_port).then_some(name)
}

fn address(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(name) => name.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_this_machine_alone_answers_to_no_name_that_could_point_elsewhere() {
        let own = OwnNames::new("127.0.0.1".parse().unwrap(), "node1");
        for host in ["localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]:8080", "[::1]", "localhost:65535"] {
            assert!(own.has(host), "{host}");
        }
        for host in [
            "evil.example.com",
            "localhost.evil.example.com",
            "evil.localhost:8080",
            "127.0.0.1.nip.io",
            "node1",
            "192.0.2.7",
            "localhost:99999",
            "localhost:x",
            "[::1",
            "[::1]x",
            "::1",
            "",
            "[localhost]",
        ] {
            assert!(!own.has(host), "{host}");
        }
    }

    #[test]
    fn a_server_for_others_answers_to_its_addresses_and_the_name_of_its_machine() {
        let all = OwnNames::new("0.0.0.0".parse().unwrap(), "node1");
        assert!(all.has("node1:8080") && all.has("192.0.2.7:8080") && all.has("[2001:db8::1]") && all.has("localhost"));
        assert!(!all.has("node1.example.com") && !all.has("evil.example.com:8080"));
        let one = OwnNames::new("192.0.2.7".parse().unwrap(), "node1");
        assert!(one.has("192.0.2.7:8080") && one.has("node1") && !one.has("192.0.2.8"));
    }
}
