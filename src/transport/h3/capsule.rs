//! Capsules on the CONNECT stream (RFC 9297, section 3), read from any slicing.
//!
//! Part of step 6. In: the content of the CONNECT stream's DATA frames. Out: the close capsule. All others are
//! skipped as they come, whatever their length; what is held is at most the reason of a close capsule.

use bytes::{Buf, Bytes};

use super::Fault;
use super::codes::{capsule, error};
use super::frame::Packed;
use super::varint::VarintReader;
use crate::limits::CLOSE_REASON_BYTES;

/// The peer closes the session.
#[derive(Clone, derive_more::Debug, PartialEq, Eq)]
pub struct CloseCapsule {
    /// The application's code.
    pub code: u32,
    /// The application's reason: UTF-8, at most 1,024 bytes.
    #[debug("{} bytes", reason.len())]
    pub reason: Bytes,
}

/// A close capsule that is being read.
#[derive(derive_more::Debug)]
pub struct CloseReader {
    expected: usize,
    #[debug("{} bytes", bytes.len())]
    bytes: Vec<u8>,
}

/// Where the stream stands between and within capsules.
#[derive(Debug)]
pub enum CapsuleReader {
    /// In a capsule's type.
    Type(VarintReader),
    /// In its length; whether it is a close capsule.
    Length(bool, VarintReader),
    /// In a capsule to skip, of which this many bytes are to come.
    Skip(Packed),
    /// In a close capsule. The only state that holds memory, and only while it lasts.
    Close(Box<CloseReader>),
}

impl Default for CapsuleReader {
    fn default() -> Self {
        Self::Type(VarintReader::default())
    }
}

impl CapsuleReader {
    /// Takes bytes from the front of `data` until a close capsule is whole or all of it is used up.
    pub fn read(&mut self, data: &mut Bytes) -> Result<Option<CloseCapsule>, Fault> {
        loop {
            match self {
                Self::Type(reader) => {
                    let Some(capsule_type) = reader.read(data) else { return Ok(None) };
                    let close = capsule_type == capsule::CLOSE_WEBTRANSPORT_SESSION;
                    *self = Self::Length(close, VarintReader::default());
                }
                Self::Length(close, reader) => {
                    let close = *close;
                    let Some(length) = reader.read(data) else { return Ok(None) };
                    *self = if close { Self::close(length)? } else { Self::Skip(Packed::new(length)) };
                }
                Self::Skip(remaining) => {
                    let length = usize::try_from(remaining.get()).unwrap_or(usize::MAX).min(data.len());
                    data.advance(length);
                    let left = remaining.get() - length as u64;
                    if left > 0 {
                        *remaining = Packed::new(left);
                        return Ok(None);
                    }
                    *self = Self::default();
                }
                Self::Close(close) => {
                    let length = (close.expected - close.bytes.len()).min(data.len());
                    close.bytes.extend_from_slice(&data.split_to(length));
                    if close.bytes.len() < close.expected {
                        return Ok(None);
                    }
                    let bytes = Bytes::from(std::mem::take(&mut close.bytes));
                    *self = Self::default();
                    return closed(bytes).map(Some);
                }
            }
        }
    }

    /// Whether the stream stands between two capsules: the only place where it may end (RFC 9297, section 3.3).
    pub const fn is_between_capsules(&self) -> bool {
        matches!(self, Self::Type(reader) if reader.is_empty())
    }

    fn close(length: u64) -> Result<Self, Fault> {
        match usize::try_from(length) {
            Ok(expected @ 4..) if expected <= 4 + CLOSE_REASON_BYTES => {
                Ok(Self::Close(Box::new(CloseReader { expected, bytes: Vec::with_capacity(expected) })))
            }
            _ => Err(Fault::Stream(error::MESSAGE_ERROR)),
        }
    }
}

fn closed(mut bytes: Bytes) -> Result<CloseCapsule, Fault> {
    let code = bytes.get_u32();
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(CloseCapsule { code, reason: bytes }),
        Err(_) => Err(Fault::Stream(error::MESSAGE_ERROR)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<CloseCapsule>, Fault> {
        CapsuleReader::default().read(&mut Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn a_close_capsule_says_code_and_reason() {
        let close = read(b"\x68\x43\x07\x00\x00\x01\x02bye").unwrap().unwrap();
        assert_eq!(close, CloseCapsule { code: 0x102, reason: Bytes::from_static(b"bye") });
        assert_eq!(read(b"\x68\x43\x04\x00\x00\x00\x00").unwrap().unwrap().reason, "");
    }

    #[test]
    fn capsules_that_mean_nothing_here_are_skipped() {
        let close =
            read(b"\x80\x00\x78\xae\x00\x00\x02xx\x21\x00\x68\x43\x04\x00\x00\x00\x05").unwrap().unwrap();
        assert_eq!(close.code, 5);
    }

    #[test]
    fn a_capsule_as_long_as_can_be_is_skipped_without_a_buffer() {
        let mut reader = CapsuleReader::default();
        assert_eq!(
            reader.read(&mut Bytes::from_static(b"\x21\xff\xff\xff\xff\xff\xff\xff\xff")).unwrap(),
            None
        );
        for _ in 0..100 {
            assert_eq!(reader.read(&mut Bytes::from_static(&[0x28; 1_000])).unwrap(), None);
        }
        assert!(matches!(reader, CapsuleReader::Skip(_)));
        assert!(size_of::<CapsuleReader>() <= 16);
    }

    #[test]
    fn reasons_that_are_too_long_too_short_or_no_text_are_refused() {
        let error = Err(Fault::Stream(error::MESSAGE_ERROR));
        assert_eq!(read(b"\x68\x43\x44\x05"), error, "1,029 bytes: a reason of 1,025");
        assert!(read(b"\x68\x43\x44\x04").unwrap().is_none(), "a reason of 1,024 may come");
        assert_eq!(read(b"\x68\x43\x03\x00\x00\x00"), error);
        assert_eq!(read(b"\x68\x43\x05\x00\x00\x00\x00\xff"), error);
    }
}
