//! Capsules: any slicing gives the same result.

use anoncam::transport::h3::Fault;
use anoncam::transport::h3::capsule::{CapsuleReader, CloseCapsule};
use bytes::Bytes;

use super::Input;

/// The first byte sets the slicing, the rest is the content of the CONNECT stream.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let slice = usize::from(input.byte()) + 1;
    let whole = read([input.0].into_iter());
    assert_eq!(read(input.0.chunks(slice)), whole);
    assert_eq!(read(input.0.chunks(1)), whole);
}

fn read<'a>(slices: impl Iterator<Item = &'a [u8]>) -> Result<Option<CloseCapsule>, Fault> {
    let mut reader = CapsuleReader::default();
    for slice in slices {
        if let Some(close) = reader.read(&mut Bytes::copy_from_slice(slice))? {
            assert!(close.reason.len() <= anoncam::limits::CLOSE_REASON_BYTES);
            assert!(std::str::from_utf8(&close.reason).is_ok());
            return Ok(Some(close));
        }
    }
    Ok(None)
}
