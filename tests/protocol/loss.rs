//! Section 5: order and delivery, what ends with a chat, and what comes before a close.

use super::*;

#[tokio::test]
async fn what_was_said_before_leaving_arrives_before_the_end() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (mut ada, mut ben, chat) = world.chat().await;
        ada.write(&[relayed(TEXT, chat, b"I have to go"), frame(LEAVE, b"")].concat()).await;
        assert_eq!(ben.expect_relayed(TEXT, chat).await, b"I have to go");
        ben.next(ENDED).await;
    }
}

#[tokio::test]
async fn what_was_on_its_way_at_next_is_never_delivered_in_the_new_chat() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (mut ada, mut ben, old) = world.chat().await;
        let mut cleo = world.guest().await;
        cleo.waits(json!({"n": 1, "mode": "text"})).await;
        // Ada goes on talking while Ben goes on to Cleo, and Ben says a last word to Ada too late.
        let (next, late) = (frame(FIND, br#"{"n":2,"mode":"text"}"#), relayed(TEXT, old, b"too late"));
        for _ in 0..40 {
            ada.relay(TEXT, old, &[b'o'; 500]).await;
        }
        ben.write(&[next, late].concat()).await;
        for _ in 0..40 {
            ada.relay(TEXT, old, &[b'o'; 500]).await;
        }
        let new = number(&cleo.expect(MATCHED).await["chat"]);
        cleo.relay(TEXT, new, b"hi").await;
        loop {
            let (kind, payload) = ben.hear().await;
            if kind == MATCHED {
                break;
            }
            assert!(kind == WAITING || payload[..4] == old.to_be_bytes(), "{kind:#x}");
        }
        assert_eq!(ben.expect_relayed(TEXT, new).await, b"hi");
        ada.next(ENDED).await;
        ada.has_heard_all().await;
        ben.relay(TEXT, new, b"hi too").await;
        assert_eq!(cleo.expect_relayed(TEXT, new).await, b"hi too");
    }
}

#[tokio::test]
async fn half_a_frame_is_never_forwarded() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (mut ada, mut ben, chat) = world.chat().await;
        let whole = relayed(TEXT, chat, &[b'x'; 5_000]);
        ada.write(&[&relayed(TEXT, chat, b"whole"), &whole[..2_000]].concat()).await;
        assert_eq!(ben.expect_relayed(TEXT, chat).await, b"whole");
        ben.raw(LEAVE, b"").await;
        ada.next(ENDED).await;
        ben.has_heard_all().await;
        // The other half comes when the chat is over, and what follows is understood.
        ada.write(&whole[2_000..]).await;
        ada.has_heard_all().await;
        ben.has_heard_all().await;
    }
}

#[tokio::test]
async fn a_stranger_is_away_at_once_however_their_connection_closes() {
    for shards in SHARDS {
        let world = World::new(shards);
        for way in 0..4 {
            let (mut ada, mut ben, chat) = world.chat().await;
            match way {
                0 => ben.session.close(0, b"a page was closed"),
                1 => ben.endpoint.close(0_u32.into(), b""),
                2 => ben.send.finish().unwrap(),
                _ => ben.write(&frame(0x77, b"")).await,
            }
            assert_eq!(ada.next(PEER).await, json!({"chat": chat, "state": "away"}), "way {way}");
            ada.relay(TEXT, chat, b"dropped").await;
            let (mut ben, welcome) = world.returning(&ben.token).await;
            assert_eq!(welcome["resumed"], true, "way {way}");
            ben.has_heard_all().await;
            ben.raw(LEAVE, b"").await;
        }
    }
}

#[tokio::test]
async fn a_drain_sends_newcomers_away_and_lets_a_chat_go_on_from_another_connection() {
    let mut world = World::new(4);
    let (mut ada, mut ben, _) = world.chat().await;
    // Connected before the drain, and has not said HELLO.
    let mut early = world.person().await;
    let stopped = world.stop(std::time::Duration::from_secs(3_600));
    ada.next(DRAIN).await;
    ben.next(DRAIN).await;
    early.try_raw(HELLO, br#"{"v":1}"#).await;
    let (mut late, mut silent) = (world.person().await, world.person().await);
    late.try_raw(HELLO, br#"{"v":1,"resume":"unknown"}"#).await;
    for person in [&mut early, &mut late, &mut silent] {
        let (code, reason) = person.closed().await;
        assert_eq!(code, 5);
        let reason: Value = serde_json::from_str(&reason).unwrap();
        assert!(reason["message"].is_string() && reason["retry_after_ms"].is_u64(), "{reason}");
    }
    let (mut ben, welcome) = world.returning(&ben.token).await;
    let within_ms = ben.next(DRAIN).await["within_ms"].as_u64().unwrap();
    assert!(within_ms <= 3_600_000, "{within_ms}");
    let chat = ada.hears_back().await;
    assert_eq!(welcome["chat"]["chat"], chat);
    ben.relay(TEXT, chat, b"one last word").await;
    assert_eq!(ada.expect_relayed(TEXT, chat).await, b"one last word");
    // Next is no way around it, and with the last chat the server stops.
    ada.find(json!({"n": 2, "mode": "text"})).await;
    assert_eq!(ada.closed().await.0, 5);
    assert_eq!(ben.next(ENDED).await["why"], "left");
    assert_eq!(ben.closed().await.0, 5);
    stopped.await.unwrap().unwrap();
}
