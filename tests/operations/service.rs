//! What systemd and the program say to each other.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anoncam::ops::watchdog::Pulse as _;

use crate::http;
use crate::program::{Guarded, Running, anoncam};
use crate::support::{DRAIN, LONG, World};

const PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--site", "127.0.0.1:0"];

/// A service manager that listens.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_read_timeout(Some(LONG)).expect("a timeout");
        Self(socket)
    }

    fn hears(&self) -> String {
        let mut bytes = [0; 256];
        let length = self.0.recv(&mut bytes).expect("a notification in time");
        String::from_utf8(bytes[..length].to_vec()).expect("UTF-8")
    }

    /// The next notification that is not about the watchdog.
    fn hears_of_the_state(&self) -> String {
        std::iter::repeat_with(|| self.hears())
            .find(|told| told != "WATCHDOG=1")
            .expect("an endless iterator")
    }
}

#[test]
fn a_service_manager_is_told_when_it_serves_reloads_lives_and_stops() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let manager = Manager::at(&path);
    let server = Running::run(anoncam(&PORTS).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000"));
    assert_eq!(manager.hears(), format!("READY=1\nMAINPID={}\nSTATUS=serving", server.id()));
    for _ in 0..3 {
        assert_eq!(manager.hears(), "WATCHDOG=1");
    }
    server.signal("-HUP");
    assert!(manager.hears_of_the_state().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert!(manager.hears_of_the_state().starts_with("READY=1\n"));
    server.signal("-TERM");
    assert_eq!(manager.hears_of_the_state(), "STOPPING=1\nSTATUS=draining");
    assert_eq!(server.wait().0, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_while_people_still_chat() {
    let server = Running::run(anoncam(&PORTS).env("ANONCAM_DRAIN_SECONDS", "600"));
    let config: serde_json::Value =
        serde_json::from_slice(&http::get(server.site, "/client-config.json").body).expect("JSON");
    let url = config["webtransport"]["url"].as_str().expect("a URL");
    let listen = url.trim_start_matches("https://").trim_end_matches("/v1");
    let world = World::beside(listen.parse().expect("an address"), server.site);
    let (mut ada, mut ben, _) = world.chat().await;
    server.signal("-TERM");
    for person in [&mut ada, &mut ben] {
        assert_eq!(person.expect(DRAIN).await["within_ms"], 600_000);
    }
    server.signal("-TERM");
    let (status, _) = tokio::task::spawn_blocking(|| server.wait()).await.expect("an end");
    assert_eq!(status, Some(143), "as a shell tells of SIGTERM");
}

#[test]
fn one_shard_that_hangs_starves_the_watchdog() {
    let mut world = World::new(2);
    let mut pulse = world.server().pulse();
    let mut beats_within = |time: Duration| {
        let until = std::time::Instant::now() + time;
        loop {
            pulse.ask();
            std::thread::sleep(Duration::from_millis(20));
            match pulse.beats() {
                false if std::time::Instant::now() < until => {}
                beats => return beats,
            }
        }
    };
    assert!(beats_within(LONG), "both work");
    world.server().hang_shard(1, Duration::from_secs(3));
    // The last turn before it hangs may still count.
    beats_within(Duration::from_millis(500));
    assert!(!beats_within(Duration::from_millis(500)), "one hangs");
    assert!(beats_within(LONG), "it works again");
    let server = world.take();
    server.drain_and_stop(Duration::ZERO).expect("an end");
}

/// The program with these sockets from descriptor 3 on, as systemd starts it.
fn activated(sockets: Vec<TcpListener>, names: &str, arguments: &[&str]) -> Command {
    assert!(sockets.len() <= 2, "as many as a shell can be given");
    let count = sockets.len();
    let program = anoncam(arguments);
    let mut command = Command::new("sh");
    // 0 and 1 are what a Command can pass; the shell puts them where systemd does, and gives stdout back.
    let script = "exec 3<&0 4>&1 1>&2 0</dev/null; export LISTEN_PID=$$; exec \"$@\"";
    command.args(["-c", script, "sh"]).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("LISTEN_FDS", count.to_string()).env("LISTEN_FDNAMES", names);
    let mut sockets = sockets.into_iter().map(|socket| Stdio::from(OwnedFd::from(socket)));
    command.stdin(sockets.next().expect("a socket"));
    command.stdout(sockets.next().unwrap_or_else(Stdio::null));
    command
}

fn refused(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.stderr(Stdio::piped()).output().expect("the program");
    let told = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!((status.code(), told.lines().count()), (Some(1), 1), "{told}");
    told
}

#[test]
fn sockets_that_systemd_opened_are_served_and_nothing_else_is_bound() {
    let site = TcpListener::bind("127.0.0.1:0").expect("a port");
    let metrics = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addresses = [&site, &metrics].map(|socket| socket.local_addr().expect("an address"));
    let [site_at, metrics_at] = addresses.map(|address| address.to_string());
    // A page that is asked for before the server runs waits in the socket.
    let early = TcpStream::connect(addresses[0]).expect("a connection");
    let arguments = ["--listen", "127.0.0.1:0", "--site", &site_at];
    let mut command = activated(vec![site, metrics], "site:metrics", &arguments);
    command.env("ANONCAM_METRICS", &metrics_at).stderr(Stdio::null());
    let server = Guarded(command.spawn().expect("the program"));
    assert_eq!(http::get(addresses[0], "/healthz").status, 200);
    assert_eq!(http::get(addresses[1], "/metrics").status, 200);
    drop((early, server));
}

#[test]
fn a_socket_that_does_not_fit_the_configuration_is_refused_in_words() {
    let socket = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let arguments = ["--listen", "127.0.0.1:0", "--site", "127.0.0.1:1"];
    let told = refused(activated(vec![socket()], "site", &arguments));
    assert!(told.contains("as site, and the setting site says 127.0.0.1:1"), "{told}");
    let told = refused(activated(vec![socket()], "mail", &PORTS));
    assert!(told.contains("a socket named mail"), "{told}");
    let told = refused(activated(vec![socket()], "site:site", &PORTS));
    assert!(told.contains("LISTEN_FDNAMES has 2 names for 1 sockets"), "{told}");
}
