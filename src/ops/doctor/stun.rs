//! STUN messages (RFC 8489) as far as a TURN server is asked whether it works (RFC 8656).
//!
//! In: a method and its attributes, or the bytes of an answer. Out: bytes, or what the answer says. What is signed is signed
//! with HMAC-SHA1 under the MD5 of user, realm and password: the one scheme that TURN servers and browsers share.

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::hmac;
use md5::{Digest as _, Md5};

/// The number in every message (RFC 8489, section 5).
const COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
/// Type, length, cookie, transaction.
pub const HEADER_BYTES: usize = 20;
/// Most that is read of an answer: TURN servers say less.
pub const MESSAGE_BYTES: usize = 2_048;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const REQUESTED_TRANSPORT: u16 = 0x0019;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// UDP, in REQUESTED-TRANSPORT.
const UDP: u8 = 17;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Which address do I come from?
    Binding = 0x001,
    /// A relayed address, please.
    Allocate = 0x003,
    /// That address may be reached through it.
    CreatePermission = 0x008,
}

/// Ties an answer to its request.
pub type Transaction = [u8; 12];

/// What a server wants to be shown.
#[derive(Clone, Debug)]
pub struct Identity {
    username: String,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: hmac::Key,
}

impl Identity {
    /// A user of a realm, for as long as the nonce is good.
    pub fn new(username: &str, password: &str, realm: &[u8], nonce: &[u8]) -> Self {
        let mut hash = Md5::new();
        for part in [username.as_bytes(), b":", realm, b":", password.as_bytes()] {
            hash.update(part);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &hash.finalize());
        Self { username: username.to_owned(), realm: realm.to_vec(), nonce: nonce.to_vec(), key }
    }
}

/// A request's bytes, signed if there is an identity.
pub fn request(
    method: Method,
    transaction: &Transaction,
    peer: Option<SocketAddr>,
    identity: Option<&Identity>,
) -> Vec<u8> {
    let mut message = Vec::with_capacity(256);
    message.extend((method as u16).to_be_bytes());
    message.extend([0, 0]);
    message.extend(COOKIE);
    message.extend(transaction);
    if method == Method::Allocate {
        attribute(&mut message, REQUESTED_TRANSPORT, &[UDP, 0, 0, 0]);
    }
    if let Some(peer) = peer {
        let address = xor_address(peer, transaction);
        attribute(&mut message, XOR_PEER_ADDRESS, &address);
    }
    if let Some(identity) = identity {
        attribute(&mut message, USERNAME, identity.username.as_bytes());
        attribute(&mut message, REALM, &identity.realm);
        attribute(&mut message, NONCE, &identity.nonce);
        // What is signed announces the signature's own length too.
        set_length(&mut message, 24);
        let signature = hmac::sign(&identity.key, &message);
        attribute(&mut message, MESSAGE_INTEGRITY, signature.as_ref());
    }
    set_length(&mut message, 0);
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn set_length(message: &mut [u8], more: usize) {
    let length = (message.len() - HEADER_BYTES + more) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It did what was asked.
    Done {
        /// The address it sees, or the one it gives.
        address: Option<SocketAddr>,
    },
    /// It did not.
    Refused {
        /// As in HTTP: 401, 403, 438...
        code: u16,
        /// Why, in its own words.
        reason: String,
        /// What a signature has to name.
        realm: Vec<u8>,
        /// What a signature has to hold.
        nonce: Vec<u8>,
    },
}

/// Bytes of a whole message by its header, for streams.
pub fn message_bytes(header: &[u8; HEADER_BYTES]) -> usize {
    HEADER_BYTES + usize::from(u16::from_be_bytes([header[2], header[3]]))
}

/// Reads an answer to this request; `None` if it is not one.
pub fn answer(bytes: &[u8], method: Method, transaction: &Transaction) -> Option<Answer> {
    let (header, mut rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let kind = u16::from_be_bytes([header[0], header[1]]);
    if header[4..8] != COOKIE || header[8..] != *transaction {
        return None;
    }
    let (mut address, mut refusal) = (None, None);
    let (mut realm, mut nonce) = (Vec::new(), Vec::new());
    while let Some((head, after)) = rest.split_at_checked(4) {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = after.get(..length)?;
        match u16::from_be_bytes([head[0], head[1]]) {
            XOR_MAPPED_ADDRESS if method == Method::Binding => address = read_address(value, transaction),
            XOR_RELAYED_ADDRESS => address = read_address(value, transaction),
            ERROR_CODE => refusal = read_error(value),
            REALM => realm = value.to_vec(),
            NONCE => nonce = value.to_vec(),
            _ => {}
        }
        rest = after.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    match kind ^ method as u16 {
        0x100 => Some(Answer::Done { address }),
        0x110 => refusal.map(|(code, reason)| Answer::Refused { code, reason, realm, nonce }),
        _ => None,
    }
}

fn read_error(value: &[u8]) -> Option<(u16, String)> {
    let (head, reason) = value.split_at_checked(4)?;
    let printable = String::from_utf8_lossy(reason).chars().filter(|c| !c.is_control()).take(120).collect();
    Some((u16::from(head[2] & 7) * 100 + u16::from(head[3]), printable))
}

/// An address as it is on the wire: every bit of it turned by cookie and transaction.
fn xor_address(address: SocketAddr, transaction: &Transaction) -> Vec<u8> {
    let port = address.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
    let (family, mut octets) = match address.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mask = COOKIE.iter().chain(transaction);
    octets.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
    [&[0, family], &port.to_be_bytes()[..], &octets].concat()
}

fn read_address(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let (head, octets) = value.split_at_checked(4)?;
    let port = u16::from_be_bytes([head[2], head[3]]) ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
    let mask = COOKIE.iter().chain(transaction);
    let octets: Vec<u8> = octets.iter().zip(mask).map(|(octet, mask)| octet ^ mask).collect();
    let ip = match head[1] {
        1 => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
        2 => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769, section 2.4: a request with long-term authentication, up to its signature.
    #[test]
    fn a_signed_request_is_that_of_the_rfc() {
        let user = "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}";
        let nonce = b"f//499k954d6OL34oL9FSTvy64sA";
        let identity = Identity::new(user, "TheMatrIX", b"example.org", nonce);
        let transaction = [0x78, 0xad, 0x34, 0x33, 0xc6, 0xad, 0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e];
        // There the attributes come in another order: USERNAME, NONCE, REALM.
        let mut message = request(Method::Binding, &transaction, None, None);
        attribute(&mut message, USERNAME, user.as_bytes());
        attribute(&mut message, NONCE, nonce);
        attribute(&mut message, REALM, b"example.org");
        set_length(&mut message, 24);
        let signature = hmac::sign(&identity.key, &message);
        let expected = [
            0xf6, 0x70, 0x24, 0x65, 0x6d, 0xd6, 0x4a, 0x3e, 0x02, 0xb8, 0xe0, 0x71, 0x2e, 0x85, 0xc9, 0xa2,
            0x8c, 0xa8, 0x96, 0x66,
        ];
        assert_eq!(signature.as_ref(), expected);
    }

    #[test]
    fn addresses_survive_the_way_there_and_back() {
        let transaction = [7; 12];
        for address in ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(read_address(&xor_address(address, &transaction), &transaction), Some(address));
        }
    }

    #[test]
    fn what_is_no_answer_is_not_read() {
        let transaction = [7; 12];
        let asked = request(Method::Allocate, &transaction, None, None);
        assert_eq!(answer(&asked, Method::Allocate, &transaction), None, "a request");
        for length in 0..asked.len() {
            assert_eq!(answer(&asked[..length], Method::Allocate, &transaction), None);
        }
        let mut done = request(Method::Allocate, &transaction, None, None);
        done[..2].copy_from_slice(&0x103_u16.to_be_bytes());
        assert_eq!(answer(&done, Method::Allocate, &transaction), Some(Answer::Done { address: None }));
        assert_eq!(answer(&done, Method::Allocate, &[8; 12]), None, "another's");
    }
}
