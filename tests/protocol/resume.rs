//! Section 5: a session goes on after its connection is lost.

use super::*;

/// What one says under this number arrives at the other, both ways, and nothing was there before it.
async fn talk(one: &mut Person, other: &mut Person, chat: u32) {
    one.relay(TEXT, chat, b"are you there?").await;
    assert_eq!(other.expect_relayed(TEXT, chat).await, b"are you there?");
    other.relay(TEXT, chat, b"yes").await;
    assert_eq!(one.expect_relayed(TEXT, chat).await, b"yes");
}

#[tokio::test]
async fn a_resume_takes_over_while_the_old_connection_lives_and_closes_it() {
    for shards in SHARDS {
        let world = World::new(shards);
        let mut ada = world.guest().await;
        let mut ben = world.guest().await;
        ada.find(json!({"n": 1, "mode": "text"})).await;
        ben.find(json!({"n": 1, "mode": "text"})).await;
        let matched = ada.expect(MATCHED).await;
        let old = number(&ben.expect(MATCHED).await["chat"]);
        let (mut again, welcome) = world.returning(&ada.token).await;
        assert_eq!(ada.closed().await.0, 0);
        assert_eq!(welcome["resumed"], true);
        assert_ne!(welcome["session"].as_str().unwrap(), ada.token);
        let new = number(&welcome["chat"]["chat"]);
        assert_ne!(new, old);
        let role = &matched["role"];
        let expected = json!({"chat": new, "role": role, "mode": "text", "stranger": "here", "ice": []});
        assert_eq!(welcome["chat"], expected);
        let back = ben.next(PEER).await;
        assert_eq!((&back["chat"], &back["state"]), (&json!(old), &json!("back")));
        assert_eq!(back["new_chat"], new);
        again.relay(TEXT, old, b"under the old number").await;
        ben.relay(TEXT, old, b"under the old number").await;
        talk(&mut again, &mut ben, new).await;
    }
}

#[tokio::test]
async fn the_old_token_is_good_until_a_frame_after_hello_has_shown_that_welcome_arrived() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (ada, mut ben, _) = world.chat().await;
        // WELCOME is lost twice: she knows but the old token.
        for _ in 0..2 {
            let (_lost, welcome) = world.returning(&ada.token).await;
            assert_eq!(welcome["resumed"], true);
            ben.hears_back().await;
        }
        let (mut again, welcome) = world.returning(&ada.token).await;
        assert_eq!(welcome["resumed"], true);
        let chat = ben.hears_back().await;
        assert_eq!(welcome["chat"]["chat"], chat);
        talk(&mut again, &mut ben, chat).await;
        let (_, welcome) = world.returning(&ada.token).await;
        assert_eq!(welcome["resumed"], false, "a token that is used up");
        talk(&mut again, &mut ben, chat).await;
    }
}

#[tokio::test]
async fn a_token_is_good_from_another_address_and_after_that_no_more_from_anywhere() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (mut ada, mut ben, _) = world.chat().await;
        // Her network has changed: the token alone says who she is.
        let mut moved = world.person_from(2).await;
        assert_eq!(moved.resume(&ada.token).await["resumed"], true);
        assert_eq!(ada.closed().await.0, 0);
        let chat = ben.hears_back().await;
        talk(&mut moved, &mut ben, chat).await;
        // Whoever gets hold of it now is a newcomer, whom nobody hears and who hears nobody.
        for place in [1, 2, 3] {
            let mut thief = world.person_from(place).await;
            let welcome = thief.resume(&ada.token).await;
            assert_eq!((&welcome["resumed"], &welcome["chat"]), (&json!(false), &json!(null)));
            thief.relay(TEXT, chat, b"it is me").await;
            talk(&mut moved, &mut ben, chat).await;
            thief.has_heard_all().await;
        }
    }
}

#[tokio::test]
async fn of_several_resumes_at_once_one_session_is_left() {
    let world = World::new(4);
    let (ada, mut ben, _) = world.chat().await;
    let (one, two, three, four) = tokio::join!(
        world.returning(&ada.token),
        world.returning(&ada.token),
        world.returning(&ada.token),
        world.returning(&ada.token)
    );
    let mut left = [one, two, three, four].map(Some);
    let mut closing = tokio::task::JoinSet::new();
    for (index, again) in left.iter().flatten().enumerate() {
        assert_eq!(again.1["resumed"], true, "{}", again.1);
        let session = again.0.session.clone();
        closing.spawn(async move { (index, closed(&session).await.0) });
    }
    for _ in 1..4 {
        let (index, code) = closing.join_next().await.unwrap().unwrap();
        assert_eq!(code, 0);
        left[index] = None;
    }
    let (mut again, welcome) = left.into_iter().flatten().next().unwrap();
    let chat = number(&welcome["chat"]["chat"]);
    while ben.hears_back().await != chat {}
    talk(&mut again, &mut ben, chat).await;
}

#[tokio::test]
async fn both_may_be_away_and_come_back_one_after_the_other() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (mut ada, ben, _) = world.chat().await;
        ben.endpoint.close(0_u32.into(), b"");
        assert_eq!(ada.next(PEER).await["state"], "away");
        ada.endpoint.close(0_u32.into(), b"");
        ada.endpoint.wait_idle().await;
        let (mut ada, welcome) = world.returning(&ada.token).await;
        assert_eq!(welcome["chat"]["stranger"], "away");
        let (mut ben, his) = world.returning(&ben.token).await;
        assert_eq!(his["chat"]["stranger"], "here");
        assert_ne!(welcome["chat"]["role"], his["chat"]["role"]);
        let back = ada.next(PEER).await;
        assert_eq!(back["chat"], welcome["chat"]["chat"]);
        assert_eq!(back["new_chat"], his["chat"]["chat"]);
        talk(&mut ada, &mut ben, number(&back["new_chat"])).await;
    }
}

#[tokio::test]
async fn a_chat_follows_from_connection_to_connection() {
    // Each one may be on another of the four shards.
    let world = World::new(4);
    let (mut ada, mut ben, mut chat) = world.chat().await;
    for turn in 0..12 {
        let (again, welcome) = world.returning(&ada.token).await;
        assert_eq!(welcome["resumed"], true, "turn {turn}");
        ada = again;
        let new = ben.hears_back().await;
        assert_eq!(welcome["chat"]["chat"], new);
        assert_ne!(new, chat);
        chat = new;
        talk(&mut ada, &mut ben, chat).await;
        std::mem::swap(&mut ada, &mut ben);
    }
}

#[tokio::test]
async fn a_wait_is_not_resumed() {
    for shards in SHARDS {
        let world = World::new(shards);
        let mut ada = world.guest().await;
        ada.waits(json!({"n": 1, "mode": "text"})).await;
        let (mut ada, welcome) = world.returning(&ada.token).await;
        assert_eq!((&welcome["resumed"], &welcome["chat"]), (&json!(true), &json!(null)));
        let (mut ben, mut cleo) = (world.guest().await, world.guest().await);
        ben.waits(json!({"n": 1, "mode": "text"})).await;
        cleo.find(json!({"n": 1, "mode": "text"})).await;
        let matched = cleo.expect(MATCHED).await;
        assert_eq!(ben.expect(MATCHED).await["chat"], matched["chat"]);
        ada.has_heard_all().await;
        ben.find(json!({"n": 2, "mode": "text"})).await;
        ada.find(json!({"n": 2, "mode": "text"})).await;
        assert_eq!(ada.expect(MATCHED).await["n"], 2);
    }
}

#[tokio::test]
async fn a_chat_that_ended_meanwhile_is_not_there_any_more() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (ada, mut ben, _) = world.chat().await;
        ada.endpoint.close(0_u32.into(), b"");
        ben.next(PEER).await;
        ben.raw(LEAVE, b"").await;
        ben.has_heard_all().await;
        let (mut ada, welcome) = world.returning(&ada.token).await;
        assert_eq!((&welcome["resumed"], &welcome["chat"]), (&json!(true), &json!(null)));
        ada.has_heard_all().await;
        // Whom it was about is still known.
        ada.say(REPORT, &json!({"reason": "other"})).await;
        ada.has_heard_all().await;
    }
}

#[tokio::test]
async fn find_right_after_a_resume_is_next() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (ada, mut ben, chat) = world.chat().await;
        let mut again = world.person().await;
        let hello = frame(HELLO, json!({"v": 1, "resume": ada.token}).to_string().as_bytes());
        let late = relayed(TEXT, chat, b"under the old number");
        again.write(&[hello, late, frame(FIND, br#"{"n":2,"mode":"text"}"#)].concat()).await;
        assert_eq!(again.next(WELCOME).await["resumed"], true);
        assert_eq!(again.next(WAITING).await["n"], 2);
        let chat = ben.hears_back().await;
        assert_eq!(ben.next(ENDED).await, json!({"chat": chat, "why": "left"}));
    }
}
