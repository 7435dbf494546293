//! A server that lies: it speaks the protocol, and delays, stalls, refuses or misleads exactly as it is told.
//!
//! Built on another WebTransport implementation than the generator's own client and the real server, so that the
//! three check one another.

#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::struct_excessive_bools)]
#![allow(
    clippy::cast_possible_truncation,
    reason = "a test helper: each test uses a part of it, and may panic"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use wtransport::endpoint::IncomingSession;
use wtransport::tls::Sha256DigestFmt;
use wtransport::{Endpoint, Identity, ServerConfig, VarInt};

mod ws;

/// What the server lies about. The default is the truth.
#[derive(Clone, Debug, Default)]
pub struct Lies {
    /// MATCHED is sent this long after the second FIND.
    pub match_delay: Duration,
    /// MATCHED of every n-th chat is sent this long after the second FIND instead.
    pub slow_every: Option<(u32, Duration)>,
    /// Relayed frames are held for this long.
    pub relay_delay: Duration,
    /// Between these moments after the first FIND, nothing is answered; it is made up for afterwards.
    pub stall: Option<(Duration, Duration)>,
    /// CONNECT is answered with 403.
    pub forbid: bool,
    /// Every n-th session is closed with this code instead of WELCOME.
    pub close_every: Option<(u64, u32)>,
    /// HELLO is never answered.
    pub mute: bool,
    /// client-config.json names another certificate.
    pub wrong_hash: bool,
    /// client-config.json names this protocol version.
    pub protocol: Option<u32>,
    /// Every n-th FIND is refused with NOTICE.
    pub refuse_every: Option<u64>,
    /// Relayed frames are kept.
    pub swallow_frames: bool,
    /// client-config.json names no WebSocket.
    pub no_websocket: bool,
}

/// A running liar; it stops when this is dropped.
pub struct Liar {
    pub site: SocketAddr,
    pub server: SocketAddr,
    /// WebSocket, with TLS and without on one port.
    pub websocket: SocketAddr,
    /// Of the certificate, in base64.
    pub hash: String,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Liar {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct World {
    lies: Lies,
    waiting: Option<Client>,
    chats: HashMap<u32, [Client; 2]>,
    next_chat: u32,
    sessions: u64,
    finds: u64,
    first_find: Option<Instant>,
}

#[derive(Clone)]
struct Client {
    id: u64,
    n: u32,
    out: Out,
}

type Shared = Arc<Mutex<World>>;

impl Liar {
    pub fn start(lies: Lies) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut liar = runtime.block_on(start(lies));
        liar.runtime = Some(runtime);
        liar
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.site)
    }
}

async fn start(lies: Lies) -> Liar {
    let identity = Identity::self_signed(["localhost", "127.0.0.1"]).unwrap();
    let hash = hash_of(&identity);
    let listed = if lies.wrong_hash { format!("AAAA{}", &hash[4..]) } else { hash.clone() };
    let acceptor = ws::acceptor(&identity);
    let config = ServerConfig::builder()
        .with_bind_address("127.0.0.1:0".parse().unwrap())
        .with_identity(identity)
        .keep_alive_interval(Some(Duration::from_secs(5)))
        .build();
    let endpoint = Endpoint::server(config).unwrap();
    let server = endpoint.local_addr().unwrap();
    let site = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sockets = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let liar = Liar {
        site: site.local_addr().unwrap(),
        server,
        websocket: sockets.local_addr().unwrap(),
        hash,
        runtime: None,
    };
    let mut page = serde_json::json!({
        "protocol": lies.protocol.unwrap_or(1), "online": 0, "state": "open",
        "webtransport": {"url": format!("https://{server}/v1"), "serverCertificateHashes": [listed]},
    });
    if !lies.no_websocket {
        page["websocket"] = serde_json::json!({"url": format!("ws://{}/v1", liar.websocket)});
    }
    tokio::spawn(serve_site(site, page.to_string()));
    let world = Arc::new(Mutex::new(World {
        lies,
        waiting: None,
        chats: HashMap::new(),
        next_chat: 1,
        sessions: 0,
        finds: 0,
        first_find: None,
    }));
    tokio::spawn(ws::serve(sockets, acceptor, Arc::clone(&world)));
    tokio::spawn(async move {
        loop {
            let incoming = endpoint.accept().await;
            tokio::spawn(session(incoming, Arc::clone(&world)));
        }
    });
    liar
}

fn hash_of(identity: &Identity) -> String {
    use base64::Engine;
    let digest = identity.certificate_chain().as_slice()[0].hash();
    let bytes: Vec<u8> =
        serde_json::from_str(&digest.fmt(Sha256DigestFmt::BytesArray)).expect("a digest prints as an array");
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

async fn serve_site(listener: tokio::net::TcpListener, page: String) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

async fn session(incoming: IncomingSession, world: Shared) {
    let Ok(request) = incoming.await else { return };
    let forbid = world.lock().unwrap().lies.forbid;
    if forbid {
        request.forbidden().await;
        return;
    }
    let Ok(connection) = request.accept().await else { return };
    let id = newcomer(&world);
    if let Some(code) = refused(&world, id) {
        connection.close(VarInt::from_u32(code), REFUSAL);
        return;
    }
    let Ok((mut send, recv)) = connection.accept_bi().await else { return };
    let (out, mut queue) = unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((at, frame)) = queue.recv().await {
            tokio::time::sleep_until(at).await;
            if send.write_all(&frame).await.is_err() {
                return;
            }
        }
    });
    let _ = talk(recv, &out, id, &world).await;
    gone(&world, id);
}

const REFUSAL: &[u8] = br#"{"message":"go away","retry_after_ms":1000}"#;

fn newcomer(world: &Shared) -> u64 {
    let mut world = world.lock().unwrap();
    world.sessions += 1;
    world.sessions
}

/// The close code of a session that is not let in.
fn refused(world: &Shared, id: u64) -> Option<u32> {
    let (every, code) = world.lock().unwrap().lies.close_every?;
    id.is_multiple_of(every).then_some(code)
}

type Out = UnboundedSender<(Instant, Vec<u8>)>;

async fn talk(mut recv: impl AsyncRead + Unpin, out: &Out, id: u64, world: &Shared) -> Option<()> {
    loop {
        let (frame_type, payload) = read_frame(&mut recv).await?;
        if world.lock().unwrap().lies.mute {
            continue;
        }
        match frame_type {
            0x01 => {
                let welcome =
                    br#"{"session":"AAAAAAAAAAAAAAAAAAAAAA","resumed":false,"resume_s":60,"online":1,"chat":null}"#;
                out.send((Instant::now(), frame(0x41, welcome))).ok()?;
            }
            0x02 => {
                let find: serde_json::Value = serde_json::from_slice(&payload).ok()?;
                let n = find["n"].as_u64()? as u32;
                look(world, Client { id, n, out: out.clone() });
            }
            0x03 => gone(world, id),
            0x81 | 0x82 => relay(world, id, frame_type, &payload),
            _ => return None,
        }
    }
}

/// When an answer that is due at `due` may go out, given the stall.
fn held(world: &World, due: Instant) -> Instant {
    match (world.lies.stall, world.first_find) {
        (Some((from, to)), Some(first)) if due >= first + from && due < first + to => first + to,
        _ => due,
    }
}

fn look(world: &Shared, client: Client) {
    gone(world, client.id);
    let mut world = world.lock().unwrap();
    world.first_find.get_or_insert_with(Instant::now);
    world.finds += 1;
    if world.lies.refuse_every.is_some_and(|every| world.finds.is_multiple_of(every)) {
        let notice = br#"{"code":"rate_limited","message":"slowly","retry_after_ms":200}"#;
        let _ = client.out.send((Instant::now(), frame(0x46, notice)));
        return;
    }
    let Some(other) = world.waiting.take() else {
        let waiting = format!(r#"{{"n":{},"online":1,"estimate_ms":null}}"#, client.n);
        let _ = client.out.send((Instant::now(), frame(0x42, waiting.as_bytes())));
        world.waiting = Some(client);
        return;
    };
    let chat = world.next_chat;
    world.next_chat += 1;
    let delay = match world.lies.slow_every {
        Some((every, delay)) if chat.is_multiple_of(every) => delay,
        _ => world.lies.match_delay,
    };
    let due = held(&world, Instant::now() + delay);
    for (end, role) in [(&other, "offerer"), (&client, "answerer")] {
        let matched =
            format!(r#"{{"n":{},"chat":{chat},"role":"{role}","mode":"text","shared":[],"ice":[]}}"#, end.n);
        let _ = end.out.send((due, frame(0x43, matched.as_bytes())));
    }
    world.chats.insert(chat, [other, client]);
}

/// Leaves the queue and the chat; the stranger is told.
fn gone(world: &Shared, id: u64) {
    let mut world = world.lock().unwrap();
    if world.waiting.as_ref().is_some_and(|client| client.id == id) {
        world.waiting = None;
    }
    let chat =
        world.chats.iter().find(|(_, ends)| ends.iter().any(|end| end.id == id)).map(|(chat, _)| *chat);
    let Some(chat) = chat else { return };
    for end in world.chats.remove(&chat).into_iter().flatten().filter(|end| end.id != id) {
        let ended = format!(r#"{{"chat":{chat},"why":"left"}}"#);
        let _ = end.out.send((Instant::now(), frame(0x44, ended.as_bytes())));
    }
}

fn relay(world: &Shared, id: u64, frame_type: u8, payload: &[u8]) {
    let world = world.lock().unwrap();
    let Some(chat) = payload.first_chunk::<4>().map(|chat| u32::from_be_bytes(*chat)) else { return };
    let Some(ends) = world.chats.get(&chat).filter(|_| !world.lies.swallow_frames) else { return };
    for end in ends.iter().filter(|end| end.id != id) {
        let due = held(&world, Instant::now() + world.lies.relay_delay);
        let _ = end.out.send((due, frame(frame_type, payload)));
    }
}

fn frame(frame_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![frame_type];
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(payload);
    out
}

async fn read_frame(recv: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 4];
    recv.read_exact(&mut header).await.ok()?;
    let mut payload = vec![0; (u32::from_be_bytes(header) & 0x00ff_ffff) as usize];
    recv.read_exact(&mut payload).await.ok()?;
    Some((header[0], payload))
}
