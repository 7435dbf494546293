//! The head of a request: from fields to a verdict.
//!
//! Part of step 1. In: fields from the QPACK decoder. Out: a [`Verdict`]. Each value is judged when it ends and only the
//! judgement is kept; values of fields that do not matter here never reach a buffer at all.

use super::policy::Policy;
use super::qpack::{FieldSink, Name};
use super::response::Status;
use crate::limits::FIELD_VALUE_BYTES;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It breaks RFC 9114, section 4: a stream error.
    Malformed,
    /// It opens a session.
    Session,
    /// A CONNECT that is refused: answered at once, since its stream would stay open.
    RefusedConnect(Status),
    /// Any other request: answered when it has ended.
    Refused(Status),
}

/// What is known of a request. The bits of `seen` are names.
#[derive(derive_more::Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a judgement of its own.
pub struct Head {
    seen: u16,
    regular_seen: bool,
    malformed: bool,
    connect: bool,
    https: bool,
    our_path: bool,
    webtransport: bool,
    origin_allowed: bool,
    content_length: u64,
    /// Hashes of `:authority` and `host`, which have to be equal.
    authority: u64,
    host: u64,
    /// The field that is being read, its value if it is one to look at, and the value's length.
    name: Name,
    #[debug("{value_bytes} bytes")]
    value: [u8; FIELD_VALUE_BYTES],
    value_bytes: usize,
    hash: u64,
}

/// Start of the FNV-1a hash.
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

impl Head {
    /// A head without fields.
    pub fn new() -> Self {
        Self {
            seen: 0,
            regular_seen: false,
            malformed: false,
            connect: false,
            https: false,
            our_path: false,
            webtransport: false,
            origin_allowed: false,
            content_length: 0,
            authority: 0,
            host: 0,
            name: Name::Other,
            value: [0; FIELD_VALUE_BYTES],
            value_bytes: 0,
            hash: 0,
        }
    }

    /// The length that the request says its content has.
    pub fn content_length(&self) -> Option<u64> {
        self.has(Name::ContentLength).then_some(self.content_length)
    }

    /// What becomes of the request, once all fields are there.
    pub fn verdict(&self, policy: &Policy) -> Verdict {
        if self.malformed || !self.has(Name::Method) {
            return Verdict::Malformed;
        }
        if self.connect && !self.has(Name::Protocol) {
            // A tunnel to somewhere else (RFC 9114, section 4.4).
            let plain = self.has(Name::Authority) && !self.has(Name::Scheme) && !self.has(Name::Path);
            return if plain { Verdict::RefusedConnect(Status::NotImplemented) } else { Verdict::Malformed };
        }
        let authority = self.has(Name::Authority) || self.has(Name::Host);
        let complete = self.has(Name::Scheme) && self.has(Name::Path) && (authority || !self.https);
        let contradicts = self.has(Name::Authority) && self.has(Name::Host) && self.authority != self.host;
        if !complete || contradicts {
            return Verdict::Malformed;
        }
        if !self.connect {
            // ":protocol" belongs to CONNECT alone (RFC 8441, section 4).
            return if self.has(Name::Protocol) {
                Verdict::Malformed
            } else {
                Verdict::Refused(Status::NotFound)
            };
        }
        self.extended_connect(policy)
    }

    fn extended_connect(&self, policy: &Policy) -> Verdict {
        let origin_allowed =
            if self.has(Name::Origin) { self.origin_allowed } else { policy.allow_missing_origin };
        if !self.has(Name::Authority) || self.has(Name::ContentLength) {
            Verdict::Malformed
        } else if !self.webtransport {
            Verdict::RefusedConnect(Status::NotImplemented)
        } else if !self.https || !self.our_path {
            Verdict::RefusedConnect(Status::NotFound)
        } else if !origin_allowed {
            Verdict::RefusedConnect(Status::Forbidden)
        } else {
            Verdict::Session
        }
    }

    fn has(&self, name: Name) -> bool {
        self.seen & bit(name) != 0
    }

    fn begin(&mut self, name: Name) {
        let repeated = self.has(name) && !matches!(name, Name::Other | Name::ContentLength | Name::Te);
        let late = name.is_pseudo() && self.regular_seen;
        let forbidden = matches!(name, Name::UnknownPseudo | Name::ConnectionSpecific | Name::Invalid);
        self.malformed |= repeated || late || forbidden;
        self.regular_seen |= !name.is_pseudo();
        (self.name, self.value_bytes, self.hash) = (name, 0, HASH_START);
    }

    fn push(&mut self, byte: u8) {
        // Characters that no field value may have (RFC 9110, section 5.5).
        self.malformed |= matches!(byte, b'\0' | b'\r' | b'\n');
        match self.name {
            Name::Authority | Name::Host => {
                self.malformed |= byte == b'@';
                self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                self.value_bytes += 1;
            }
            Name::Method
            | Name::Scheme
            | Name::Path
            | Name::Protocol
            | Name::Origin
            | Name::ContentLength
            | Name::Te => {
                if let Some(place) = self.value.get_mut(self.value_bytes) {
                    *place = byte;
                }
                self.value_bytes += 1;
            }
            Name::UnknownPseudo | Name::ConnectionSpecific | Name::Invalid | Name::Other => {}
        }
    }

    fn end(&mut self, policy: &Policy) {
        // A value that did not fit is none that anything here equals.
        let value = self.value.get(..self.value_bytes);
        let first_time = self.seen & bit(self.name) == 0;
        match self.name {
            Name::Method => self.connect = value == Some(b"CONNECT"),
            Name::Scheme => self.https = value.is_some_and(|value| value.eq_ignore_ascii_case(b"https")),
            Name::Path => {
                self.our_path = value == Some(policy.path.as_bytes());
                self.malformed |= self.value[0] != b'/' && value != Some(b"*");
            }
            Name::Protocol => self.webtransport = value == Some(b"webtransport"),
            Name::Origin => self.origin_allowed = value.is_some_and(|value| policy.allows(value)),
            Name::Authority => self.authority = self.hash,
            Name::Host => self.host = self.hash,
            Name::Te => self.malformed |= value != Some(b"trailers"),
            Name::ContentLength => match value.and_then(decimal) {
                Some(length) if first_time || length == self.content_length => self.content_length = length,
                _ => self.malformed = true,
            },
            Name::UnknownPseudo | Name::ConnectionSpecific | Name::Invalid | Name::Other => {}
        }
        self.malformed |= self.value_bytes == 0 && self.name.is_pseudo();
        self.seen |= bit(self.name);
    }
}

const fn bit(name: Name) -> u16 {
    1 << name as u16
}

/// A number in decimal digits and nothing else.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Takes the fields of a head.
pub struct HeadSink<'a> {
    /// Where the judgements go.
    pub head: &'a mut Head,
    /// What values are compared with.
    pub policy: &'a Policy,
}

impl FieldSink for HeadSink<'_> {
    fn begin(&mut self, name: Name) {
        self.head.begin(name);
    }
    fn value(&mut self, byte: u8) {
        self.head.push(byte);
    }
    fn end(&mut self) {
        self.head.end(self.policy);
    }
}

/// Takes the fields after the content, of which only the form matters.
#[derive(Debug, Default)]
pub struct Trailers {
    /// Whether a field is there that must not be.
    pub malformed: bool,
}

impl FieldSink for Trailers {
    fn begin(&mut self, name: Name) {
        self.malformed |= name.is_pseudo() || matches!(name, Name::ConnectionSpecific | Name::Invalid);
    }
    fn value(&mut self, byte: u8) {
        self.malformed |= matches!(byte, b'\0' | b'\r' | b'\n');
    }
    fn end(&mut self) {}
}
