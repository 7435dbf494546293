//! Two clients of another make are paired and talk, over each of the three stacks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anoncam::core::frame::{ControlKind, TEXT, encode_control, encode_relay};
use anoncam::core::io::ChatId;
use base64::Engine;
use serde_json::Value;
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};

const MATCHED: u8 = 0x43;
/// h3 refuses a few sessions in a hundred (see the crate's documentation); the two others none.
const ATTEMPTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    child: Child,
    site: String,
}

impl Server {
    fn start(stack: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_anoncam-baseline"))
            .args(["--stack", stack, "--listen", "127.0.0.1:0", "--site", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the baseline starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let site = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("site http://").map(str::to_owned))
            .expect("the baseline says where its site is");
        Self { child, site }
    }

    fn client_config(&self) -> Value {
        let mut stream = TcpStream::connect(&self.site).expect("the site listens");
        write!(stream, "GET /client-config.json HTTP/1.1\r\nHost: {}\r\n\r\n", self.site).expect("a request");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("a response");
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        serde_json::from_str(body).expect("JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    _session: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Client {
    async fn connect(config: &Value) -> Self {
        let hash = config["webtransport"]["serverCertificateHashes"][0].as_str().expect("a hash");
        let hash = base64::engine::general_purpose::STANDARD.decode(hash).expect("base64");
        let digest = Sha256Digest::new(hash.try_into().expect("32 bytes"));
        let url = config["webtransport"]["url"].as_str().expect("an address");
        for _ in 0..ATTEMPTS {
            let client = ClientConfig::builder()
                .with_bind_default()
                .with_server_certificate_hashes([digest.clone()])
                .build();
            let endpoint = Endpoint::client(client).expect("a socket");
            if let Ok(session) = endpoint.connect(url).await {
                let (send, receive) = session.open_bi().await.expect("a stream").await.expect("the channel");
                return Self { _session: session, send, receive };
            }
        }
        panic!("no session in {ATTEMPTS} attempts");
    }

    /// Reads frames up to the first of type `wanted` and returns its payload.
    async fn next(&mut self, wanted: u8) -> Vec<u8> {
        loop {
            let mut header = [0; 4];
            self.receive.read_exact(&mut header).await.expect("a frame");
            let length = u32::from_be_bytes([0, header[1], header[2], header[3]]);
            let mut payload = vec![0; length as usize];
            self.receive.read_exact(&mut payload).await.expect("a payload");
            if header[0] == wanted {
                return payload;
            }
        }
    }

    async fn find(&mut self) {
        let hello = encode_control(ControlKind::Hello, br#"{"v":1}"#);
        let find = encode_control(ControlKind::Find, br#"{"n":1,"mode":"text"}"#);
        self.send.write_all(&hello).await.expect("HELLO");
        self.send.write_all(&find).await.expect("FIND");
    }

    async fn matched(&mut self) -> ChatId {
        let matched: Value = serde_json::from_slice(&self.next(MATCHED).await).expect("JSON");
        ChatId(matched["chat"].as_u64().expect("a chat number") as u32)
    }
}

async fn chat_over(stack: &str) {
    let server = Server::start(stack);
    let config = server.client_config();
    let (mut anna, mut ben) = (Client::connect(&config).await, Client::connect(&config).await);
    anna.find().await;
    ben.find().await;
    let chat = anna.matched().await;
    assert_eq!(chat, ben.matched().await);
    // One frame of a datagram, and one of many.
    for text in [vec![b'a'; 100], vec![b'b'; 8_000]] {
        anna.send.write_all(&encode_relay(TEXT, chat, &text)).await.expect("TEXT");
        assert_eq!(ben.next(TEXT).await[4..], text[..]);
        ben.send.write_all(&encode_relay(TEXT, chat, &text)).await.expect("TEXT");
        assert_eq!(anna.next(TEXT).await[4..], text[..]);
    }
}

#[tokio::test]
async fn two_strangers_talk_over_h3() {
    tokio::time::timeout(PATIENCE, chat_over("h3")).await.expect("in time");
}

#[tokio::test]
async fn two_strangers_talk_over_web_transport_quinn() {
    tokio::time::timeout(PATIENCE, chat_over("web-transport-quinn")).await.expect("in time");
}

#[tokio::test]
async fn two_strangers_talk_over_wtransport() {
    tokio::time::timeout(PATIENCE, chat_over("wtransport")).await.expect("in time");
}
