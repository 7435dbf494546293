//! Two people who chat on, whatever somebody else does to the server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use quinn::{RecvStream, SendStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::chat::Chatter;
use super::raw::Raw;

/// Longest time that a message of theirs may take. It is generous for the sake of busy machines; a server that one
/// client can keep from serving others misses it by far.
const NOTICED: Duration = Duration::from_secs(5);

/// A session with its channel on bare QUIC, and what keeps it alive.
pub struct Person {
    pub raw: Raw,
    pub connect: (SendStream, RecvStream),
    pub chatter: Chatter<SendStream, RecvStream>,
}

impl Person {
    /// Connects, opens a session and its channel, and says HELLO.
    pub async fn enter(server: SocketAddr) -> Self {
        Self::through(Raw::connect(server).await).await
    }

    /// The same, over a connection of the test's own making.
    pub async fn through(raw: Raw) -> Self {
        let connect = raw.session().await;
        let (write, read) = raw.channel(&connect.0).await;
        Self { chatter: Chatter::hello(write, read).await, connect, raw }
    }
}

/// Brings two people together by an interest that is theirs alone.
pub async fn pair(one: &mut Person, other: &mut Person, interest: &str) {
    one.chatter.find(1, interest).await;
    other.chatter.find(1, interest).await;
    one.chatter.matched().await;
    other.chatter.matched().await;
    assert_eq!(one.chatter.chat, other.chatter.chat);
}

/// A pair that chats in the background until it is asked how it went.
pub struct Peace {
    stop: oneshot::Sender<()>,
    went: JoinHandle<(usize, Duration)>,
}

impl Peace {
    /// Two people enter and begin to chat.
    pub async fn begin(server: SocketAddr) -> Self {
        let mut one = Person::enter(server).await;
        let mut other = Person::enter(server).await;
        pair(&mut one, &mut other, "peace").await;
        let (stop, mut stopped) = oneshot::channel();
        let went = tokio::spawn(async move {
            let (mut messages, mut slowest) = (0_usize, Duration::ZERO);
            while stopped.try_recv().is_err() {
                let text = format!("message {messages}");
                let begin = Instant::now();
                one.chatter.say(text.as_bytes()).await;
                assert_eq!(other.chatter.hear().await, text.as_bytes());
                slowest = slowest.max(begin.elapsed());
                messages += 1;
                std::mem::swap(&mut one, &mut other);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (messages, slowest)
        });
        Self { stop, went }
    }

    /// Every message arrived, none late.
    pub async fn was_undisturbed(self) {
        let _ = self.stop.send(());
        let (messages, slowest) = self.went.await.expect("a chat without a failure");
        assert!(messages > 0, "they did not get to chat");
        assert!(slowest < NOTICED, "a message took {slowest:?}");
    }
}
