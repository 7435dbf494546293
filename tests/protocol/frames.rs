//! Section 2: frames, their lengths, and whose fault it is when one makes no sense.

use super::*;

/// Who says this is closed with this code and a reason in plain words.
async fn is_closed_for(world: &World, bytes: &[u8], code: u32) {
    let mut mallory = world.guest().await;
    mallory.write(bytes).await;
    let (closed, reason) = mallory.closed().await;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
    assert_eq!(closed, code, "{shown}: {reason}");
    assert!((1..=1_024).contains(&reason.len()) && !reason.starts_with('{'), "{shown}: {reason}");
}

#[tokio::test]
async fn frames_may_come_a_byte_at_a_time() {
    let world = World::new(1);
    let mut ada = world.person().await;
    let finds = [
        frame(FIND, br#"{"n":1,"mode":"text"}"#),
        frame(LEAVE, b""),
        frame(FIND, br#"{"n":2,"mode":"video"}"#),
    ];
    for byte in [frame(HELLO, br#"{"v":1}"#), finds.concat()].concat() {
        ada.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    ada.next(WELCOME).await;
    assert_eq!(ada.next(WAITING).await["n"], 1);
    assert_eq!(ada.next(WAITING).await["n"], 2);
}

#[tokio::test]
async fn many_frames_may_come_at_once_and_stay_in_order() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (mut ada, mut ben, chat) = world.chat().await;
        let texts: Vec<_> = (0..300_u32).map(|i| vec![i as u8; i as usize % 37]).collect();
        let bytes: Vec<_> = texts.iter().map(|text| relayed(TEXT, chat, text)).collect();
        ada.write(&bytes.concat()).await;
        for text in texts {
            assert_eq!(ben.expect_relayed(TEXT, chat).await, text);
        }
    }
}

#[tokio::test]
async fn relayed_frames_of_every_length_arrive_byte_for_byte_both_ways_at_once() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (mut ada, mut ben, chat) = world.chat().await;
        let lengths = [0, 1, 255, 1_023, 1_024, 1_200, 8_188, 8_189, 16_384, 32_764];
        let texts = lengths.map(|length| (0..=250).cycle().take(length).collect::<Vec<u8>>());
        let bytes: Vec<_> = texts
            .iter()
            .map(|text| relayed(if text.len() > 8_188 { SIGNAL } else { TEXT }, chat, text))
            .collect();
        let both = bytes.concat();
        let says = async |person: &mut Person| {
            let Person { send, recv, .. } = person;
            let heard = async {
                let mut heard = vec![0; both.len()];
                recv.read_exact(&mut heard).await.unwrap();
                heard
            };
            let (said, heard) = tokio::join!(send.write_all(&both), heard);
            said.unwrap();
            assert!(heard == both, "what was heard is not what was said");
        };
        tokio::join!(says(&mut ada), says(&mut ben));
    }
}

#[tokio::test]
async fn types_that_a_client_may_not_send_are_a_protocol_error() {
    let world = World::new(1);
    for kind in [0x00, 0x06, 0x40, 0x77, 0x80, 0x83, 0xff].into_iter().chain(0x41..=0x48) {
        is_closed_for(&world, &frame(kind, b"{}"), 1).await;
    }
    is_closed_for(&world, &[0x77, 0xff, 0xff, 0xff], 1).await;
}

#[tokio::test]
async fn what_is_no_json_object_is_a_protocol_error() {
    let world = World::new(1);
    let payloads: [&[u8]; 12] = [
        b"",
        b"{",
        b"nonsense",
        b"null",
        b"[7,\"text\"]",
        br#"{"n":1,"mode":"text"}x"#,
        br#"{"n":1,"mode":"text",}"#,
        br#"{"n":01,"mode":"text"}"#,
        b"{\"n\":1,\"mode\":\"text\"}\0",
        b"{\"n\":1,\"mode\":\"text\",\"x\":\"\xff\"}",
        b"{\"n\":1,\"mode\":\"text\",\"x\":\"\n\"}",
        b"\xef\xbb\xbf{\"n\":1,\"mode\":\"text\"}",
    ];
    for payload in payloads {
        is_closed_for(&world, &frame(FIND, payload), 1).await;
    }
    is_closed_for(&world, &frame(REPORT, b"{"), 1).await;
}

#[tokio::test]
async fn a_wrong_json_type_is_a_protocol_error() {
    let world = World::new(1);
    let finds = [
        json!({"n": "7", "mode": "text"}),
        json!({"n": null, "mode": "text"}),
        json!({"n": 7, "mode": 5}),
        json!({"n": 7, "mode": "text", "interests": "music"}),
        json!({"n": 7, "mode": "text", "interests": [1]}),
        json!({"n": 7, "mode": "text", "strict": "yes"}),
        json!({"n": 7, "mode": "text", "langs": "en"}),
    ];
    for find in finds {
        is_closed_for(&world, &frame(FIND, find.to_string().as_bytes()), 1).await;
    }
    is_closed_for(&world, &frame(REPORT, br#"{"reason":1}"#), 1).await;
}

#[tokio::test]
async fn a_relayed_frame_too_short_for_a_chat_number_is_told_by_its_header_alone() {
    let world = World::new(1);
    for kind in [SIGNAL, TEXT] {
        is_closed_for(&world, &[kind, 0, 0, 3], 1).await;
        is_closed_for(&world, &frame(kind, b""), 1).await;
    }
}

#[tokio::test]
async fn a_length_over_its_limit_is_told_by_the_header_alone() {
    let world = World::new(1);
    let longest =
        [(FIND, 4_096), (LEAVE, 0), (REPORT, 4_096), (BLOCK, 0), (SIGNAL, 32_768), (TEXT, 8_192_u32)];
    for (kind, longest) in longest {
        for length in [longest + 1, 0xff_ffff] {
            let mut header = length.to_be_bytes();
            header[0] = kind;
            is_closed_for(&world, &header, 2).await;
        }
    }
    let mut mallory = world.person().await;
    mallory.write(&[HELLO, 0, 0x10, 0x01]).await;
    assert_eq!(mallory.closed().await.0, 2);
}

#[tokio::test]
async fn json_of_the_longest_length_is_taken() {
    let world = World::new(1);
    let mut ada = world.person().await;
    let padded = |json: &str| format!("{json:4096}");
    ada.raw(HELLO, padded(r#"{"v":1}"#).as_bytes()).await;
    ada.next(WELCOME).await;
    ada.raw(FIND, padded(r#"{"n":7,"mode":"text"}"#).as_bytes()).await;
    assert_eq!(ada.next(WAITING).await["n"], 7);
}

#[tokio::test]
async fn a_value_out_of_range_is_a_notice_and_the_session_goes_on() {
    let world = World::new(1);
    let mut ada = world.guest().await;
    let eleven: Vec<_> = ('a'..='k').map(String::from).collect();
    let finds = [
        json!({"n": 1, "mode": "audio"}),
        json!({"n": -1, "mode": "text"}),
        json!({"n": 1.5, "mode": "text"}),
        json!({"n": 1, "mode": "text", "interests": eleven}),
        json!({"n": 1, "mode": "text", "interests": [""]}),
        json!({"n": 1, "mode": "text", "interests": ["  "]}),
        json!({"n": 1, "mode": "text", "interests": ["é".repeat(33)]}),
        json!({"n": 1, "mode": "text", "interests": ["a\u{0}b"]}),
        json!({"n": 1, "mode": "text", "langs": ["aa", "bb", "cc", "dd", "ee", "ff"]}),
        json!({"n": 1, "mode": "text", "langs": ["EN"]}),
        json!({"n": 1, "mode": "text", "langs": ["en-US"]}),
    ];
    for find in finds {
        ada.say(FIND, &find).await;
        let notice = ada.next(NOTICE).await;
        assert_eq!(notice["code"], "bad_request", "{find}");
        assert!(notice["message"].is_string(), "{find}");
    }
    ada.waits(json!({"n": 2, "mode": "text"})).await;
}

#[tokio::test]
async fn a_find_that_is_refused_ends_neither_a_chat_nor_a_wait() {
    let world = World::new(1);
    let (mut ada, mut ben, chat) = world.chat().await;
    ada.has_heard_all().await;
    ada.say(REPORT, &json!({"reason": "dull"})).await;
    assert_eq!(ada.next(NOTICE).await["code"], "bad_request");
    ada.relay(TEXT, chat, b"still here").await;
    assert_eq!(ben.expect_relayed(TEXT, chat).await, b"still here");
    let mut cleo = world.guest().await;
    cleo.waits(json!({"n": 5, "mode": "text"})).await;
    cleo.has_heard_all().await;
    ada.find(json!({"n": 2, "mode": "text"})).await;
    assert_eq!(cleo.expect(MATCHED).await["n"], 5);
}

#[tokio::test]
async fn report_and_block_without_a_stranger_to_mean_are_noticed_and_leave_is_not() {
    let world = World::new(1);
    let mut ada = world.guest().await;
    ada.raw(BLOCK, b"").await;
    assert_eq!(ada.next(NOTICE).await["code"], "bad_request");
    ada.say(REPORT, &json!({"reason": "spam"})).await;
    assert_eq!(ada.next(NOTICE).await["code"], "bad_request");
    ada.raw(LEAVE, b"").await;
    ada.has_heard_all().await;
}

#[tokio::test]
async fn unknown_fields_are_ignored_however_strange() {
    let world = World::new(1);
    let mut ada = world.person().await;
    ada.raw(HELLO, br#" {"v":1, "resume":null, "later":[{"a":[]}]} "#).await;
    ada.next(WELCOME).await;
    let nested = format!(r#"{{"n":2,"mode":"text","x":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    let finds = [r#"{"n":1,"\u006dode":"te\u0078t","x":1e999,"x":"\ud800","":null}"#, &nested];
    for (n, find) in (1..).zip(finds) {
        ada.raw(FIND, find.as_bytes()).await;
        assert_eq!(ada.next(WAITING).await["n"], n);
    }
}

#[tokio::test]
async fn a_frame_for_another_chat_is_dropped_without_a_word() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (mut ada, mut ben, chat) = world.chat().await;
        let mut cleo = world.guest().await;
        cleo.relay(TEXT, chat, b"let me in").await;
        cleo.has_heard_all().await;
        for other in [chat.wrapping_add(1), chat ^ 0x8000_0000] {
            ada.relay(TEXT, other, b"lost").await;
            ada.relay(SIGNAL, other, &vec![0; 30_000]).await;
        }
        ada.has_heard_all().await;
        ada.relay(TEXT, chat, b"found").await;
        assert_eq!(ben.expect_relayed(TEXT, chat).await, b"found");
    }
}
