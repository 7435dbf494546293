//! Step 1 of 6 during an upgrade: what two processes pass to each other.
//!
//! A message is a row of records: datagrams with whence they came, and messages of links with their way.
//!
//! ```text
//! datagram:  1 | length of the payload (2) | ECN (1) | remote: family (1), IP (16), port (2), scope (4) | local: family (1), IP (16) | payload
//! of a link: 2 | length of the message (2) | from: generation (1), shard (1) | to: generation (1), shard (1) | message
//! ```
//!
//! Both ends are this program, though perhaps of two versions: [`crate::upgrade::FORMAT`] names the format, and bytes that do
//! not make sense end the reading of their message.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use quinn_udp::{EcnCodepoint, RecvMeta};

use crate::transport::cid::Generation;

/// Bytes of a datagram's record before its payload.
pub const DATAGRAM_HEAD_BYTES: usize = 3 + 1 + IP_BYTES + 2 + 4 + IP_BYTES;
/// Bytes of the record of a link's message before that.
pub const LINK_HEAD_BYTES: usize = 3 + 4;
const DATAGRAM: u8 = 1;
const LINK: u8 = 2;
const IP_BYTES: usize = 17;
const NO_IP: u8 = 0;
const V4: u8 = 4;
const V6: u8 = 6;

/// One shard of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The process.
    pub generation: Generation,
    /// The index of the shard there.
    pub shard: u8,
}

/// What a record holds.
pub enum Record<'b> {
    /// A datagram, and whence it came.
    Datagram(&'b [u8], RecvMeta),
    /// A message of a link, who says it, and to whom.
    Link {
        /// The shard that says it.
        from: Place,
        /// The shard that it is for.
        to: Place,
        /// As [`super::links`] reads it.
        message: &'b [u8],
    },
}

/// Appends a datagram. Its length fits two bytes.
pub fn write_datagram(to: &mut Vec<u8>, payload: &[u8], meta: &RecvMeta) {
    to.push(DATAGRAM);
    to.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    to.push(meta.ecn.map_or(0, |ecn| ecn as u8));
    write_ip(to, Some(meta.addr.ip()));
    to.extend_from_slice(&meta.addr.port().to_be_bytes());
    let scope = if let SocketAddr::V6(address) = meta.addr { address.scope_id() } else { 0 };
    to.extend_from_slice(&scope.to_be_bytes());
    write_ip(to, meta.dst_ip);
    to.extend_from_slice(payload);
}

/// Appends a message of a link. Its length fits two bytes: a frame has at most 32 KiB.
pub fn write_link(bytes: &mut Vec<u8>, from: Place, to: Place, message: &[u8]) {
    bytes.push(LINK);
    bytes.extend_from_slice(&(message.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[from.generation.0, from.shard, to.generation.0, to.shard]);
    bytes.extend_from_slice(message);
}

/// Takes the first record off `bytes`; `None` at the end, or where the bytes are none.
pub fn read<'b>(bytes: &mut &'b [u8]) -> Option<Record<'b>> {
    let [kind, high, low] = *bytes.split_off(..3)?.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    match kind {
        DATAGRAM => read_datagram(bytes, length),
        LINK => {
            let [from, from_shard, to, to_shard] = *bytes.split_off(..4)?.first_chunk()?;
            let from = Place { generation: Generation(from), shard: from_shard };
            let to = Place { generation: Generation(to), shard: to_shard };
            Some(Record::Link { from, to, message: bytes.split_off(..length)? })
        }
        _ => None,
    }
}

fn read_datagram<'b>(bytes: &mut &'b [u8], length: usize) -> Option<Record<'b>> {
    let ecn = *bytes.split_off_first()?;
    let remote = read_ip(bytes)??;
    let port = u16::from_be_bytes(*bytes.split_off(..2)?.first_chunk()?);
    let scope = u32::from_be_bytes(*bytes.split_off(..4)?.first_chunk()?);
    let dst_ip = read_ip(bytes)?;
    let payload = bytes.split_off(..length)?;
    let addr = match remote {
        IpAddr::V4(ip) => SocketAddr::from((ip, port)),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, scope).into(),
    };
    // The structure may get more fields, so it cannot be written out.
    let mut meta = RecvMeta::default();
    (meta.addr, meta.dst_ip, meta.ecn) = (addr, dst_ip, EcnCodepoint::from_bits(ecn));
    (meta.len, meta.stride) = (payload.len(), payload.len());
    Some(Record::Datagram(payload, meta))
}

fn write_ip(to: &mut Vec<u8>, ip: Option<IpAddr>) {
    let mut bytes = [0; IP_BYTES];
    match ip {
        None => bytes[0] = NO_IP,
        Some(IpAddr::V4(ip)) => {
            bytes[0] = V4;
            bytes[1..5].copy_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            bytes[0] = V6;
            bytes[1..].copy_from_slice(&ip.octets());
        }
    }
    to.extend_from_slice(&bytes);
}

/// The outer `None` means that these are no address's bytes.
#[allow(clippy::option_option)] // A record may hold no address, or be none.
fn read_ip(bytes: &mut &[u8]) -> Option<Option<IpAddr>> {
    let [family, ip @ ..]: &[u8; IP_BYTES] = bytes.split_off(..IP_BYTES)?.first_chunk()?;
    match *family {
        NO_IP => Some(None),
        V4 => Some(ip.first_chunk::<4>().map(|ip| Ipv4Addr::from(*ip).into())),
        V6 => Some(ip.first_chunk::<16>().map(|ip| Ipv6Addr::from(*ip).into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(addr: &str, dst_ip: Option<&str>, ecn: Option<EcnCodepoint>) -> RecvMeta {
        let dst_ip = dst_ip.map(|ip| ip.parse().expect("an address"));
        let mut meta = RecvMeta::default();
        (meta.addr, meta.dst_ip, meta.ecn) = (addr.parse().expect("an address"), dst_ip, ecn);
        meta
    }

    #[test]
    fn a_message_of_several_datagrams_is_read_as_it_was_written() {
        let written = [
            (&b"one"[..], meta("192.0.2.1:443", Some("192.0.2.2"), Some(EcnCodepoint::Ce))),
            (b"", meta("[2001:db8::1]:1", Some("2001:db8::2"), None)),
            (&[7; 1_500], meta("[fe80::1%3]:65535", None, Some(EcnCodepoint::Ect0))),
        ];
        let mut message = Vec::new();
        for (payload, meta) in &written {
            let before = message.len();
            write_datagram(&mut message, payload, meta);
            assert_eq!(message.len() - before, DATAGRAM_HEAD_BYTES + payload.len());
        }
        let mut rest = &message[..];
        for (payload, meta) in &written {
            let Some(Record::Datagram(read_payload, read)) = read(&mut rest) else { panic!("a datagram") };
            assert_eq!(read_payload, *payload);
            assert_eq!((read.addr, read.dst_ip, read.ecn), (meta.addr, meta.dst_ip, meta.ecn));
            assert_eq!((read.len, read.stride), (payload.len(), payload.len()));
        }
        assert!(read(&mut rest).is_none() && rest.is_empty());
    }

    #[test]
    fn bytes_that_are_no_record_end_the_reading() {
        let mut message = Vec::new();
        write_datagram(&mut message, b"payload", &meta("192.0.2.1:443", None, None));
        for length in 0..message.len() {
            assert!(read(&mut &message[..length]).is_none(), "{length} bytes");
        }
        message[4] = 5;
        assert!(read(&mut &message[..]).is_none(), "there is no family 5");
        message[4] = NO_IP;
        assert!(read(&mut &message[..]).is_none(), "a datagram comes from somewhere");
    }
    #[test]
    fn a_message_of_a_link_keeps_its_way() {
        let place = |generation, shard| Place { generation: Generation(generation), shard };
        let mut bytes = Vec::new();
        write_datagram(&mut bytes, b"before", &meta("192.0.2.1:443", None, None));
        let before = bytes.len();
        write_link(&mut bytes, place(3, 7), place(255, 0), b"message");
        assert_eq!(bytes.len() - before, LINK_HEAD_BYTES + 7);
        let mut rest = &bytes[..];
        assert!(matches!(read(&mut rest), Some(Record::Datagram(b"before", _))));
        let Some(Record::Link { from, to, message }) = read(&mut rest) else { panic!("a link's message") };
        assert_eq!((from, to, message), (place(3, 7), place(255, 0), &b"message"[..]));
        for length in before..bytes.len() {
            assert!(read(&mut &bytes[before..length]).is_none());
        }
    }
}
