//! The rules of docs/PROTOCOL.md that a client can see, one test for each, in the order of its sections.
//!
//! The people here use a client by others and know nothing of the server but that page. What takes longer than a few seconds of
//! real time is told in tests/core with injected time; what hostile clients cost is measured in tests/hostile.rs.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod answers;
mod fits;
mod frames;
mod loss;
mod reaching;
mod requests;
mod resume;
mod websocket;

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use support::*;

/// One shard, where two people meet in one place, and several, where most do not.
const SHARDS: [u16; 2] = [1, 4];

/// A relayed frame's bytes.
fn relayed(kind: u8, chat: u32, bytes: &[u8]) -> Vec<u8> {
    frame(kind, &[&chat.to_be_bytes(), bytes].concat())
}

/// Stories that mostly wait are told all at the same time.
async fn together(stories: impl IntoIterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let told: Vec<_> = stories.into_iter().map(tokio::spawn).collect();
    for story in told {
        story.await.unwrap();
    }
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

impl World {
    /// Somebody who has said HELLO.
    async fn guest(&self) -> Person {
        let mut person = self.person().await;
        person.hello().await;
        person
    }

    /// Somebody whose address is 127.0.0.`place`, who has said nothing yet.
    async fn person_from(&self, place: u8) -> Person {
        let address = IpAddr::from(Ipv4Addr::new(127, 0, 0, place));
        self.person_at(&quinn::Endpoint::client((address, 0).into()).unwrap()).await
    }

    /// Somebody who comes back with a token, and what they are told.
    async fn returning(&self, token: &str) -> (Person, Value) {
        let mut person = self.person().await;
        let welcome = person.resume(token).await;
        (person, welcome)
    }
}

impl Person {
    /// Writes bytes that need not be frames.
    async fn write(&mut self, bytes: &[u8]) {
        tokio::time::timeout(LONG, self.send.write_all(bytes)).await.unwrap().unwrap();
    }

    /// The very next frame, which has to be of this kind.
    async fn next(&mut self, kind: u8) -> Value {
        let (heard, payload) = self.hear().await;
        assert_eq!(heard, kind, "instead of {kind:#x}: {}", String::from_utf8_lossy(&payload));
        serde_json::from_slice(&payload).unwrap()
    }

    /// Nothing has been said to this person that they have not heard: the answer to a question comes next.
    async fn has_heard_all(&mut self) {
        self.say(FIND, &json!({"n": 1, "mode": "a question"})).await;
        assert_eq!(self.next(NOTICE).await["code"], "bad_request");
    }

    /// Looks for a stranger and is told to wait.
    async fn waits(&mut self, wishes: Value) {
        let n = wishes["n"].clone();
        self.find(wishes).await;
        assert_eq!(self.next(WAITING).await["n"], n);
    }

    /// The number that a chat has when everything that was said about resumes has been heard.
    async fn hears_back(&mut self) -> u32 {
        loop {
            let peer = self.expect(PEER).await;
            if peer["state"] == "back" {
                return number(&peer["new_chat"]);
            }
        }
    }
}
