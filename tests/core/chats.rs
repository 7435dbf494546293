//! Steps 3 to 5: finding, pairing, relaying.

use anoncam::core::frame::ControlKind;
use anoncam::core::io::ChatId;
use anoncam::core::shard::Shard;
use anoncam::limits::HOLD_BYTES;
use serde_json::{Value, json};

use crate::world::{Channel, World};

#[test]
fn two_strangers_chat() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let ((a, _), (b, _)) = (world.join(shards[0], None), world.join(shards[1], None));
        world.say(a, ControlKind::Find, &json!({"n": 7, "mode": "text", "interests": ["Music", "film"]}));
        let waiting = world.expect(a, 0x42);
        assert_eq!((&waiting["n"], &waiting["estimate_ms"]), (&json!(7), &Value::Null));
        world.say(
            b,
            ControlKind::Find,
            &json!({"n": 9, "mode": "text", "interests": ["MUSIC"], "langs": ["en"]}),
        );
        world.wait_ms(5);
        let (for_a, for_b) = (world.last(a, 0x43), world.last(b, 0x43));
        assert_eq!((&for_a["n"], &for_b["n"], &for_a["chat"]), (&json!(7), &json!(9), &for_b["chat"]));
        assert_eq!((&for_a["shared"], &for_b["shared"]), (&json!(["music"]), &json!(["music"])));
        assert_ne!(for_a["role"], for_b["role"]);
        assert_eq!((&for_a["ice"], &for_a["mode"]), (&json!([]), &json!("text")));
        let chat = ChatId(for_a["chat"].as_u64().unwrap() as u32);
        for text in [&b"one"[..], b"two", b"three"] {
            world.text(a, chat, text);
        }
        assert_eq!(world.texts(b), [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
        assert!(world.client(a).in_chat && world.client(b).in_chat);
    }
}

#[test]
fn next_is_one_frame_and_the_other_is_told_left() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let ([(a, _), (b, _)], chat) = world.couple(shards);
        world.find(a, 2);
        assert_eq!(world.expect(b, 0x44), json!({"chat": chat.0, "why": "left"}));
        world.text(b, chat, b"too late");
        assert_eq!(world.texts(a), Vec::<Vec<u8>>::new());
        assert!(!world.client(b).in_chat);
        assert_eq!(world.expect(a, 0x42)["n"], 2);
    }
}

#[test]
fn who_waits_is_told_every_five_seconds() {
    let mut world = World::new(1);
    let (a, _) = world.join(0, None);
    world.find(a, 1);
    world.wait_ms(15_500);
    assert_eq!(world.client(a).frames.iter().filter(|(kind, _)| *kind == 0x42).count(), 4);
}

#[test]
fn wishes_relax_and_recent_strangers_meet_again_after_their_time() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let ([(a, _), (b, _)], _) = world.couple(shards);
        world.find(a, 2);
        world.find(b, 2);
        world.wait_ms(1_900);
        assert!(!world.client(a).in_chat);
        world.wait_ms(200);
        assert!(world.client(a).in_chat && world.client(b).in_chat, "recent strangers after 2 s, {shards:?}");
        let ((c, _), (d, _)) = (world.join(shards[0], None), world.join(shards[1], None));
        world.say(
            c,
            ControlKind::Find,
            &json!({"n": 1, "mode": "text", "interests": ["x"], "langs": ["en"]}),
        );
        world.say(
            d,
            ControlKind::Find,
            &json!({"n": 1, "mode": "text", "interests": ["y"], "langs": ["fr"]}),
        );
        world.wait_ms(4_900);
        assert!(!world.client(c).in_chat);
        world.wait_ms(200);
        assert!(world.client(c).in_chat && world.client(d).in_chat, "wishes after 5 s, {shards:?}");
    }
}

#[test]
fn a_slow_stranger_holds_the_sender_back() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let ([(a, _), (b, _)], chat) = world.couple(shards);
        let frame = [7; 4_088];
        for _ in 0..=HOLD_BYTES / 4_096 {
            assert_eq!(world.client(a).reading, None);
            world.text(a, chat, &frame);
        }
        assert_eq!(world.client(a).reading, Some(false), "{shards:?}");
        world.flush(b, 4_096);
        world.flush(b, HOLD_BYTES / 2 - 4_096);
        assert_eq!(world.client(a).reading, Some(false));
        world.flush(b, 16_384);
        assert_eq!(world.client(a).reading, Some(true), "{shards:?}");
        assert_eq!(world.texts(b).len(), HOLD_BYTES / 4_096 + 1);
    }
}

#[test]
fn a_sender_that_was_held_back_may_go_on_to_the_next() {
    let mut world = World::new(1);
    let ([(a, _), (b, _)], chat) = world.couple([0, 0]);
    for _ in 0..17 {
        world.text(a, chat, &[7; 4_088]);
    }
    assert_eq!(world.client(a).reading, Some(false));
    world.find(b, 2);
    assert_eq!(world.client(a).reading, Some(true));
    assert_eq!(world.expect(a, 0x44)["why"], "left");
    // b has not taken what it was sent: it waits, but nobody meets it before it has.
    let (c, _) = world.join(0, None);
    world.find(c, 1);
    assert!(!world.client(c).in_chat);
    world.flush(b, 40_000);
    assert!(world.client(c).in_chat && world.client(b).in_chat);
}

fn silence(world: &mut World, channel: Channel) {
    world.event(channel, Shard::handle_silent);
}

#[test]
fn silence_is_away_and_being_heard_again_is_back() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let ([(a, _), (b, _)], chat) = world.couple(shards);
        silence(&mut world, a);
        assert_eq!(world.expect(b, 0x45), json!({"chat": chat.0, "state": "away"}));
        world.text(b, chat, b"still held");
        world.event(a, Shard::handle_heard);
        assert_eq!(world.expect(b, 0x45), json!({"chat": chat.0, "state": "back"}));
        assert_eq!(world.texts(a), [b"still held"]);
        world.text(a, chat, b"hello");
        assert_eq!(world.texts(b), [b"hello"]);
        world.expect_nothing(a);
    }
}

#[test]
fn a_chat_that_was_torn_while_silent_is_lost_for_both() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let ([(a, _), (b, _)], chat) = world.couple(shards);
        silence(&mut world, a);
        world.expect(b, 0x45);
        for _ in 0..40 {
            world.text(b, chat, &[7; 4_088]);
        }
        assert_ne!(world.client(b).reading, Some(false), "nothing holds back whose stranger is away");
        assert_eq!(world.texts(a).len(), HOLD_BYTES / 4_096);
        world.event(a, Shard::handle_heard);
        assert_eq!(world.expect(a, 0x44), json!({"chat": chat.0, "why": "lost"}));
        assert_eq!(world.expect(b, 0x44), json!({"chat": chat.0, "why": "lost"}));
    }
}

#[test]
fn silence_for_a_minute_loses_the_chat() {
    let mut world = World::new(1);
    let ([(a, _), (b, _)], _) = world.couple([0, 0]);
    silence(&mut world, a);
    world.expect(b, 0x45);
    world.wait_ms(60_000);
    assert_eq!(world.expect(b, 0x44)["why"], "lost");
    assert_eq!(world.expect(a, 0x44)["why"], "lost");
}

#[test]
fn whoever_stalls_is_closed_and_the_other_told() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let ([(a, _), (b, _)], _) = world.couple(shards);
        world.event(a, Shard::handle_stalled);
        assert_eq!(world.expect_closed(a, anoncam::core::io::CloseCode::Done), "stalled");
        assert_eq!(world.expect(b, 0x44)["why"], "stalled");
    }
}

#[test]
fn two_on_any_two_shards_of_an_idle_server_meet_within_five_milliseconds() {
    for a in 0..4 {
        for b in 0..4 {
            let mut world = World::new(4);
            let ((a, _), (b, _)) = (world.join(a, None), world.join(b, None));
            world.find(a, 1);
            world.wait_ms(7);
            world.find(b, 1);
            world.wait_ms(5);
            assert!(world.client(a).in_chat && world.client(b).in_chat);
        }
    }
}

#[test]
fn a_chat_ends_when_the_other_shard_is_lost() {
    let mut world = World::new(2);
    let ([(_, _), (b, _)], _) = world.couple([0, 1]);
    let now = world.now;
    world.shards[1].handle_shard_lost(now, anoncam::core::io::ShardId(0));
    world.settle();
    assert_eq!(world.expect(b, 0x44)["why"], "lost");
}
