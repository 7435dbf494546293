//! A server in a process of its own, and people who talk to it.

use std::net::SocketAddr;

use serde_json::json;

use crate::http;
use crate::program::Running;
use crate::support::{MATCHED, Person, World};

/// Lets a test read the memory of the program, also where it is not root.
pub const READABLE: &str = "--dumpable-for-tests";

/// Where the program serves WebTransport, as its site tells.
pub fn listen(running: &Running) -> SocketAddr {
    let answer = http::get(running.site, "/client-config.json");
    let config: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    let url = config["webtransport"]["url"].as_str().expect("a URL");
    url.trim_start_matches("https://").trim_end_matches("/v1").parse().expect("an address")
}

pub fn world(running: &Running) -> World {
    World::beside(listen(running), running.site)
}

/// Two people of whom everything that could be told is unmistakable.
pub async fn conspicuous_chat(world: &World) -> (Person, Person, u32) {
    let mut ada = world.person().await;
    let mut ben = world.person().await;
    ada.hello().await;
    ben.hello().await;
    let wishes = json!({"n": 1, "mode": "text", "interests": ["tiddlywinks"], "langs": ["gsw"]});
    ada.find(wishes.clone()).await;
    ben.find(wishes).await;
    let chat = ada.expect(MATCHED).await["chat"].as_u64().expect("a number") as u32;
    ben.expect(MATCHED).await;
    (ada, ben, chat)
}
