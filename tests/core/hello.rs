//! Step 2: HELLO and resume.

use anoncam::core::bus::BusMessage;
use anoncam::core::frame::{ControlKind, FrameFault};
use anoncam::core::io::{ChatId, CloseCode, LinkId, ShardId};
use anoncam::core::shard::Shard;
use serde_json::{Value, json};

use crate::world::{Channel, World};

fn token(welcome: &Value) -> String {
    welcome["session"].as_str().expect("a token").to_owned()
}

#[test]
fn a_session_begins_with_hello() {
    let mut world = World::new(1);
    let (channel, welcome) = world.join(0, None);
    assert_eq!(
        (&welcome["resumed"], &welcome["resume_s"], &welcome["chat"]),
        (&json!(false), &json!(60), &Value::Null)
    );
    assert!(token(&welcome).len() <= 64);
    world.say(channel, ControlKind::Hello, &json!({"v": 1}));
    world.expect_closed(channel, CloseCode::Protocol);
}

#[test]
fn whoever_says_something_else_first_or_nothing_is_closed() {
    let mut world = World::new(1);
    let (early, mute, newer) = (world.open(0), world.open(0), world.open(0));
    world.find(early, 1);
    world.expect_closed(early, CloseCode::Protocol);
    world.say(newer, ControlKind::Hello, &json!({"v": 2}));
    world.expect_closed(newer, CloseCode::Protocol);
    let relaying = world.open(0);
    world.text(relaying, ChatId(1), b"hi");
    world.expect_closed(relaying, CloseCode::Protocol);
    world.wait_ms(5_000);
    world.expect_closed(mute, CloseCode::Idle);
    assert_eq!(world.shards[0].counts().links, 0);
}

#[test]
fn faults_of_the_decoder_close_with_their_code() {
    let mut world = World::new(1);
    for (fault, code) in [(FrameFault::Type, CloseCode::Protocol), (FrameFault::TooLong, CloseCode::TooLarge)]
    {
        let (channel, _) = world.join(0, None);
        let now = world.now;
        world.shards[0].handle_fault(now, LinkId(channel.1), fault);
        world.settle();
        assert!(!world.expect_closed(channel, code).is_empty());
    }
}

#[test]
fn a_chat_comes_back_under_a_new_number() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let ([(a, welcome), (b, _)], chat) = world.couple(shards);
        world.event(a, Shard::handle_closed);
        assert_eq!(world.expect(b, 0x45), json!({"chat": chat.0, "state": "away"}));
        world.text(b, chat, b"into the void");
        let (a, back) = world.join(0, Some(&token(&welcome)));
        let resumed = &back["chat"];
        assert_eq!(
            (&back["resumed"], &resumed["stranger"], &resumed["mode"]),
            (&json!(true), &json!("here"), &json!("text"))
        );
        let told = world.expect(b, 0x45);
        assert_eq!(
            (&told["state"], &told["new_chat"], &told["ice"]),
            (&json!("back"), &resumed["chat"], &json!([]))
        );
        let new = ChatId(resumed["chat"].as_u64().unwrap() as u32);
        assert_ne!(new, chat);
        world.text(b, chat, b"late");
        world.text(b, new, b"fresh");
        world.text(a, new, b"me too");
        assert_eq!((world.texts(a), world.texts(b)), (vec![b"fresh".to_vec()], vec![b"me too".to_vec()]));
        assert!(world.client(a).in_chat);
    }
}

#[test]
fn a_takeover_closes_the_old_connection() {
    let mut world = World::new(1);
    let ([(a, welcome), (b, _)], _) = world.couple([0, 0]);
    let (_, back) = world.join(0, Some(&token(&welcome)));
    world.expect_closed(a, CloseCode::Done);
    let told = world.expect(b, 0x45);
    assert_eq!((&told["state"], &told["new_chat"]), (&json!("back"), &back["chat"]["chat"]));
    assert_eq!(world.shards[0].counts().links, 2);
}

#[test]
fn the_old_token_is_good_until_the_new_connection_has_spoken() {
    let mut world = World::new(1);
    let (_, first) = world.join(0, None);
    let (_, second) = world.join(0, Some(&token(&first)));
    assert_ne!(token(&first), token(&second));
    let (channel, third) = world.join(0, Some(&token(&first)));
    assert_eq!(third["resumed"], true, "WELCOME may have been lost");
    world.say(channel, ControlKind::Leave, &Value::Null);
    let (_, fourth) = world.join(0, Some(&token(&first)));
    assert_eq!(fourth["resumed"], false);
    let (_, fifth) = world.join(0, Some(&token(&third)));
    assert_eq!(fifth["resumed"], true);
}

#[test]
fn both_sides_lost_come_back_one_after_the_other() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let ([(a, hello_a), (b, hello_b)], _) = world.couple(shards);
        world.event(a, Shard::handle_closed);
        world.event(b, Shard::handle_closed);
        let (a, back_a) = world.join(shards[0], Some(&token(&hello_a)));
        assert_eq!(back_a["chat"]["stranger"], "away");
        let (b, back_b) = world.join(shards[1], Some(&token(&hello_b)));
        assert_eq!(back_b["chat"]["stranger"], "here");
        let told = world.expect(a, 0x45);
        assert_eq!((&told["chat"], &told["new_chat"]), (&back_a["chat"]["chat"], &back_b["chat"]["chat"]));
        let chat = ChatId(back_b["chat"]["chat"].as_u64().unwrap() as u32);
        world.text(a, chat, b"again");
        assert_eq!(world.texts(b), [b"again"]);
    }
}

#[test]
fn after_a_minute_away_the_chat_is_lost_and_the_session_forgotten() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let ([(a, welcome), (b, _)], chat) = world.couple(shards);
        world.event(a, Shard::handle_closed);
        world.expect(b, 0x45);
        world.wait_ms(59_990);
        world.expect_nothing(b);
        world.wait_ms(20);
        assert_eq!(world.expect(b, 0x44), json!({"chat": chat.0, "why": "lost"}));
        let (_, again) = world.join(0, Some(&token(&welcome)));
        assert_eq!(again["resumed"], false);
    }
}

#[test]
fn a_session_resumes_on_another_shard_and_moves_between_shards() {
    let mut world = World::new(3);
    let ([(a, welcome), (b, _)], _) = world.couple([0, 0]);
    let mut resume = token(&welcome);
    let mut old = a;
    for shard in [1, 2, 1, 0, 2] {
        let (channel, back) = world.join(shard, Some(&resume));
        resume = token(&back);
        assert_eq!(
            (&back["resumed"], &back["chat"]["stranger"]),
            (&json!(true), &json!("here")),
            "on shard {shard}"
        );
        world.expect_closed(old, CloseCode::Done);
        assert!(world.client(channel).in_chat);
        let chat = ChatId(world.expect(b, 0x45)["new_chat"].as_u64().unwrap() as u32);
        world.text(b, chat, b"there");
        world.text(channel, chat, b"and back");
        assert_eq!(
            (world.texts(channel), world.texts(b)),
            (vec![b"there".to_vec()], vec![b"and back".to_vec()])
        );
        old = channel;
    }
    world.say(old, ControlKind::Leave, &Value::Null);
    assert_eq!(world.expect(b, 0x44)["why"], "left");
    world.find(old, 2);
    world.find(b, 2);
    world.wait_ms(2_100);
    assert_eq!(world.last(old, 0x43)["chat"], world.last(b, 0x43)["chat"]);
}

/// HELLO with this token on another shard than the session's, whose question to the home is held back.
fn ask_from_afar(world: &mut World, resume: &str) -> (Channel, Vec<(ShardId, BusMessage)>) {
    let channel = world.open(1);
    let (now, hello) = (world.now, json!({"v": 1, "resume": resume}).to_string());
    world.shards[1].handle_control(now, LinkId(channel.1), ControlKind::Hello, hello.as_bytes());
    let question = world.held_back(1);
    assert_eq!(question.len(), 1);
    (channel, question)
}

#[test]
fn a_hello_that_was_delayed_between_shards_takes_nothing_from_a_later_one() {
    for given_up in [false, true] {
        let mut world = World::new(2);
        let ([(_, welcome), (b, _)], _) = world.couple([0, 0]);
        let (late, mut delayed) = ask_from_afar(&mut world, &token(&welcome));
        if given_up {
            let now = world.now;
            world.shards[1].handle_closed(now, LinkId(late.1));
            delayed.extend(world.held_back(1));
        }
        world.wait_ms(5);
        let (home, back) = world.join(0, Some(&token(&welcome)));
        assert_eq!(world.expect(b, 0x45)["new_chat"], back["chat"]["chat"]);
        world.deliver(1, delayed);
        // Whoever is there goes on: the same connection, the same chat, the same token.
        let chat = ChatId(back["chat"]["chat"].as_u64().unwrap() as u32);
        world.text(b, chat, b"still there?");
        assert_eq!(world.texts(home), [b"still there?"]);
        assert!(world.client(home).closed.is_none());
        world.expect_nothing(b);
        if !given_up {
            // Whoever is late hears what they would have heard in time.
            assert_eq!(world.expect(late, 0x41)["resumed"], true);
            world.expect_closed(late, CloseCode::Done);
        }
        let (_, again) = world.join(1, Some(&token(&back)));
        assert_eq!(again["resumed"], true, "the token of the later WELCOME");
        assert_eq!(world.shards[0].counts().overtaken, 1);
    }
}

#[test]
fn a_home_that_is_slow_to_answer_is_waited_for_and_a_machine_that_stood_still_is_no_slow_home() {
    let mut world = World::new(2);
    let (_, welcome) = world.join(0, None);
    let (late, question) = ask_from_afar(&mut world, &token(&welcome));
    let again = world.alone_ms(1, 60_000);
    world.deliver(1, question);
    world.deliver(1, again);
    assert_eq!(world.expect(late, 0x41)["resumed"], true);

    let (lost, _) = ask_from_afar(&mut world, &token(&welcome));
    for ms in [250, 500, 1_000] {
        assert_eq!(world.alone_ms(1, ms).len(), 1, "asked again after {ms} ms");
    }
    world.alone_ms(1, 1_999);
    world.expect_nothing(lost);
    world.alone_ms(1, 2);
    assert_eq!(world.expect(lost, 0x41)["resumed"], false);
}

#[test]
fn an_unknown_session_of_another_shard_is_a_fresh_one_and_find_may_follow_at_once() {
    let mut world = World::new(2);
    let (channel, welcome) = world.join(0, None);
    world.event(channel, Shard::handle_closed);
    world.wait_ms(60_000);
    let late = world.open(1);
    let now = world.now;
    let hello = json!({"v": 1, "resume": token(&welcome)}).to_string();
    world.shards[1].handle_control(now, LinkId(late.1), ControlKind::Hello, hello.as_bytes());
    world.shards[1].handle_control(now, LinkId(late.1), ControlKind::Find, br#"{"n":4,"mode":"text"}"#);
    world.settle();
    assert_eq!(world.last(late, 0x41)["resumed"], false);
    assert_eq!(world.last(late, 0x42)["n"], 4);
}

#[test]
fn a_full_shard_says_so() {
    let mut world = World::with(1, |config| config.max_sessions = 2);
    let (first, welcome) = world.join(0, None);
    world.join(0, None);
    let late = world.open(0);
    let reason: Value = serde_json::from_str(&world.expect_closed(late, CloseCode::Full)).unwrap();
    assert!(reason["message"].is_string() && reason["retry_after_ms"].is_u64());
    world.event(first, Shard::handle_closed);
    let (_, back) = world.join(0, Some(&token(&welcome)));
    assert_eq!(back["resumed"], true, "whoever is away keeps their place");
}

#[test]
fn on_a_full_shard_whoever_has_left_gives_up_their_place_and_whoever_chats_does_not() {
    let mut world = World::with(1, |config| config.max_sessions = 4);
    let ([(ada, in_chat), _], chat) = world.couple([0, 0]);
    let (left, _) = world.join(0, None);
    let (moved, on_the_move) = world.join(0, None);
    let refused = |world: &mut World| {
        let late = world.open(0);
        world.say(late, ControlKind::Hello, &json!({"v": 1}));
        world.expect_closed(late, CloseCode::Full);
    };
    world.event(ada, Shard::handle_closed);
    world.event(left, Shard::handle_closed);
    world.wait_ms(9_000);
    // A network that changes takes less than ten seconds.
    world.event(moved, Shard::handle_closed);
    refused(&mut world);
    world.wait_ms(2_000);
    let (_, newcomer) = world.join(0, None);
    assert_eq!(newcomer["resumed"], false, "in the place of who left");
    refused(&mut world);
    assert_eq!(world.join(0, Some(&token(&on_the_move))).1["resumed"], true);
    world.wait_ms(20_000);
    refused(&mut world);
    let (_, back) = world.join(0, Some(&token(&in_chat)));
    assert_eq!((&back["resumed"], &back["chat"]["stranger"]), (&json!(true), &json!("here")), "{chat:?}");
}
