//! Steps 2 to 6: what the server says in JSON (PROTOCOL.md section 4), each as a whole frame.

use bytes::Bytes;
use serde::Serialize;

use super::frame::{ServerKind, encode};
use super::ice::IceServer;
use super::io::ChatId;
use super::pairing::Mode;
use super::token::Token;
use crate::limits::WORK_RETRY_MS;

/// Which of the two makes the first offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Speaks first.
    Offerer,
    /// Answers.
    Answerer,
}

impl Role {
    /// The stranger's role.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Offerer => Self::Answerer,
            Self::Answerer => Self::Offerer,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Offerer => "offerer",
            Self::Answerer => "answerer",
        }
    }
}

/// Why a chat is over, as the one is told who did not end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The stranger left: by next, leave, block or report.
    Left,
    /// The stranger was away for too long, or the path between two shards broke.
    Lost,
    /// The stranger took nothing for too long.
    Stalled,
    /// The server is going away.
    Draining,
}

impl Why {
    const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Lost => "lost",
            Self::Stalled => "stalled",
            Self::Draining => "draining",
        }
    }
}

/// TURN and STUN servers; in text none.
pub type Ice<'a> = Vec<IceServer<'a>>;

fn frame(kind: ServerKind, payload: &impl Serialize) -> Bytes {
    encode(kind, |to| {
        let written = serde_json::to_writer(to, payload);
        debug_assert!(written.is_ok(), "plain data in memory always serialises");
    })
}

/// The chat that a resumed session comes back to.
#[derive(Serialize)]
pub struct ResumedChat<'a> {
    chat: u32,
    role: &'static str,
    mode: &'static str,
    stranger: &'static str,
    ice: Vec<IceServer<'a>>,
}

impl<'a> ResumedChat<'a> {
    /// Under its new number.
    pub fn new(chat: ChatId, role: Role, mode: Mode, away: bool, ice: Ice<'a>) -> Self {
        let stranger = if away { "away" } else { "here" };
        Self { chat: chat.0, role: role.name(), mode: mode.name(), stranger, ice }
    }
}

/// Rounds a number of people down so that nobody is seen to come or go: to two digits, and to fives under a hundred. One to
/// nine are 5, which a page shows as "a few".
pub fn round_online(online: u64) -> u64 {
    match online {
        0 => 0,
        1..=9 => 5,
        10..=99 => online / 5 * 5,
        _ => {
            let step = 10_u64.pow(online.ilog10() - 1);
            online / step * step
        }
    }
}

/// WELCOME to a fresh session, or (`resumed`) to one that came back with its chat, if it was in one.
pub fn welcome(token: &Token, resumed: Option<Option<ResumedChat>>, resume_s: u64, online: u64) -> Bytes {
    #[derive(Serialize)]
    struct Welcome<'a> {
        session: &'a str,
        resumed: bool,
        resume_s: u64,
        online: u64,
        chat: Option<ResumedChat<'a>>,
    }
    let text = token.encode();
    let session = std::str::from_utf8(text.expose()).unwrap_or_default();
    frame(
        ServerKind::Welcome,
        &Welcome {
            session,
            resumed: resumed.is_some(),
            resume_s,
            online: round_online(online),
            chat: resumed.flatten(),
        },
    )
}

/// WAITING.
pub fn waiting(n: u64, online: u64, estimate_ms: Option<u64>) -> Bytes {
    #[derive(Serialize)]
    struct Waiting {
        n: u64,
        online: u64,
        estimate_ms: Option<u64>,
    }
    frame(ServerKind::Waiting, &Waiting { n, online: round_online(online), estimate_ms })
}

/// MATCHED.
pub fn matched(n: u64, chat: ChatId, role: Role, mode: Mode, shared: &[impl AsRef<str>], ice: Ice) -> Bytes {
    #[derive(Serialize)]
    struct Matched<'a> {
        n: u64,
        chat: u32,
        role: &'static str,
        mode: &'static str,
        shared: Vec<&'a str>,
        ice: Vec<IceServer<'a>>,
    }
    let shared = shared.iter().map(AsRef::as_ref).collect();
    frame(
        ServerKind::Matched,
        &Matched { n, chat: chat.0, role: role.name(), mode: mode.name(), shared, ice },
    )
}

/// ENDED.
pub fn ended(chat: ChatId, why: Why) -> Bytes {
    #[derive(Serialize)]
    struct Ended {
        chat: u32,
        why: &'static str,
    }
    frame(ServerKind::Ended, &Ended { chat: chat.0, why: why.name() })
}

/// PEER `away`.
pub fn away(chat: ChatId) -> Bytes {
    #[derive(Serialize)]
    struct Away {
        chat: u32,
        state: &'static str,
    }
    frame(ServerKind::Peer, &Away { chat: chat.0, state: "away" })
}

/// PEER `back`: on the same connection, or under a new number after a resume.
pub fn back(chat: ChatId, new_chat: Option<ChatId>, ice: Ice) -> Bytes {
    #[derive(Serialize)]
    struct Back<'a> {
        chat: u32,
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        new_chat: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ice: Option<Vec<IceServer<'a>>>,
    }
    let ice = new_chat.map(|_| ice);
    let new_chat = new_chat.map(|chat| chat.0);
    frame(ServerKind::Peer, &Back { chat: chat.0, state: "back", new_chat, ice })
}

/// ICE.
pub fn ice(chat: ChatId, ice: Ice) -> Bytes {
    #[derive(Serialize)]
    struct Fresh<'a> {
        chat: u32,
        ice: Ice<'a>,
    }
    frame(ServerKind::Ice, &Fresh { chat: chat.0, ice })
}

/// NOTICE `bad_request`.
pub fn bad_request(message: &'static str) -> Bytes {
    notice("bad_request", message, None)
}

/// NOTICE `rate_limited`.
pub fn rate_limited(retry_after_ms: u64) -> Bytes {
    notice("rate_limited", "too many requests", Some(retry_after_ms))
}

/// NOTICE `paused`: the operator has turned this mode off for a while.
pub fn paused(mode: Mode, retry_after_ms: u64) -> Bytes {
    let message = match mode {
        Mode::Text => "text chats are paused for now",
        Mode::Video => "video chats are paused for now",
    };
    notice("paused", message, Some(retry_after_ms))
}

fn notice(code: &'static str, message: &'static str, retry_after_ms: Option<u64>) -> Bytes {
    #[derive(Serialize)]
    struct Notice {
        code: &'static str,
        message: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    }
    frame(ServerKind::Notice, &Notice { code, message, retry_after_ms })
}

/// DRAIN.
pub fn drain(within_ms: u64) -> Bytes {
    #[derive(Serialize)]
    struct Drain {
        within_ms: u64,
    }
    frame(ServerKind::Drain, &Drain { within_ms })
}

/// The reason of close codes 3, 4, 5 and 8.
pub fn close_reason(message: &'static str, retry_after_ms: u64) -> Bytes {
    #[derive(Serialize)]
    struct Reason {
        message: &'static str,
        retry_after_ms: u64,
    }
    serde_json::to_vec(&Reason { message, retry_after_ms }).unwrap_or_default().into()
}

/// The reason of close code 3 for somebody who has to prove work. A client that does not know `work` comes again in vain.
pub fn work_reason(challenge: &str) -> Bytes {
    #[derive(Serialize)]
    struct Reason<'a> {
        message: &'static str,
        retry_after_ms: u64,
        work: &'a str,
    }
    let reason = Reason { message: "prove work first", retry_after_ms: WORK_RETRY_MS, work: challenge };
    serde_json::to_vec(&reason).unwrap_or_default().into()
}

/// The reason of close code 4.
pub fn ban_reason(retry_after_ms: u64, reason: &'static str, case: &str) -> Bytes {
    #[derive(Serialize)]
    struct Ban<'a> {
        message: &'static str,
        retry_after_ms: u64,
        reason: &'static str,
        case: &'a str,
    }
    let message = if reason == "operator" { "banned" } else { "reported too often" };
    serde_json::to_vec(&Ban { message, retry_after_ms, reason, case }).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over WebSocket a reason is cut to 123 bytes, and JSON that is cut says nothing.
    #[test]
    fn reasons_in_json_are_short_enough_for_websocket() {
        let challenge = "x".repeat(crate::limits::CHALLENGE_BYTES);
        let reasons = [
            work_reason(&challenge),
            ban_reason(86_400_000, "harassment", "ABCDEFGHIJKL"),
            close_reason("too many from your network", u64::from(u32::MAX)),
        ];
        for reason in reasons {
            assert!(reason.len() <= 123, "{} bytes: {reason:?}", reason.len());
        }
    }

    #[test]
    fn online_names_nobody() {
        let cases =
            [(0, 0), (1, 5), (2, 5), (9, 5), (10, 10), (14, 10), (99, 95), (109, 100), (1_234, 1_200)];
        for (online, shown) in cases {
            assert_eq!(round_online(online), shown);
        }
    }
}
