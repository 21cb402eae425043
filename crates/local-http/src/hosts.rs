//! The names that mean this machine.
//!
//! A page can have its own name pointed at 127.0.0.1 and is then same-origin with what listens here; the Host header
//! still says that name. So names are known or refused. An address cannot be pointed anywhere.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// The hosts that a request may name: `localhost` and all below it, the loopback addresses, and what was added.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    more: Arc<Vec<String>>,
    addresses: Addresses,
}

#[derive(Clone, Copy, Debug, Default)]
enum Addresses {
    #[default]
    Usual,
    And(IpAddr),
    All,
}

impl Hosts {
    /// With names, or addresses, under which others reach this machine. The error says what is wrong with one.
    pub fn with(mut self, names: impl IntoIterator<Item = String>) -> Result<Hosts, String> {
        let more = Arc::make_mut(&mut self.more);
        for name in names {
            let known = Authority::read(&name)
                .filter(|authority| authority.port.is_none())
                .ok_or_else(|| {
                    format!("`{name}` is no name of a host: give it without scheme, port and path")
                })?;
            more.push(known.host);
        }
        Ok(self)
    }

    /// With the address that is listened on. Where other machines reach it, with every address: this machine has some
    /// that it does not know of, as containers do.
    #[must_use]
    pub(crate) fn on(mut self, listener: IpAddr) -> Hosts {
        let listener = listener.to_canonical();
        self.addresses = if listener.is_loopback() {
            Addresses::And(listener)
        } else {
            Addresses::All
        };
        self
    }

    /// Whether `authority`, a host with or without a port, is one of these.
    pub fn admit(&self, authority: &str) -> bool {
        Authority::read(authority).is_some_and(|authority| self.knows(&authority.host))
    }

    fn knows(&self, host: &str) -> bool {
        if let Some(address) = address(host).map(|address| address.to_canonical()) {
            let usual = address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST;
            let bound = match self.addresses {
                Addresses::Usual => false,
                Addresses::And(listener) => address == listener,
                Addresses::All => true,
            };
            if usual || bound {
                return true;
            }
        }
        host == "localhost" || host.ends_with(".localhost") || self.more.iter().any(|name| name == host)
    }
}

struct Authority {
    /// In small letters, without a dot at the end.
    host: String,
    port: Option<u16>,
}

impl Authority {
    fn read(text: &str) -> Option<Authority> {
        // Within brackets colons are part of the address.
        let inside = text.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match text.get(inside..)?.find(':') {
            Some(colon) => {
                let (host, port) = text.split_at_checked(inside + colon)?;
                (host, port.strip_prefix(':'))
            }
            None => (text, None),
        };
        let port = match port {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        // The lengths are those of the DNS.
        let is_name = |host: &str| {
            let mut labels = host.split('.');
            host.len() <= 253
                && labels.all(|label| {
                    (1..=63).contains(&label.len())
                        && label
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                })
        };
        (is_name(host) || address(host).is_some()).then(|| Authority {
            host: host.to_owned(),
            port,
        })
    }
}

/// IPv6 stands in brackets.
fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [&str; 13] = [
        "localhost",
        "LOCALHOST:80",
        "localhost.",
        "pcs.localhost:3001",
        "a.b.localhost",
        "127.0.0.1",
        "127.0.0.1:65535",
        "[::1]",
        "[::1]:3004",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]:3000",
        "127.0.0.1.",
        "localhost:0",
    ];
    const FOREIGN: [&str; 27] = [
        "",
        ":",
        ":3000",
        "attacker.example",
        "attacker.example:3004",
        "localhost.attacker.example",
        "127.0.0.1.attacker.example",
        "127.0.0.1.nip.io",
        "notlocalhost",
        "localhost..",
        ".localhost",
        "a..localhost",
        "localhost@attacker.example",
        "attacker.example@localhost",
        "attacker.example#localhost",
        "attacker.example/localhost",
        "attacker.example\\.localhost",
        "localhost:",
        "localhost:x",
        "localhost:65536",
        "localhost:80:80",
        "localhost,attacker.example",
        "localhost attacker.example",
        "[::1]attacker.example",
        "[::2]",
        "127.1",
        "0.0.0.0:3001",
    ];

    #[test]
    fn only_what_this_machine_alone_can_mean_is_ours() {
        let hosts = Hosts::default();
        for host in OURS {
            assert!(hosts.admit(host), "{host}");
        }
        for host in FOREIGN
            .into_iter()
            .chain(["127.0.0.2", "192.168.1.7:3000", "2130706433", "0x7f000001"])
        {
            assert!(!hosts.admit(host), "{host}");
        }
    }

    #[test]
    fn names_given_are_ours_with_any_port_and_nothing_beside_them() {
        let hosts = Hosts::default()
            .with([
                "PCS-local".to_owned(),
                "dev.example.com".to_owned(),
                "10.0.0.7".to_owned(),
            ])
            .unwrap();
        for host in [
            "pcs-local",
            "pcs-local:3000",
            "DEV.example.com:1",
            "10.0.0.7:3002",
            "localhost",
        ] {
            assert!(hosts.admit(host), "{host}");
        }
        for host in ["x.pcs-local", "example.com", "a.dev.example.com", "10.0.0.8"] {
            assert!(!hosts.admit(host), "{host}");
        }
        for name in [
            "http://pcs-local",
            "pcs-local:3000",
            "a/b",
            "",
            "*",
            "*.example.com",
            "a b",
        ] {
            let fault = Hosts::default().with([name.to_owned()]).unwrap_err();
            assert!(fault.contains(&format!("`{name}`")), "{fault}");
        }
        // RFC 1035, 2.3.4.
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        for (name, is_name) in [
            (longest.clone(), true),
            (format!("{longest}a"), false),
            ("a".repeat(64), false),
        ] {
            assert_eq!(Hosts::default().with([name.clone()]).is_ok(), is_name, "{name}");
        }
    }

    #[test]
    fn where_others_may_come_in_an_address_is_no_name_that_could_be_pointed_here() {
        let hosts = Hosts::default().on(Ipv4Addr::UNSPECIFIED.into());
        for host in ["192.168.1.7:3000", "[fe80::1]:3000", "0.0.0.0"] {
            assert!(hosts.admit(host), "{host}");
        }
        assert!(!hosts.admit("attacker.example"));
        assert!(!hosts.admit("192.168.1.7.nip.io"));
        let hosts = Hosts::default().on(Ipv4Addr::new(127, 0, 0, 2).into());
        assert!(hosts.admit("127.0.0.2:1") && hosts.admit("127.0.0.1") && !hosts.admit("127.0.0.3"));
    }
}
