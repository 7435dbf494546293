//! Two strangers meet, over real sockets.

mod support;

use serde_json::json;
use support::*;

#[tokio::test]
async fn two_strangers_meet_and_every_frame_arrives_as_it_was_sent() {
    let world = World::new(1);
    let (mut ada, mut ben, chat) = world.chat().await;
    for length in [0, 1, 100, 1_000, 1_023, 1_024, 5_000, 8_188] {
        let text = vec![length as u8; length];
        ada.relay(TEXT, chat, &text).await;
        assert_eq!(ben.expect_relayed(TEXT, chat).await, text);
    }
    let offer = vec![7; 32_764];
    ben.relay(SIGNAL, chat, &offer).await;
    assert_eq!(ada.expect_relayed(SIGNAL, chat).await, offer);
}

#[tokio::test]
async fn next_is_one_frame_and_the_stranger_is_told_that_somebody_left() {
    let world = World::new(1);
    let (mut ada, mut ben, chat) = world.chat().await;
    let mut cleo = world.person().await;
    cleo.hello().await;
    cleo.find(json!({"n": 1, "mode": "text"})).await;
    cleo.expect(WAITING).await;
    ada.find(json!({"n": 2, "mode": "text"})).await;
    assert_eq!(ben.expect(ENDED).await, json!({"chat": chat, "why": "left"}));
    let matched = ada.expect(MATCHED).await;
    assert_eq!(matched["n"], 2);
    assert_eq!(cleo.expect(MATCHED).await["chat"], matched["chat"]);
}

#[tokio::test]
async fn people_on_different_shards_meet_and_talk() {
    let world = World::new(4);
    for _ in 0..8 {
        let (mut ada, mut ben, chat) = world.chat().await;
        ada.relay(TEXT, chat, b"hello").await;
        assert_eq!(ben.expect_relayed(TEXT, chat).await, b"hello");
        ben.relay(SIGNAL, chat, &[1; 6_000]).await;
        assert_eq!(ada.expect_relayed(SIGNAL, chat).await, [1; 6_000]);
        ada.raw(LEAVE, b"").await;
        assert_eq!(ben.expect(ENDED).await["why"], "left");
    }
}

#[tokio::test]
async fn a_wrong_frame_closes_the_session_with_its_code() {
    let world = World::new(1);
    let wrong: [(u8, &[u8], u32); 5] = [
        (0x77, b"", 1),
        (HELLO, b"{\"v\":1}", 1),
        (FIND, b"{", 1),
        (TEXT, b"abc", 1),
        (FIND, &[b' '; 4_097], 2),
    ];
    for (kind, payload, code) in wrong {
        let mut mallory = world.person().await;
        mallory.hello().await;
        mallory.raw(kind, payload).await;
        assert_eq!(mallory.closed().await.0, code, "kind {kind:#x}");
    }
}

#[tokio::test]
async fn a_session_goes_on_after_the_connection_is_lost_and_the_chat_has_a_new_number() {
    for shards in [1, 4] {
        let world = World::new(shards);
        let (mut ada, ben, chat) = world.chat().await;
        ben.endpoint.close(0_u32.into(), b"");
        let away = ada.expect(PEER).await;
        assert_eq!((&away["state"], &away["chat"]), (&json!("away"), &json!(chat)));
        let mut back = world.person().await;
        let welcome = back.resume(&ben.token).await;
        assert_eq!(welcome["resumed"], true, "{welcome}");
        let renewed = ada.expect(PEER).await;
        assert_eq!(renewed["state"], "back");
        assert_eq!(renewed["new_chat"], welcome["chat"]["chat"]);
        let new_chat = renewed["new_chat"].as_u64().unwrap() as u32;
        assert_ne!(new_chat, chat);
        ada.relay(TEXT, chat, b"lost on the way").await;
        ada.relay(TEXT, new_chat, b"here again").await;
        assert_eq!(back.expect_relayed(TEXT, new_chat).await, b"here again");
        back.relay(TEXT, new_chat, b"me too").await;
        assert_eq!(ada.expect_relayed(TEXT, new_chat).await, b"me too");
    }
}
