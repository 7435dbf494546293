//! Steps 3 and 6: conduct, limits and ends.

use anoncam::core::frame::ControlKind;
use anoncam::core::ice::IceConfig;
use anoncam::core::io::{ChatId, CloseCode};
use anoncam::core::pause::Paused;
use anoncam::core::shard::{Shard, ShardConfig};
use anoncam::privacy::Hidden;
use serde_json::{Value, json};

use crate::world::World;

#[test]
fn blocked_and_reported_people_never_meet_again() {
    for shards in [[0, 0], [0, 1]] {
        for kind in [ControlKind::Block, ControlKind::Report] {
            let mut world = World::new(2);
            let ([(a, _), (b, _)], _) = world.couple(shards);
            let payload = if kind == ControlKind::Report { json!({"reason": "spam"}) } else { Value::Null };
            world.say(a, kind, &payload);
            assert_eq!(world.expect(b, 0x44)["why"], "left", "nobody is told who reported them");
            world.expect_nothing(a);
            world.find(a, 2);
            world.find(b, 2);
            world.wait_ms(30_000);
            assert!(!world.client(a).in_chat);
            let (c, _) = world.join(shards[1], None);
            world.find(c, 1);
            world.wait_ms(5);
            assert!(world.client(c).in_chat);
        }
    }
}

#[test]
fn a_report_may_come_a_little_late_and_needs_somebody() {
    let mut world = World::new(1);
    let ([(a, _), (b, _)], _) = world.couple([0, 0]);
    world.say(b, ControlKind::Leave, &Value::Null);
    world.expect(a, 0x44);
    world.wait_ms(59_000);
    world.say(a, ControlKind::Report, &json!({"reason": "other"}));
    world.expect_nothing(a);
    assert_eq!(world.shards[0].counts().reports, 1);
    world.wait_ms(2_000);
    for (kind, payload) in
        [(ControlKind::Report, json!({"reason": "other"})), (ControlKind::Block, Value::Null)]
    {
        world.say(a, kind, &payload);
        assert_eq!(world.expect(a, 0x46)["code"], "bad_request");
    }
}

#[test]
fn what_is_out_of_range_is_refused_and_what_makes_no_sense_ends_the_session() {
    let mut world = World::new(1);
    let ([(a, _), (b, _)], _) = world.couple([0, 0]);
    world.say(a, ControlKind::Find, &json!({"n": 2, "mode": "smoke signals"}));
    assert_eq!(world.expect(a, 0x46)["code"], "bad_request");
    world.expect_nothing(b);
    world.say_bytes(a, ControlKind::Find, b"{");
    world.expect_closed(a, CloseCode::Protocol);
    assert_eq!(world.expect(b, 0x45)["state"], "away");
}

#[test]
fn finding_too_often_is_refused_and_flooding_ends_the_session() {
    let mut world = World::new(1);
    let (a, _) = world.join(0, None);
    for n in 1..=20 {
        world.find(a, n);
        assert_eq!(world.expect(a, 0x42)["n"], n);
    }
    world.find(a, 21);
    let notice = world.expect(a, 0x46);
    assert_eq!((&notice["code"], &notice["retry_after_ms"]), (&json!("rate_limited"), &json!(200)));
    world.wait_ms(200);
    world.find(a, 22);
    assert_eq!(world.expect(a, 0x42)["n"], 22);
    for _ in 0..250 {
        world.say(a, ControlKind::Leave, &Value::Null);
    }
    let reason: Value = serde_json::from_str(&world.expect_closed(a, CloseCode::TooMany)).unwrap();
    assert!(reason["retry_after_ms"].is_u64());
}

#[test]
fn an_idle_session_is_closed_after_ten_minutes() {
    let mut world = World::new(1);
    let (a, _) = world.join(0, None);
    world.wait_ms(599_000);
    assert!(world.client(a).closed.is_none());
    world.wait_ms(1_000);
    world.expect_closed(a, CloseCode::Idle);
    world.wait_ms(60_000);
    assert_eq!(world.shards[0].counts().sessions, 0);
}

#[test]
fn a_drain_lets_chats_finish_and_then_ends_them() {
    let mut world = World::new(2);
    let ([(a, hers), (b, _)], _) = world.couple([0, 1]);
    let (idle, its) = world.join(0, None);
    let now = world.now;
    world.shards.iter_mut().for_each(|shard| shard.begin_drain(now, 30_000));
    world.settle();
    for channel in [a, b, idle] {
        assert_eq!(world.expect(channel, 0x47), json!({"within_ms": 30_000}));
    }
    // Newcomers are sent away when they say HELLO, also with the token of a session that does not chat, or soon if they
    // say nothing.
    let slow = world.open(0);
    for resume in [&Value::Null, &its["session"]] {
        for shard in [0, 1] {
            let late = world.open(shard);
            world.say(late, ControlKind::Hello, &json!({"v": 1, "resume": resume}));
            world.expect_closed(late, CloseCode::Draining);
        }
    }
    world.find(idle, 1);
    world.expect_closed(idle, CloseCode::Draining);
    assert_eq!(world.shards[0].chats(), 1);
    world.wait_ms(1_000);
    world.expect_closed(slow, CloseCode::Draining);
    // A chat is resumed as ever, on any shard.
    let a = world.open(1);
    world.say(a, ControlKind::Hello, &json!({"v": 1, "resume": hers["session"]}));
    let welcome = world.last(a, 0x41);
    assert_eq!(world.last(a, 0x47), json!({"within_ms": 29_000}));
    world.client(a).frames.clear();
    assert_eq!(world.expect(b, 0x45)["new_chat"], welcome["chat"]["chat"]);
    let chat = ChatId(welcome["chat"]["chat"].as_u64().unwrap() as u32);
    world.text(a, chat, b"goodbye");
    assert_eq!(world.texts(b), [b"goodbye"]);
    world.wait_ms(29_000);
    for channel in [a, b] {
        assert_eq!(world.expect(channel, 0x44), json!({"chat": chat.0, "why": "draining"}));
        world.expect_closed(channel, CloseCode::Draining);
    }
    assert_eq!(world.shards[0].chats(), 0);
    let too_late = world.open(0);
    world.expect_closed(too_late, CloseCode::Draining);
}

/// A newer process takes over: it has the newcomers, and whoever is here is told to go there, but not all at once.
#[test]
fn a_move_sends_people_over_one_after_the_other_and_lets_chats_finish() {
    let mut world = World::new(1);
    let ([(a, hers), (b, _)], chat) = world.couple([0, 0]);
    let idle: Vec<_> = (0..1_000).map(|_| world.join(0, None).0).collect();
    let (waits, _) = world.join(0, None);
    world.say(waits, ControlKind::Find, &json!({"n": 1, "mode": "video"}));
    world.expect(waits, 0x42);
    let early = world.open(0);
    let now = world.now;
    world.shards[0].begin_move(now, 4_000);
    world.settle();
    for channel in [a, b, waits] {
        assert_eq!(
            world.expect(channel, 0x47),
            json!({"within_ms": 4_000}),
            "at once: nobody comes to meet them"
        );
    }
    let told = |world: &World| idle.iter().filter(|one| !world.clients[one].frames.is_empty()).count();
    let mut before = told(&world);
    assert!(before <= 100, "{before} at once");
    for _ in 0..10 {
        world.wait_ms(100);
        let now = told(&world);
        assert!(now - before <= 100, "{before}, then {now}");
        before = now;
    }
    assert_eq!(told(&world), 1_000, "all within half of the time");
    // Somebody who was on the way is welcome, and told to go on.
    world.say(early, ControlKind::Hello, &json!({"v": 1}));
    let heard: Vec<_> = world.clients[&early].frames.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(heard, [0x41, 0x47]);
    // Whoever looks for a stranger here is sent there at once.
    world.find(idle[0], 1);
    let reason: Value = serde_json::from_str(&world.expect_closed(idle[0], CloseCode::Draining)).unwrap();
    assert_eq!(reason["retry_after_ms"], 0);
    // The chat goes on, also over a new connection.
    world.text(a, chat, b"still here");
    assert_eq!(world.texts(b), [b"still here"]);
    let again = world.open(0);
    world.say(again, ControlKind::Hello, &json!({"v": 1, "resume": hers["session"]}));
    assert!(world.last(again, 0x41)["chat"]["role"].is_string());
    world.wait_ms(3_000);
    for channel in [again, b, idle[1]] {
        world.expect_closed(channel, CloseCode::Draining);
    }
}

/// A connection to the newer process may resume a chat that goes on in the older one, and so may one to the newest after a
/// second upgrade; an idle session starts afresh.
#[test]
fn a_chat_is_resumed_from_a_newer_process() {
    let mut world = World::new(2);
    let ([(a, hers), (b, his)], _) = world.couple([0, 1]);
    let (_, idle) = world.join(0, None);
    let newer = world.upgrade();
    world.clients.values_mut().for_each(|client| client.frames.clear());
    // On another shard than her session's, in the other process.
    let again = world.open(newer + 1);
    world.say(again, ControlKind::Hello, &json!({"v": 1, "resume": hers["session"]}));
    let welcome = world.last(again, 0x41);
    assert_eq!((&welcome["resumed"], &welcome["chat"]["stranger"]), (&json!(true), &json!("here")));
    assert_eq!(
        world.last(again, 0x47),
        json!({"within_ms": 60_000}),
        "the older process goes away all the same"
    );
    world.expect_closed(a, CloseCode::Done);
    let chat = ChatId(welcome["chat"]["chat"].as_u64().unwrap() as u32);
    assert_eq!(world.expect(b, 0x45)["new_chat"], chat.0);
    world.text(again, chat, b"here I am");
    world.text(b, chat, b"good");
    assert_eq!((world.texts(b), world.texts(again)), (vec![b"here I am".to_vec()], vec![b"good".to_vec()]));

    let newest = world.upgrade();
    let other = world.open(newest);
    world.say(other, ControlKind::Hello, &json!({"v": 1, "resume": his["session"]}));
    let welcome = world.last(other, 0x41);
    let chat = ChatId(welcome["chat"]["chat"].as_u64().unwrap() as u32);
    world.text(other, chat, b"me too");
    assert_eq!(
        world.texts(again),
        [b"me too"],
        "from the newest process by the oldest to the one in between"
    );

    let (_, fresh) = world.join(newest, idle["session"].as_str());
    assert_eq!(fresh["resumed"], false);
    // When the oldest is gone its chats are, and whoever had one starts afresh.
    let now = world.now;
    world.shards[usize::from(newest)].handle_processes_lost(now, 254..=254);
    world.settle();
    world.expect_closed(other, CloseCode::Internal);
}

/// The newer process is gone before the older one: there is nowhere to go.
#[test]
fn a_move_without_a_goal_is_a_drain() {
    let mut world = World::new(1);
    let idle: Vec<_> = (0..500).map(|_| world.join(0, None).0).collect();
    let now = world.now;
    world.shards[0].begin_move(now, 60_000);
    world.settle();
    world.shards[0].stop_moving(now);
    world.settle();
    for one in idle {
        assert_eq!(world.expect(one, 0x47), json!({"within_ms": 60_000}));
    }
    let late = world.open(0);
    world.say(late, ControlKind::Hello, &json!({"v": 1}));
    let reason: Value = serde_json::from_str(&world.expect_closed(late, CloseCode::Draining)).unwrap();
    assert!(reason["retry_after_ms"].as_u64().unwrap() > 0);
}

#[test]
fn a_pause_ends_waits_and_refuses_finds_and_lets_chats_go_on() {
    let mut world = World::new(2);
    let ([(a, _), (b, _)], chat) = world.couple([0, 1]);
    let waits = world.join(0, None).0;
    let video = world.join(1, None).0;
    world.find(waits, 1);
    world.say(video, ControlKind::Find, &json!({"n": 1, "mode": "video"}));
    for channel in [waits, video] {
        world.expect(channel, 0x42);
    }
    let text = Paused { text: true, ..Paused::default() };
    let now = world.now;
    let set = |world: &mut World, paused| {
        world.shards.iter_mut().for_each(|shard| shard.set_paused(now, paused));
        world.settle();
    };
    set(&mut world, text);
    let notice = world.expect(waits, 0x46);
    assert_eq!((&notice["code"], &notice["retry_after_ms"]), (&json!("paused"), &json!(30_000)));
    assert!(notice["message"].as_str().unwrap().contains("text"), "{notice}");
    assert_eq!(world.shards[0].counts().waiting, [0, 0]);
    world.expect_nothing(video);
    // A refused FIND changes nothing: the chat goes on.
    world.find(a, 2);
    assert_eq!(world.expect(a, 0x46)["code"], "paused");
    world.text(a, chat, b"still here");
    assert_eq!(world.texts(b), [b"still here"]);
    set(&mut world, Paused::default());
    world.find(waits, 2);
    assert_eq!(world.expect(waits, 0x42)["n"], 2);
}

#[test]
fn while_newcomers_are_paused_who_was_there_may_come_back() {
    let mut world = World::new(2);
    let ([(a, hers), _], _) = world.couple([0, 1]);
    let now = world.now;
    world
        .shards
        .iter_mut()
        .for_each(|shard| shard.set_paused(now, Paused { new: true, ..Paused::default() }));
    let newcomer = world.open(1);
    world.say(newcomer, ControlKind::Hello, &json!({"v": 1}));
    let reason: Value = serde_json::from_str(&world.expect_closed(newcomer, CloseCode::Full)).unwrap();
    assert!(reason["message"].is_string() && reason["retry_after_ms"] == 30_000, "{reason}");
    world.event(a, Shard::handle_closed);
    let back = world.open(1);
    world.say(back, ControlKind::Hello, &json!({"v": 1, "resume": hers["session"]}));
    assert_eq!(world.last(back, 0x41)["resumed"], true);
}

#[test]
fn video_chats_get_turn_credentials_and_fresh_ones_in_time() {
    let ice = IceConfig::new(&["turn:t:3478".into()], &[Hidden::new(b"s".to_vec())], 600);
    let mut world = World::with(1, |config| config.ice = Some(ice.clone()));
    let now = world.now;
    world.shards[0].set_unix_time(now, 1_001);
    let ((a, welcome), (b, _)) = (world.join(0, None), world.join(0, None));
    for channel in [a, b] {
        world.say(channel, ControlKind::Find, &json!({"n": 1, "mode": "video"}));
    }
    let (for_a, for_b) = (world.last(a, 0x43), world.last(b, 0x43));
    assert_eq!(for_a["ice"][0]["urls"], json!(["turn:t:3478"]));
    assert_ne!(for_a["ice"][0]["username"], for_b["ice"][0]["username"]);
    assert!(for_a["ice"][0]["username"].as_str().unwrap().starts_with("1601:"));
    world.client(a).frames.clear();
    world.wait_ms(450_000);
    assert!(world.expect(a, 0x48)["ice"][0]["username"].as_str().unwrap().starts_with("2051:"));
    world.event(a, Shard::handle_closed);
    let (c, back) = world.join(0, welcome["session"].as_str());
    assert_eq!(back["chat"]["ice"][0]["urls"], json!(["turn:t:3478"]));
    assert_eq!(world.last(b, 0x45)["ice"][0]["urls"], json!(["turn:t:3478"]));
    // The clock on the wall is set, and the secret changes: the next credentials go by them. Two of one and one of the other.
    let now = world.now;
    world.shards[0].set_unix_time(now, 5_000);
    let other = |ice| ShardConfig { ice, ..ShardConfig::default() };
    world.shards[0].set_config(other(Some(IceConfig::new(
        &["turn:u:3478".into()],
        &["t", "s"].map(|secret| Hidden::new(secret.into())),
        600,
    ))));
    world.wait_ms(450_000);
    let fresh = world.last(c, 0x48);
    assert_eq!(fresh["ice"].as_array().unwrap().len(), 2);
    assert_eq!(fresh["ice"][0]["urls"], json!(["turn:u:3478"]));
    assert!(fresh["ice"][0]["username"].as_str().unwrap().starts_with("6050:"), "{fresh}");
    // The operator takes the relay away: nothing comes any more, and nothing spins.
    world.shards[0].set_config(other(None));
    world.client(c).frames.clear();
    world.wait_ms(1_000_000);
    world.expect_nothing(c);
}
