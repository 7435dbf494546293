//! Variable-length integers of QUIC (RFC 9000, section 16), read from any slicing of the bytes.
//!
//! Part of steps 1 and 6. In: bytes as they come. Out: one integer, once its last byte is there.

use bytes::{Buf, Bytes};

/// Reads one variable-length integer. Kept as raw bytes, so that it packs without padding into a stream's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VarintReader {
    /// The first `have` bytes of the integer.
    bytes: [u8; 8],
    /// How many bytes are there: fewer than the first byte's length bits ask for.
    have: u8,
}

impl VarintReader {
    /// Takes bytes from the front of `data` up to the end of the integer; `None` when more are needed.
    pub fn read(&mut self, data: &mut Bytes) -> Option<u64> {
        while !data.is_empty() {
            self.bytes[usize::from(self.have)] = data.get_u8();
            self.have += 1;
            if self.have == 1 << (self.bytes[0] >> 6) {
                return Some(self.take());
            }
        }
        None
    }

    /// Whether no byte has been read yet.
    pub const fn is_empty(&self) -> bool {
        self.have == 0
    }

    /// The integer in the bytes that are there; the reader is empty again.
    fn take(&mut self) -> u64 {
        let mut value = u64::from(self.bytes[0] & 0x3f);
        for byte in &self.bytes[1..usize::from(self.have)] {
            value = value << 8 | u64::from(*byte);
        }
        *self = Self::default();
        value
    }
}

/// Appends `value` in its shortest form. Values of 2^62 and more do not exist in QUIC; their top bits are cut.
pub fn write_varint(out: &mut Vec<u8>, value: u64) {
    let value = value & (u64::MAX >> 2);
    match value {
        0..=0x3f => out.push(value as u8),
        0x40..=0x3fff => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..=0x3fff_ffff => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_9000_are_read_whatever_the_slicing() {
        let examples: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, value) in examples {
            for cut in 0..=bytes.len() {
                let mut reader = VarintReader::default();
                let mut first = Bytes::copy_from_slice(&bytes[..cut]);
                let mut second = Bytes::copy_from_slice(&[&bytes[cut..], b"rest"].concat());
                let read = reader.read(&mut first).or_else(|| reader.read(&mut second));
                assert_eq!(read, Some(value));
                assert!(reader.is_empty());
                assert!(second.ends_with(b"rest"), "bytes after the integer are left");
            }
        }
    }

    #[test]
    fn what_is_written_is_read_again_in_the_shortest_form() {
        for (value, length) in
            [(0, 1), (0x3f, 1), (0x40, 2), (0x3fff, 2), (0x4000, 4), (0x3fff_ffff, 4), (0x4000_0000, 8)]
        {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            assert_eq!(bytes.len(), length);
            assert_eq!(VarintReader::default().read(&mut Bytes::from(bytes)), Some(value));
        }
    }
}
