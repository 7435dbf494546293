//! The client's side of RFC 6455, without any socket.
//!
//! In: bytes as they come. Out: bytes to send, and [`Incoming`]s in order. Nothing is held while no message is under way.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::limits::MAX_HTTP_BYTES;
use crate::wt::session::Request;

/// Kinds of frames (section 5.2).
const CONTINUATION: u8 = 0;
/// A message that is text.
pub const TEXT: u8 = 1;
/// A message that is bytes.
pub const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// First byte of a frame that ends its message, and the bits that no extension was agreed on for.
const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
/// Second byte of what a client sends: its payload is masked. A server never masks.
const MASKED: u8 = 0x80;
/// Length bytes that announce a longer length: two bytes of it, or eight.
const MEDIUM: u8 = 0x7e;
const LONG: u8 = 0x7f;
/// What a server hashes together with the client's key (section 1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The upgrade was accepted.
    Open,
    /// A whole message, text or binary.
    Message(&'a [u8]),
}

/// Why it is over.
#[derive(Debug, PartialEq, Eq)]
pub enum Over {
    /// The upgrade was refused with this HTTP status.
    Status(u16),
    /// The server said goodbye, with a close code (1005 if it gave none) and a reason.
    Closed(u16, String),
    /// The server broke the protocol.
    Protocol(&'static str),
}

/// One connection.
pub struct WebSocket {
    /// What the server has to answer the upgrade with; `None` once it has.
    accept: Option<Box<str>>,
    incoming: Vec<u8>,
    /// The message that is not whole yet.
    message: Vec<u8>,
    /// What is to be sent.
    pub outgoing: Vec<u8>,
}

impl WebSocket {
    /// Asks for an upgrade. `key` has to be random (section 4.1).
    pub fn new(request: &Request, key: [u8; 16]) -> Self {
        let key = STANDARD.encode(key);
        let origin = match request.origin.as_str() {
            "" => String::new(),
            origin => format!("Origin: {origin}\r\n"),
        };
        let (path, host) = (&request.path, &request.authority);
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\n{origin}Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        let hash =
            digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), ACCEPT_SUFFIX].concat());
        let accept = Some(STANDARD.encode(hash).into());
        Self { accept, incoming: Vec::new(), message: Vec::new(), outgoing: head.into_bytes() }
    }

    /// Takes bytes that came, and calls `happened` for everything that they complete.
    pub fn handle(&mut self, bytes: &[u8], mut happened: impl FnMut(Incoming<'_>)) -> Result<(), Over> {
        self.incoming.extend_from_slice(bytes);
        if self.incoming.len() + self.message.len() > MAX_HTTP_BYTES {
            return Err(Over::Protocol("a WebSocket message over 1 MiB"));
        }
        if self.accept.is_some() {
            if !self.take_upgrade()? {
                return Ok(());
            }
            happened(Incoming::Open);
        }
        let incoming = std::mem::take(&mut self.incoming);
        let mut rest = incoming.as_slice();
        while let Some(frame) = Frame::read(rest)? {
            rest = &rest[frame.bytes..];
            self.handle_frame(&frame, &mut happened)?;
        }
        if !rest.is_empty() {
            self.incoming = rest.to_vec();
        }
        Ok(())
    }

    /// Sends a message. `mask` should be random: the mask keeps what is sent from looking like HTTP to a proxy.
    pub fn send(&mut self, opcode: u8, payload: &[u8], mask: [u8; 4]) {
        put_frame(&mut self.outgoing, opcode, payload, mask);
    }

    /// Says goodbye.
    pub fn close(&mut self, code: u16, mask: [u8; 4]) {
        put_frame(&mut self.outgoing, CLOSE, &code.to_be_bytes(), mask);
    }

    fn take_upgrade(&mut self) -> Result<bool, Over> {
        let Some(end) = self.incoming.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(false);
        };
        let head = String::from_utf8_lossy(&self.incoming[..end]).into_owned();
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        match status {
            Some(101) => {}
            Some(status) => return Err(Over::Status(status)),
            None => return Err(Over::Protocol("no HTTP answer to the upgrade")),
        }
        let given = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-accept").then_some(value.trim())
        });
        if given != self.accept.as_deref() {
            return Err(Over::Protocol("an upgrade that answers another key"));
        }
        self.accept = None;
        self.incoming.drain(..end + 4);
        Ok(true)
    }

    fn handle_frame(
        &mut self,
        frame: &Frame<'_>,
        happened: &mut impl FnMut(Incoming<'_>),
    ) -> Result<(), Over> {
        match frame.opcode {
            TEXT | BINARY if !self.message.is_empty() => {
                return Err(Over::Protocol("a message within a message"));
            }
            TEXT | BINARY if frame.last => happened(Incoming::Message(frame.payload)),
            TEXT | BINARY | CONTINUATION => {
                self.message.extend_from_slice(frame.payload);
                if frame.last {
                    happened(Incoming::Message(&std::mem::take(&mut self.message)));
                }
            }
            // Its mask is zeros: it says nothing that the server did not say.
            PING => put_frame(&mut self.outgoing, PONG, frame.payload, [0; 4]),
            CLOSE => {
                let (code, reason) = frame.payload.split_first_chunk().unwrap_or((&[0x03, 0xed], b""));
                let reason = String::from_utf8_lossy(reason).into_owned();
                return Err(Over::Closed(u16::from_be_bytes(*code), reason));
            }
            _ => {}
        }
        Ok(())
    }
}

/// One frame of a server.
struct Frame<'a> {
    opcode: u8,
    last: bool,
    payload: &'a [u8],
    /// Its length with its header.
    bytes: usize,
}

impl<'a> Frame<'a> {
    /// The first frame, if it is whole.
    fn read(bytes: &'a [u8]) -> Result<Option<Self>, Over> {
        let [first, second, ..] = *bytes else { return Ok(None) };
        if first & RESERVED != 0 || second & MASKED != 0 {
            return Err(Over::Protocol("a WebSocket frame that no server may send"));
        }
        let Some((start, length)) = length(second, bytes) else { return Ok(None) };
        if length > MAX_HTTP_BYTES as u64 {
            return Err(Over::Protocol("a WebSocket message over 1 MiB"));
        }
        let end = start + length as usize;
        let whole = |payload| Self { opcode: first & 0x0f, last: first & FINAL != 0, payload, bytes: end };
        Ok(bytes.get(start..end).map(whole))
    }
}

/// Where a frame's payload starts, and how long it is.
fn length(second: u8, bytes: &[u8]) -> Option<(usize, u64)> {
    Some(match second {
        MEDIUM => (4, u64::from(u16::from_be_bytes(*bytes.get(2..4)?.first_chunk()?))),
        LONG => (10, u64::from_be_bytes(*bytes.get(2..10)?.first_chunk()?)),
        short => (2, u64::from(short)),
    })
}

/// A whole message, masked.
fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: [u8; 4]) {
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
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the answer to it of RFC 6455, section 1.3.
    const KEY: &[u8; 16] = b"the sample nonce";
    const UPGRADE: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn socket() -> WebSocket {
        let request = Request { authority: "h".into(), path: "/v1".into(), origin: "http://h".into() };
        WebSocket::new(&request, *KEY)
    }

    fn upgraded() -> WebSocket {
        let mut socket = socket();
        socket.outgoing.clear();
        let mut seen = 0;
        socket.handle(UPGRADE, |_| seen += 1).unwrap();
        assert_eq!(seen, 1);
        socket
    }

    fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            short @ 0..126 => out.push(short as u8),
            medium => {
                out.push(MEDIUM);
                out.extend_from_slice(&(medium as u16).to_be_bytes());
            }
        }
        out.extend_from_slice(payload);
        out
    }

    #[test]
    fn the_upgrade_is_asked_for_as_the_rfc_shows_it() {
        let text = String::from_utf8(socket().outgoing).unwrap();
        assert!(text.starts_with("GET /v1 HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\n"), "{text}");
        assert!(text.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "{text}");
    }

    #[test]
    fn messages_come_out_whole_however_they_were_cut() {
        let long = [7; 500];
        let mut stream = UPGRADE.to_vec();
        stream.extend(server_frame(FINAL | TEXT, b"one"));
        stream.extend(server_frame(FINAL | PING, b"p"));
        stream.extend(server_frame(BINARY, &long[..300]));
        stream.extend(server_frame(FINAL | PING, b"q"));
        stream.extend(server_frame(FINAL | CONTINUATION, &long[300..]));
        let mut socket = socket();
        socket.outgoing.clear();
        let mut seen = Vec::new();
        for byte in stream {
            let mut take = |incoming: Incoming<'_>| {
                seen.push(match incoming {
                    Incoming::Open => b"open".to_vec(),
                    Incoming::Message(bytes) => bytes.to_vec(),
                });
            };
            socket.handle(&[byte], &mut take).unwrap();
        }
        assert_eq!(seen, [b"open".to_vec(), b"one".to_vec(), long.to_vec()]);
        let pongs = [FINAL | PONG, MASKED | 1, 0, 0, 0, 0, b'p', FINAL | PONG, MASKED | 1, 0, 0, 0, 0, b'q'];
        assert_eq!(socket.outgoing, pongs);
        assert!(socket.incoming.capacity() == 0 && socket.message.capacity() == 0, "nothing is held");
    }

    #[test]
    fn what_is_sent_is_masked() {
        let mut socket = upgraded();
        socket.send(BINARY, &[1, 2, 3, 4, 5], [0x10, 0x20, 0x30, 0x40]);
        let expected = [FINAL | BINARY, MASKED | 5, 0x10, 0x20, 0x30, 0x40, 0x11, 0x22, 0x33, 0x44, 0x15];
        assert_eq!(socket.outgoing, expected);
    }

    #[test]
    fn goodbyes_refusals_and_nonsense_end_it() {
        let end = |socket: &mut WebSocket, bytes: &[u8]| socket.handle(bytes, |_| ()).unwrap_err();
        assert_eq!(end(&mut socket(), b"HTTP/1.1 403 Forbidden\r\n\r\n"), Over::Status(403));
        assert!(matches!(end(&mut socket(), b"SSH-2.0\r\n\r\n"), Over::Protocol(_)));
        assert!(matches!(end(&mut socket(), b"HTTP/1.1 101 S\r\n\r\n"), Over::Protocol(_)));
        let close = server_frame(FINAL | CLOSE, &[0x0f, 0xa8, b'f', b'u', b'l', b'l']);
        assert_eq!(end(&mut upgraded(), &close), Over::Closed(4008, "full".into()));
        assert_eq!(end(&mut upgraded(), &[FINAL | CLOSE, 0]), Over::Closed(1005, String::new()));
        assert!(matches!(end(&mut upgraded(), &[FINAL | TEXT, MASKED]), Over::Protocol(_)));
        let huge = [FINAL | BINARY, LONG, 0xff, 0, 0, 0, 0, 0, 0, 0];
        assert!(matches!(end(&mut upgraded(), &huge), Over::Protocol(_)));
    }
}
