//! How sessions and chats end: silence, slow readers, draining, a shard's panic.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anoncam::config::{Arguments, Config};
use anoncam::ops::control::{Order, client};
use anoncam::ops::{Pausable, Total};
use clap::Parser as _;
use serde_json::json;
use support::*;

/// What a page would be told (PROTOCOL.md section 6).
const DRAINING: u32 = 5;
const INTERNAL: u32 = 7;
const FULL: u32 = 8;

#[tokio::test]
async fn draining_tells_everybody_refuses_newcomers_and_lets_chats_go_on() {
    let mut world = World::new(2);
    let (mut ada, mut ben, chat) = world.chat().await;
    let mut idle = world.person().await;
    idle.hello().await;
    let stopped = world.stop(Duration::from_secs(3_600));
    assert!(idle.expect(DRAIN).await["within_ms"].as_u64().unwrap() <= 3_600_000);
    ada.expect(DRAIN).await;
    ben.expect(DRAIN).await;
    let mut late = world.person().await;
    let (code, reason) = late.closed().await;
    assert_eq!(code, DRAINING);
    assert!(serde_json::from_str::<serde_json::Value>(&reason).unwrap()["message"].is_string());
    ada.relay(TEXT, chat, b"one last word").await;
    assert_eq!(ben.expect_relayed(TEXT, chat).await, b"one last word");
    ada.raw(LEAVE, b"").await;
    assert_eq!(ben.expect(ENDED).await, json!({"chat": chat, "why": "left"}));
    // Nobody is in a chat any more: the hour is not waited for.
    for person in [&mut ada, &mut ben, &mut idle] {
        assert_eq!(person.closed().await.0, DRAINING);
    }
    stopped.await.unwrap().expect("a clean stop");
}

/// What the shards tell is a moment old, and one that gets no time tells nothing.
#[tokio::test]
async fn a_drain_waits_for_a_chat_that_has_just_begun_on_a_shard_that_is_busy() {
    let mut world = World::new(1);
    let (mut ada, mut ben, chat) = world.chat().await;
    world.server().hang_shard(0, Duration::from_secs(1));
    let stopped = world.stop(Duration::from_secs(3_600));
    ada.expect(DRAIN).await;
    ben.expect(DRAIN).await;
    ada.relay(TEXT, chat, b"one last word").await;
    assert_eq!(ben.expect_relayed(TEXT, chat).await, b"one last word");
    ada.raw(LEAVE, b"").await;
    assert_eq!(ada.closed().await.0, DRAINING);
    stopped.await.unwrap().expect("a clean stop");
}

#[tokio::test]
async fn at_the_deadline_of_a_drain_chats_are_ended() {
    let mut world = World::new(2);
    let (mut ada, mut ben, chat) = world.chat().await;
    let stopped = world.stop(Duration::from_secs(1));
    for person in [&mut ada, &mut ben] {
        person.expect(DRAIN).await;
        assert_eq!(person.expect(ENDED).await, json!({"chat": chat, "why": "draining"}));
        assert_eq!(person.closed().await.0, DRAINING);
    }
    stopped.await.unwrap().expect("a clean stop");
}

#[tokio::test]
async fn a_server_in_which_nobody_chats_stops_at_once() {
    let mut world = World::new(2);
    let mut idle = world.person().await;
    idle.hello().await;
    let begun = Instant::now();
    world.stop(Duration::from_secs(600)).await.unwrap().expect("a clean stop");
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(idle.closed().await.0, DRAINING);
}

#[tokio::test]
async fn what_the_operator_pauses_is_refused_at_once_and_again_allowed_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let control = directory.path().join("control.sock");
    let world = World::with(|config| config.control = Some(control.clone()));
    let order = |order| client::ask(&control, &order).unwrap().unwrap();
    let mut ada = world.person().await;
    ada.hello().await;
    ada.find(json!({"n": 1, "mode": "video"})).await;
    ada.expect(WAITING).await;
    assert_eq!(order(Order::Pause { what: vec![Pausable::Video, Pausable::New] }), "paused: video, new");
    // Nothing but the order wakes her shard.
    assert_eq!(ada.expect(NOTICE).await["code"], "paused");
    ada.find(json!({"n": 2, "mode": "video"})).await;
    assert_eq!(ada.expect(NOTICE).await["code"], "paused");
    let mut newcomer = world.person().await;
    newcomer.try_raw(HELLO, br#"{"v":1}"#).await;
    let (code, reason) = newcomer.closed().await;
    assert_eq!((code, reason.contains("newcomers")), (FULL, true), "{reason}");
    assert_eq!(order(Order::Resume { what: vec![] }), "nothing is paused");
    ada.find(json!({"n": 3, "mode": "video"})).await;
    assert_eq!(ada.expect(WAITING).await["n"], 3);
    world.person().await.hello().await;
}

#[tokio::test]
async fn what_is_read_again_takes_effect_while_people_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("anoncam.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "north").unwrap();
    write("listen = \"127.0.0.1:0\"\nsite = \"127.0.0.1:0\"\nshards = 1\n");
    let arguments = Arguments::parse_from(["anoncam", "--config", file.to_str().unwrap()]);
    let world = World::with(|config| *config = Config::load_with(&arguments, []).unwrap());
    let (mut ada, mut ben) = (world.person().await, world.person().await);
    ada.hello().await;
    ben.hello().await;
    write(
        "listen = \"127.0.0.1:0\"\nsite = \"127.0.0.1:0\"\nshards = 1\nmax_sessions = 2\n\
         [turn]\nurls = [\"turn:relay.example\"]\nsecret_file = \"secret\"\n",
    );
    world.server().reload().unwrap();
    until(|| world.server().counters().state().as_str() == "full").await;
    ada.find(json!({"n": 1, "mode": "video"})).await;
    ben.find(json!({"n": 1, "mode": "video"})).await;
    let expires = |matched: &serde_json::Value| -> u64 {
        assert_eq!(matched["ice"][0]["urls"], json!(["turn:relay.example"]));
        matched["ice"][0]["username"].as_str().unwrap().split(':').next().unwrap().parse().unwrap()
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for person in [&mut ada, &mut ben] {
        let expires = expires(&person.expect(MATCHED).await);
        assert!((now + 540..=now + 660).contains(&expires), "{expires} is 10 minutes from {now}");
    }
    // A wrong file changes nothing, and a shard that starts again has what was read last.
    write("max_sessions = 0\n");
    assert!(world.server().reload().unwrap_err().contains("max_sessions"));
    world.server().panic_shard(0);
    until(|| world.server().counters().sum(|shard| shard.panics.get()) == 1).await;
    let (mut cleo, mut dora) = (world.person().await, world.person().await);
    cleo.hello().await;
    dora.hello().await;
    cleo.find(json!({"n": 1, "mode": "video"})).await;
    dora.find(json!({"n": 1, "mode": "video"})).await;
    expires(&dora.expect(MATCHED).await);
}

#[tokio::test]
async fn a_panic_ends_the_sessions_of_its_shard_only_and_the_shard_starts_again() {
    let world = World::new(2);
    let mut people = Vec::new();
    for _ in 0..16 {
        let mut person = world.person().await;
        person.hello().await;
        people.push(person);
    }
    let counters = Arc::clone(world.server().counters());
    world.server().panic_shard(0);
    until(|| counters.shards()[0].panics.get() == 1).await;
    until(|| counters.online() < 16).await;
    let mut ended = 0;
    for mut person in people {
        // Whoever is still there is answered.
        person.try_raw(FIND, br#"{"n":1,"mode":"text"}"#).await;
        if let Some((kind, _)) = person.hear_if_any().await {
            assert!(kind == WAITING || kind == MATCHED, "{kind:#x}");
        } else {
            assert_eq!(person.closed().await.0, INTERNAL);
            ended += 1;
        }
    }
    assert!(ended > 0 && ended < 16, "16 sessions were spread over two shards, {ended} ended");
    for _ in 0..8 {
        world.person().await.hello().await;
    }
    assert_eq!(counters.shards()[1].panics.get(), 0);
}

#[tokio::test]
async fn a_full_server_says_so_in_a_way_that_a_page_can_show() {
    let world = World::with(|config| {
        config.shards = 1;
        config.max_sessions = 2;
    });
    let mut inside = Vec::new();
    for _ in 0..2 {
        let mut person = world.person().await;
        person.hello().await;
        inside.push(person);
    }
    let (code, reason) = world.person().await.closed().await;
    assert_eq!(code, FULL);
    let reason: serde_json::Value = serde_json::from_str(&reason).unwrap();
    assert!(reason["message"].is_string() && reason["retry_after_ms"].is_u64(), "{reason}");
}

/// Somebody whose window is small: what they do not read stays with the server.
async fn deaf(world: &World) -> Person {
    let mut endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
    let mut narrow = client_config();
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(2_048_u32.into());
    narrow.transport_config(Arc::new(transport));
    endpoint.set_default_client_config(narrow.clone());
    let connection = endpoint
        .connect_with(narrow, world.address, "localhost")
        .expect("a server")
        .await
        .expect("a connection");
    let url: url::Url = world.url().parse().expect("a URL");
    let session = web_transport_quinn::Session::connect(connection, url).await.expect("a session");
    Person::new(session, endpoint).await
}

#[tokio::test]
async fn a_shard_that_holds_too_much_lets_go_of_whoever_makes_it_hold_the_most() {
    let world = World::with(|config| {
        config.shards = 1;
        config.shard_buffer_bytes = 100_000;
    });
    let (mut ada, mut ben, chat) = world.chat().await;
    let (mut heavier, mut lighter) = (world.person().await, world.person().await);
    let mut chats = Vec::new();
    let mut listeners = Vec::new();
    for talker in [&mut heavier, &mut lighter] {
        let mut listener = deaf(&world).await;
        talker.hello().await;
        listener.hello().await;
        chats.push(meet(talker, &mut listener).await);
        listeners.push(listener);
    }
    // Neither fills a hold; together they make the shard hold too much, and by then one of them has more than the other can have.
    for (talker, chat, texts) in [(&mut heavier, chats[0], 8), (&mut lighter, chats[1], 6)] {
        for _ in 0..texts {
            talker.relay(TEXT, chat, &[b'x'; 8_000]).await;
        }
    }
    let shed = || world.server().counters().sum(|shard| shard.totals.get(Total::Shed));
    until(|| shed() == 1).await;
    tokio::select! {
        biased;
        ended = heavier.expect(ENDED) => assert_eq!(ended["why"], "stalled"),
        _ = lighter.expect(ENDED) => panic!("the one who holds less went first"),
    }
    ada.relay(TEXT, chat, b"nobody else notices").await;
    assert_eq!(ben.expect_relayed(TEXT, chat).await, b"nobody else notices");
    assert_eq!(shed(), 1);
}

#[tokio::test]
async fn a_stranger_who_does_not_read_is_waited_for_and_then_the_chat_has_stalled() {
    let world = World::new(1);
    let mut ada = world.person().await;
    ada.hello().await;
    let mut ben = deaf(&world).await;
    ben.hello().await;
    let chat = meet(&mut ada, &mut ben).await;
    let begun = Instant::now();
    let text = vec![b'x'; 8_000];
    for _ in 0..9 {
        ada.relay(TEXT, chat, &text).await;
    }
    // What is held does not keep Ada from being heard: LEAVE and FIND still get through below the hold.
    assert_eq!(ada.expect(ENDED).await, json!({"chat": chat, "why": "stalled"}));
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(10), "{waited:?}");
    ben.closed().await;
    ada.find(json!({"n": 2, "mode": "text"})).await;
    assert_eq!(ada.expect(WAITING).await["n"], 2);
}

#[test]
fn a_client_that_falls_silent_is_away_and_comes_back_without_a_loss() {
    let main = runtime();
    let world = World::new(1);
    let mut ada = main.block_on(world.person());
    main.block_on(ada.hello());
    // Ben lives in a runtime of his own: while nobody runs it, he is as silent as a phone in a tunnel.
    let tunnel = runtime();
    let mut ben = tunnel.block_on(world.person());
    tunnel.block_on(ben.hello());
    main.block_on(ada.find(json!({"n": 1, "mode": "text"})));
    main.block_on(ada.expect(WAITING));
    let begun = Instant::now();
    tunnel.block_on(ben.find(json!({"n": 1, "mode": "text"})));
    let chat = tunnel.block_on(ben.expect(MATCHED))["chat"].as_u64().unwrap() as u32;
    main.block_on(ada.expect(MATCHED));
    main.block_on(ada.relay(TEXT, chat, b"are you there?"));
    let away = main.block_on(ada.expect(PEER));
    assert_eq!(away, json!({"chat": chat, "state": "away"}));
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(10), "{waited:?}");
    let out_of_the_tunnel = std::thread::spawn(move || {
        tunnel.block_on(async {
            assert_eq!(ben.expect_relayed(TEXT, chat).await, b"are you there?");
            ben.relay(TEXT, chat, b"yes, again").await;
            assert_eq!(ben.expect_relayed(TEXT, chat).await, b"good");
        });
    });
    assert_eq!(main.block_on(ada.expect(PEER)), json!({"chat": chat, "state": "back"}));
    assert_eq!(main.block_on(ada.expect_relayed(TEXT, chat)), b"yes, again");
    main.block_on(async {
        ada.relay(TEXT, chat, b"good").await;
        tokio::task::spawn_blocking(|| out_of_the_tunnel.join().unwrap()).await.unwrap();
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Waits for a condition that the server's counters show.
async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
