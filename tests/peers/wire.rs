//! Bytes of HTTP/3 as clients write them, made here and not by the server's own code.

pub fn varint(value: u64) -> Vec<u8> {
    match value {
        0..=0x3f => vec![value as u8],
        0x40..=0x3fff => (value as u16 | 0x4000).to_be_bytes().to_vec(),
        0x4000..=0x3fff_ffff => (value as u32 | 0x8000_0000).to_be_bytes().to_vec(),
        _ => (value | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
    }
}

/// The integer at the front of `bytes`, and what follows it.
pub fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = 1_usize << (bytes.first()? >> 6);
    let (integer, rest) = bytes.split_at_checked(length)?;
    let first = u64::from(integer[0] & 0x3f);
    Some((integer[1..].iter().fold(first, |value, byte| value << 8 | u64::from(*byte)), rest))
}

/// A frame, or a capsule: both are type, length and payload.
pub fn frame(frame_type: u64, payload: &[u8]) -> Vec<u8> {
    [varint(frame_type), varint(payload.len() as u64), payload.to_vec()].concat()
}

/// A frame's type and length without its payload.
pub fn announce(frame_type: u64, length: u64) -> Vec<u8> {
    [varint(frame_type), varint(length)].concat()
}

pub fn data(payload: &[u8]) -> Vec<u8> {
    frame(0x00, payload)
}

/// A control stream with SETTINGS of a browser.
pub fn control() -> Vec<u8> {
    let settings = [(0x01, 0), (0x07, 0), (0x33, 1), (0x2b60_3742, 1)];
    let payload: Vec<u8> =
        settings.iter().flat_map(|(id, value)| [varint(*id), varint(*value)].concat()).collect();
    [vec![0x00], frame(0x04, &payload)].concat()
}

/// A HEADERS frame with literal fields.
pub fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        prefixed(&mut section, 0x20, 3, name.len());
        section.extend_from_slice(name.as_bytes());
        prefixed(&mut section, 0x00, 7, value.len());
        section.extend_from_slice(value.as_bytes());
    }
    frame(0x01, &section)
}

/// An integer behind a pattern of bits (RFC 7541, section 5.1).
fn prefixed(out: &mut Vec<u8>, pattern: u8, bits: u8, value: usize) {
    let mask = (1 << bits) - 1;
    if value < mask {
        return out.push(pattern | value as u8);
    }
    out.push(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A GET.
pub fn get(path: &str) -> Vec<u8> {
    headers(&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)])
}

/// The CONNECT of a session.
pub fn connect(path: &str, origin: Option<&str>) -> Vec<u8> {
    let origin = origin.map(|origin| ("origin", origin));
    connect_with(path, origin.as_slice())
}

/// The CONNECT of a session, with more fields.
pub fn connect_with(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", "CONNECT"),
        (":protocol", "webtransport"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
    ];
    fields.extend_from_slice(more);
    headers(&fields)
}

/// What a bidirectional stream of a session begins with.
pub fn channel_header(session: u64) -> Vec<u8> {
    [varint(0x41), varint(session)].concat()
}

/// A close capsule in a DATA frame.
pub fn close(code: u32, reason: &[u8]) -> Vec<u8> {
    data(&frame(0x2843, &[&code.to_be_bytes()[..], reason].concat()))
}
