//! A client for one HTTP/1.1 exchange: it shows the bytes that a library would hide.

#![allow(dead_code)] // Each test file uses its part.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// An answer as it came.
pub struct Answer {
    pub status: u16,
    /// By name in lower case; of a repeated header the last.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header, or the empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Sends a request with these header lines (and `Connection: close`) and reads all of the answer.
pub fn ask(site: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    exchange(TcpStream::connect(site).expect("a connection"), method, path, headers)
}

/// The same from another address of this machine.
pub fn ask_from(
    from: IpAddr,
    site: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let domain = socket2::Domain::for_address(site);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(from, 0).into()).expect("an address of this machine");
    socket.connect(&site.into()).expect("a connection");
    exchange(socket.into(), method, path, headers)
}

fn exchange(mut stream: TcpStream, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.extend([*name, ": ", *value, "\r\n"]);
    }
    request.push_str("\r\n");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    parse(&bytes)
}

/// GET as a browser on this machine would.
pub fn get(site: SocketAddr, path: &str) -> Answer {
    ask(site, "GET", path, &[("Host", &format!("localhost:{}", site.port()))])
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of the head");
    let head = std::str::from_utf8(&bytes[..end]).expect("a head in ASCII");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let headers = lines.filter_map(|line| line.split_once(':'));
    let mut answer = Answer {
        status: status.parse().expect("a status"),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect(),
        body: bytes[end + 4..].to_vec(),
    };
    if answer.header("transfer-encoding") == "chunked" {
        answer.body = of_chunks(&answer.body);
    }
    answer
}

/// The body that was sent in chunks (RFC 9112, section 7.1).
fn of_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("the length of a chunk");
        let digits = std::str::from_utf8(&rest[..end]).expect("a length in ASCII");
        let length = usize::from_str_radix(digits, 16).expect("a length");
        if length == 0 {
            return body;
        }
        body.extend(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 2 + length + 2..];
    }
}
