//! A client's address changes in the middle of a chat, and with several shards the packets from the new one still reach
//! the shard that knows the connection.

mod peers;

use std::net::{Ipv4Addr, UdpSocket};

use peers::peace::{Person, pair};
use peers::server::Program;
use tokio::task::JoinSet;

/// Sessions, half of which chat with the other half.
const SESSIONS: usize = 1_000;
/// Pairs that enter at a time.
const ENTERING: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sessions_on_four_shards_go_on_from_another_port() {
    let program = Program::start(&["--shards", "4"]);
    let server = program.listen;
    let (mut entering, mut pairs) = (JoinSet::new(), Vec::new());
    for number in 0..SESSIONS / 2 {
        if entering.len() == ENTERING {
            pairs.push(entering.join_next().await.expect("a pair").expect("a pair"));
        }
        entering.spawn(async move {
            let (mut one, mut other) = (Person::enter(server).await, Person::enter(server).await);
            pair(&mut one, &mut other, &format!("pair {number}")).await;
            one.chatter.say(b"before").await;
            assert_eq!(other.chatter.hear().await, b"before");
            (one, other)
        });
    }
    while let Some(pair) = entering.join_next().await {
        pairs.push(pair.expect("a pair"));
    }
    assert_eq!(pairs.len() * 2, SESSIONS);
    let mut moving = JoinSet::new();
    for (mut one, mut other) in pairs {
        moving.spawn(async move {
            for person in [&one, &other] {
                let before = person.raw.endpoint.local_addr().expect("an address");
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("another port");
                person.raw.endpoint.rebind(socket).expect("a move");
                assert_ne!(person.raw.endpoint.local_addr().expect("an address"), before);
            }
            one.chatter.say(b"after").await;
            assert_eq!(other.chatter.hear().await, b"after");
            other.chatter.say(b"and back").await;
            assert_eq!(one.chatter.hear().await, b"and back");
            assert!(one.raw.quic.close_reason().is_none() && other.raw.quic.close_reason().is_none());
            (one, other)
        });
    }
    let mut stayed = Vec::new();
    while let Some(pair) = moving.join_next().await {
        stayed.push(pair.expect("a chat that goes on"));
    }
    assert_eq!(stayed.len() * 2, SESSIONS);
}
