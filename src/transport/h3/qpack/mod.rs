//! Field sections of QPACK (RFC 9204), decoded byte by byte with the static table only.
//!
//! Part of step 1. In: the payload of a HEADERS frame in any slicing. Out: for each field its [`Name`] and then the
//! bytes of its value, handed to a [`FieldSink`]. The decoder keeps no value and no whole name: what the sink does not
//! want, User-Agent and Accept-Language among it, passes through without ever being stored.
//!
//! The settings say that the dynamic table has no room, so a reference to it is an error of the connection.

mod huffman;
mod name;
mod static_table;

pub use name::Name;

use crate::limits::FIELD_SECTION_BYTES;
use huffman::{BadCode, HuffmanDecoder};
use name::NameReader;
use static_table::STATIC_TABLE;

/// What takes the fields of a section.
pub trait FieldSink {
    /// A field begins.
    fn begin(&mut self, name: Name);
    /// The next byte of its value.
    fn value(&mut self, byte: u8);
    /// It ends.
    fn end(&mut self);
}

/// The section cannot be decoded: an error of the connection, `QPACK_DECOMPRESSION_FAILED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecompressionFailed;

impl From<BadCode> for DecompressionFailed {
    fn from(_: BadCode) -> Self {
        Self
    }
}

/// What an integer that is being read is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    /// The insert count that the section needs: 0 without a dynamic table.
    RequiredInsertCount,
    /// The base, counted from it.
    Base,
    /// A field of the static table.
    Field,
    /// A name of the static table.
    NameIndex,
    /// The length of a name; whether it is Huffman-coded.
    NameLength(bool),
    /// The length of a value; whether it is Huffman-coded.
    ValueLength(bool),
}

/// Where the decoder stands.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the first byte.
    Start,
    /// Before the base.
    Base,
    /// Before a field.
    Field,
    /// Before a value's length.
    Value,
    /// In an integer that did not fit its first byte (RFC 7541, section 5.1).
    Integer { value: u32, shift: u8, purpose: Purpose },
    /// In a name.
    NameBytes(StringReader),
    /// In a value.
    ValueBytes(StringReader),
}

/// Where a string stands.
#[derive(Clone, Copy, Debug)]
struct StringReader {
    remaining: u32,
    huffman: Option<HuffmanDecoder>,
}

impl StringReader {
    fn new(length: u32, huffman: bool) -> Self {
        Self { remaining: length, huffman: huffman.then(HuffmanDecoder::default) }
    }

    /// Takes one coded byte; whether it was the last.
    fn push(&mut self, byte: u8, mut emit: impl FnMut(u8)) -> Result<bool, DecompressionFailed> {
        match &mut self.huffman {
            Some(huffman) => huffman.push(byte, emit)?,
            None => emit(byte),
        }
        self.remaining -= 1;
        if self.remaining > 0 {
            return Ok(false);
        }
        self.huffman.map_or(Ok(()), HuffmanDecoder::finish)?;
        Ok(true)
    }
}

/// Largest integer that is read to its end. No index is above 98, no length above the section's own.
const MAX_INTEGER: u32 = 1 << 20;

/// Decodes one field section.
#[derive(Debug)]
pub struct FieldDecoder {
    state: State,
    name: NameReader,
    /// Size of the fields so far by the measure of RFC 9114, section 4.2.2: names, values and 32 bytes a field.
    section_bytes: u32,
}

impl Default for FieldDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl FieldDecoder {
    /// A decoder at the start of a section.
    pub fn new() -> Self {
        Self { state: State::Start, name: NameReader::default(), section_bytes: 0 }
    }

    /// Takes the next bytes of the section. Once it is too large nothing more is looked at, so that what comes of it does not depend on the
    /// slicing.
    pub fn read(&mut self, bytes: &[u8], sink: &mut impl FieldSink) -> Result<(), DecompressionFailed> {
        for byte in bytes {
            if self.is_too_large() {
                break;
            }
            self.push(*byte, sink)?;
        }
        Ok(())
    }

    /// The section ends here.
    pub fn finish(&self) -> Result<(), DecompressionFailed> {
        if matches!(self.state, State::Field) { Ok(()) } else { Err(DecompressionFailed) }
    }

    /// Whether the fields so far are more than the server told the client to send.
    pub fn is_too_large(&self) -> bool {
        self.section_bytes as usize > FIELD_SECTION_BYTES
    }

    fn push(&mut self, byte: u8, sink: &mut impl FieldSink) -> Result<(), DecompressionFailed> {
        match self.state {
            State::Start => self.begin_integer(byte, 8, Purpose::RequiredInsertCount, sink),
            // A negative base has no meaning without a dynamic table.
            State::Base if byte & 0x80 != 0 => Err(DecompressionFailed),
            State::Base => self.begin_integer(byte, 7, Purpose::Base, sink),
            State::Field => self.begin_field(byte, sink),
            State::Value => self.begin_integer(byte, 7, Purpose::ValueLength(byte & 0x80 != 0), sink),
            State::Integer { value, shift, purpose } => {
                let value = u32::from(byte & 0x7f)
                    .checked_shl(u32::from(shift))
                    .unwrap_or(u32::MAX)
                    .saturating_add(value);
                if value > MAX_INTEGER || shift > 21 {
                    return Err(DecompressionFailed);
                }
                if byte & 0x80 == 0 {
                    return self.integer(value, purpose, sink);
                }
                self.state = State::Integer { value, shift: shift + 7, purpose };
                Ok(())
            }
            State::NameBytes(mut string) => {
                let last = string.push(byte, |byte| self.name.push(byte))?;
                self.state = State::NameBytes(string);
                if last {
                    self.name_done(sink);
                }
                Ok(())
            }
            State::ValueBytes(mut string) => {
                let section_bytes = &mut self.section_bytes;
                let last = string.push(byte, |byte| {
                    *section_bytes = section_bytes.saturating_add(1);
                    sink.value(byte);
                })?;
                self.state = State::ValueBytes(string);
                if last {
                    self.field_done(sink);
                }
                Ok(())
            }
        }
    }

    /// The first byte of a field says its form (RFC 9204, section 4.5).
    fn begin_field(&mut self, byte: u8, sink: &mut impl FieldSink) -> Result<(), DecompressionFailed> {
        match byte {
            0xc0.. => self.begin_integer(byte, 6, Purpose::Field, sink),
            0x50..0x60 | 0x70..0x80 => self.begin_integer(byte, 4, Purpose::NameIndex, sink),
            0x20..0x40 => self.begin_integer(byte, 3, Purpose::NameLength(byte & 0x08 != 0), sink),
            // Everything else points into the dynamic table.
            _ => Err(DecompressionFailed),
        }
    }

    /// Reads an integer whose first byte holds `prefix_bits` of it.
    fn begin_integer(
        &mut self,
        byte: u8,
        prefix_bits: u8,
        purpose: Purpose,
        sink: &mut impl FieldSink,
    ) -> Result<(), DecompressionFailed> {
        let mask = (1_u16 << prefix_bits) - 1;
        let value = u32::from(byte) & u32::from(mask);
        if value < u32::from(mask) {
            return self.integer(value, purpose, sink);
        }
        self.state = State::Integer { value, shift: 0, purpose };
        Ok(())
    }

    fn integer(
        &mut self,
        value: u32,
        purpose: Purpose,
        sink: &mut impl FieldSink,
    ) -> Result<(), DecompressionFailed> {
        match purpose {
            Purpose::RequiredInsertCount if value > 0 => return Err(DecompressionFailed),
            Purpose::RequiredInsertCount => self.state = State::Base,
            Purpose::Base => self.state = State::Field,
            Purpose::Field => {
                let (name, text) = STATIC_TABLE.get(value as usize).ok_or(DecompressionFailed)?;
                self.begin_value(Name::of(name.as_bytes()), name.len(), sink);
                text.bytes().for_each(|byte| sink.value(byte));
                self.section_bytes = self.section_bytes.saturating_add(text.len() as u32);
                self.field_done(sink);
            }
            Purpose::NameIndex => {
                let (name, _) = STATIC_TABLE.get(value as usize).ok_or(DecompressionFailed)?;
                self.begin_value(Name::of(name.as_bytes()), name.len(), sink);
            }
            Purpose::NameLength(huffman) => {
                self.name = NameReader::default();
                self.state = State::NameBytes(StringReader::new(value, huffman));
                if value == 0 {
                    self.name_done(sink);
                }
            }
            Purpose::ValueLength(huffman) => {
                self.state = State::ValueBytes(StringReader::new(value, huffman));
                if value == 0 {
                    self.field_done(sink);
                }
            }
        }
        Ok(())
    }

    fn name_done(&mut self, sink: &mut impl FieldSink) {
        self.begin_value(self.name.name(), self.name.len(), sink);
    }

    fn begin_value(&mut self, name: Name, name_bytes: usize, sink: &mut impl FieldSink) {
        self.section_bytes = self.section_bytes.saturating_add(name_bytes as u32 + 32);
        sink.begin(name);
        self.state = State::Value;
    }

    fn field_done(&mut self, sink: &mut impl FieldSink) {
        sink.end();
        self.state = State::Field;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Collected(Vec<(Option<Name>, String)>);

    impl FieldSink for Collected {
        fn begin(&mut self, name: Name) {
            self.0.push((Some(name), String::new()));
        }
        fn value(&mut self, byte: u8) {
            self.0.last_mut().unwrap().1.push(byte as char);
        }
        fn end(&mut self) {}
    }

    fn decode(bytes: &[u8]) -> Result<Vec<(Name, String)>, DecompressionFailed> {
        let (mut decoder, mut sink) = (FieldDecoder::new(), Collected::default());
        decoder.read(bytes, &mut sink)?;
        decoder.finish()?;
        Ok(sink.0.into_iter().map(|(name, value)| (name.unwrap(), value)).collect())
    }

    #[test]
    fn every_form_of_a_field_is_read() {
        // Indexed; name of the static table with a plain and a Huffman value; literal name, plain and Huffman.
        let mut bytes = vec![0, 0, 0xc0 | 15, 0x50, 1, b'a', 0x51, 0x82, 0x64, 0x02];
        bytes.extend(b"\x27\x02:protocol\x03abc\x2f\x01\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x00");
        assert_eq!(
            decode(&bytes).unwrap(),
            [
                (Name::Method, "CONNECT".into()),
                (Name::Authority, "a".into()),
                (Name::Path, "302".into()),
                (Name::Protocol, "abc".into()),
                (Name::Other, String::new()),
            ]
        );
    }

    #[test]
    fn an_index_that_does_not_fit_its_first_byte_is_read() {
        assert_eq!(decode(&[0, 0, 0xff, 98 - 63]).unwrap(), [(Name::Other, "sameorigin".into())]);
        assert_eq!(decode(&[0, 0, 0xff, 99 - 63]), Err(DecompressionFailed), "one past the table");
        assert_eq!(decode(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(DecompressionFailed));
    }

    #[test]
    fn references_to_the_dynamic_table_fail() {
        for bytes in [&[1, 0][..], &[0, 0x80], &[0, 0, 0x80], &[0, 0, 0x40], &[0, 0, 0x10], &[0, 0, 0x00]] {
            assert_eq!(decode(bytes), Err(DecompressionFailed), "{bytes:?}");
        }
    }

    #[test]
    fn a_section_that_ends_within_a_field_fails() {
        let whole = [0, 0, 0x51, 0x03, b'/', b'v', b'1'];
        decode(&whole).unwrap();
        for length in (0..whole.len()).filter(|length| *length != 2) {
            assert_eq!(decode(&whole[..length]), Err(DecompressionFailed), "{length}");
        }
    }

    #[test]
    fn a_small_section_that_unfolds_to_a_large_one_is_noticed() {
        let (mut decoder, mut sink) = (FieldDecoder::new(), Collected::default());
        decoder.read(&[0, 0], &mut sink).unwrap();
        for _ in 0..100 {
            assert!(!decoder.is_too_large());
            decoder.read(&[0xc0 | 31], &mut sink).unwrap();
        }
        decoder.read(&[0xc0 | 31; 100], &mut sink).unwrap();
        assert!(decoder.is_too_large(), "200 bytes that stand for 12,800");
    }
}
