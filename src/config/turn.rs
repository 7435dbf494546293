//! TURN and STUN: URLs as browsers take them, and the secret shared with the relay.

use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use super::draft::Draft;
use super::{Problem, Turn};
use crate::limits;
use crate::privacy::Hidden;

/// A TURN or STUN URL in its parts: `stun:HOST`, `turn:HOST` (RFC 7064, RFC 7065), with a port, and for TURN with a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceUrl<'a> {
    /// Whether it relays; a STUN server only tells an address.
    pub relays: bool,
    /// Whether it speaks TLS.
    pub secure: bool,
    /// Whether it is reached by TCP.
    pub over_tcp: bool,
    /// A name or an address, an IPv6 address without its brackets.
    pub host: &'a str,
    /// The port, that of the scheme if none is written.
    pub port: u16,
}

impl<'a> IceUrl<'a> {
    /// The parts, if it is one that browsers take.
    pub fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (relays, secure) = match scheme {
            "turn" => (true, false),
            "turns" => (true, true),
            "stun" => (false, false),
            "stuns" => (false, true),
            _ => return None,
        };
        let (authority, over_tcp) = match rest.split_once('?') {
            None => (rest, secure),
            Some((authority, "transport=tcp")) if relays => (authority, true),
            Some((authority, "transport=udp")) if relays => (authority, false),
            Some(_) => return None,
        };
        let end = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        let (host, port) = authority.split_at(end.unwrap_or(authority.len()));
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
            None if secure => 5349,
            None => 3478,
        };
        Some(Self { relays, secure, over_tcp, host: host_of(host)?, port })
    }
}

fn host_of(host: &str) -> Option<&str> {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok().then_some(address);
    }
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (!host.is_empty() && host.bytes().all(letters)).then_some(host)
}

/// What the settings of `turn` make together.
pub(super) fn check(draft: &Draft, problems: &mut Vec<Problem>) -> Option<Turn> {
    let Some(urls) = &draft.turn_urls else {
        if draft.turn_secret.is_some() {
            problems.push(draft.problem("turn.secret_file", "the relay is missing, set turn.urls too"));
        } else if draft.is_given("turn.ttl_s") {
            problems
                .push(draft.problem("turn.ttl_s", "has no effect without turn.urls and turn.secret_file"));
        }
        return None;
    };
    let ttl_s = if draft.turn_ttl_s == 0 { limits::DEFAULT_TURN_TTL_S } else { draft.turn_ttl_s };
    let secrets = match &draft.turn_secret {
        Some(path) => read_secrets(path).map_err(|message| draft.problem("turn.secret_file", message)),
        None if urls.iter().all(|url| url.starts_with("stun")) => Ok(Vec::new()),
        None => Err(draft.problem("turn.urls", "the relay's secret is missing, set turn.secret_file too")),
    };
    match secrets {
        Ok(secrets) => Some(Turn { urls: urls.clone(), secrets, ttl: Duration::from_secs(ttl_s) }),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// One secret a line, one or two of them.
fn read_secrets(path: &Path) -> Result<Vec<Hidden<Vec<u8>>>, String> {
    use std::io::Read;
    let name = path.display();
    let most = limits::TURN_SECRETS as u64 * (limits::TURN_SECRET_BYTES + 2);
    let mut text = Zeroizing::new(Vec::with_capacity(most as usize + 1));
    std::fs::File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut text))
        .map_err(|error| format!("cannot read {name}: {error}"))?;
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let secrets: Vec<_> = lines.map(|line| Hidden::new(line.to_vec())).collect();
    let too_long = secrets.iter().any(|secret| secret.expose().len() as u64 > limits::TURN_SECRET_BYTES);
    match secrets.len() {
        0 => Err(format!("{name} is empty, it should hold the secret")),
        _ if too_long => {
            Err(format!("{name} is too long, allowed are {} bytes a line", limits::TURN_SECRET_BYTES))
        }
        1..=limits::TURN_SECRETS => Ok(secrets),
        many => Err(format!("{name} has {many} lines, allowed are one secret and the one that follows it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_what_browsers_take() {
        for right in [
            "turn:relay.example",
            "turn:relay.example:3478?transport=udp",
            "turns:relay.example:5349?transport=tcp",
            "turn:192.0.2.1:3478",
            "turn:[2001:db8::1]:3478",
            "stun:relay.example:3478",
            "stuns:[::1]",
        ] {
            assert!(IceUrl::parse(right).is_some(), "{right}");
        }
        for wrong in [
            "turn:",
            "turn://relay.example",
            "turn:relay.example:0",
            "turn:relay.example:port",
            "turn:relay.example?transport=sctp",
            "stun:relay.example?transport=udp",
            "turn:user@relay.example",
            "turn:relay example",
            "turn:[relay]",
            "http://relay.example",
            "relay.example",
        ] {
            assert_eq!(IceUrl::parse(wrong), None, "{wrong}");
        }
        let parts = IceUrl { relays: true, secure: true, over_tcp: true, host: "::1", port: 5349 };
        assert_eq!(IceUrl::parse("turns:[::1]"), Some(parts));
    }

    #[test]
    fn a_file_holds_one_secret_or_two() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("a file");
            read_secrets(&path)
                .map(|secrets| secrets.iter().map(|one| one.expose().clone()).collect::<Vec<_>>())
        };
        assert_eq!(read("hush hush\n"), Ok(vec![b"hush hush".to_vec()]));
        assert_eq!(read("new\r\n\nold"), Ok(vec![b"new".to_vec(), b"old".to_vec()]));
        for wrong in ["\n \n", "a\nb\nc\n", &"x".repeat(1_025)] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
