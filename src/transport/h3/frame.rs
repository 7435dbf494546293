//! HTTP/3 frames (RFC 9114, section 7), read from any slicing of a stream's bytes without collecting a payload.
//!
//! Part of steps 1 and 6. In: the bytes of a stream. Out: headers of frames, then their payload piece by piece.
//! The payload of a frame of an unknown type is skipped here, whatever its length: readers see its header only.

use bytes::{Buf, Bytes};

use super::Fault;
use super::codes::{error, stream};
use super::varint::VarintReader;

/// The frames of RFC 9114 that a client may send somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Content of a request; capsules on the CONNECT stream.
    Data,
    /// A field section.
    Headers,
    /// Which push the client does not want.
    CancelPush,
    /// The client's settings.
    Settings,
    /// The client is leaving.
    Goaway,
    /// How many pushes the client takes.
    MaxPushId,
    /// An extension's frame: skipped.
    Unknown,
}

impl FrameKind {
    /// What a type means; types that no client may send anywhere end the connection (RFC 9114, sections 7.2.5 and 7.2.8).
    fn of_type(frame_type: u64) -> Result<Self, Fault> {
        match frame_type {
            0x00 => Ok(Self::Data),
            0x01 => Ok(Self::Headers),
            0x03 => Ok(Self::CancelPush),
            0x04 => Ok(Self::Settings),
            0x07 => Ok(Self::Goaway),
            0x0d => Ok(Self::MaxPushId),
            0x05 => Err(Fault::connection(error::FRAME_UNEXPECTED, "PUSH_PROMISE from a client")),
            0x02 | 0x06 | 0x08 | 0x09 => {
                Err(Fault::connection(error::FRAME_UNEXPECTED, "a frame type of HTTP/2"))
            }
            stream::WEBTRANSPORT_BIDI => {
                Err(Fault::connection(error::FRAME_ERROR, "WEBTRANSPORT_STREAM after the start of a stream"))
            }
            _ => Ok(Self::Unknown),
        }
    }
}

/// A 64-bit number without alignment, so that a stream's state packs tightly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed([u8; 8]);

impl Packed {
    /// Packs a number.
    pub const fn new(value: u64) -> Self {
        Self(value.to_ne_bytes())
    }

    /// The number.
    pub const fn get(self) -> u64 {
        u64::from_ne_bytes(self.0)
    }
}

/// What a [`FrameReader`] found next.
#[derive(derive_more::Debug, PartialEq, Eq)]
pub enum FramePart {
    /// A frame begins; its payload has this many bytes.
    Header(FrameKind, u64),
    /// The next bytes of its payload; `last` when none follow. An empty payload gives one empty, last part.
    Payload(FrameKind, #[debug("{} bytes", _1.len())] Bytes, /* last */ bool),
}

/// Where a stream stands between and within frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameReader {
    /// In a frame's type.
    Type(VarintReader),
    /// In its length.
    Length(FrameKind, VarintReader),
    /// In its payload, of which this many bytes are to come.
    Payload(FrameKind, Packed),
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::Type(VarintReader::default())
    }
}

impl FrameReader {
    /// A reader whose frame's type was read by somebody else.
    pub fn after_type(frame_type: u64) -> Result<Self, Fault> {
        Ok(Self::Length(FrameKind::of_type(frame_type)?, VarintReader::default()))
    }

    /// The next part of the stream, taken from the front of `data`; `None` when all of it is used up.
    pub fn next(&mut self, data: &mut Bytes) -> Result<Option<FramePart>, Fault> {
        loop {
            match self {
                Self::Type(reader) => {
                    let Some(frame_type) = reader.read(data) else { return Ok(None) };
                    *self = Self::after_type(frame_type)?;
                }
                Self::Length(kind, reader) => {
                    let kind = *kind;
                    let Some(length) = reader.read(data) else { return Ok(None) };
                    *self = Self::Payload(kind, Packed::new(length));
                    return Ok(Some(FramePart::Header(kind, length)));
                }
                Self::Payload(kind, remaining) => {
                    let (kind, remaining) = (*kind, remaining.get());
                    if data.is_empty() && remaining > 0 {
                        return Ok(None);
                    }
                    let length = usize::try_from(remaining).unwrap_or(usize::MAX).min(data.len());
                    let left = remaining - length as u64;
                    *self = if left == 0 { Self::default() } else { Self::Payload(kind, Packed::new(left)) };
                    if kind == FrameKind::Unknown {
                        data.advance(length);
                    } else {
                        return Ok(Some(FramePart::Payload(kind, data.split_to(length), left == 0)));
                    }
                }
            }
        }
    }

    /// Whether the stream stands between two frames: the only place where it may end (RFC 9114, section 7.1).
    pub const fn is_between_frames(&self) -> bool {
        matches!(self, Self::Type(reader) if reader.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(bytes: &'static [u8]) -> Vec<FramePart> {
        let (mut reader, mut data, mut out) = (FrameReader::default(), Bytes::from_static(bytes), Vec::new());
        while let Some(part) = reader.next(&mut data).unwrap() {
            out.push(part);
        }
        assert!(reader.is_between_frames());
        out
    }

    #[test]
    fn frames_come_as_headers_and_payload_without_copies() {
        use FrameKind::{Data, Goaway};
        assert_eq!(
            parts(b"\x00\x03abc\x07\x00"),
            [
                FramePart::Header(Data, 3),
                FramePart::Payload(Data, Bytes::from_static(b"abc"), true),
                FramePart::Header(Goaway, 0),
                FramePart::Payload(Goaway, Bytes::new(), true),
            ]
        );
    }

    #[test]
    fn reserved_frames_are_skipped_whatever_their_length() {
        use FrameKind::Unknown;
        assert_eq!(
            parts(b"\x21\x04skip\x40\x5f\x00"),
            [FramePart::Header(Unknown, 4), FramePart::Header(Unknown, 0)]
        );
        let mut reader = FrameReader::default();
        let mut header = Bytes::from_static(b"\x21\xff\xff\xff\xff\xff\xff\xff\xff");
        assert_eq!(reader.next(&mut header).unwrap(), Some(FramePart::Header(Unknown, u64::MAX >> 2)));
        for _ in 0..100 {
            let mut data = Bytes::from_static(&[0; 1000]);
            assert_eq!(reader.next(&mut data).unwrap(), None);
            assert!(data.is_empty(), "consumed, not collected");
        }
    }

    #[test]
    fn a_stream_state_is_small() {
        assert!(size_of::<FrameReader>() <= 12);
    }
}
