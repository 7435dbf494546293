//! Section 3: HELLO, FIND, LEAVE, BLOCK and REPORT.

use std::time::{Duration, Instant};

use super::*;

#[tokio::test]
async fn the_first_frame_is_hello_and_there_is_only_one() {
    let world = World::new(1);
    let others = [
        frame(FIND, br#"{"n":1,"mode":"text"}"#),
        frame(LEAVE, b""),
        frame(BLOCK, b""),
        frame(REPORT, br#"{"reason":"spam"}"#),
        relayed(TEXT, 1, b"hello"),
        [frame(HELLO, br#"{"v":1}"#), frame(HELLO, br#"{"v":1}"#)].concat(),
    ];
    for bytes in others {
        let mut mallory = world.person().await;
        mallory.write(&bytes).await;
        assert_eq!(mallory.closed().await.0, 1, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_version_that_the_server_does_not_speak_is_a_protocol_error() {
    let world = World::new(1);
    for hello in
        [json!({"v": 2}), json!({"v": 1e300}), json!({"v": "1"}), json!({}), json!({"v": 1, "resume": 7})]
    {
        let mut mallory = world.person().await;
        mallory.say(HELLO, &hello).await;
        assert_eq!(mallory.closed().await.0, 1, "{hello}");
    }
}

#[tokio::test]
async fn whoever_says_nothing_or_not_all_of_hello_for_five_seconds_is_closed() {
    let world = World::new(1);
    let begun = Instant::now();
    let mut silent = world.person().await;
    let mut slow = world.person().await;
    slow.write(&frame(HELLO, br#"{"v":1}"#)[..10]).await;
    for person in [&mut silent, &mut slow] {
        assert_eq!(person.closed().await.0, 6);
    }
    assert!(begun.elapsed() >= Duration::from_secs(5));
}

#[tokio::test]
async fn find_need_not_wait_for_welcome() {
    for shards in SHARDS {
        let world = World::new(shards);
        let mut ada = world.person().await;
        let find = frame(FIND, br#"{"n":9,"mode":"text"}"#);
        ada.write(&[frame(HELLO, br#"{"v":1}"#), find].concat()).await;
        ada.next(WELCOME).await;
        assert_eq!(ada.next(WAITING).await["n"], 9);
    }
}

#[tokio::test]
async fn an_unknown_token_starts_a_fresh_session() {
    let world = World::new(4);
    let known = world.guest().await.token;
    let altered = format!("{}AAAA", &known[..known.len() - 4]);
    for token in ["", "nonsense", &"A".repeat(64), &altered, &known[1..], &"x".repeat(3_000), "\u{0}é"] {
        let (_, welcome) = world.returning(token).await;
        assert_eq!((&welcome["resumed"], &welcome["chat"]), (&json!(false), &json!(null)), "{token}");
    }
}

#[tokio::test]
async fn every_whole_number_that_json_keeps_exactly_is_echoed() {
    let world = World::new(1);
    let mut ada = world.guest().await;
    for n in [0, 1, u64::from(u32::MAX) + 1, (1 << 53) - 1] {
        ada.waits(json!({"n": n, "mode": "text"})).await;
    }
}

#[tokio::test]
async fn of_many_finds_at_once_the_last_one_counts() {
    for shards in SHARDS {
        let world = World::new(shards);
        let mut ada = world.guest().await;
        let finds: Vec<_> =
            (1..=20).map(|n| frame(FIND, json!({"n": n, "mode": "text"}).to_string().as_bytes())).collect();
        ada.write(&finds.concat()).await;
        while ada.next(WAITING).await["n"] != 20 {}
        let mut ben = world.guest().await;
        ben.find(json!({"n": 1, "mode": "text"})).await;
        assert_eq!(ada.expect(MATCHED).await["n"], 20);
    }
}

#[tokio::test]
async fn leave_takes_somebody_out_of_the_queue() {
    together(SHARDS.map(|shards| async move {
        let world = World::new(shards);
        let mut ada = world.guest().await;
        ada.waits(json!({"n": 1, "mode": "text"})).await;
        ada.raw(LEAVE, b"").await;
        ada.has_heard_all().await;
        let mut ben = world.guest().await;
        ben.waits(json!({"n": 1, "mode": "text"})).await;
        // Five seconds on, Ben still waits.
        ben.next(WAITING).await;
        ada.has_heard_all().await;
    }))
    .await;
}

#[tokio::test]
async fn the_stranger_cannot_tell_leave_from_next_block_or_report() {
    for shards in SHARDS {
        let world = World::new(shards);
        let ways: [(u8, &[u8]); 8] = [
            (LEAVE, b""),
            (FIND, br#"{"n":2,"mode":"video"}"#),
            (BLOCK, b""),
            (REPORT, br#"{"reason":"minor"}"#),
            (REPORT, br#"{"reason":"sexual"}"#),
            (REPORT, br#"{"reason":"harassment"}"#),
            (REPORT, br#"{"reason":"spam"}"#),
            (REPORT, br#"{"reason":"other","words":"are ignored"}"#),
        ];
        for (kind, payload) in ways {
            let (mut ada, mut ben, chat) = world.chat().await;
            ada.raw(kind, payload).await;
            assert_eq!(ben.next(ENDED).await, json!({"chat": chat, "why": "left"}));
            ben.has_heard_all().await;
            ada.raw(LEAVE, b"").await;
        }
    }
}

#[tokio::test]
async fn people_who_were_blocked_or_reported_do_not_meet_again_not_even_after_a_resume() {
    let ways: [(u8, &[u8], bool); 3] = [
        (BLOCK, b"", false),
        (REPORT, br#"{"reason":"spam"}"#, false),
        // About the last chat, by the one who was left.
        (REPORT, br#"{"reason":"spam"}"#, true),
    ];
    let stories = ways.into_iter().flat_map(|way| SHARDS.map(|shards| (way, shards)));
    together(stories.map(|((kind, payload, late), shards)| async move {
        let world = World::new(shards);
        let (mut ada, mut ben, _) = world.chat().await;
        if late {
            ben.raw(LEAVE, b"").await;
            ada.next(ENDED).await;
        }
        ada.raw(kind, payload).await;
        if !late {
            ben.next(ENDED).await;
        }
        ada.has_heard_all().await;
        let (mut ada, _) = world.returning(&ada.token).await;
        ada.waits(json!({"n": 2, "mode": "text"})).await;
        ben.waits(json!({"n": 2, "mode": "text"})).await;
        // People who only met before would meet again after two seconds.
        ada.next(WAITING).await;
        ben.next(WAITING).await;
    }))
    .await;
}
