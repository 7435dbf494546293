//! Step 1 of 6: the padding of handshake packets, taken off before QUIC reads it.
//!
//! In: a decrypted Initial or Handshake packet. Out: the same frames without the padding that ends it. A client fills the
//! datagrams of its handshake to 1,200 bytes (RFC 9000, section 14.1), and quinn-proto reads padding as one frame a byte: a tenth
//! of what a session costs to open. What is left is copied, so that a short frame does not pin the datagram it came in.

use bytes::BytesMut;
use quinn_proto::crypto::{CryptoError, PacketKey};

/// A key that decrypts handshake packets and takes their padding off.
pub struct Unpadded(pub Box<dyn PacketKey>);

impl PacketKey for Unpadded {
    fn encrypt(&self, packet: u64, buffer: &mut [u8], header_len: usize) {
        self.0.encrypt(packet, buffer, header_len);
    }

    fn decrypt(&self, packet: u64, header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        self.0.decrypt(packet, header, payload)?;
        let frames = frames_bytes(payload);
        if frames < payload.len() {
            *payload = BytesMut::from(&payload[..frames]);
        }
        Ok(())
    }

    fn tag_len(&self) -> usize {
        self.0.tag_len()
    }

    fn confidentiality_limit(&self) -> u64 {
        self.0.confidentiality_limit()
    }

    fn integrity_limit(&self) -> u64 {
        self.0.integrity_limit()
    }
}

/// Length of the payload up to the padding that ends it, at least 1: an empty packet is an error, padding alone is not.
/// Everything counts where a frame cannot be read here: whether it is wrong is QUIC's to judge.
fn frames_bytes(payload: &[u8]) -> usize {
    let mut rest = payload;
    while let Some((kind, after)) = rest.split_first() {
        if *kind == PADDING {
            let padding = rest.iter().take_while(|byte| **byte == PADDING).count();
            if padding == rest.len() {
                return (payload.len() - padding).max(1);
            }
            rest = &rest[padding..];
            continue;
        }
        match skip(*kind, after) {
            Some(next) => rest = next,
            None => break,
        }
    }
    payload.len()
}

const PADDING: u8 = 0x00;
const PING: u8 = 0x01;
const ACK: u8 = 0x02;
const ACK_ECN: u8 = 0x03;
const CRYPTO: u8 = 0x06;

/// What follows a frame, of which the type has been read (RFC 9000, sections 19.2, 19.3 and 19.6).
fn skip(kind: u8, body: &[u8]) -> Option<&[u8]> {
    match kind {
        PING => Some(body),
        ACK | ACK_ECN => {
            let (_largest, body) = integer(body)?;
            let (_delay, body) = integer(body)?;
            let (ranges, body) = integer(body)?;
            let (_first, mut body) = integer(body)?;
            let counts = if kind == ACK_ECN { 3 } else { 0 };
            // Each integer takes a byte at least, so the payload's length bounds the loop.
            for _ in 0..ranges.checked_mul(2)?.checked_add(counts)? {
                body = integer(body)?.1;
            }
            Some(body)
        }
        CRYPTO => {
            let (_offset, body) = integer(body)?;
            let (length, body) = integer(body)?;
            body.get(usize::try_from(length).ok()?..)
        }
        _ => None,
    }
}

/// A variable-length integer and what follows it (RFC 9000, section 16).
fn integer(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let first = *bytes.first()?;
    let (number, rest) = bytes.split_at_checked(1 << (first >> 6))?;
    let high = u64::from(first & 0x3f);
    Some((number[1..].iter().fold(high, |value, byte| (value << 8) | u64::from(*byte)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRYPTO at offset 0 with 300 bytes that end in zeros, as a key share may.
    fn crypto() -> Vec<u8> {
        let mut frame = vec![CRYPTO, 0, 0x41, 0x2c];
        frame.extend([7; 290]);
        frame.extend([0; 10]);
        frame
    }

    fn padded(mut frames: Vec<u8>) -> Vec<u8> {
        frames.resize(1_162, PADDING);
        frames
    }

    #[test]
    fn padding_goes_and_the_frame_before_it_keeps_its_zeros() {
        assert_eq!(frames_bytes(&padded(crypto())), 304);
        assert_eq!(frames_bytes(&crypto()), 304);
    }

    #[test]
    fn every_frame_of_a_handshake_is_read_over() {
        let ack = [ACK, 0x40, 0x80, 0, 1, 0, 3, 0];
        let ack_ecn = [ACK_ECN, 5, 0, 0, 5, 1, 0, 0];
        let frames = [&[PING][..], &ack, &ack_ecn, &[PADDING; 9], &crypto(), &[PING]].concat();
        let length = frames.len();
        assert_eq!(frames_bytes(&padded(frames)), length);
    }

    #[test]
    fn padding_alone_stays_a_packet_with_something_in_it() {
        assert_eq!(frames_bytes(&[PADDING; 1_162]), 1);
        assert_eq!(frames_bytes(&[]), 0);
    }

    #[test]
    fn what_cannot_be_read_here_is_left_for_quic_to_judge() {
        let close = padded(vec![0x1c, 0, 0, 0]);
        let beyond = [CRYPTO, 0, 0x7f, 0xff, 0, 0];
        let cut = [CRYPTO, 0xc0, 0, 0];
        let endless = padded(vec![ACK, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
        for payload in [&close[..], &beyond, &cut, &endless] {
            assert_eq!(frames_bytes(payload), payload.len());
        }
    }

    /// The lengths on the way are never past the end, whatever the bytes are.
    #[test]
    fn any_bytes_give_a_length_within_them() {
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let payload: [u8; 24] = std::array::from_fn(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Mostly types and lengths that mean something.
                (state >> 60) as u8 & 0x47
            });
            let length = frames_bytes(&payload);
            assert!((1..=payload.len()).contains(&length));
            assert!(payload[length..].iter().all(|byte| *byte == PADDING));
        }
    }
}
