//! A newer process takes the place of a running one, and nobody is cut off.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http;
use crate::program::{Running, anoncam};
use crate::support::*;

/// A server program with a control socket, and the processes that took its place.
struct Service {
    /// For settings and the socket.
    directory: tempfile::TempDir,
    /// For the program, which a test may replace as an operator does.
    programs: tempfile::TempDir,
    first: Running,
    ids: Vec<String>,
}

impl Service {
    fn start(settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let programs = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let built = anoncam(&[]);
        let program = programs.path().join("anoncam");
        std::fs::hard_link(built.get_program(), &program).expect("a second name on one file system");
        let path = directory.path().join("anoncam.toml");
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0", "--site", "127.0.0.1:0", "--config"]).arg(&path);
        for (name, _) in built.get_envs() {
            command.env_remove(name);
        }
        std::fs::write(&path, Self::settings(&directory, settings)).expect("a file");
        let first = Running::run(&mut command);
        Self { ids: vec![first.id().to_string()], first, directory, programs }
    }

    fn settings(directory: &tempfile::TempDir, more: &str) -> String {
        format!("control = \"{}\"\n{more}", directory.path().join("control.sock").display())
    }

    fn configure(&self, more: &str) {
        std::fs::write(self.directory.path().join("anoncam.toml"), Self::settings(&self.directory, more))
            .expect("a file");
    }

    fn program(&self) -> PathBuf {
        self.programs.path().join("anoncam")
    }

    /// Gives an order; what was answered, or why not.
    fn order(&self, order: &str) -> Result<String, String> {
        self.order_with(&[order])
    }

    fn order_with(&self, words: &[&str]) -> Result<String, String> {
        let control = self.directory.path().join("control.sock");
        let Output { status, stdout, stderr } =
            anoncam(words).env("ANONCAM_CONTROL", control).output().expect("the program");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8").trim_end().to_owned();
        if status.success() { Ok(text(stdout)) } else { Err(text(stderr)) }
    }

    fn upgrade(&mut self) {
        let told = self.order("upgrade").expect("an upgrade");
        let id = told.strip_prefix("process ").and_then(|rest| rest.split(' ').next()).expect("its number");
        assert!(!self.ids.contains(&id.to_owned()), "{told}");
        self.ids.push(id.to_owned());
    }

    /// Sends a signal, unless the process has gone.
    fn signal(id: &str, signal: &str) {
        Command::new("kill").args([signal, id]).stderr(Stdio::null()).status().expect("kill");
    }

    /// Whether a process lives: one that has ended and was not waited for does not.
    fn lives(id: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    async fn until_ended(id: &str) {
        until(|| !Self::lives(id)).await;
    }

    fn world(&self) -> World {
        let config: Value =
            serde_json::from_slice(&http::get(self.first.site, "/client-config.json").body).expect("JSON");
        let url = config["webtransport"]["url"].as_str().expect("a URL");
        let listen = url.trim_start_matches("https://").trim_end_matches("/v1");
        World::beside(listen.parse().expect("an address"), self.first.site)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for id in self.ids.iter().filter(|id| Self::lives(id)) {
            let _ = Command::new("kill").args(["-KILL", id]).status();
        }
    }
}

pub(super) async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Person {
    /// The stranger is back; the new number of the chat. That they were away may have been told before.
    async fn expect_back(&mut self) -> u32 {
        let mut peer = self.expect(PEER).await;
        if peer["state"] == "away" {
            peer = self.expect(PEER).await;
        }
        assert_eq!(peer["state"], "back");
        peer["new_chat"].as_u64().expect("a number") as u32
    }
}

/// A word each way.
pub(super) async fn talk(ada: &mut Person, ben: &mut Person, chat: u32, word: &str) {
    ada.relay(TEXT, chat, word.as_bytes()).await;
    assert_eq!(ben.expect_relayed(TEXT, chat).await, word.as_bytes());
    ben.relay(TEXT, chat, word.as_bytes()).await;
    assert_eq!(ada.expect_relayed(TEXT, chat).await, word.as_bytes());
}

fn hashes(site: SocketAddr) -> Value {
    let config: Value = serde_json::from_slice(&http::get(site, "/client-config.json").body).expect("JSON");
    assert_eq!(config["state"], "open");
    config["webtransport"]["serverCertificateHashes"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_upgrades_cut_nobody_off() {
    let mut service = Service::start("shards = 2\ndrain_seconds = 60\n");
    let world = service.world();
    let certificate = hashes(service.first.site);
    let mut chats = Vec::new();
    for upgrades in 0..=3 {
        // Somebody of each generation chats on through all that follow.
        let (mut ada, mut ben, chat) = world.chat().await;
        talk(&mut ada, &mut ben, chat, "before").await;
        chats.push((ada, ben, chat));
        if upgrades == 3 {
            break;
        }
        let mut idle = world.person().await;
        idle.hello().await;
        let mut waiting = world.person().await;
        waiting.hello().await;
        waiting.find(json!({"n": 1, "mode": "video"})).await;
        waiting.expect(WAITING).await;
        service.upgrade();
        for person in [&mut idle, &mut waiting] {
            assert!(person.expect(DRAIN).await["within_ms"].as_u64().expect("a time") <= 60_000);
        }
        let (ada, ben, _) = chats.last_mut().expect("a chat");
        for person in [&mut *ada, &mut *ben] {
            person.expect(DRAIN).await;
        }
        for (ada, ben, chat) in &mut chats {
            talk(ada, ben, *chat, "after").await;
        }
        assert_eq!(hashes(service.first.site), certificate, "pages that read the list before still connect");
    }
    let status = service.order("status").expect("an answer");
    assert!(status.ends_with("older processes that have chats: 3"), "{status}");
    let ids = service.ids.clone();
    assert!(ids.iter().all(|id| Service::lives(id)));
    // Whoever has no chat left ends, and the others do not notice.
    for (id, (mut ada, mut ben, _)) in ids.iter().zip(std::mem::take(&mut chats)) {
        ada.raw(LEAVE, b"").await;
        assert_eq!(ben.expect(ENDED).await["why"], "left");
        drop((ada, ben));
        if id != ids.last().expect("the newest") {
            Service::until_ended(id).await;
        }
    }
    until(|| service.order("status").is_ok_and(|status| !status.contains("older"))).await;
    world.person().await.hello().await;
    assert_eq!(service.order("drain").as_deref(), Ok("draining"));
    Service::until_ended(ids.last().expect("the newest")).await;
}

/// A newcomer chooses the ID of their first packets at random. Those that look as if the older process had made them have to reach
/// the newer one all the same, also when the newcomer has to prove their address, with an ID that the server makes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_whose_id_looks_like_an_older_process_s_gets_in() {
    for retry_above in [1_000, 0] {
        let mut service =
            Service::start(&format!("shards = 2\ndrain_seconds = 60\nretry_above = {retry_above}\n"));
        let world = service.world();
        let (mut ada, mut ben, chat) = world.chat().await;
        service.upgrade();
        ada.expect(DRAIN).await;
        ben.expect(DRAIN).await;
        let url: url::Url = world.url().parse().expect("a URL");
        for number in 0..4 {
            let mut config = client_config();
            // The third byte is the generation; the first two decide on the shard.
            let id = [number, number, 0, 1, 2, 3, 4, 5];
            config.initial_dst_cid_provider(Arc::new(move || quinn::ConnectionId::new(&id)));
            let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a port");
            let client = web_transport_quinn::Client::new(endpoint.clone(), config);
            let session = client.connect(url.clone()).await.expect("a session");
            let mut newcomer = Person::new(session, endpoint).await;
            newcomer.hello().await;
            newcomer.find(json!({"n": 1, "mode": "video", "interests": [number.to_string()]})).await;
            newcomer.expect(WAITING).await;
        }
        talk(&mut ada, &mut ben, chat, "undisturbed").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_is_resumed_on_a_connection_to_a_newer_process() {
    let mut service = Service::start("shards = 2\ndrain_seconds = 60\n");
    let world = service.world();
    let (mut ada, mut ben, _) = world.chat().await;
    service.upgrade();
    ada.expect(DRAIN).await;
    ben.expect(DRAIN).await;
    // Ada's network changes so that her connection is lost, not moved. Her chat is in the older process.
    let token = std::mem::take(&mut ada.token);
    ada = world.person().await;
    let welcome = ada.resume(&token).await;
    assert_eq!((&welcome["resumed"], &welcome["chat"]["stranger"]), (&json!(true), &json!("here")));
    ada.expect(DRAIN).await;
    let chat = ben.expect_back().await;
    assert_eq!(welcome["chat"]["chat"], chat);
    for word in ["again", "and again"] {
        talk(&mut ada, &mut ben, chat, word).await;
    }
    // A large frame, whole.
    let large = vec![7; 30_000];
    ben.relay(SIGNAL, chat, &large).await;
    assert_eq!(ada.expect_relayed(SIGNAL, chat).await, large);

    // After another upgrade it is Ben. Three processes have a part in their chat.
    service.upgrade();
    let token = std::mem::take(&mut ben.token);
    ben = world.person().await;
    let welcome = ben.resume(&token).await;
    ben.expect(DRAIN).await;
    let chat = ada.expect_back().await;
    assert_eq!(welcome["chat"]["chat"], chat);
    talk(&mut ada, &mut ben, chat, "three").await;

    // The process in between goes: Ada's connection with it. She comes back to the newest.
    let between = service.ids.remove(1);
    Service::signal(&between, "-KILL");
    Service::until_ended(&between).await;
    let token = std::mem::take(&mut ada.token);
    ada = world.person().await;
    assert_eq!(ada.resume(&token).await["resumed"], true);
    ada.expect(DRAIN).await;
    let chat = ben.expect_back().await;
    talk(&mut ada, &mut ben, chat, "still").await;
    ada.raw(LEAVE, b"").await;
    assert_eq!(ben.expect(ENDED).await["why"], "left");
    drop((ada, ben));
    Service::until_ended(&service.ids[0].clone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_cannot_be_is_told_in_words_and_changes_nothing() {
    const SETTINGS: &str = "shards = 2\ndrain_seconds = 60\n";
    let mut service = Service::start(SETTINGS);
    let world = service.world();
    let (mut ada, mut ben, chat) = world.chat().await;
    let script = |text: &str| {
        let path = service.program();
        std::fs::rename(&path, path.with_extension("old")).expect("a file");
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a file");
    };
    let restore =
        || std::fs::rename(service.program().with_extension("old"), service.program()).expect("a file");
    let refused = |why: &str| {
        let told = service.order("upgrade").expect_err("no upgrade");
        assert!(told.contains(why), "{told}");
    };

    service.configure("shards = 3\n");
    refused("shards is 3, and was 2 when the running server started");
    talk(&mut ada, &mut ben, chat, "another number of shards").await;
    service.configure("shards = 2\nlisten = 7\n");
    refused("listen");
    talk(&mut ada, &mut ben, chat, "a wrong configuration").await;
    service.configure(SETTINGS);
    script("#!/bin/sh\nexit 3\n");
    refused("the new program ended before it was ready");
    restore();
    std::fs::rename(service.program(), service.program().with_extension("old")).expect("a file");
    refused("cannot be started");
    restore();
    talk(&mut ada, &mut ben, chat, "a broken program").await;
    let mut late = world.person().await;
    late.hello().await;
    until(|| service.order("status").as_deref() == Ok("open: 3 sessions, 0 waiting, 2 in a chat")).await;

    service.upgrade();
    late.expect(DRAIN).await;
    ada.expect(DRAIN).await;
    ben.expect(DRAIN).await;
    talk(&mut ada, &mut ben, chat, "after all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn if_the_newer_process_dies_the_older_one_reads_its_sockets_again() {
    for signal in ["-KILL", "-TERM"] {
        let mut service = Service::start("shards = 2\ndrain_seconds = 60\n");
        let world = service.world();
        let mut chats = Vec::new();
        for _ in 0..2 {
            chats.push(world.chat().await);
            service.upgrade();
        }
        let mut newcomer = world.person().await;
        newcomer.hello().await;
        for (ada, ben, chat) in &mut chats {
            ada.expect(DRAIN).await;
            ben.expect(DRAIN).await;
            talk(ada, ben, *chat, "before").await;
        }
        // The newest goes, then the one before it: the oldest is left, and reads.
        while service.ids.len() > 1 {
            let id = service.ids.pop().expect("the newest");
            // A second SIGTERM stops at once those who wait for their chats; two at once are one.
            until(|| {
                Service::signal(&id, signal);
                !Service::lives(&id)
            })
            .await;
            chats.truncate(service.ids.len());
            for (ada, ben, chat) in &mut chats {
                talk(ada, ben, *chat, "after").await;
            }
        }
        if signal == "-KILL" {
            // Nobody knows their connection any more: they are told at their next packet.
            newcomer.try_raw(FIND, br#"{"n":1,"mode":"text"}"#).await;
            let before_it_would_time_out = Duration::from_secs(20);
            let end = tokio::time::timeout(before_it_would_time_out, newcomer.session.closed()).await;
            end.expect("an end in time");
        }
        let mut late = world.person().await;
        late.say(HELLO, &json!({"v": 1})).await;
        let (code, reason) = late.closed().await;
        assert_eq!(code, 5, "there is nobody to take newcomers: {reason}");
        let reason: Value = serde_json::from_str(&reason).expect("JSON");
        assert!(reason["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_has_set_outlives_an_upgrade() {
    let mut service = Service::start("shards = 1\n");
    service.order_with(&["pause", "video"]).expect("an answer");
    service.order_with(&["message", "Back at 10"]).expect("an answer");
    service.upgrade();
    let status = service.order("status").expect("an answer");
    assert!(status.contains("paused: video; message: Back at 10"), "{status}");
}
