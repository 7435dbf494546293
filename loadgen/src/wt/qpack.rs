//! QPACK without a dynamic table: the CONNECT request, and the status of the response.
//!
//! In: authority, path and origin, or a response's field section. Out: bytes, or the status code. RFC 9204.

/// Entries of the static table (RFC 9204 appendix A) that a request uses by name or whole.
const STATIC_AUTHORITY: u64 = 0;
const STATIC_PATH: u64 = 1;
const STATIC_METHOD_CONNECT: u64 = 15;
const STATIC_SCHEME_HTTPS: u64 = 23;
const STATIC_ORIGIN: u64 = 90;
/// Static entries whose name is `:status`, with their values.
const STATIC_STATUS: &[(u64, u16)] = &[
    (24, 103),
    (25, 200),
    (26, 304),
    (27, 404),
    (28, 503),
    (63, 100),
    (64, 204),
    (65, 206),
    (66, 302),
    (67, 400),
    (68, 403),
    (69, 421),
    (70, 425),
    (71, 500),
];

/// The field section of an extended CONNECT for WebTransport.
pub fn connect_request(authority: &str, path: &str, origin: &str) -> Vec<u8> {
    // Required insert count 0, base 0: nothing refers to a dynamic table.
    let mut out = vec![0, 0];
    put_integer(&mut out, 0b1100_0000, 6, STATIC_METHOD_CONNECT);
    put_integer(&mut out, 0b1100_0000, 6, STATIC_SCHEME_HTTPS);
    put_with_static_name(&mut out, STATIC_AUTHORITY, authority);
    put_with_static_name(&mut out, STATIC_PATH, path);
    put_literal(&mut out, ":protocol", "webtransport");
    put_literal(&mut out, "sec-webtransport-http3-draft02", "1");
    put_with_static_name(&mut out, STATIC_ORIGIN, origin);
    out
}

/// The status of a response, if its field section can be read without a dynamic table.
pub fn response_status(section: &[u8]) -> Option<u16> {
    let mut rest = section;
    if take_integer(&mut rest, 8)? != 0 {
        return None;
    }
    take_integer(&mut rest, 7)?;
    while let Some(first) = rest.first().copied() {
        if first & 0x80 != 0 {
            // Indexed field line.
            let index = take_integer(&mut rest, 6)?;
            if let Some(status) = static_status(index).filter(|_| first & 0x40 != 0) {
                return Some(status);
            }
        } else if first & 0x40 != 0 {
            // Literal field line with name reference.
            let index = take_integer(&mut rest, 4)?;
            let (huffman, value) = take_string(&mut rest, 7)?;
            if first & 0x10 != 0 && static_status(index).is_some() {
                return digits(huffman, value);
            }
        } else if first & 0x20 != 0 {
            // Literal field line with literal name; no server spells out `:status` with Huffman coding.
            let (huffman, name) = take_string(&mut rest, 3)?;
            let is_status = !huffman && name == b":status";
            let (huffman, value) = take_string(&mut rest, 7)?;
            if is_status {
                return digits(huffman, value);
            }
        } else {
            return None;
        }
    }
    None
}

fn static_status(index: u64) -> Option<u16> {
    STATIC_STATUS.iter().find(|(entry, _)| *entry == index).map(|(_, status)| *status)
}

fn put_with_static_name(out: &mut Vec<u8>, name: u64, value: &str) {
    put_integer(out, 0b0101_0000, 4, name);
    put_integer(out, 0, 7, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

fn put_literal(out: &mut Vec<u8>, name: &str, value: &str) {
    put_integer(out, 0b0010_0000, 3, name.len() as u64);
    out.extend_from_slice(name.as_bytes());
    put_integer(out, 0, 7, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

/// A prefixed integer (RFC 7541 section 5.1): `bits` of the first byte, then seven bits a byte.
fn put_integer(out: &mut Vec<u8>, pattern: u8, bits: u32, value: u64) {
    let max = (1u64 << bits) - 1;
    if value < max {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | max as u8);
    let mut rest = value - max;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn take_integer(bytes: &mut &[u8], bits: u32) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    let max = (1u64 << bits) - 1;
    let mut value = u64::from(*first) & max;
    if value < max {
        return Some(value);
    }
    for shift in (0..56).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A string literal whose length has a prefix of `bits` and whose Huffman flag is the bit above.
fn take_string<'a>(bytes: &mut &'a [u8], bits: u32) -> Option<(bool, &'a [u8])> {
    let huffman = bytes.first()? & (1 << bits) != 0;
    let length = take_integer(bytes, bits)?;
    let (string, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some((huffman, string))
}

/// A three-digit number, plain or in the Huffman code of RFC 7541 appendix B (0 to 2: five bits, 3 to 9: six).
fn digits(huffman: bool, value: &[u8]) -> Option<u16> {
    if !huffman {
        return std::str::from_utf8(value).ok()?.parse().ok();
    }
    let total = value.len() * 8;
    let bit = |at: usize| u16::from(at < total && value[at / 8] >> (7 - at % 8) & 1 == 1);
    let code = |at: usize, length: usize| (at..at + length).fold(0, |code, at| code << 1 | bit(at));
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let digit = if code(at, 5) <= 2 {
            at += 5;
            code(at - 5, 5)
        } else {
            at += 6;
            code(at - 6, 6).checked_sub(0b01_1001)? + 3
        };
        if digit > 9 || at > total {
            return None;
        }
        number = number * 10 + digit;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_static_and_literal_only() {
        let request = connect_request("127.0.0.1:4433", "/v1", "http://127.0.0.1:8080");
        assert_eq!(&request[..4], &[0, 0, 0xcf, 0xd7]);
        assert_eq!(&request[4..6], &[0x50, 14]);
        assert!(request.windows(12).any(|window| window == b"webtransport"));
    }

    #[test]
    fn the_status_is_found_in_every_form() {
        assert_eq!(response_status(&[0, 0, 0xd9]), Some(200));
        assert_eq!(response_status(&[0, 0, 0xff, 68 - 63]), Some(403));
        assert_eq!(response_status(&[0, 0, 0x5f, 24 - 15, 3, b'4', b'2', b'9']), Some(429));
        // "200" in Huffman code: 00010 00000 00000 and a padding bit.
        assert_eq!(response_status(&[0, 0, 0x5f, 24 - 15, 0x82, 0b0001_0000, 0b0000_0001]), Some(200));
        // "429": 011010 00010 011111 and padding.
        assert_eq!(
            response_status(&[0, 0, 0x5f, 24 - 15, 0x83, 0b0110_1000, 0b0100_1111, 0b1111_1111]),
            Some(429)
        );
        let mut literal = vec![0, 0, 0x27, 0];
        literal.extend_from_slice(b":status");
        literal.extend_from_slice(&[3, b'2', b'0', b'0']);
        assert_eq!(response_status(&literal), Some(200));
    }

    #[test]
    fn a_broken_section_has_no_status() {
        assert_eq!(response_status(&[]), None);
        assert_eq!(response_status(&[0, 0]), None);
        assert_eq!(response_status(&[0, 0, 0x5f]), None);
        assert_eq!(response_status(&[2, 0, 0xd9]), None);
    }
}
