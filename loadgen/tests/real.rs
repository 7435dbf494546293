//! Every scenario in small against the real server, if it has been built (`cargo build --bin anoncam`).

#![allow(clippy::unwrap_used, missing_docs, reason = "tests may panic")]

mod world;

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anoncam_loadgen::report::Report;
use anoncam_loadgen::settings::Kind;
use anoncam_loadgen::stats::recorder::{Count, Metric};
use world::{alone, load, program, stderr, stdout};

/// The server's program, beside this test's own.
fn server_program() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_BIN_EXE_anoncam-loadgen"));
    let program = own.with_file_name("anoncam");
    program.exists().then_some(program)
}

struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts the server on free ports and waits until it says that it is ready; `None` if it has not been built.
    fn start() -> Option<Self> {
        let program = server_program()?;
        let site = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listen = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = Command::new(program)
            .args(["--listen", &listen.to_string(), "--site", &site.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut ready = BufReader::new(child.stdout.take().unwrap());
        let _ = ready.read_line(&mut line);
        let server = Self { child, url: format!("http://{site}") };
        let began = Instant::now();
        while std::net::TcpStream::connect(site).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "the server does not come up: {line}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }
}

fn run(kind: Kind, options: &str) -> Option<Report> {
    let _turn = alone();
    let server = Server::start()?;
    let report = load(kind, &server.url, options).unwrap();
    assert_eq!(report.end, "completed", "{:?}", report.opening.failures);
    assert_eq!(report.opening.count(Count::OpenFailed), 0, "{:?}", report.opening.failures);
    assert!(
        report.main_latency().is_some_and(|latency| latency.corrected.count > 0),
        "{:?}",
        report.main_phase()
    );
    Some(report)
}

#[test]
fn sessions_open_and_idle() {
    if let Some(report) = run(Kind::Idle, "stages = [20, 60]\nhold = \"300ms\"") {
        assert_eq!(report.opening.count(Count::Opened), 60);
    }
}

#[test]
fn arrivals_are_paired() {
    if let Some(report) =
        run(Kind::Pair, "connections = 60\nrate = 40.0\nwarmup = \"200ms\"\nduration = \"2s\"")
    {
        assert!(report.measured.count(Count::Matched) > 40, "{:?}", report.measured.counts);
    }
}

#[test]
fn every_frame_arrives() {
    let options = "connections = 10\nrate = 200.0\nwarmup = \"0s\"\nduration = \"1s\"\nsize = 8000";
    if let Some(report) = run(Kind::Relay, options) {
        assert_eq!(report.measured.count(Count::FramesSent), 200);
        assert_eq!(report.measured.count(Count::FramesReceived), 200);
    }
}

#[test]
fn calls_are_set_up() {
    if let Some(report) =
        run(Kind::Signal, "connections = 40\nrate = 20.0\nwarmup = \"0s\"\nduration = \"2s\"")
    {
        assert!(report.measured.count(Count::Exchanges) > 10, "{:?}", report.measured.counts);
    }
}

#[test]
fn people_press_next() {
    let options =
        "connections = 40\ndwell = \"400ms\"\nthink = \"50ms\"\nwarmup = \"500ms\"\nduration = \"2s\"";
    if let Some(report) = run(Kind::Churn, options) {
        assert!(
            report.measured.latencies[&Metric::Next].corrected.count > 10,
            "{:?}",
            report.measured.counts
        );
    }
}

#[test]
fn a_day_goes_by() {
    let options = "rate = 20.0\nramp = \"0s\"\ndwell = \"500ms\"\nmessage_every = \"200ms\"\nthink = \"50ms\"\n\
                   warmup = \"300ms\"\nduration = \"3s\"";
    if let Some(report) = run(Kind::Mix, options) {
        assert!(report.measured.count(Count::FramesReceived) > 10, "{:?}", report.measured.counts);
    }
}

#[test]
fn the_servers_costs_are_in_the_report() {
    let _turn = alone();
    let Some(server) = Server::start() else { return };
    let pid = server.child.id().to_string();
    let output = program(&[
        "idle",
        "--stages",
        "50,150",
        "--hold",
        "200ms",
        "--url",
        &server.url,
        "--server-pid",
        &pid,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("us CPU a session opened") && text.contains("slope"), "{text}");
}
