//! Sessions of clients by other people: what they read in the drafts is what the server means.

mod peers;

use peers::chat::{Chatter, frame};
use peers::raw::{self, soon};
use peers::server::Program;
use tokio::io::{AsyncRead, AsyncWrite};
use wtransport::error::ConnectionError;
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Endpoint, endpoint::ConnectOptions};

/// Two chatters find each other, exchange frames of several sizes, and one leaves.
async fn chat<W, R>(mut one: Chatter<W, R>, mut other: Chatter<W, R>) -> (Chatter<W, R>, Chatter<W, R>)
where
    W: AsyncWrite + Unpin,
    R: AsyncRead + Unpin,
{
    one.find(1, "clients of other people").await;
    other.find(1, "clients of other people").await;
    one.matched().await;
    other.matched().await;
    assert_eq!(one.chat, other.chat);
    for length in [0, 1, 300, 1_200, 8_188] {
        let text = vec![length as u8; length];
        one.say(&text).await;
        assert_eq!(other.hear().await, text);
        other.say(&text).await;
        assert_eq!(one.hear().await, text);
    }
    one.send(&frame(peers::chat::LEAVE, b"")).await;
    let ended = other.expect(peers::chat::ENDED).await;
    assert_eq!(ended["why"], "left");
    (one, other)
}

#[tokio::test]
async fn wtransport_chats_and_reads_the_close_code() {
    let program = Program::start(&["--shards", "2"]);
    let session = || async {
        let hash = Sha256Digest::new(program.certificate_hash());
        let config =
            ClientConfig::builder().with_bind_default().with_server_certificate_hashes([hash]).build();
        let endpoint = Endpoint::client(config).expect("an endpoint");
        let options = ConnectOptions::builder(program.url()).add_header("origin", program.origin()).build();
        let connection = soon("a session", endpoint.connect(options)).await.expect("a session");
        let (write, read) = connection.open_bi().await.expect("a stream").await.expect("a stream");
        (endpoint, connection, Chatter::hello(write, read).await)
    };
    let (_one_endpoint, one_connection, one) = session().await;
    let (_other_endpoint, _other_connection, other) = session().await;
    let (mut one, _other) = chat(one, other).await;
    one.send(&frame(0x77, b"")).await;
    match soon("the end", one_connection.accept_uni()).await {
        Err(ConnectionError::ApplicationClosed(close)) => {
            assert_eq!(close.code().into_inner(), 1);
            assert!(!close.reason().is_empty());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn web_transport_quinn_chats_and_reads_the_close_code() {
    let program = Program::start(&["--shards", "2"]);
    let session = || async {
        let endpoint = raw::endpoint(quinn::TransportConfig::default());
        let client = web_transport_quinn::Client::new(
            endpoint,
            quinn::ClientConfig::new(std::sync::Arc::new(
                quinn::crypto::rustls::QuicClientConfig::try_from(raw::tls()).expect("a configuration"),
            )),
        );
        let url: url::Url = program.url().parse().expect("a URL");
        let session = soon("a session", client.connect(url)).await.expect("a session");
        let (write, read) = session.open_bi().await.expect("a stream");
        (session, Chatter::hello(write, read).await)
    };
    let (one_session, one) = session().await;
    let (_other_session, other) = session().await;
    let (mut one, _other) = chat(one, other).await;
    one.send(&frame(0x77, b"")).await;
    match soon("the end", one_session.closed()).await {
        web_transport_quinn::SessionError::WebTransportError(
            web_transport_quinn::WebTransportError::Closed(code, reason),
        ) => {
            assert_eq!(code, 1);
            assert!(!reason.is_empty());
        }
        other => panic!("{other:?}"),
    }
}
