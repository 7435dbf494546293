//! A chatter: PROTOCOL.md's frames over any pair of streams.

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::raw::soon;

pub const HELLO: u8 = 0x01;
pub const FIND: u8 = 0x02;
pub const LEAVE: u8 = 0x03;
pub const WELCOME: u8 = 0x41;
pub const WAITING: u8 = 0x42;
pub const MATCHED: u8 = 0x43;
pub const ENDED: u8 = 0x44;
pub const SIGNAL: u8 = 0x81;
pub const TEXT: u8 = 0x82;

/// A frame's bytes.
pub fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length");
    [&[kind], &length.to_be_bytes()[1..], payload].concat()
}

/// A relayed frame's bytes.
pub fn relayed(kind: u8, chat: u32, text: &[u8]) -> Vec<u8> {
    frame(kind, &[&chat.to_be_bytes()[..], text].concat())
}

/// One end of a channel.
pub struct Chatter<W, R> {
    pub write: W,
    pub read: R,
    /// The number of the chat that is on.
    pub chat: u32,
}

impl<W: AsyncWrite + Unpin, R: AsyncRead + Unpin> Chatter<W, R> {
    /// Says HELLO and waits for WELCOME.
    pub async fn hello(write: W, read: R) -> Self {
        let mut chatter = Self { write, read, chat: 0 };
        chatter.send(&frame(HELLO, br#"{"v":1}"#)).await;
        let welcome = chatter.expect(WELCOME).await;
        assert!(welcome["session"].as_str().is_some_and(|token| !token.is_empty()), "{welcome}");
        chatter
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        soon("room to write", self.write.write_all(bytes)).await.expect("a channel to write to");
    }

    /// Looks for a stranger with an interest that nobody else has, so that tests do not meet.
    pub async fn find(&mut self, n: u32, interest: &str) {
        let find = json!({ "n": n, "mode": "text", "interests": [interest], "strict": true });
        self.send(&frame(FIND, find.to_string().as_bytes())).await;
    }

    /// The next frame: its type and payload.
    pub async fn next(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 4];
        soon("a frame", self.read.read_exact(&mut header)).await.expect("a frame");
        let length = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        let mut payload = vec![0; length as usize];
        soon("a payload", self.read.read_exact(&mut payload)).await.expect("a payload");
        (header[0], payload)
    }

    /// The payload of the next frame of this type, as JSON; others are passed over.
    pub async fn expect(&mut self, kind: u8) -> Value {
        loop {
            let (found, payload) = self.next().await;
            if found == kind {
                return serde_json::from_slice(&payload).expect("JSON");
            }
        }
    }

    /// Waits until a chat is on.
    pub async fn matched(&mut self) {
        let matched = self.expect(MATCHED).await;
        self.chat = u32::try_from(matched["chat"].as_u64().expect("a number")).expect("32 bits");
    }

    /// Says something to the stranger.
    pub async fn say(&mut self, text: &[u8]) {
        self.send(&relayed(TEXT, self.chat, text)).await;
    }

    /// What the stranger says next.
    pub async fn hear(&mut self) -> Vec<u8> {
        loop {
            let (kind, payload) = self.next().await;
            if kind == TEXT {
                assert_eq!(payload[..4], self.chat.to_be_bytes(), "the chat's own number");
                return payload[4..].to_vec();
            }
        }
    }
}
