//! Every byte string that the server says on its own: SETTINGS, responses, the close capsule.
//!
//! Part of steps 1 and 6. All but the capsule are constants, so an answer costs no memory.

use bytes::Bytes;

use super::codes::{capsule, setting, stream};
use super::varint::write_varint;
use crate::limits::{CLOSE_REASON_BYTES, FIELD_SECTION_BYTES};

/// Statuses of refused requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The Origin may not open sessions.
    Forbidden,
    /// There is nothing but the one path.
    NotFound,
    /// The field section is over the limit.
    FieldsTooLarge,
    /// CONNECT for anything but WebTransport.
    NotImplemented,
}

impl Status {
    /// The response: one HEADERS frame, an index into QPACK's static table or a value of the name there.
    pub const fn response(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Forbidden => b"\x01\x04\x00\x00\xff\x05",
            Self::NotFound => b"\x01\x03\x00\x00\xdb",
            Self::FieldsTooLarge => b"\x01\x08\x00\x00\x5f\x09\x03431",
            Self::NotImplemented => b"\x01\x08\x00\x00\x5f\x09\x03501",
        })
    }
}

/// The response that opens a session: status 200 and `sec-webtransport-http3-draft: draft02`.
pub const SESSION_RESPONSE: Bytes =
    Bytes::from_static(b"\x01\x29\x00\x00\xd9\x27\x15sec-webtransport-http3-draft\x07draft02");

/// What the server's control stream begins with: its type and SETTINGS.
pub fn control_stream() -> Vec<u8> {
    let mut settings = Vec::new();
    for (id, value) in [
        (setting::QPACK_MAX_TABLE_CAPACITY, 0),
        (setting::MAX_FIELD_SECTION_SIZE, FIELD_SECTION_BYTES as u64),
        (setting::QPACK_BLOCKED_STREAMS, 0),
        (setting::ENABLE_CONNECT_PROTOCOL, 1),
        (setting::H3_DATAGRAM, 1),
        (setting::ENABLE_WEBTRANSPORT, 1),
        (setting::WEBTRANSPORT_MAX_SESSIONS, 1),
    ] {
        write_varint(&mut settings, id);
        write_varint(&mut settings, value);
    }
    let mut out = Vec::with_capacity(settings.len() + 3);
    write_varint(&mut out, stream::CONTROL);
    write_varint(&mut out, 0x04);
    write_varint(&mut out, settings.len() as u64);
    out.extend_from_slice(&settings);
    out
}

/// A DATA frame with the capsule that closes a session. A reason over the limit is cut between two characters.
pub fn close_capsule(code: u32, reason: &[u8]) -> Vec<u8> {
    let mut reason = &reason[..reason.len().min(CLOSE_REASON_BYTES)];
    while let Err(error) = std::str::from_utf8(reason) {
        reason = &reason[..error.valid_up_to()];
    }
    let mut capsule = Vec::with_capacity(16 + reason.len());
    write_varint(&mut capsule, capsule::CLOSE_WEBTRANSPORT_SESSION);
    write_varint(&mut capsule, 4 + reason.len() as u64);
    capsule.extend_from_slice(&code.to_be_bytes());
    capsule.extend_from_slice(reason);
    let mut out = Vec::with_capacity(8 + capsule.len());
    write_varint(&mut out, 0x00);
    write_varint(&mut out, capsule.len() as u64);
    out.extend_from_slice(&capsule);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_stream_is_byte_for_byte_what_browsers_look_for() {
        assert_eq!(
            control_stream(),
            [
                0x00, // control stream
                0x04, 0x19, // SETTINGS, 25 bytes
                0x01, 0x00, // no dynamic table
                0x06, 0x60, 0x00, // field sections up to 8,192 bytes
                0x07, 0x00, // no blocked streams
                0x08, 0x01, // extended CONNECT
                0x33, 0x01, // datagrams
                0xab, 0x60, 0x37, 0x42, 0x01, // WebTransport, draft 02
                0xc0, 0x00, 0x00, 0x00, 0xc6, 0x71, 0x70, 0x6a, 0x01, // WebTransport, draft 07
            ]
        );
    }

    #[test]
    fn a_close_capsule_is_byte_for_byte_that_of_the_draft() {
        assert_eq!(close_capsule(8, b"full"), b"\x00\x0b\x68\x43\x08\x00\x00\x00\x08full");
        assert_eq!(close_capsule(0, b""), b"\x00\x07\x68\x43\x04\x00\x00\x00\x00");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = "é".repeat(600);
        let capsule = close_capsule(1, &reason.as_bytes()[1..]);
        assert_eq!(&capsule[capsule.len() - 4..], [0, 0, 0, 1], "what is no UTF-8 is no reason");
        let capsule = close_capsule(1, format!("x{reason}").as_bytes());
        let text = std::str::from_utf8(&capsule[capsule.len() - 1_023..]).unwrap();
        assert!(text.starts_with('x') && text.ends_with('é'));
    }
}
