//! The log: nobody is named in it, and it goes before it is old.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::http;
use crate::program::{Running, anoncam};
use crate::support::{FIND, LONG, Person, REPORT, TEXT};
use crate::world::{conspicuous_chat, world};

/// Everything that would be conspicuous is said, by people who make mistakes. Returns what must be nowhere.
pub async fn tell_everything(running: &Running) -> Vec<String> {
    let world = world(running);
    let (mut ada, mut ben, chat) = conspicuous_chat(&world).await;
    ada.relay(TEXT, chat, b"a sealed whisper").await;
    assert_eq!(ben.expect_relayed(TEXT, chat).await, b"a sealed whisper");
    ben.say(REPORT, &json!({"reason": "spam", "note": "a told secret"})).await;
    // Mistakes are where programs grow talkative.
    ada.raw(FIND, b"{\"n\": 1, \"mode\": \"a wrong mode\"}").await;
    ada.raw(0x7f, b"an unknown frame").await;
    ada.closed().await;
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
    stranger.send_to(&[0xff; 1_200], world.address).expect("a datagram");
    http::ask(
        running.site,
        "GET",
        "/a-visited-page?with=a-query",
        &[("Host", "localhost"), ("User-Agent", "Snark")],
    );

    let port = |person: &Person| person.endpoint.local_addr().expect("an address").port().to_string();
    let mut told: Vec<String> = [
        "tiddlywinks",
        "gsw",
        "a sealed whisper",
        "a told secret",
        "a wrong mode",
        "an unknown frame",
        "a-visited-page",
        "a-query",
        "Snark",
        "127.0.0.1:",
    ]
    .map(str::to_owned)
    .into();
    told.extend([ada.token.clone(), ben.token.clone(), chat.to_string(), port(&ada), port(&ben)]);
    ben.session.close(0, b"");
    ben.endpoint.wait_idle().await;
    told
}

fn names_nobody(log: &str, told: &[String]) {
    for trace in told {
        assert!(!log.contains(trace.as_str()), "the log tells {trace:?}:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_nobody_at_its_most_talkative() {
    let running = Running::start(&["--log", "trace", "--shards", "2"]);
    let told = tell_everything(&running).await;
    running.signal("-TERM");
    let (status, log) = running.wait();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("draining"), "there is a log:\n{log}");
    names_nobody(&log, &told);
}

/// A folder with a configuration that writes everything down that can be, and what the server wrote.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new(more: &str) -> Self {
        let desk = Self(tempfile::tempdir().expect("a directory"));
        let text = format!("log = \"trace\"\nlog_dir = \"log\"\ncontrol = \"control\"\nshards = 2\n{more}");
        fs::write(desk.0.path().join("anoncam.toml"), text).expect("a file");
        desk
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn start(&self) -> Running {
        Running::start(&["--config", &self.path("anoncam.toml")])
    }

    /// Gives an order; what is answered, on whichever channel.
    fn order(&self, order: &[&str]) -> String {
        let control = self.path("control");
        let output = anoncam(&[order, &["--control", &control]].concat()).output().expect("the program");
        String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8")
    }

    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("log/") + kind).expect("a folder").flatten();
        entries.map(|entry| entry.path()).collect()
    }

    fn text(&self, kind: &str) -> String {
        self.files(kind).iter().map(|path| fs::read_to_string(path).expect("UTF-8")).collect()
    }

    /// Waits until the server has written this; it writes a moment after it has answered.
    async fn reads(&self, kind: &str, what: &str) -> String {
        let read = async {
            loop {
                let text = self.text(kind);
                if text.contains(what) {
                    return text;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let read = tokio::time::timeout(LONG, read).await;
        read.unwrap_or_else(|_| panic!("{what:?} is not in the {kind} log:\n{}", self.text(kind)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_name_nobody_with_everything_switched_on() {
    let desk = Desk::new("access_log = true\nlog_format = \"json\"\n");
    let running = desk.start();
    let answer = desk.order(&["debug", "--for", "10m"]);
    assert!(answer.contains("in the next 600 s"), "{answer}");
    let told = tell_everything(&running).await;
    desk.reads("connections", "ended by the client").await;
    running.signal("-TERM");
    let (status, stderr) = running.wait();
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "what goes into files goes nowhere else");
    let [server, access, connections] = ["server", "access", "connections"].map(|kind| desk.text(kind));
    names_nobody(&format!("{server}{access}{connections}"), &told);

    let parse = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
    };
    assert!(
        parse(&server).iter().any(|line| line["message"].as_str().is_some_and(|it| it.contains("draining")))
    );
    let asked = |path: &str| parse(&access).iter().find(|line| line["path"] == path).cloned();
    assert_eq!(asked("another path").expect("a line")["status"], 404);
    assert_eq!(asked("/client-config.json").expect("a line")["message"], "GET");
    let numbers: Vec<u64> =
        parse(&connections).iter().filter_map(|line| line["connection"].as_u64()).collect();
    let known: Vec<&str> =
        ["began", "handshake done", "session opened", "session ended by the server"].into();
    let lines = parse(&connections);
    for event in known {
        assert!(lines.iter().any(|line| line["message"] == event), "{event}:\n{connections}");
    }
    assert!(numbers.iter().all(|number| *number != 0), "each line is about one connection:\n{connections}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_written_down_while_somebody_looks_and_not_longer() {
    let desk = Desk::new("");
    let running = desk.start();
    let world = world(&running);
    let visit = async || {
        let mut person = world.person().await;
        person.hello().await;
        person.session.close(0, b"");
        person.endpoint.wait_idle().await;
    };
    visit().await;
    assert_eq!(desk.order(&["debug", "--off"]), "connections were not written down\n");
    desk.order(&["debug", "--for", "2s"]);
    let begun = std::time::Instant::now();
    visit().await;
    let written = desk.reads("connections", "forgotten").await;
    if begun.elapsed() < std::time::Duration::from_secs(2) {
        assert_eq!(written.matches("session opened").count(), 1, "one visit was looked at:\n{written}");
    }
    // It turns itself off: whoever comes after that is not seen.
    while begun.elapsed() < std::time::Duration::from_secs(3) {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let before = desk.text("connections");
    visit().await;
    assert_eq!(desk.order(&["debug", "--off"]), "connections were not written down\n");
    desk.order(&["debug"]);
    visit().await;
    assert_eq!(desk.order(&["debug", "--off"]), "connections are no more written down\n");
    visit().await;
    let after = desk.reads("connections", "forgotten").await;
    running.signal("-TERM");
    let _ = running.wait();
    let seen = desk.text("connections").matches(" began ").count() - before.matches(" began ").count();
    assert_eq!(seen, 1, "of four visits after the first look one was seen:\n{after}");
    let server = desk.text("server");
    assert_eq!(server.matches("connections are written down within_s").count(), 2, "{server}");
    assert_eq!(server.matches("connections are written down no more").count(), 2, "{server}");
}

#[test]
fn without_a_folder_nothing_is_written_about_connections() {
    let directory = tempfile::tempdir().expect("a directory");
    let control = directory.path().join("control");
    let control = control.to_str().expect("UTF-8");
    let running = Running::start(&["--control", control]);
    let output = anoncam(&["debug", "--control", control]).output().expect("the program");
    let refused = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(refused.contains("set log_dir"), "{refused}");
    let output = anoncam(&["debug", "--for", "3h", "--control", control]).output().expect("the program");
    assert_eq!(output.status.code(), Some(2), "longer than is promised");
    running.signal("-TERM");
    let (_, log) = running.wait();
    assert!(!log.contains("connections are written down"), "{log}");

    let config = directory.path().join("anoncam.toml");
    fs::write(&config, "access_log = true\n").expect("a file");
    let output = anoncam(&["--config", config.to_str().expect("UTF-8")]).output().expect("the program");
    let refused = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2));
    assert!(refused.contains("anoncam.toml:1: access_log: needs log_dir"), "{refused}");
    fs::write(&config, "log_dir = \"anoncam.toml/log\"\n").expect("a file");
    let output = anoncam(&["--config", config.to_str().expect("UTF-8")]).output().expect("the program");
    let refused = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1));
    assert!(refused.contains("log_dir has to be a folder"), "{refused}");
}

#[test]
fn a_restart_deletes_what_has_grown_too_old_meanwhile() {
    let desk = Desk::new("");
    let log = |name: &str| {
        let path = Path::new(&desk.path("log")).join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        path
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    let long_ago = log(&format!("server/server-{}-00000000-5-1.log", now - 7 * 86_400));
    let tomorrow = log(&format!("server/server-{}-00000000-5-1.log", now + 86_400));
    let yesterday = log(&format!("connections/connections-{}-00000000-5-1.log", now - 3_600));
    let foreign = log("connections/notes.txt");
    for path in [&long_ago, &tomorrow, &yesterday, &foreign] {
        fs::write(path, "a line\n").expect("a file");
    }
    let running = desk.start();
    assert!(![&long_ago, &tomorrow, &yesterday].iter().any(|path| path.exists()));
    assert!(foreign.exists(), "what is not the server's own is left alone");
    drop(running);
}
