//! Section 4: what the server says, and to whom.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::*;

fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn welcome_gives_a_token_that_cannot_be_guessed() {
    let world = World::new(1);
    let mut ada = world.person().await;
    let welcome = ada.hello().await;
    assert_eq!(fields(&welcome), ["chat", "online", "resume_s", "resumed", "session"]);
    assert_eq!((&welcome["resumed"], &welcome["resume_s"]), (&json!(false), &json!(60)));
    assert!(welcome["chat"].is_null() && welcome["online"].is_u64());
    let base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!((22..=64).contains(&ada.token.len()) && ada.token.chars().all(base64url), "{}", ada.token);
    assert_ne!(world.guest().await.token[..], ada.token[..]);
}

#[tokio::test]
async fn who_waits_is_told_so_at_once_and_again_every_five_seconds() {
    let world = World::new(1);
    let mut ada = world.guest().await;
    let begun = Instant::now();
    ada.find(json!({"n": 3, "mode": "text"})).await;
    let waiting = ada.next(WAITING).await;
    assert_eq!(fields(&waiting), ["estimate_ms", "n", "online"]);
    assert_eq!((&waiting["n"], &waiting["estimate_ms"]), (&json!(3), &json!(null)));
    assert_eq!(ada.next(WAITING).await["n"], 3);
    assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn both_hear_of_the_same_chat_with_their_own_number_and_one_of_them_offers() {
    for shards in SHARDS {
        let world = World::new(shards);
        for mode in ["text", "video"] {
            let (mut ada, mut ben) = (world.guest().await, world.guest().await);
            ada.find(json!({"n": 7, "mode": mode, "interests": [" Chess", "MUSIC", "Ｊａｚｚ"]})).await;
            ben.find(json!({"n": 8, "mode": mode, "interests": ["music", "chess ", "jazz", "go"]})).await;
            let (hers, his) = (ada.expect(MATCHED).await, ben.expect(MATCHED).await);
            for (matched, n) in [(&hers, 7), (&his, 8)] {
                assert_eq!(fields(matched), ["chat", "ice", "mode", "n", "role", "shared"]);
                assert_eq!((&matched["n"], &matched["mode"]), (&json!(n), &json!(mode)));
                assert_eq!(matched["ice"], json!([]));
                let mut shared: Vec<_> = matched["shared"].as_array().unwrap().iter().collect();
                shared.sort_by_key(|name| name.as_str());
                assert_eq!(shared, ["chess", "jazz", "music"]);
            }
            assert_eq!(hers["chat"], his["chat"]);
            let roles = [&hers["role"], &his["role"]];
            assert!(roles.contains(&&json!("offerer")) && roles.contains(&&json!("answerer")), "{roles:?}");
        }
    }
}

#[tokio::test]
async fn whoever_was_left_is_put_into_no_chat_that_they_did_not_ask_for() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (mut ada, mut ben, _) = world.chat().await;
        ada.raw(LEAVE, b"").await;
        ben.next(ENDED).await;
        // The one who ended it is not told.
        ada.has_heard_all().await;
        let mut cleo = world.guest().await;
        cleo.waits(json!({"n": 1, "mode": "text"})).await;
        ada.find(json!({"n": 2, "mode": "text"})).await;
        let matched = ada.expect(MATCHED).await;
        assert_eq!(cleo.expect(MATCHED).await["chat"], matched["chat"]);
        ben.has_heard_all().await;
    }
}

#[tokio::test]
async fn a_crowd_that_looks_at_once_ends_up_in_pairs() {
    for shards in SHARDS {
        let world = World::new(shards);
        let mut crowd = Vec::new();
        for _ in 0..24 {
            crowd.push(world.guest().await);
        }
        for person in &mut crowd {
            person.find(json!({"n": 1, "mode": "text"})).await;
        }
        let mut chats: HashMap<u32, Vec<String>> = HashMap::new();
        for person in &mut crowd {
            let matched = person.expect(MATCHED).await;
            chats.entry(number(&matched["chat"])).or_default().push(matched["role"].to_string());
        }
        assert_eq!(chats.len(), 12);
        for mut roles in chats.into_values() {
            roles.sort();
            assert_eq!(roles, [r#""answerer""#, r#""offerer""#]);
        }
    }
}
