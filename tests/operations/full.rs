//! A server that has no more room: who is in stays, who comes is told so, and memory has a bound.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anoncam::ops::Total;
use serde_json::{Value, json};

use crate::support::*;
use crate::upgrade::{talk, until};

/// `CLOSE_CODE` of a server that is full, docs/PROTOCOL.md section 3.
const FULL: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_keeps_everyone_who_is_in_and_takes_newcomers_as_soon_as_one_has_gone() {
    const ROOM: u64 = 12;
    let world = World::with(|config| {
        // Each shard has its part of the room.
        config.shards = 1;
        config.max_sessions = ROOM as u32;
    });
    let online = || world.server().counters().online();
    let mut chats = Vec::new();
    for _ in 0..ROOM / 2 {
        chats.push(world.chat().await);
    }
    // Five times as many people as there is room for, in waves, while those who are in chat on.
    for wave in 0..5 {
        let mut crowd = Vec::new();
        for _ in 0..ROOM {
            let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
            let session = world.session_at(&endpoint).await.expect("a session");
            crowd.push((session, endpoint));
        }
        for (session, _endpoint) in crowd {
            let (code, reason) = closed(&session).await;
            assert_eq!(code, FULL, "{reason}");
            let reason: Value = serde_json::from_str(&reason).expect("JSON");
            let wait_ms = reason["retry_after_ms"].as_u64().expect("a time");
            assert!(reason["message"].is_string() && (1..=60_000).contains(&wait_ms), "{reason}");
        }
        for (ada, ben, chat) in &mut chats {
            talk(ada, ben, *chat, &format!("wave {wave}")).await;
        }
        // Nobody of the crowd counts, once the shard has told of itself again.
        until(|| online() == ROOM).await;
    }
    // One chat ends and two people go. Others get in within seconds, as soon as it is sure that the two do not come back.
    let (mut ada, mut ben, _) = chats.pop().expect("a chat");
    ada.raw(LEAVE, b"").await;
    assert_eq!(ben.expect(ENDED).await["why"], "left");
    for person in [&ada, &ben] {
        person.session.close(0, b"");
    }
    let (mut cleo, mut dora) = (gets_in(&world).await, gets_in(&world).await);
    let chat = meet(&mut cleo, &mut dora).await;
    talk(&mut cleo, &mut dora, chat, "at last").await;
    for (ada, ben, chat) in &mut chats {
        talk(ada, ben, *chat, "still").await;
    }
}

/// Somebody who tries again and again, as a page does.
async fn gets_in(world: &World) -> Person {
    let begun = Instant::now();
    loop {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let session = world.session_at(&endpoint).await.expect("a session");
        let mut person = Person::new(session, endpoint).await;
        person.try_raw(HELLO, br#"{"v":1}"#).await;
        if let Some((WELCOME, _)) = person.hear_if_any().await {
            return person;
        }
        assert!(begun.elapsed() < 2 * LONG, "in time");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Somebody with a small window who reads nothing after MATCHED.
async fn somebody_who_does_not_read(world: &World) -> Person {
    let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let mut narrow = client_config();
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(2_048_u32.into());
    narrow.transport_config(Arc::new(transport));
    let connection = endpoint.connect_with(narrow, world.address, "localhost").expect("a configuration");
    let connection = connection.await.expect("a connection");
    let url: url::Url = world.url().parse().expect("a URL");
    let session = web_transport_quinn::Session::connect(connection, url).await.expect("a session");
    Person::new(session, endpoint).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_cap_on_buffers_those_who_do_not_read_go_and_nobody_else() {
    const CAP_BYTES: usize = 200 << 10;
    let world = World::with(|config| {
        config.shards = 1;
        config.shard_buffer_bytes = CAP_BYTES;
    });
    let (mut ada, mut ben, chat) = world.chat().await;
    let mut silent = Vec::new();
    for _ in 0..6 {
        let mut writer = world.person().await;
        let mut reader = somebody_who_does_not_read(&world).await;
        writer.hello().await;
        reader.hello().await;
        let chat = meet(&mut writer, &mut reader).await;
        silent.push((writer, reader, chat));
    }
    let shed = || world.server().counters().sum(|shard| shard.totals.get(Total::Shed));
    assert_eq!(shed(), 0);
    // Each reader makes the server hold 60 KB and more: together twice the cap.
    let text = vec![b'x'; 8_000];
    for (writer, _, chat) in &mut silent {
        for _ in 0..8 {
            writer.relay(TEXT, *chat, &text).await;
        }
    }
    until(|| shed() > 0).await;
    let held = world.server().counters().sum(|shard| shard.buffered_bytes.get());
    assert!(held <= CAP_BYTES as u64, "{held} bytes are held");
    talk(&mut ada, &mut ben, chat, "undisturbed").await;
    // Whose stranger went is told that the chat has stalled, and goes on.
    // The cap ends some of these chats, ten seconds without reading the others.
    for (mut writer, _reader, chat) in silent {
        assert_eq!(writer.expect(ENDED).await, json!({"chat": chat, "why": "stalled"}));
    }
    talk(&mut ada, &mut ben, chat, "to the end").await;
}
