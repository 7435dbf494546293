//! The canary: people of whom everything is unmistakable come, chat and go, and then a full image of memory, the files, the logs at
//! their most talkative and the metrics are searched for them.
//!
//! The client is none of the project's own: bare QUIC, and bytes of HTTP/3 made here. What it relays is not sealed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quinn::{Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use serde_json::json;
use tokio::task::JoinSet;

use crate::http;
use crate::image::{Image, Trace, forgotten};
use crate::peers::chat::{Chatter, FIND, HELLO, WELCOME, frame};
use crate::peers::raw::{self, Raw};
use crate::peers::wire;
use crate::program::{Running, anoncam};
use crate::world::{READABLE, listen};

/// What is relayed and wished for, and what a browser says about itself.
const SAID: &str = "cormorant-that-was-said";
const WISHED: &str = "quidnunc-that-was-wished";
const LANG: &str = "gsw";
const AGENT: &str = "Snark/5.0 (Boojum; rv:77)";
const LANGUAGES: &str = "tlh-KX,tlh;q=0.5";
const COOKIE: &str = "id=jabberwock";
const HEADERS: [(&str, &str); 3] =
    [("user-agent", AGENT), ("accept-language", LANGUAGES), ("cookie", COOKIE)];

/// Sessions that come and go before the second search.
const CHURN: usize = 10_000;
/// Of these, so many at a time.
const AT_A_TIME: usize = 16;
/// Tokens of the churn that are searched for.
const SAMPLED: usize = 64;
/// What is promised: five minutes. The configuration makes it seconds.
const PROMISED: Duration = Duration::from_secs(300);

/// Somebody with an address of their own.
struct Visitor {
    address: Ipv4Addr,
    /// As it was told in WELCOME.
    token: String,
    chatter: Chatter<SendStream, RecvStream>,
    raw: Raw,
    _connect: (SendStream, RecvStream),
}

impl Visitor {
    /// Comes with all headers, and says HELLO.
    async fn come(server: SocketAddr, address: Ipv4Addr, transport: TransportConfig) -> Self {
        let endpoint = raw::endpoint_at(address, raw::small_tls(), transport);
        Self::come_through(endpoint, server, address, json!({"v": 1})).await
    }

    async fn come_through(
        endpoint: Endpoint,
        server: SocketAddr,
        address: Ipv4Addr,
        hello: serde_json::Value,
    ) -> Self {
        let mut raw = Raw::through(endpoint, server).await;
        raw.uni(&wire::control()).await;
        let connect = raw.session_by(&wire::connect_with("/v1", &HEADERS)).await;
        let (write, read) = raw.channel(&connect.0).await;
        let mut chatter = Chatter { write, read, chat: 0 };
        chatter.send(&frame(HELLO, hello.to_string().as_bytes())).await;
        let welcome = chatter.expect(WELCOME).await;
        let token = welcome["session"].as_str().expect("a token").to_owned();
        Self { address, token, chatter, raw, _connect: connect }
    }

    /// Wishes for a stranger.
    async fn find(&mut self, mode: &str) {
        let find = json!({"n": 1, "mode": mode, "interests": [WISHED], "langs": [LANG], "strict": true});
        self.chatter.send(&frame(FIND, find.to_string().as_bytes())).await;
    }

    /// The token's secret as it is in memory.
    fn secret(&self) -> Vec<u8> {
        let token = URL_SAFE_NO_PAD.decode(&self.token).expect("base64url");
        token[token.len() - 16..].to_vec()
    }

    /// What is in memory as long as this one is here.
    fn present(&self) -> Vec<Trace> {
        vec![raw_bytes(self.address), Trace::new(format!("the token {}", self.token), self.secret())]
    }

    /// The other forms that traces of this one could have.
    fn forms(&self) -> Vec<Trace> {
        let mut forms = other_forms(self.address);
        forms.push(Trace::new(format!("the token {} as text", self.token), self.token.as_str()));
        forms
    }
}

/// An address as the server has it while its owner is there.
fn raw_bytes(address: Ipv4Addr) -> Trace {
    Trace::new(format!("{address} in 4 bytes"), address.octets())
}

/// As what else it could be in memory.
fn other_forms(address: Ipv4Addr) -> Vec<Trace> {
    let backwards: Vec<u8> = address.octets().into_iter().rev().collect();
    vec![
        Trace::new(format!("{address} as text"), address.to_string()),
        Trace::new(format!("{address} mapped into IPv6"), address.to_ipv6_mapped().octets()),
        Trace::new(format!("{address} as IPv6 text"), address.to_ipv6_mapped().to_string()),
        Trace::new(format!("{address} backwards"), [backwards.as_slice(), &[0, 0]].concat()),
    ]
}

/// What nobody's memory holds at any time.
fn headers() -> Vec<Trace> {
    HEADERS.map(|(name, value)| Trace::new(name, value)).into()
}

fn words() -> Vec<Trace> {
    vec![Trace::new("what was said", SAID), Trace::new("what was wished", WISHED)]
}

/// A server that keeps everything for as short as it can be told to, and writes down all that it can.
struct World {
    directory: tempfile::TempDir,
    running: Running,
    server: SocketAddr,
    metrics: SocketAddr,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
        let file = directory.path().join("anoncam.toml");
        let settings = format!(
            "shards = 2\nlog = \"trace\"\nlog_dir = \"log\"\naccess_log = true\ncontrol = \"control\"\n\
             metrics = \"{free}\"\n[retention]\nresume_s = 1\nforget_s = 1\n"
        );
        fs::write(&file, settings).expect("a file");
        let running = Running::start(&["--config", file.to_str().expect("UTF-8"), READABLE]);
        let control = directory.path().join("control");
        let looking = anoncam(&["debug", "--control", control.to_str().expect("UTF-8")]).output();
        assert!(looking.expect("the program").status.success());
        let server = listen(&running);
        Self { directory, running, server, metrics: free }
    }

    fn image(&self) -> Image {
        Image::of(self.running.id())
    }

    /// Addresses of loopback whose bytes mean nothing to the server.
    fn addresses<const N: usize>(&self) -> [Ipv4Addr; N] {
        let image = self.image();
        let mut unknown = (1..=250).map(|last| Ipv4Addr::new(127, 77 + last % 100, 213 - last % 7, last));
        std::array::from_fn(|_| {
            unknown.find(|address| image.count(&address.octets()) == 0).expect("an address")
        })
    }

    /// Everything that the server tells or has written, apart from its memory.
    fn told(&self) -> String {
        let mut told = String::new();
        for answer in
            [http::get(self.metrics, "/metrics"), http::get(self.running.site, "/client-config.json")]
        {
            assert_eq!(answer.status, 200);
            told += &String::from_utf8(answer.body).expect("UTF-8");
        }
        let log = self.directory.path().join("log");
        for file in files(self.directory.path()) {
            let written = file.starts_with(&log);
            told += &fs::read(&file)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default();
            assert!(
                written || file.ends_with("anoncam.toml") || file.ends_with("control"),
                "{}",
                file.display()
            );
        }
        assert!(told.contains("session opened") && told.contains("client-config.json"), "there are logs");
        told
    }
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A client that takes 16 bytes at a time from each stream.
fn slow() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(16));
    transport
}

/// The server has to hold what a slow reader does not take: so every form of every trace is in its memory, and the search
/// has to find all of them.
async fn control(world: &World, ada: &mut Visitor, ben: &mut Visitor, others: &[Visitor]) {
    let everybody = || [&*ada, &*ben].into_iter().chain(others);
    let present: Vec<_> = everybody().flat_map(Visitor::present).chain(words()).collect();
    let planted: Vec<_> = everybody().flat_map(Visitor::forms).collect();
    let said: Vec<_> = planted.iter().map(|trace| trace.bytes.as_slice()).chain([SAID.as_bytes()]).collect();
    let said = said.join(&b"\0 "[..]);
    let mut tries = 0;
    loop {
        ben.chatter.say(&said).await;
        let image = world.image();
        let missing: Vec<_> = present
            .iter()
            .chain(&planted)
            .filter(|trace| image.count(&trace.bytes) == 0)
            .map(|trace| trace.name.as_str())
            .collect();
        assert_eq!(image.holds(&headers()), [""; 0], "headers are never kept, not while connected either");
        if missing.is_empty() {
            break;
        }
        tries += 1;
        assert!(tries < 20, "the search does not see what is there: {missing:?}");
        // Too late or too early: the frame is taken, and said again.
        assert_eq!(ada.chatter.hear().await, said);
    }
}

/// Leaves without a word: as if the machine had lost its power.
fn vanish(server: SocketAddr, address: Ipv4Addr) -> Vec<Trace> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let visitor = runtime.block_on(Visitor::come(server, address, TransportConfig::default()));
        let traces = visitor.present().into_iter().chain(visitor.forms()).collect();
        runtime.shutdown_background();
        drop(visitor);
        traces
    })
    .join()
    .expect("a visit")
}

/// Reads the page and goes.
fn read_page(site: SocketAddr, address: Ipv4Addr) -> Vec<Trace> {
    let host = format!("localhost:{}", site.port());
    let headers = [&HEADERS[..], &[("host", &host)]].concat();
    assert_eq!(http::ask_from(address.into(), site, "GET", "/", &headers).status, 200);
    let mut traces = other_forms(address);
    traces.push(raw_bytes(address));
    traces
}

/// Comes back with a token from another connection, and goes again.
async fn come_back(server: SocketAddr, visitor: Visitor) -> (Visitor, Vec<Trace>) {
    let traces = visitor.present().into_iter().chain(visitor.forms()).collect();
    let Visitor { address, token, raw, .. } = visitor;
    raw.quic.close(VarInt::from_u32(0), b"");
    raw.endpoint.wait_idle().await;
    let hello = json!({"v": 1, "resume": token});
    (Visitor::come_through(raw.endpoint, server, address, hello).await, traces)
}

/// So many sessions, each with all of it, from these addresses. Returns some of their tokens.
async fn churn(server: SocketAddr, addresses: &[Ipv4Addr]) -> Vec<Trace> {
    let endpoint = |address: &Ipv4Addr| {
        (*address, raw::endpoint_at(*address, raw::small_tls(), TransportConfig::default()))
    };
    let endpoints: Vec<_> = addresses.iter().map(endpoint).collect();
    let mut visits = JoinSet::new();
    let mut traces = Vec::new();
    for number in 0..CHURN {
        if visits.len() >= AT_A_TIME {
            visits.join_next().await.expect("a visit").expect("a visit without a failure");
        }
        let (address, endpoint) = endpoints[number % endpoints.len()].clone();
        let wanted = number % (CHURN / SAMPLED) == 0;
        let visit = async move {
            let mut visitor = Visitor::come_through(endpoint, server, address, json!({"v": 1})).await;
            if number % 4 < 2 {
                visitor.find("text").await;
            }
            visitor.raw.quic.close(VarInt::from_u32(0), b"");
            visitor
        };
        if wanted {
            traces.extend(visit.await.present().into_iter().skip(1));
        } else {
            visits.spawn(async move { drop(visit.await) });
        }
    }
    while let Some(visit) = visits.join_next().await {
        visit.expect("a visit without a failure");
    }
    for (_, endpoint) in endpoints {
        endpoint.wait_idle().await;
    }
    traces
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_people_who_have_gone() {
    let world = World::new();
    let [ada, ben, eve, kim, vanishing, reader, zoe] = world.addresses();
    let mut traces = words();
    traces.extend(headers());
    traces.extend(vanish(world.server, vanishing));
    traces.extend(read_page(world.running.site, reader));

    let mut ada = Visitor::come(world.server, ada, slow()).await;
    let mut ben = Visitor::come(world.server, ben, TransportConfig::default()).await;
    let eve = Visitor::come(world.server, eve, TransportConfig::default()).await;
    let mut kim = Visitor::come(world.server, kim, TransportConfig::default()).await;
    // Until it lands on another shard than the session's, a resume stays on this one: both are left behind.
    let mut eve = eve;
    for _ in 0..4 {
        let (back, before) = come_back(world.server, eve).await;
        eve = back;
        traces.extend(before);
    }
    ada.find("text").await;
    ben.find("text").await;
    ada.chatter.matched().await;
    ben.chatter.matched().await;
    kim.find("video").await;
    // She stays all the time: what is kept for her holds nothing of the others.
    let zoe = Visitor::come(world.server, zoe, TransportConfig::default()).await;
    let others = [eve, kim];
    control(&world, &mut ada, &mut ben, &others).await;

    let [eve, kim] = others;
    let everybody = [ada, ben, eve, kim];
    let addresses = everybody.each_ref().map(|visitor| visitor.address);
    for visitor in everybody {
        traces.extend(visitor.present().into_iter().chain(visitor.forms()));
        visitor.raw.quic.close(VarInt::from_u32(0), b"");
        visitor.raw.endpoint.wait_idle().await;
    }
    forgotten(world.running.id(), &traces, PROMISED).await;
    is_told_nowhere(&world.told(), &traces);

    traces.extend(churn(world.server, &addresses).await);
    forgotten(world.running.id(), &traces, PROMISED).await;
    is_told_nowhere(&world.told(), &traces);
    zoe.raw.quic.close(VarInt::from_u32(0), b"");
    zoe.raw.endpoint.wait_idle().await;
    let World { running, directory, .. } = world;
    running.signal("-TERM");
    let (status, stderr) = running.wait();
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    drop(directory);
}

fn is_told_nowhere(told: &str, traces: &[Trace]) {
    for trace in traces {
        let text = String::from_utf8_lossy(&trace.bytes);
        assert!(trace.bytes.len() < 5 || !told.contains(&*text), "{} is told:\n{told}", trace.name);
    }
}
