//! The program as an operator meets it: help, mistakes, ports in use, signals, exit statuses.

#[path = "support/http.rs"]
mod http;
#[path = "support/program.rs"]
mod program;

use std::net::{TcpListener, UdpSocket};
use std::process::Output;
use std::time::{Duration, Instant};

use program::{Running, anoncam};

fn run(arguments: &[&str]) -> Output {
    anoncam(arguments).output().expect("the program")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn help_and_version_are_told_and_succeed() {
    let help = run(&["--help"]);
    let text = String::from_utf8(help.stdout).expect("UTF-8");
    assert_eq!(help.status.code(), Some(0));
    for word in ["--listen", "--site", "--shards", "--log", "--config", "check-config", "127.0.0.1:4433"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
    let version = run(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert!(version.stdout.starts_with(b"anoncam "));
}

#[test]
fn every_setting_is_listed_with_its_variable() {
    let output = run(&["settings"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        text.contains("shards (ANONCAM_SHARDS)\n") && text.contains("turn.ttl_s (ANONCAM_TURN_TTL_S)\n"),
        "{text}"
    );
    assert!(text.matches("Default").count() >= 10, "{text}");
}

#[test]
fn a_right_file_is_ok_and_a_wrong_one_is_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("anoncam.toml");
    let path = file.to_str().expect("UTF-8");
    std::fs::write(&file, "shards = 4\nsite = \"localhost:9090\"\n").expect("a file");
    let right = run(&["check-config", path]);
    assert_eq!(right.status.code(), Some(0));
    let text = String::from_utf8(right.stdout).expect("UTF-8");
    assert!(
        text.starts_with("ok\n") && text.contains("4 shards") && text.contains("http://127.0.0.1:9090"),
        "{text}"
    );

    std::fs::write(&file, "# a server\nsite = \"localhost:9090\"\nshard = 0\n").expect("a file");
    for arguments in [&["check-config", path][..], &["--config", path]] {
        let wrong = run(arguments);
        assert_eq!(wrong.status.code(), Some(2));
        let expected = format!("{path}:3: shard: unknown key, did you mean shards?\n");
        assert_eq!(stderr(&wrong), expected);
    }
}

#[test]
fn a_wrong_flag_or_variable_exits_with_2() {
    let flag = run(&["--shards", "0"]);
    assert_eq!(flag.status.code(), Some(2));
    assert_eq!(stderr(&flag), "--shards: 0 is out of range, allowed is 1 to 256\n");
    assert_eq!(run(&["--no-such-flag"]).status.code(), Some(2));
    let variable = anoncam(&[]).env("ANONCAM_LISTEN", "0.0.0.0:0").output().expect("the program");
    assert_eq!(variable.status.code(), Some(2));
    assert!(
        stderr(&variable).starts_with("ANONCAM_LISTEN: 0.0.0.0:0 is not loopback"),
        "{}",
        stderr(&variable)
    );
    let missing = run(&["--config", "/nowhere/anoncam.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert_eq!(stderr(&missing).lines().count(), 1, "{}", stderr(&missing));
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let tcp_address = tcp.local_addr().expect("an address").to_string();
    let site = run(&["--listen", "127.0.0.1:0", "--site", &tcp_address]);
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let udp_address = udp.local_addr().expect("an address").to_string();
    let listen = run(&["--site", "127.0.0.1:0", "--listen", &udp_address]);
    for (output, flag, address) in [(site, "--site", tcp_address), (listen, "--listen", udp_address)] {
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("the port is in use") && text.contains(&address) && text.contains(flag),
            "{text}"
        );
        assert!(output.stdout.is_empty(), "it did not say that it is ready");
    }
}

#[test]
fn it_says_where_the_page_is_within_two_seconds_and_stops_cleanly_when_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("anoncam.toml");
    std::fs::write(&file, "drain_seconds = 3600\n").expect("a file");
    let mut fastest = Duration::MAX;
    // Other work on the machine can only make it slower, so it may try again.
    for turn in 0..20 {
        let start = Instant::now();
        let running = Running::start(&["--config", file.to_str().expect("UTF-8")]);
        fastest = fastest.min(start.elapsed());
        assert_eq!(http::get(running.site, "/healthz").status, 200);
        let told = Instant::now();
        running.signal(if turn % 2 == 0 { "-TERM" } else { "-INT" });
        let (status, log) = running.wait();
        assert_eq!(status, Some(0), "{log}");
        assert!(
            told.elapsed() < Duration::from_secs(600),
            "nobody is in a chat: it does not wait for an hour"
        );
        if turn > 0 && fastest < Duration::from_secs(2) {
            return;
        }
    }
    panic!("ready after {fastest:?}");
}

#[test]
fn a_hangup_does_not_stop_it() {
    let running = Running::start(&["--log", "trace"]);
    running.signal("-HUP");
    running.signal("-TERM");
    let (status, log) = running.wait();
    assert_eq!(status, Some(0), "{log}");
}

#[test]
fn a_running_server_takes_orders_on_its_control_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("control.sock");
    let path = path.to_str().expect("UTF-8");
    let nobody = run(&["status", "--control", path]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).starts_with("anoncam: no server answers at "), "{}", stderr(&nobody));

    let file = directory.path().join("anoncam.toml");
    std::fs::write(&file, format!("control = {path:?}\n")).expect("a file");
    let server = Running::start(&["--config", file.to_str().expect("UTF-8")]);
    let status = run(&["status", "--control", path]);
    assert_eq!(status.stdout, b"open: 0 sessions, 0 waiting, 0 in a chat\n");
    let table = String::from_utf8(run(&["top", "--once", "--control", path]).stdout).expect("UTF-8");
    assert!(table.contains("open   0 of 1000000 sessions\n"), "{table}");
    assert!(table.lines().any(|line| line.starts_with("  all ")), "{table}");
    let snapshot = run(&["snapshot", "--control", path]).stdout;
    let snapshot: serde_json::Value = serde_json::from_slice(&snapshot).expect("JSON");
    assert_eq!((&snapshot["state"], &snapshot["pools"][0]["waiting"]), (&"open".into(), &0.into()));
    let ask = |arguments: &[&str]| {
        let output = run(&[arguments, &["--control", path]].concat());
        let told = String::from_utf8(output.stdout.clone()).expect("UTF-8");
        (output.status.code(), told, stderr(&output))
    };
    let told = |arguments: &[&str]| ask(arguments).1;
    let page = || -> serde_json::Value {
        serde_json::from_slice(&http::get(server.site, "/client-config.json").body).expect("JSON")
    };
    assert_eq!((&page()["paused"], page().get("message")), (&serde_json::json!([]), None));
    assert_eq!(told(&["pause", "new", "video"]), "paused: video, new\n");
    assert_eq!(told(&["message", "Back at 10 UTC"]), "the page shows: Back at 10 UTC\n");
    assert_eq!(told(&["message"]), "the page shows: Back at 10 UTC\n");
    let shown = page();
    assert_eq!(shown["paused"], serde_json::json!(["video", "new"]));
    assert_eq!((&shown["message"], &shown["state"]), (&"Back at 10 UTC".into(), &"full".into()));
    let status = told(&["status"]);
    assert!(status.ends_with("; paused: video, new; message: Back at 10 UTC\n"), "{status}");
    let (code, _, refused) = ask(&["message", &"x".repeat(281)]);
    assert_eq!(
        (code, refused.as_str()),
        (Some(1), "anoncam: the message was not taken: 281 characters, allowed are 280\n")
    );
    assert_eq!(told(&["message", "--clear"]), "the page shows no message\n");
    assert_eq!(told(&["resume", "new"]), "paused: video\n");
    assert_eq!(told(&["resume"]), "nothing is paused\n");
    let held = told(&["rights", "::ffff:192.0.2.1", "--erase"]);
    assert!(held.contains("  counters: none\n") && !held.contains("192.0.2.1"), "{held}");
    assert_eq!(ask(&["rights", "somebody"]).0, Some(2), "an address is asked for");
    assert_eq!(ask(&["pause"]).0, Some(2), "what to pause has to be said");
    let read_again = "configuration, certificate and secrets were read again";
    assert_eq!(told(&["reload"]), format!("{read_again}\n"));
    let write = |more: &str| std::fs::write(&file, format!("control = {path:?}\n{more}")).expect("a file");
    write("max_sessions = 1\nshards = 7\nlog = \"off\"\n");
    let changed = format!("{read_again}; changed: log, max_sessions; needs a restart: shards\n");
    assert_eq!(told(&["reload"]), changed);
    write("max_sessions = 0\n");
    let (code, _, refused) = ask(&["reload"]);
    assert_eq!(code, Some(1));
    assert!(
        refused.starts_with("anoncam: nothing was changed:\n")
            && refused.contains("anoncam.toml:2: max_sessions: 0")
    );
    let drain = run(&["drain", "--control", path]);
    assert_eq!(drain.stdout, b"draining\n");
    assert_eq!(server.wait().0, Some(0));
    assert!(!std::path::Path::new(path).exists(), "the socket goes with the server");
}
