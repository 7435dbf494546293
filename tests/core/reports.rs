//! Reports, as far as the core has to do with them: who counts, who is told, and what ends with the session.

use anoncam::core::frame::ControlKind;
use anoncam::core::io::{CloseCode, LinkId, Mark, Visitor};
use anoncam::core::reports::Reason;
use anoncam::limits::{CONTROL_BURST, LIMITED_COUNTS};
use serde_json::{Value, json};

use super::world::{Channel, World};

/// Somebody from `place` meets the accused and reports them.
fn reported_from(world: &mut World, accused: Channel, shard: u16, place: u64, report: &Value) -> Channel {
    let (reporter, _) = world.join_from(shard, place, None);
    world.find(accused, 1);
    world.find(reporter, 1);
    world.wait_ms(5);
    world.say(reporter, ControlKind::Report, report);
    world.clients.values_mut().for_each(|client| client.frames.clear());
    reporter
}

#[test]
fn four_places_that_report_end_a_session_and_one_place_does_not_however_often() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let (accused, welcome) = world.join_from(shards[0], 99, None);
        for _ in 0..6 {
            reported_from(&mut world, accused, shards[1], 1, &json!({"reason": "spam"}));
        }
        assert_eq!(world.accusations.iter().filter(|accusation| accusation.counted).count(), 1);
        for place in 2..=4 {
            assert!(world.client(accused).closed.is_none());
            let report = json!({"reason": "harassment", "case": format!("CASE-{place}")});
            reported_from(&mut world, accused, shards[1], place, &report);
        }
        let reason = world.expect_closed(accused, CloseCode::Banned);
        assert_eq!(reason, r#"{"case":"A"}"#);
        let last = world.accusations.last().expect("an accusation");
        assert_eq!((last.reports, last.mostly, last.mark), (4, Reason::Harassment, Mark(99)));
        assert_eq!(last.report.case.expect("a code").as_str(), "CASE-4");
        assert_eq!(world.closed_cases, 1, "nothing of the reports outlasts the session");
        let token = welcome["session"].as_str().expect("a token").to_owned();
        let (_, fresh) = world.join(shards[0], Some(&token));
        assert_eq!(fresh["resumed"], false, "it is over for good");
    }
}

#[test]
fn the_stranger_of_a_session_that_is_ended_is_told_that_it_left() {
    let mut world = World::new(2);
    let ([a, b], chat) = world.couple([0, 1]);
    for place in 1..=2 {
        // Late reports by two who met the accused before would come so; here they are told to the home at once.
        let who = world.shards[0].views(world.now)[0].person;
        let address = anoncam::core::pairing::Address {
            shard: anoncam::core::io::ShardId(0),
            session: anoncam::core::pairing::SessionId(0),
            person: who,
        };
        let report = anoncam::core::reports::Report { reason: Reason::Minor, case: None };
        let message = anoncam::core::bus::BusMessage::Reported { who: address, by: Mark(place), report };
        let now = world.now;
        world.shards[0].handle_bus(now, anoncam::core::io::ShardId(1), message);
        world.settle();
    }
    world.expect_closed(a.0, CloseCode::Banned);
    let ended = world.expect(b.0, 0x44);
    assert_eq!((ended["chat"].as_u64(), &ended["why"]), (Some(u64::from(chat.0)), &json!("left")));
}

#[test]
fn a_newcomer_who_is_refused_is_told_so_and_one_who_comes_back_is_let_in() {
    for shards in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let ([(a, welcome), _], _) = world.couple([shards[0], 0]);
        let token = welcome["session"].as_str().expect("a token").to_owned();
        world.event(a, anoncam::core::shard::Shard::handle_closed);
        let refusal = || Visitor {
            mark: Mark(5),
            refusal: Some(Box::new((
                CloseCode::TooMany,
                bytes::Bytes::from_static(b"{\"work\":\"8.13.x\"}"),
            ))),
        };
        let newcomer = world.open(shards[1]);
        world.shard(newcomer).introduce(LinkId(newcomer.1), refusal());
        world.say(newcomer, ControlKind::Hello, &json!({"v": 1}));
        assert_eq!(world.expect_closed(newcomer, CloseCode::TooMany), r#"{"work":"8.13.x"}"#);
        let back = world.open(shards[1]);
        world.shard(back).introduce(LinkId(back.1), refusal());
        world.say(back, ControlKind::Hello, &json!({"v": 1, "resume": token}));
        assert_eq!(world.expect(back, 0x41)["resumed"], true);
        let stranger = world.open(shards[1]);
        world.shard(stranger).introduce(LinkId(stranger.1), refusal());
        let guessed = format!("{}AAAAAAAAAAAAAAAAAAAAAA", &token[..8]);
        world.say(stranger, ControlKind::Hello, &json!({"v": 1, "resume": guessed}));
        world.expect_closed(stranger, CloseCode::TooMany);
    }
}

#[test]
fn a_request_that_the_driver_holds_back_is_answered_with_a_notice() {
    let mut world = World::new(1);
    let (a, _) = world.join(0, None);
    let now = world.now;
    world.shard(a).handle_limited(now, LinkId(a.1), 250);
    world.settle();
    let notice = world.expect(a, 0x46);
    assert_eq!((&notice["code"], notice["retry_after_ms"].as_u64()), (&json!("rate_limited"), Some(250)));
    for _ in 0..CONTROL_BURST / LIMITED_COUNTS {
        world.shard(a).handle_limited(now, LinkId(a.1), 250);
    }
    world.settle();
    world.expect_closed(a, CloseCode::TooMany);
    let silent = world.open(0);
    world.shard(silent).handle_limited(now, LinkId(silent.1), 250);
    world.settle();
    world.expect_closed(silent, CloseCode::Protocol);
}
