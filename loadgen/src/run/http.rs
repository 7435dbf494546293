//! A GET over HTTP/1.1, for client-config.json and for metrics pages. Blocking, bounded, a few seconds at most.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use crate::limits::MAX_HTTP_BYTES;
use crate::quic::verify::{Trust, tls_config};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The parts of an `http`, `https`, `ws` or `wss` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether it is `https` or `wss`.
    pub https: bool,
    /// Host name or address, without the brackets of IPv6.
    pub host: String,
    /// Port, given or the scheme's own.
    pub port: u16,
    /// Path and query, from the first slash.
    pub path: String,
}

impl Url {
    /// Takes a URL apart; the error repeats it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("\"{text}\" is not a URL that can be used: {why}");
        let (https, rest) = match text.split_once("://") {
            Some(("http" | "ws", rest)) => (false, rest),
            Some(("https" | "wss", rest)) => (true, rest),
            _ => return Err(bad("it has to start with http://, https://, ws:// or wss://")),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| bad("the port is not a number"))?)
            }
            _ => (authority, if https { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
        if host.is_empty() {
            return Err(bad("it has no host"));
        }
        Ok(Self { https, host, port, path: if path.is_empty() { "/".into() } else { path.into() } })
    }

    /// `host:port`, with brackets around IPv6.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Scheme, host and port, as a browser sends them in Origin: without the scheme's own port.
    pub fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let authority = self.authority();
        let own_port = if self.https { ":443" } else { ":80" };
        format!("{scheme}://{}", authority.strip_suffix(own_port).unwrap_or(&authority))
    }

    /// The first address of the host.
    pub fn resolve(&self) -> Result<SocketAddr, String> {
        (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| format!("the host {} cannot be resolved: {error}", self.host))?
            .next()
            .ok_or_else(|| format!("the host {} has no address", self.host))
    }
}

/// The body of a page.
pub fn get(url: &Url, trust: &Trust) -> Result<Vec<u8>, String> {
    let address = url.resolve()?;
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)
        .map_err(|error| format!("no server answers at {address}: {error}"))?;
    let failed = |error: std::io::Error| format!("{}{}: {error}", url.origin(), url.path);
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(failed)?;
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", url.path, url.authority());
    let answer = if url.https {
        let config = Arc::new(tls_config(trust, b"http/1.1")?);
        let name = rustls::pki_types::ServerName::try_from(url.host.clone())
            .map_err(|_| format!("{} is not a name for TLS", url.host))?;
        let tls = rustls::ClientConnection::new(config, name).map_err(|error| error.to_string())?;
        exchange(rustls::StreamOwned::new(tls, stream), &request).map_err(failed)?
    } else {
        exchange(stream, &request).map_err(failed)?
    };
    body(&answer).map_err(|why| format!("{}{}: {why}", url.origin(), url.path))
}

fn exchange(mut stream: impl Read + Write, request: &str) -> std::io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    match stream.take(MAX_HTTP_BYTES as u64).read_to_end(&mut answer) {
        // A TLS server may close without a goodbye; whether the body is whole is seen from its length.
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(answer),
    }
}

fn body(answer: &[u8]) -> Result<Vec<u8>, String> {
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, rest) = answer.split_at(split.ok_or("the answer is not HTTP")?);
    let (head, rest) = (String::from_utf8_lossy(head), &rest[4..]);
    let status = head.split_whitespace().nth(1).unwrap_or("");
    if status != "200" {
        return Err(format!("HTTP {status}"));
    }
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_string())
        })
    };
    if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return unchunk(rest).ok_or_else(|| "the answer was cut off".into());
    }
    match header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => rest.get(..length).map(Into::into).ok_or_else(|| "the answer was cut off".into()),
        None => Ok(rest.to_vec()),
    }
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("https://[::1]:4433/v1?x=1").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 4433, "/v1?x=1"));
        assert_eq!(url.authority(), "[::1]:4433");
        assert_eq!(Url::parse("http://example.org").unwrap().origin(), "http://example.org");
        assert_eq!(Url::parse("http://127.0.0.1:8080/").unwrap().origin(), "http://127.0.0.1:8080");
        assert!(Url::parse("127.0.0.1:8080").unwrap_err().contains("http://"));
        assert!(Url::parse("http://:80/").is_err());
    }

    #[test]
    fn bodies_are_found_by_length_and_in_chunks() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap(), b"{}");
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        assert_eq!(body(chunked).unwrap(), b"abcd");
        assert!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}").unwrap_err().contains("cut off"));
        assert!(body(b"HTTP/1.1 503 Busy\r\n\r\n").unwrap_err().contains("503"));
        assert!(body(b"SSH-2.0").is_err());
    }
}
