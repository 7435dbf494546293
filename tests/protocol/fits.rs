//! Section 8: who meets whom, and when.

use std::time::{Duration, Instant};

use super::*;

fn wishes(interests: &[&str], langs: &[&str], strict: bool) -> Value {
    json!({"n": 1, "mode": "text", "interests": interests, "langs": langs, "strict": strict})
}

/// When Ada and Ben met.
#[derive(Debug)]
struct Meeting {
    /// How often Ben was told before that he waits: at first, after 5 s, after 10 s. The server's clock, however slow the test is.
    told: usize,
    /// How long Ada had waited at least.
    waited: Duration,
}

/// Both look for a stranger; nobody if Ben still waits when he is told so for the third time.
async fn meeting(world: &World, hers: &Value, his: &Value) -> Option<Meeting> {
    let (mut ada, mut ben) = (world.guest().await, world.guest().await);
    let begun = Instant::now();
    ada.waits(hers.clone()).await;
    ben.find(his.clone()).await;
    for told in 0..3 {
        let (kind, _) = ben.hear().await;
        if kind == MATCHED {
            ada.expect(MATCHED).await;
            return Some(Meeting { told, waited: begun.elapsed() });
        }
        assert_eq!(kind, WAITING);
    }
    None
}

#[tokio::test]
async fn people_who_want_the_same_meet_at_once() {
    for shards in SHARDS {
        let world = World::new(shards);
        let pairs = [
            (wishes(&[], &[], false), wishes(&[], &[], false)),
            (wishes(&["film"], &[], false), wishes(&["film", "go"], &[], false)),
            (wishes(&["film"], &[], true), wishes(&["film"], &[], true)),
            (wishes(&["STRASSE"], &[], true), wishes(&[" straße "], &[], true)),
            (wishes(&["ﬁlm", "e\u{301}"], &[], true), wishes(&["\u{c9}"], &[], true)),
            (wishes(&[], &["en"], false), wishes(&[], &["de", "en"], false)),
            (wishes(&[], &["en"], false), wishes(&[], &[], false)),
            (wishes(&["film"], &["en"], true), wishes(&["film"], &[], false)),
        ];
        for (hers, his) in pairs {
            let meeting = meeting(&world, &hers, &his).await;
            assert!(meeting.as_ref().is_some_and(|meeting| meeting.told < 2), "{hers} {his}: {meeting:?}");
        }
    }
}

#[tokio::test]
async fn wishes_are_given_up_after_five_seconds_unless_they_are_strict_or_the_mode() {
    let pairs = [
        (wishes(&["film"], &[], false), wishes(&[], &[], false), true),
        (wishes(&[], &[], false), wishes(&["film"], &[], false), true),
        (wishes(&["film"], &[], false), wishes(&["music"], &[], false), true),
        (wishes(&[], &["en"], false), wishes(&[], &["de"], false), true),
        (wishes(&["film"], &["en"], false), wishes(&["film"], &["de"], false), true),
        (wishes(&["film"], &[], true), wishes(&[], &[], false), false),
        (wishes(&["film"], &["en"], true), wishes(&["film"], &["de"], false), false),
        (wishes(&[], &[], true), wishes(&[], &[], false), false),
        (wishes(&[], &[], false), json!({"n": 1, "mode": "video"}), false),
    ];
    let stories = pairs.into_iter().flat_map(|pair| SHARDS.map(|shards| (pair.clone(), shards)));
    together(stories.map(|((hers, his, meet), shards)| async move {
        let meeting = meeting(&World::new(shards), &hers, &his).await;
        assert_eq!(meeting.is_some(), meet, "{hers} {his}: {meeting:?}");
        let given_up = meeting.as_ref().is_none_or(|meeting| meeting.waited >= Duration::from_secs(5));
        assert!(given_up, "{hers} {his}: {meeting:?}");
    }))
    .await;
}

#[tokio::test]
async fn most_shared_interests_come_first_and_then_the_longest_wait() {
    let world = World::new(1);
    let wait = async |interests: &[&str]| {
        let mut person = world.guest().await;
        person.waits(wishes(interests, &[], true)).await;
        person
    };
    let mut one = wait(&["chess"]).await;
    let mut two_first = wait(&["film", "music"]).await;
    let mut two_later = wait(&["go", "jazz"]).await;
    for expected in [&mut two_first, &mut two_later, &mut one] {
        let mut ada = world.guest().await;
        ada.find(wishes(&["chess", "film", "music", "go", "jazz"], &[], true)).await;
        let matched = ada.next(MATCHED).await;
        assert_eq!(expected.expect(MATCHED).await["chat"], matched["chat"]);
    }
}

#[tokio::test]
async fn recent_strangers_meet_again_only_when_both_have_waited_two_seconds() {
    together(SHARDS.map(|shards| async move {
        let world = World::new(shards);
        let (mut ada, mut ben, _) = world.chat().await;
        ada.waits(json!({"n": 2, "mode": "text"})).await;
        ben.next(ENDED).await;
        let begun = Instant::now();
        ben.waits(json!({"n": 2, "mode": "text"})).await;
        ben.expect(MATCHED).await;
        assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
        // Somebody new is met without such a wait.
        ada.expect(MATCHED).await;
        let mut cleo = world.guest().await;
        cleo.waits(json!({"n": 1, "mode": "text"})).await;
        ben.find(json!({"n": 3, "mode": "text"})).await;
        let matched = ben.expect(MATCHED).await;
        assert_eq!(cleo.expect(MATCHED).await["chat"], matched["chat"]);
    }))
    .await;
}
