//! A WebSocket client as far as `matchbox_server` needs one (RFC 6455): text messages over plain TCP.
//!
//! In: bytes as they come. Out: bytes to send, and whole text messages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::limits::MAX_HTTP_BYTES;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// First byte of a whole message.
const FINAL: u8 = 0x80;
/// Second byte of what a client sends: its payload is masked.
const MASKED: u8 = 0x80;
/// Length bytes that announce a longer length: two bytes of it, or eight.
const MEDIUM: u8 = 0x7e;
const LONG: u8 = 0x7f;

/// The peer broke the protocol, or said goodbye.
#[derive(Debug, PartialEq, Eq)]
pub struct Over(pub &'static str);

/// One connection.
#[derive(Default)]
pub struct WebSocket {
    upgraded: bool,
    incoming: Vec<u8>,
    /// What is to be sent.
    pub outgoing: Vec<u8>,
}

impl WebSocket {
    /// Asks for an upgrade at `path`. `key` is any number; a server only has to send back its hash.
    pub fn new(host: &str, path: &str, key: u128) -> Self {
        let key = STANDARD.encode(key.to_be_bytes());
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        Self { outgoing: request.into_bytes(), ..Self::default() }
    }

    /// Takes bytes that came, and calls `message` with every text that is whole.
    pub fn handle(&mut self, bytes: &[u8], mut message: impl FnMut(&str)) -> Result<(), Over> {
        self.incoming.extend_from_slice(bytes);
        if self.incoming.len() > MAX_HTTP_BYTES {
            return Err(Over("a message over 1 MiB"));
        }
        if !self.upgraded && !self.take_upgrade()? {
            return Ok(());
        }
        let mut taken = 0;
        while let Some((opcode, payload)) = frame(&self.incoming[taken..]) {
            taken += payload.end;
            let payload = &self.incoming[taken - (payload.end - payload.start)..taken];
            match opcode {
                TEXT => message(std::str::from_utf8(payload).map_err(|_| Over("text that is not UTF-8"))?),
                PING => {
                    let payload = payload.to_vec();
                    put_frame(&mut self.outgoing, PONG, &payload);
                }
                CLOSE => return Err(Over("closed by the server")),
                _ => {}
            }
        }
        self.incoming.drain(..taken);
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        Ok(())
    }

    /// Sends a text message.
    pub fn send(&mut self, text: &str) {
        put_frame(&mut self.outgoing, TEXT, text.as_bytes());
    }

    fn take_upgrade(&mut self) -> Result<bool, Over> {
        let Some(end) = self.incoming.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(false);
        };
        if !self.incoming.starts_with(b"HTTP/1.1 101") {
            return Err(Over("no upgrade to WebSocket"));
        }
        self.incoming.drain(..end + 4);
        self.upgraded = true;
        Ok(true)
    }
}

/// The first frame, if it is whole: its opcode and where its payload lies. Servers do not mask.
fn frame(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (start, length) = match second & 0x7f {
        MEDIUM => (4, u64::from(u16::from_be_bytes(*bytes.get(2..4)?.first_chunk()?))),
        LONG => (10, u64::from_be_bytes(*bytes.get(2..10)?.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    let end = usize::try_from(length).ok()?.checked_add(start)?;
    (end <= bytes.len()).then_some((first & 0x0f, start..end))
}

/// A whole message, masked with zeros: a mask hides nothing on loopback, and zeros cost nothing.
fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(FINAL | opcode);
    match payload.len() {
        short @ 0..126 => out.push(MASKED | short as u8),
        medium @ 126..65_536 => {
            out.push(MASKED | MEDIUM);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(MASKED | LONG);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_text(text: &str) -> Vec<u8> {
        let mut out = vec![FINAL | TEXT];
        match text.len() {
            short @ 0..126 => out.push(short as u8),
            medium => {
                out.push(126);
                out.extend_from_slice(&(medium as u16).to_be_bytes());
            }
        }
        out.extend_from_slice(text.as_bytes());
        out
    }

    #[test]
    fn messages_come_out_whole_however_they_were_cut() {
        let long = "x".repeat(500);
        let mut stream = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n".to_vec();
        stream.extend(server_text("one"));
        stream.extend([FINAL | PING, 1, b'p']);
        stream.extend(server_text(&long));
        let mut socket = WebSocket::new("h", "/", 7);
        socket.outgoing.clear();
        let mut seen = Vec::new();
        for byte in stream {
            socket.handle(&[byte], |text| seen.push(text.to_string())).unwrap();
        }
        assert_eq!(seen, ["one".to_string(), long]);
        assert_eq!(socket.outgoing, [FINAL | PONG, MASKED | 1, 0, 0, 0, 0, b'p']);
    }

    #[test]
    fn goodbyes_and_refusals_end_it() {
        let mut socket = WebSocket::new("h", "/", 7);
        assert!(socket.handle(b"HTTP/1.1 404 Not Found\r\n\r\n", |_| ()).is_err());
        let mut socket = WebSocket::new("h", "/", 7);
        socket.handle(b"HTTP/1.1 101 S\r\n\r\n", |_| ()).unwrap();
        assert_eq!(socket.handle(&[FINAL | CLOSE, 0], |_| ()), Err(Over("closed by the server")));
    }
}
