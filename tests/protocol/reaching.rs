//! Section 1: who gets in, and by what way.

use web_transport_quinn::http::{HeaderName, HeaderValue, StatusCode};
use web_transport_quinn::proto::{ConnectError as Refusal, ConnectRequest};
use web_transport_quinn::{ClientError, ConnectError, ReadError, Session};

use super::*;

async fn knock(world: &World, path: &str, origin: Option<&str>) -> Result<Session, StatusCode> {
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    let url: url::Url = format!("https://{}{path}", world.address).parse().unwrap();
    let mut request = ConnectRequest::new(url);
    if let Some(origin) = origin {
        request =
            request.with_header(HeaderName::from_static("origin"), HeaderValue::from_str(origin).unwrap());
    }
    match web_transport_quinn::Client::new(endpoint, client_config()).connect(request).await {
        Ok(session) => Ok(session),
        Err(ClientError::HttpError(ConnectError::ProtoError(Refusal::WrongStatus(Some(status))))) => {
            Err(status)
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn pages_of_the_own_site_get_in_and_so_do_programs_that_are_no_browsers() {
    let world = World::new(1);
    let own = format!("http://localhost:{}", world.site.port());
    for origin in [None, Some(&*own)] {
        assert!(knock(&world, "/v1", origin).await.is_ok(), "{origin:?}");
    }
    for origin in ["https://evil.example", "null", "http://localhost", &own.to_uppercase()] {
        assert_eq!(knock(&world, "/v1", Some(origin)).await.err(), Some(StatusCode::FORBIDDEN), "{origin}");
    }
}

/// People who come by IPv4 and by IPv6, and by another address of the same machine, meet each other.
#[tokio::test]
async fn every_address_that_the_server_listens_on_leads_to_everybody() {
    let listen = ["127.0.0.1:0", "[::1]:0", "127.0.0.2:0"].map(|one| one.parse().unwrap());
    let world = World::with(|config| {
        config.shards = 2;
        config.listen = anoncam::config::Addresses::new(listen).unwrap();
    });
    let addresses = world.server().local_addrs().unwrap();
    let at = |index: usize| World::beside(addresses[index], world.site);
    // More people than shards at each address: every socket is used.
    for turn in 0..8 {
        for (one, other) in [(0, 1), (1, 2), (2, 0)] {
            let local = |index: usize| if addresses[index].is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
            let endpoint = |index| quinn::Endpoint::client(local(index).parse().unwrap()).unwrap();
            let mut ada = at(one).person_at(&endpoint(one)).await;
            let mut ben = at(other).person_at(&endpoint(other)).await;
            ada.hello().await;
            ben.hello().await;
            let chat = meet(&mut ada, &mut ben).await;
            ada.relay(TEXT, chat, b"from afar").await;
            assert_eq!(ben.expect_relayed(TEXT, chat).await, b"from afar", "turn {turn}");
        }
    }
}

#[tokio::test]
async fn there_is_nothing_on_other_paths() {
    let world = World::new(1);
    for path in ["/", "/v2", "/v1/", "/V1"] {
        assert_eq!(knock(&world, path, None).await.err(), Some(StatusCode::NOT_FOUND), "{path}");
    }
}

#[tokio::test]
async fn other_streams_are_refused_with_error_1_and_datagrams_ignored_while_the_session_goes_on() {
    let world = World::new(1);
    let mut ada = world.guest().await;
    for _ in 0..20 {
        let (mut send, mut recv) = ada.session.open_bi().await.unwrap();
        send.write_all(b"hello?").await.unwrap();
        assert_eq!(send.stopped().await.unwrap(), Some(1));
        assert!(matches!(recv.read(&mut [0; 8]).await, Err(ReadError::Reset(1))));
        let mut send = ada.session.open_uni().await.unwrap();
        send.write_all(b"hello?").await.unwrap();
        assert_eq!(send.stopped().await.unwrap(), Some(1));
        ada.session.send_datagram(b"hello?".as_slice().into()).unwrap();
    }
    ada.has_heard_all().await;
}

#[tokio::test]
async fn a_second_session_on_a_connection_is_rejected_and_the_first_goes_on() {
    let world = World::new(1);
    let mut ada = world.guest().await;
    let connection: &quinn::Connection = &ada.session;
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    let url: url::Url = world.url().parse().unwrap();
    ConnectRequest::new(url).write(&mut send).await.unwrap();
    let answer = recv.read(&mut [0; 8]).await;
    assert!(matches!(answer, Err(quinn::ReadError::Reset(code)) if code.into_inner() == 0x10b), "{answer:?}");
    ada.has_heard_all().await;
}
