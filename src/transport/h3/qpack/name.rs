//! Field names, reduced to what a server of one path has to tell apart.
//!
//! Part of step 1. In: the bytes of a name. Out: a [`Name`].

/// What a field's name means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    /// `:protocol` of an extended CONNECT
    Protocol,
    /// A pseudo-header that no request has.
    UnknownPseudo,
    /// `origin`
    Origin,
    /// `host`
    Host,
    /// `content-length`
    ContentLength,
    /// `te`: only "trailers" may follow.
    Te,
    /// A field about a hop of HTTP/1.1: forbidden (RFC 9114, section 4.2).
    ConnectionSpecific,
    /// No name at all: empty, with an upper-case letter, or with a character that no name has.
    Invalid,
    /// Any other field: its value is not looked at.
    Other,
}

impl Name {
    /// The meaning of a whole name.
    pub fn of(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            [b':', ..] => Self::UnknownPseudo,
            b"origin" => Self::Origin,
            b"host" => Self::Host,
            b"content-length" => Self::ContentLength,
            b"te" => Self::Te,
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                Self::ConnectionSpecific
            }
            [] => Self::Invalid,
            _ => Self::Other,
        }
    }

    /// Whether it is a pseudo-header: those come first.
    pub const fn is_pseudo(self) -> bool {
        matches!(
            self,
            Self::Method | Self::Scheme | Self::Authority | Self::Path | Self::Protocol | Self::UnknownPseudo
        )
    }
}

/// Longest name that [`Name::of`] knows: `transfer-encoding`.
const KNOWN_BYTES: usize = 17;

/// Collects a literal name, as far as it can still be one that matters.
#[derive(Clone, Copy, derive_more::Debug, Default)]
pub struct NameReader {
    /// The first bytes. What follows is counted only: then it is no name that matters.
    #[debug("{len} bytes")]
    bytes: [u8; KNOWN_BYTES],
    len: u32,
    invalid: bool,
}

impl NameReader {
    /// Takes the next byte.
    pub fn push(&mut self, byte: u8) {
        let pseudo_mark = byte == b':' && self.len == 0;
        self.invalid |= !pseudo_mark && !is_name_byte(byte);
        if let Some(place) = self.bytes.get_mut(self.len as usize) {
            *place = byte;
        }
        self.len = self.len.saturating_add(1);
    }

    /// Bytes of the name.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// What the name means.
    pub fn name(&self) -> Name {
        match self.bytes.get(..self.len()) {
            _ if self.invalid => Name::Invalid,
            Some(name) => Name::of(name),
            None if self.bytes[0] == b':' => Name::UnknownPseudo,
            None => Name::Other,
        }
    }
}

/// A `tchar` of RFC 9110, section 5.6.2, but no upper-case letter.
const fn is_name_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.'
        | b'^' | b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Name {
        let mut reader = NameReader::default();
        name.bytes().for_each(|byte| reader.push(byte));
        reader.name()
    }

    #[test]
    fn names_are_told_apart() {
        assert_eq!(read(":protocol"), Name::Protocol);
        assert_eq!(read("transfer-encoding"), Name::ConnectionSpecific);
        assert_eq!(read("user-agent"), Name::Other);
        assert_eq!(read(":status"), Name::UnknownPseudo);
        assert_eq!(read(":a-pseudo-header-of-some-length"), Name::UnknownPseudo);
        assert_eq!(read("transfer-encoding-of-some-length"), Name::Other);
    }

    #[test]
    fn what_is_no_name_is_invalid() {
        for name in ["", "Origin", "a b", "a:b", "x\0", "naïve", "a-long-name-whose-end-is-upper-casE"] {
            assert_eq!(read(name), Name::Invalid, "{name:?}");
        }
    }
}
