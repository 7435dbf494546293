//! What a virtual user writes and reads on the channel: JSON frames, and stamped frames for latency.
//!
//! A stamped frame carries when it was meant to be sent and when it was. Both clocks are this process's, so a stamp
//! of another process is not compared but sent back (round trip).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::time::Nanos;
use crate::wt::frame::{self, HEADER_BYTES};

/// Bytes of a relayed frame's payload before its padding: chat, run, kind, intended, sent.
pub const STAMP_BYTES: usize = 4 + 4 + 1 + 8 + 8;

#[derive(Serialize)]
struct Find<'a> {
    n: u32,
    mode: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    interests: &'a [String],
}

/// The first frame of a session.
pub fn hello(version: u32) -> Bytes {
    frame::encode(frame::HELLO, format!("{{\"v\":{version}}}").as_bytes())
}

/// Looks for a stranger.
pub fn find(n: u32, video: bool, interests: &[String]) -> Bytes {
    let find = Find { n, mode: if video { "video" } else { "text" }, interests };
    frame::encode(frame::FIND, &serde_json::to_vec(&find).unwrap_or_default())
}

/// Leaves the chat or the queue.
pub fn leave() -> Bytes {
    frame::encode(frame::LEAVE, b"")
}

/// MATCHED, as far as a load generator cares.
#[derive(Debug, Deserialize)]
pub struct Matched<'a> {
    /// The counter of the FIND that it answers.
    pub n: u32,
    /// The chat.
    pub chat: u32,
    /// `offerer` or `answerer`.
    pub role: &'a str,
}

/// ENDED, as far as a load generator cares.
#[derive(Debug, Deserialize)]
pub struct Ended {
    /// The chat.
    pub chat: u32,
    /// Why.
    pub why: Why,
}

/// Why a chat is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The server goes away, and the time that it had promised is over.
    Draining,
    /// Whatever else; the stranger's doing or their network's.
    #[serde(other)]
    Other,
}

/// NOTICE, as far as a load generator cares.
#[derive(Debug, Deserialize)]
pub struct Notice {
    /// What was wrong, for a program.
    pub code: String,
}

/// What a stamped frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The chat that it is sent in.
    pub chat: u32,
    /// The process that made it.
    pub run: u32,
    /// What it stands for; the scenario's own numbering.
    pub kind: u8,
    /// When it was meant to be sent.
    pub intended: Nanos,
    /// When it was sent.
    pub sent: Nanos,
}

impl Stamp {
    /// The kind of a frame that was sent back by another process.
    pub const ECHO: u8 = 0xff;

    /// A whole relayed frame with `size` payload bytes (chat number included), padded to look sealed.
    pub fn encode(&self, frame_type: u8, size: usize) -> Bytes {
        let size = size.max(STAMP_BYTES);
        let mut out = Vec::with_capacity(HEADER_BYTES + size);
        out.extend_from_slice(&(u32::from(frame_type) << 24 | size as u32).to_be_bytes());
        out.extend_from_slice(&self.chat.to_be_bytes());
        out.extend_from_slice(&self.run.to_be_bytes());
        out.push(self.kind);
        out.extend_from_slice(&self.intended.to_be_bytes());
        out.extend_from_slice(&self.sent.to_be_bytes());
        out.resize(HEADER_BYTES + size, 0xa5);
        out.into()
    }

    /// Reads the stamp of a relayed frame's payload; `None` if it is too short to have one.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (chat, rest) = payload.split_first_chunk()?;
        let (run, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first()?;
        let (intended, rest) = rest.split_first_chunk()?;
        let (sent, _) = rest.split_first_chunk()?;
        Some(Self {
            chat: u32::from_be_bytes(*chat),
            run: u32::from_be_bytes(*run),
            kind: *kind,
            intended: u64::from_be_bytes(*intended),
            sent: u64::from_be_bytes(*sent),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_from_a_frame_of_the_asked_size() {
        let stamp = Stamp { chat: 5, run: 6, kind: 7, intended: 8, sent: 9 };
        for (size, expected) in [(0, STAMP_BYTES), (100, 100)] {
            let frame = stamp.encode(frame::TEXT, size);
            assert_eq!(frame.len(), HEADER_BYTES + expected);
            assert_eq!(Stamp::decode(&frame[HEADER_BYTES..]), Some(stamp));
        }
        assert_eq!(Stamp::decode(&[0; STAMP_BYTES - 1]), None);
    }

    #[test]
    fn find_is_the_json_of_the_protocol() {
        let frame = find(7, false, &["music".into()]);
        assert_eq!(&frame[HEADER_BYTES..], br#"{"n":7,"mode":"text","interests":["music"]}"#);
        let frame = find(8, true, &[]);
        assert_eq!(&frame[HEADER_BYTES..], br#"{"n":8,"mode":"video"}"#);
    }
}
