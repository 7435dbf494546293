//! Section 6, codes 3 and 4: who is kept out, for how long, and what they can do about it. Everybody here comes from a loopback address of
//! their own choosing, to a server in production.

use std::net::{IpAddr, Ipv4Addr};

use anoncam::limits::{MINOR_WEIGHT, REPORTS_END};

use super::*;

/// A production server for which an address stands for so many people.
fn production(people: u32) -> World {
    World::production(|config| {
        config.shards = 2;
        config.people_per_address = people;
    })
}

fn reason_of(closed: &(u32, String), code: u32) -> Value {
    assert_eq!(closed.0, code, "{}", closed.1);
    assert!(closed.1.len() <= 123, "short enough for WebSocket: {}", closed.1);
    serde_json::from_str(&closed.1).expect("JSON")
}

impl World {
    /// Somebody whose address is 127.0.0.`place`, who has been welcomed.
    async fn guest_from(&self, place: u8) -> Person {
        let mut person = self.person_from(place).await;
        person.hello().await;
        person
    }
}

/// What a client does with a challenge.
fn solve(challenge: &str) -> String {
    use base64::Engine as _;
    let mut parts = challenge.split('.');
    let mut number = || parts.next().unwrap().parse::<u32>().unwrap();
    let (count, bits) = (number(), number());
    let holds = |n: &u32| anoncam::abuse::work::holds(challenge, 1, bits, &n.to_be_bytes());
    let numbers: Vec<u8> = (0..).filter(holds).take(count as usize).flat_map(u32::to_be_bytes).collect();
    format!("{challenge}.{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(numbers))
}

#[tokio::test]
async fn as_many_sessions_as_fit_behind_an_address_and_a_place_is_free_when_one_ends() {
    let world = production(10);
    let mut inside = Vec::new();
    for _ in 0..10 {
        inside.push(world.guest_from(2).await);
    }
    let mut late = world.person_from(2).await;
    late.say(HELLO, &json!({"v": 1})).await;
    let reason = reason_of(&late.closed().await, 3);
    assert!(reason["retry_after_ms"].as_u64().unwrap() > 0 && reason["work"].is_null(), "{reason}");
    drop(world.guest_from(3).await);
    // Who comes back is let in, however many there are.
    let token = inside[0].token.clone();
    let mut back = world.person_from(2).await;
    assert_eq!(back.resume(&token).await["resumed"], true);
    drop((inside, late, back));
    let began = std::time::Instant::now();
    while world.server().counters().sum(|shard| shard.connections.get()) > 0 {
        assert!(began.elapsed() < LONG, "the server notices that they have gone");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    world.guest_from(2).await;
}

#[tokio::test]
async fn connections_without_end_are_told_to_wait_and_then_refused() {
    let world = production(10);
    let (mut welcome, mut told, mut refused) = (0, 0, 0);
    for _ in 0..60 {
        let address = IpAddr::from(Ipv4Addr::new(127, 0, 0, 2));
        let endpoint = quinn::Endpoint::client((address, 0).into()).unwrap();
        let Ok(session) = world.session_at(&endpoint).await else {
            refused += 1;
            continue;
        };
        let mut guest = Person::new(session, endpoint).await;
        guest.say(HELLO, &json!({"v": 1})).await;
        match guest.hear_if_any().await {
            Some((WELCOME, _)) => welcome += 1,
            _ => told += u32::from(guest.closed().await.0 == 3),
        }
        guest.session.close(0, b"");
    }
    // Some come back while the loop runs: a connection every six seconds.
    assert!((20..30).contains(&welcome) && told >= 5 && refused >= 10, "{welcome}, {told}, {refused}");
    world.guest_from(3).await;
}

#[tokio::test]
async fn frames_of_a_chat_that_come_too_fast_are_late_and_all_there() {
    let world = production(10);
    let (mut ada, mut ben) = (world.guest_from(2).await, world.guest_from(3).await);
    let chat = meet(&mut ada, &mut ben).await;
    // Ten people may send 200 frames at once, and 20 a second after that.
    let began = std::time::Instant::now();
    let count = 300_u32;
    let writes = async {
        for number in 0..count {
            ada.relay(TEXT, chat, &number.to_be_bytes()).await;
        }
        ada
    };
    let reads = async {
        for number in 0..count {
            assert_eq!(ben.expect_relayed(TEXT, chat).await, number.to_be_bytes());
        }
        ben
    };
    let (mut ada, _ben) = tokio::join!(writes, reads);
    let took = began.elapsed();
    assert!(took.as_secs_f64() > 3.0, "{took:?}: the last hundred are earned at 20 a second");
    ada.say(LEAVE, &Value::Null).await;
}

#[tokio::test]
async fn too_many_searches_from_an_address_are_told_when_to_search_again() {
    let world = production(10);
    let mut people = Vec::new();
    for _ in 0..4 {
        people.push(world.guest_from(2).await);
    }
    let mut limited = 0;
    for round in 0..4 {
        for (number, person) in people.iter_mut().enumerate() {
            for n in 0..4 {
                person.find(json!({"n": round * 4 + n, "mode": "text", "interests": [format!("{number} {n}")], "strict": true})).await;
            }
        }
    }
    for person in &mut people {
        person.say(FIND, &json!({"n": 99, "mode": "nothing"})).await;
        loop {
            let (kind, payload) = person.hear().await;
            let said: Value = serde_json::from_slice(&payload).unwrap_or_default();
            match said["code"].as_str() {
                Some("rate_limited") => {
                    assert!(said["retry_after_ms"].as_u64().unwrap() > 0);
                    limited += 1;
                    break;
                }
                Some(_) => break,
                None => assert_eq!(kind, WAITING),
            }
        }
    }
    assert!(limited > 0);
}

#[tokio::test]
async fn work_is_asked_for_taken_once_and_a_resume_needs_none() {
    let world = World::new(2);
    let guard = std::sync::Arc::clone(world.server().guard());
    let mut inside = world.person().await;
    inside.hello().await;
    guard.ask(anoncam::abuse::Asking::On);
    let mut old = world.person().await;
    old.say(HELLO, &json!({"v": 1})).await;
    let reason = reason_of(&old.closed().await, 3);
    assert!(reason["retry_after_ms"].as_u64().unwrap() > 0, "an older client knows what to do: {reason}");
    let challenge = reason["work"].as_str().expect("a challenge").to_owned();
    let proof = tokio::task::spawn_blocking(move || solve(&challenge)).await.unwrap();
    for (work, code) in [("8.13.AAAA.AAAA", Some(3)), (&*proof, None), (&*proof, Some(3))] {
        let mut guest = world.person().await;
        guest.say(HELLO, &json!({"v": 1, "work": work})).await;
        match code {
            None => assert_eq!(guest.hear().await.0, WELCOME),
            Some(code) => assert!(reason_of(&guest.closed().await, code)["work"].is_string()),
        }
    }
    let mut back = world.person().await;
    assert_eq!(back.resume(&inside.token).await["resumed"], true);
    guard.ask(anoncam::abuse::Asking::Off);
    world.guest().await;
}

/// So many people, each from an address of their own, meet the accused and report them.
async fn reported_by(world: &World, accused: &mut Person, places: std::ops::Range<u8>, reason: &str) {
    for (n, place) in places.enumerate() {
        let mut reporter = world.guest_from(place).await;
        accused.find(json!({"n": n, "mode": "text"})).await;
        reporter.find(json!({"n": 1, "mode": "text"})).await;
        reporter.expect(MATCHED).await;
        reporter.say(REPORT, &json!({"reason": reason, "case": format!("CASE-{place}")})).await;
        // The end of the chat on the other side says that the report has arrived.
        loop {
            match accused.hear_if_any().await {
                Some((ENDED, _)) | None => break,
                Some(_) => {}
            }
        }
    }
}

#[tokio::test]
async fn who_is_reported_by_many_is_out_then_proves_work_then_is_banned() {
    let world = production(100);
    let four = REPORTS_END as u8;
    let mut accused = world.guest_from(50).await;
    reported_by(&world, &mut accused, 100..100 + four, "harassment").await;
    let reason = reason_of(&accused.closed().await, 4);
    assert_eq!((&reason["retry_after_ms"], &reason["reason"]), (&json!(0), &json!("harassment")), "{reason}");
    assert!(reason["case"].as_str().is_some_and(|case| case.len() == 7), "{reason}");

    // Coming back under a new session costs work, also for others there; with the old token nothing is left.
    let mut again = world.person_from(50).await;
    again.say(HELLO, &json!({"v": 1, "resume": accused.token})).await;
    let challenge = reason_of(&again.closed().await, 3)["work"].as_str().expect("a challenge").to_owned();
    let proof = tokio::task::spawn_blocking(move || solve(&challenge)).await.unwrap();
    let mut again = world.person_from(50).await;
    again.say(HELLO, &json!({"v": 1, "work": proof})).await;
    again.expect(WELCOME).await;

    let two = four / MINOR_WEIGHT as u8;
    reported_by(&world, &mut again, 120..120 + two, "minor").await;
    let reason = reason_of(&again.closed().await, 4);
    assert!((1..=900_000).contains(&reason["retry_after_ms"].as_u64().unwrap()), "{reason}");
    let case = reason["case"].as_str().unwrap().to_owned();
    let mut barred = world.person_from(50).await;
    barred.say(HELLO, &json!({"v": 1})).await;
    assert_eq!(reason_of(&barred.closed().await, 4)["case"], *case, "the ban screen shows the code again");
    world.guest_from(51).await;

    world.server().guard().unban(&case.to_lowercase()).expect("a ban");
    world.guest_from(50).await;
}

#[tokio::test]
async fn one_address_bans_nobody_however_often_it_comes_back() {
    let world = production(100);
    let mut accused = world.guest_from(50).await;
    for _ in 0..8 {
        reported_by(&world, &mut accused, 100..101, "minor").await;
    }
    accused.find(json!({"n": 9, "mode": "text"})).await;
    accused.expect(WAITING).await;
}

#[tokio::test]
async fn a_new_session_after_each_report_does_not_help() {
    let world = production(100);
    for place in 100..100 + REPORTS_END as u8 {
        let mut accused = world.guest_from(50).await;
        reported_by(&world, &mut accused, place..place + 1, "spam").await;
    }
    let mut next = world.person_from(50).await;
    next.say(HELLO, &json!({"v": 1})).await;
    assert!(reason_of(&next.closed().await, 3)["work"].is_string());
}
