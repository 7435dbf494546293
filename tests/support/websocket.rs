//! Somebody whose browser has no WebTransport: a WebSocket through tokio-tungstenite, a client by other people.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest as _};

use super::{HELLO, LONG, MATCHED, WAITING, WELCOME, World};

/// What a WebSocket goes over: TCP, or TLS on it.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// One client with an open channel.
pub struct SocketPerson {
    pub socket: WebSocketStream<Box<dyn Wire>>,
    /// Bytes of the channel that have come and are not whole frames yet.
    heard: Vec<u8>,
    /// Pings that have come.
    pub pings: usize,
    /// The code and reason that the server has closed with.
    close: Option<(u16, String)>,
    /// The newest token.
    pub token: String,
}

/// Opens a WebSocket; an error holds the HTTP status if that is what was wrong.
pub async fn knock(site: SocketAddr, path: &str, origin: Option<&str>) -> Result<SocketPerson, u16> {
    let tcp = TcpStream::connect(site).await.expect("a connection");
    knock_over(tcp, &format!("ws://{site}{path}"), origin).await
}

/// The same over a connection that there is.
pub async fn knock_over(
    wire: impl Wire + 'static,
    url: &str,
    origin: Option<&str>,
) -> Result<SocketPerson, u16> {
    let mut request = url.into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("Origin", origin.parse().unwrap());
    }
    let wire: Box<dyn Wire> = Box::new(wire);
    let opened = tokio_tungstenite::client_async(request, wire);
    match tokio::time::timeout(LONG, opened).await.expect("an answer in time") {
        Ok((socket, _)) => {
            Ok(SocketPerson { socket, heard: Vec::new(), pings: 0, close: None, token: String::new() })
        }
        Err(tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

impl World {
    pub async fn socket_person(&self) -> SocketPerson {
        knock(self.site, "/v1", None).await.expect("the WebSocket opens")
    }
}

impl SocketPerson {
    /// Says HELLO and hears WELCOME.
    pub async fn hello(&mut self) -> Value {
        self.say(HELLO, &json!({"v": 1})).await;
        self.welcome().await
    }

    /// Comes back with a token.
    pub async fn resume(&mut self, token: &str) -> Value {
        self.say(HELLO, &json!({"v": 1, "resume": token})).await;
        self.welcome().await
    }

    async fn welcome(&mut self) -> Value {
        let welcome = self.expect(WELCOME).await;
        welcome["session"].as_str().unwrap().clone_into(&mut self.token);
        welcome
    }

    /// Looks for a stranger who is there already.
    pub async fn meets(&mut self, n: u32) -> u32 {
        self.say(super::FIND, &json!({"n": n, "mode": "text"})).await;
        u32::try_from(self.expect(MATCHED).await["chat"].as_u64().unwrap()).unwrap()
    }

    pub async fn say(&mut self, kind: u8, payload: &Value) {
        self.write(&super::frame(kind, payload.to_string().as_bytes())).await;
    }

    pub async fn relay(&mut self, kind: u8, chat: u32, bytes: &[u8]) {
        self.write(&super::frame(kind, &[&chat.to_be_bytes(), bytes].concat())).await;
    }

    /// Sends one message with these bytes of the channel.
    pub async fn write(&mut self, bytes: &[u8]) {
        let sent = self.socket.send(Message::binary(bytes.to_vec()));
        tokio::time::timeout(LONG, sent).await.expect("in time").expect("the WebSocket is open");
    }

    /// The next frame, or `None` when the WebSocket has ended.
    pub async fn hear_if_any(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(&[kind, high, middle, low]) = self.heard.first_chunk() {
                let end = 4 + u32::from_be_bytes([0, high, middle, low]) as usize;
                if self.heard.len() >= end {
                    let payload = self.heard[4..end].to_vec();
                    self.heard.drain(..end);
                    return Some((kind, payload));
                }
            }
            match self.socket.next().await?.ok()? {
                Message::Binary(bytes) => self.heard.extend_from_slice(&bytes),
                Message::Ping(_) => self.pings += 1,
                Message::Close(close) => {
                    let close = close.map(|close| (close.code.into(), close.reason.to_string()));
                    self.close = self.close.take().or(close);
                }
                other => panic!("{other}"),
            }
        }
    }

    /// The next frame.
    pub async fn hear(&mut self) -> (u8, Vec<u8>) {
        let heard = tokio::time::timeout(LONG, self.hear_if_any()).await.expect("a frame in time");
        heard.unwrap_or_else(|| panic!("a frame, not the end: {:?}", self.close))
    }

    /// The next control frame of this kind; WAITING on the way is skipped.
    pub async fn expect(&mut self, kind: u8) -> Value {
        loop {
            let (heard, payload) = self.hear().await;
            if heard == kind {
                return serde_json::from_slice(&payload).expect("JSON");
            }
            assert_eq!(heard, WAITING, "instead of {kind:#x}: {}", String::from_utf8_lossy(&payload));
        }
    }

    /// The next frame is a relayed one; returns its opaque bytes.
    pub async fn expect_relayed(&mut self, kind: u8, chat: u32) -> Vec<u8> {
        let (heard, payload) = self.hear().await;
        assert_eq!(heard, kind, "{}", String::from_utf8_lossy(&payload));
        assert_eq!(payload[..4], chat.to_be_bytes());
        payload[4..].to_vec()
    }

    /// Waits until the server has closed the WebSocket, whatever it says before; returns code and reason.
    pub async fn closed(&mut self) -> (u16, String) {
        let over = async { while self.hear_if_any().await.is_some() {} };
        tokio::time::timeout(LONG, over).await.expect("closed in time");
        self.close.take().expect("a close frame")
    }
}
