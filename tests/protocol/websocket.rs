//! Section 9: the same protocol over WebSocket, alone and beside WebTransport.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::Frame};

use super::*;

impl World {
    /// A person with a WebSocket and one with WebTransport in a chat, and its number.
    async fn mixed_chat(&self) -> (SocketPerson, Person, u32) {
        let (mut ada, mut ben) = (self.socket_person().await, self.guest().await);
        ada.hello().await;
        ben.waits(json!({"n": 1, "mode": "text"})).await;
        let chat = ada.meets(1).await;
        assert_eq!(ben.expect(MATCHED).await["chat"], chat);
        (ada, ben, chat)
    }
}

#[tokio::test]
async fn whoever_may_connect_over_webtransport_may_here_and_nobody_else() {
    let world = World::new(1);
    let own = format!("http://localhost:{}", world.site.port());
    for origin in [None, Some(&*own)] {
        assert!(knock_at_site(world.site, "/v1", origin).await.is_ok(), "{origin:?}");
    }
    for origin in ["https://evil.example", "null", "http://localhost", &own.to_uppercase()] {
        assert_eq!(knock_at_site(world.site, "/v1", Some(origin)).await.err(), Some(403), "{origin}");
    }
    for path in ["/v2", "/v1/", "/V1", "/socket"] {
        assert_eq!(knock_at_site(world.site, path, None).await.err(), Some(404), "{path}");
    }
}

#[tokio::test]
async fn people_of_both_kinds_meet_and_hear_each_other_byte_for_byte() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (mut ada, mut ben, chat) = world.mixed_chat().await;
        for (kind, size) in [(TEXT, 1), (TEXT, 300), (TEXT, 8_188), (SIGNAL, 1_500), (SIGNAL, 32_764)] {
            let words: Vec<u8> = (0..size).map(|n: u32| (n * 7) as u8).collect();
            ada.relay(kind, chat, &words).await;
            assert_eq!(ben.expect_relayed(kind, chat).await, words);
            ben.relay(kind, chat, &words).await;
            assert_eq!(ada.expect_relayed(kind, chat).await, words);
        }
        ben.raw(LEAVE, b"").await;
        assert_eq!(ada.expect(ENDED).await, json!({"chat": chat, "why": "left"}));
        let mut cleo = world.socket_person().await;
        cleo.hello().await;
        cleo.say(FIND, &json!({"n": 1, "mode": "text"})).await;
        let chat = ada.meets(2).await;
        assert_eq!(cleo.expect(MATCHED).await["chat"], chat);
        cleo.relay(TEXT, chat, b"over the same wire").await;
        assert_eq!(ada.expect_relayed(TEXT, chat).await, b"over the same wire");
    }
}

#[tokio::test]
async fn messages_are_the_bytes_of_the_channel_in_any_slicing() {
    let world = World::new(2);
    let (mut ada, mut ben, chat) = world.mixed_chat().await;
    let words: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; usize::from(n) * 200]).collect();
    let all: Vec<u8> = words.iter().flat_map(|word| relayed(TEXT, chat, word)).collect();
    // A byte at a time, as much as one message takes, and one message in many pieces.
    for byte in &all[..500] {
        ada.write(&[*byte]).await;
    }
    ada.write(&all[500..60_000]).await;
    let rest: Vec<&[u8]> = all[60_000..].chunks(1_111).collect();
    for (index, piece) in rest.iter().enumerate() {
        let kind = OpCode::Data(if index == 0 { Data::Binary } else { Data::Continue });
        let piece = Frame::message(piece.to_vec(), kind, index + 1 == rest.len());
        ada.socket.send(Message::Frame(piece)).await.unwrap();
    }
    for word in &words {
        assert_eq!(ben.expect_relayed(TEXT, chat).await, *word);
    }
}

#[tokio::test]
async fn a_close_has_its_code_and_a_reason() {
    let world = World::with(|config| {
        config.shards = 1;
        config.max_sessions = 3;
    });
    // First, since this ends at the site, and the shard hears of it while others come and go.
    let mut ada = world.socket_person().await;
    ada.socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(ada.closed().await.0, 4001);
    let mut stays = world.socket_person().await;
    stays.hello().await;
    for (code, wrong) in [
        (4001, frame(0x77, b"")),
        (4001, frame(FIND, b"{}")),
        (4001, frame(HELLO, b"{\"v\":9}")),
        (4002, vec![SIGNAL, 0x00, 0x80, 0x01]),
        (4002, [vec![SIGNAL, 0xff, 0xff, 0xff], vec![0; 3 << 20]].concat()),
    ] {
        let mut ada = world.socket_person().await;
        // What is far too long may be cut off by the close.
        let _ = ada.socket.send(Message::binary(wrong)).await;
        let (heard, reason) = ada.closed().await;
        assert_eq!(heard, code, "{reason}");
        assert!(!reason.is_empty() && reason.len() <= 123, "{reason}");
    }
    let (mut ben, mut cleo) = (world.socket_person().await, world.socket_person().await);
    ben.hello().await;
    cleo.hello().await;
    let (code, reason) = world.socket_person().await.closed().await;
    let reason: Value = serde_json::from_str(&reason).unwrap();
    assert_eq!((code, reason["retry_after_ms"].is_u64()), (4008, true));
    let late = World::new(1).socket_person().await.closed().await;
    assert_eq!(late.0, 4006, "no HELLO within 5 s");
}

#[tokio::test]
async fn when_all_places_are_taken_a_newcomer_is_told_so() {
    let world = World::with(|config| {
        config.shards = 1;
        config.max_websockets = 1;
    });
    let mut inside = world.socket_person().await;
    inside.hello().await;
    let (code, reason) = world.socket_person().await.closed().await;
    assert_eq!(code, 4008);
    assert!(serde_json::from_str::<Value>(&reason).unwrap()["retry_after_ms"].is_u64(), "{reason}");
    inside.socket.close(None).await.unwrap();
    let freed = Instant::now() + LONG;
    loop {
        let mut next = world.socket_person().await;
        next.say(HELLO, &json!({"v": 1})).await;
        if next.hear_if_any().await.is_some() {
            break;
        }
        assert!(Instant::now() < freed, "the place is given back");
    }
}

#[tokio::test]
async fn a_session_resumes_from_one_transport_to_the_other() {
    for shards in SHARDS {
        let world = World::new(shards);
        let (mut ada, mut ben, _) = world.mixed_chat().await;
        let (mut on_quic, welcome) = world.returning(&ada.token).await;
        assert_eq!(welcome["resumed"], true);
        assert_eq!(ada.closed().await.0, 4000);
        let chat = ben.hears_back().await;
        assert_eq!(welcome["chat"]["chat"], chat);
        on_quic.relay(TEXT, chat, b"now over QUIC").await;
        assert_eq!(ben.expect_relayed(TEXT, chat).await, b"now over QUIC");
        let mut on_tcp = world.socket_person().await;
        let welcome = on_tcp.resume(&on_quic.token).await;
        assert_eq!(welcome["resumed"], true);
        assert_eq!(on_quic.closed().await.0, 0);
        let chat = ben.hears_back().await;
        on_tcp.relay(TEXT, chat, b"and over TCP again").await;
        assert_eq!(ben.expect_relayed(TEXT, chat).await, b"and over TCP again");
        ben.relay(TEXT, chat, b"still here").await;
        assert_eq!(on_tcp.expect_relayed(TEXT, chat).await, b"still here");
    }
}

#[tokio::test]
async fn a_stranger_is_away_at_once_however_their_websocket_ends() {
    let world = World::new(2);
    for way in 0..3 {
        let (mut ada, mut ben, chat) = world.mixed_chat().await;
        ada.relay(TEXT, chat, b"my last word").await;
        match way {
            0 => ada.socket.close(None).await.unwrap(),
            1 => drop(ada.socket),
            // Not a WebSocket's frame at all.
            _ => {
                use tokio::io::AsyncWriteExt as _;
                ada.socket.get_mut().write_all(&[0xff; 64]).await.unwrap();
            }
        }
        assert_eq!(ben.expect_relayed(TEXT, chat).await, b"my last word");
        assert_eq!(ben.next(PEER).await, json!({"chat": chat, "state": "away"}), "way {way}");
        let (mut again, welcome) = world.returning(&ada.token).await;
        assert_eq!(welcome["resumed"], true, "way {way}");
        again.raw(LEAVE, b"").await;
    }
}

#[tokio::test]
async fn draining_and_a_panic_are_told() {
    let mut world = World::new(1);
    let (mut ada, mut ben, chat) = world.mixed_chat().await;
    let mut idle = world.socket_person().await;
    idle.hello().await;
    let stopped = world.stop(Duration::from_secs(3_600));
    ada.expect(DRAIN).await;
    idle.expect(DRAIN).await;
    ben.expect(DRAIN).await;
    ada.relay(TEXT, chat, b"one last word").await;
    assert_eq!(ben.expect_relayed(TEXT, chat).await, b"one last word");
    ben.raw(LEAVE, b"").await;
    assert_eq!(ada.expect(ENDED).await, json!({"chat": chat, "why": "left"}));
    let (code, reason) = ada.closed().await;
    assert_eq!(code, 4005);
    assert!(serde_json::from_str::<Value>(&reason).unwrap()["message"].is_string(), "{reason}");
    assert_eq!(idle.closed().await.0, 4005);
    stopped.await.unwrap().unwrap();

    let mut world = World::new(1);
    let (mut ada, _ben, chat) = world.mixed_chat().await;
    let stopped = world.stop(Duration::from_millis(500));
    ada.expect(DRAIN).await;
    assert_eq!(ada.expect(ENDED).await, json!({"chat": chat, "why": "draining"}));
    assert_eq!(ada.closed().await.0, 4005);
    stopped.await.unwrap().unwrap();

    let world = World::new(1);
    let mut ada = world.socket_person().await;
    ada.hello().await;
    world.server().panic_shard(0);
    assert_eq!(ada.closed().await.0, 4007);
    world.socket_person().await.hello().await;
}

/// What takes a while: silence, stalling, and back-pressure over both transports.
#[tokio::test(flavor = "multi_thread")]
async fn silence_stalling_and_slow_readers_are_as_over_quic() {
    together([
        Box::pin(who_answers_no_ping_is_away_and_comes_back())
            as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
        Box::pin(who_takes_nothing_has_stalled()),
        Box::pin(a_slow_reader_holds_up_the_sender_and_loses_nothing()),
        Box::pin(who_speaks_in_a_chat_is_asked_for_a_sign_of_life()),
    ])
    .await;
}

async fn who_answers_no_ping_is_away_and_comes_back() {
    let world = World::new(1);
    let begun = Instant::now();
    let (mut ada, mut ben, chat) = world.mixed_chat().await;
    // Ada's side is not looked at meanwhile, so that nothing answers for her.
    assert_eq!(ben.next(PEER).await, json!({"chat": chat, "state": "away"}));
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    ada.relay(TEXT, chat, b"here I am").await;
    assert_eq!(ben.next(PEER).await, json!({"chat": chat, "state": "back"}));
    assert_eq!(ben.expect_relayed(TEXT, chat).await, b"here I am");
}

async fn who_takes_nothing_has_stalled() {
    let world = World::new(1);
    let (ada, ben, chat) = world.mixed_chat().await;
    // Ada says that she is there, and reads nothing.
    let (mut say, hear) = ada.socket.split();
    let signs = tokio::spawn(async move {
        while say.send(Message::Pong(Vec::new().into())).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        drop(hear);
    });
    let text = vec![b'x'; 8_000];
    let flood = tokio::spawn(async move {
        let mut frames = ben.send;
        while frames.write_all(&relayed(TEXT, chat, &text)).await.is_ok() {}
        drop(frames);
    });
    let mut recv = ben.recv;
    let mut header = [0; 4];
    tokio::time::timeout(LONG, recv.read_exact(&mut header)).await.expect("in time").unwrap();
    assert_eq!(header[0], ENDED);
    let mut payload = vec![0; usize::from(header[3])];
    recv.read_exact(&mut payload).await.unwrap();
    let ended: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(ended, json!({"chat": chat, "why": "stalled"}));
    flood.abort();
    tokio::time::timeout(LONG, signs).await.expect("her WebSocket is closed").unwrap();
}

async fn a_slow_reader_holds_up_the_sender_and_loses_nothing() {
    const FRAMES: u32 = 2_000;
    let world = World::new(2);
    for ada_sends in [true, false] {
        let (mut ada, mut ben, chat) = world.mixed_chat().await;
        let word = |n: u32| [&n.to_be_bytes()[..], &[b'w'; 4_000]].concat();
        // 8 MB: far more than what both systems, both queues and the pipe hold, so somebody has to wait.
        let sent = AtomicU32::new(0);
        if ada_sends {
            let sender = async {
                for n in 0..FRAMES {
                    ada.relay(TEXT, chat, &word(n)).await;
                    sent.store(n, Relaxed);
                }
            };
            let reader = async {
                stands_still(&sent).await;
                for n in 0..FRAMES {
                    assert_eq!(ben.expect_relayed(TEXT, chat).await[..4], n.to_be_bytes());
                }
            };
            tokio::join!(sender, reader);
        } else {
            let sender = async {
                for n in 0..FRAMES {
                    ben.relay(TEXT, chat, &word(n)).await;
                    sent.store(n, Relaxed);
                }
            };
            let reader = async {
                stands_still(&sent).await;
                for n in 0..FRAMES {
                    assert_eq!(ada.expect_relayed(TEXT, chat).await[..4], n.to_be_bytes());
                }
            };
            tokio::join!(sender, reader);
        }
        ben.raw(LEAVE, b"").await;
    }
}

/// Waits until a sender has to wait.
async fn stands_still(sent: &AtomicU32) {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = sent.load(Relaxed);
        if now == before && now > 0 {
            return;
        }
        before = now;
    }
}

async fn who_speaks_in_a_chat_is_asked_for_a_sign_of_life() {
    let world = World::new(1);
    let begun = Instant::now();
    let (mut ada, mut ben, chat) = world.mixed_chat().await;
    while ada.pings == 0 {
        let _ = tokio::time::timeout(Duration::from_millis(200), ada.hear_if_any()).await;
        assert!(begun.elapsed() < LONG, "a ping in time");
    }
    assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
    ada.relay(TEXT, chat, b"pong").await;
    assert_eq!(ben.expect_relayed(TEXT, chat).await, b"pong");
}
