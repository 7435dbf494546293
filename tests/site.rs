//! The site over real sockets: what a browser, a tool and an attacker get.

#[path = "support/http.rs"]
mod http;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anoncam::config::{Addresses, Config};
use anoncam::privacy::Prefixes;
use anoncam::server::Server;
use http::{ask, get};

fn server() -> (Server, SocketAddr) {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let config = Config { listen: any.into(), site: any.into(), shards: 1, ..Config::default() };
    let server = Server::start(config).expect("a server");
    let site = server.site_addr();
    (server, site)
}

fn stop(server: Server) {
    server.drain_and_stop(Duration::ZERO).expect("an end");
}

#[test]
fn client_config_tells_where_to_connect() {
    let (server, site) = server();
    let answer = get(site, "/client-config.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let config: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(config["protocol"], 1);
    assert_eq!(config["online"], 0);
    assert_eq!(config["state"], "open");
    assert_eq!(config["webtransport"]["url"], format!("https://127.0.0.1:{}/v1", server.local_addr().port()));
    let hash = config["webtransport"]["serverCertificateHashes"][0].as_str().expect("a hash");
    assert_eq!((hash.len(), hash.ends_with('=')), (44, true), "SHA-256 in base64 with padding");
    let host = format!("localhost:{}", site.port());
    assert_eq!(config["websocket"]["url"], format!("ws://{host}/v1"), "where the page came from");
    stop(server);

    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let config =
        Config { listen: any.into(), site: any.into(), shards: 1, max_websockets: 0, ..Config::default() };
    let server = Server::start(config).expect("a server");
    let config = get(server.site_addr(), "/client-config.json");
    let config: serde_json::Value = serde_json::from_slice(&config.body).expect("JSON");
    assert!(config.get("websocket").is_none(), "no fallback is served");
    assert_eq!(get(server.site_addr(), "/v1").status, 404);
    stop(server);
}

#[test]
fn every_answer_is_locked_down_and_sets_no_cookie() {
    let (server, site) = server();
    for path in ["/", "/src/frames.js", "/client-config.json", "/privacy", "/no/such/page", "/healthz"] {
        let answer = get(site, path);
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{path}: {policy}"
        );
        let connect = format!("connect-src 'self' https://127.0.0.1:{};", server.local_addr().port());
        assert!(policy.contains(&connect), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        let permissions = answer.header("permissions-policy");
        assert!(
            permissions.contains("camera=(self)") && permissions.contains("geolocation=()"),
            "{permissions}"
        );
        for name in ["set-cookie", "server", "x-powered-by", "access-control-allow-origin", "report-to"] {
            assert!(!answer.headers.contains_key(name), "{path}: {name}");
        }
    }
    stop(server);
}

/// /SHA256SUMS is the one file that is there whatever the page consists of.
#[test]
fn a_file_is_sent_once_and_compressed() {
    let (server, site) = server();
    let host = ("Host", "localhost");
    let plain = ask(site, "GET", "/SHA256SUMS", &[host]);
    assert_eq!((plain.status, plain.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert_eq!((plain.header("vary"), plain.header("cache-control")), ("Accept-Encoding", "no-cache"));
    let brotli = ask(site, "GET", "/SHA256SUMS", &[host, ("Accept-Encoding", "gzip, br")]);
    assert_eq!(brotli.header("content-encoding"), "br");
    assert!(brotli.body.len() < plain.body.len());
    assert_ne!(brotli.header("etag"), plain.header("etag"), "a strong tag names one form");
    let again = [host, ("Accept-Encoding", "br"), ("If-None-Match", brotli.header("etag"))];
    let again = ask(site, "GET", "/SHA256SUMS", &again);
    assert_eq!((again.status, again.body.len()), (304, 0));
    let changed = ask(site, "GET", "/SHA256SUMS", &[host, ("If-None-Match", "\"another\"")]);
    assert_eq!(changed.status, 200);
    let head = ask(site, "HEAD", "/SHA256SUMS", &[host]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), plain.body.len().to_string());
    stop(server);
}

#[test]
fn the_page_is_there_and_is_not_kept_by_the_browser() {
    let (server, site) = server();
    let page = get(site, "/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), "no-store");
    let script = get(site, "/src/frames.js");
    assert_eq!((script.status, script.header("content-type")), (200, "text/javascript; charset=utf-8"));
    assert_eq!(script.header("cache-control"), "no-cache");
    stop(server);
}

#[test]
fn what_is_not_a_file_of_the_page_is_not_served() {
    let (server, site) = server();
    for path in
        ["/..%2fCargo.toml", "/../Cargo.toml", "/src/", "/package.json", "//etc/passwd", "/%00", "/?x"]
    {
        let expected = if path == "/?x" { 200 } else { 404 };
        assert_eq!(get(site, path).status, expected, "{path}");
    }
    let post = ask(site, "POST", "/", &[("Host", "localhost"), ("Content-Length", "0")]);
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
    let rebound = ask(site, "GET", "/client-config.json", &[("Host", "evil.example")]);
    assert_eq!(rebound.status, 421, "a page of another name reads nothing");
    stop(server);
}

#[test]
fn what_is_not_a_websocket_handshake_is_told_what_would_be() {
    let (server, site) = server();
    let plain = get(site, "/v1");
    assert_eq!((plain.status, plain.header("upgrade")), (426, "websocket"));
    let handshake = |key: &str, version: &str| {
        let upgrade = [("Host", "localhost"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", version)];
        ask(site, "GET", "/v1", &[&upgrade[..], &[("Sec-WebSocket-Key", key)]].concat())
    };
    // `ask` says `Connection: close`, which is no upgrade either.
    for (key, version) in
        [("dGhlIHNhbXBsZSBub25jZQ==", "13"), ("dGhlIHNhbXBsZSBub25jZQ==", "8"), ("short", "13")]
    {
        let answer = handshake(key, version);
        assert_eq!((answer.status, answer.header("sec-websocket-version")), (400, "13"), "{key} {version}");
    }
    let elsewhere = ask(site, "GET", "/v1", &[("Host", "evil.example"), ("Upgrade", "websocket")]);
    assert_eq!(elsewhere.status, 421);
    stop(server);
}

#[test]
fn an_endless_head_is_cut_off() {
    let (server, site) = server();
    let mut stream = TcpStream::connect(site).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").expect("a start");
    let line = format!("X: {}\r\n", "x".repeat(1_000));
    let sent = (0..1_000).take_while(|_| stream.write_all(line.as_bytes()).is_ok()).count();
    let mut answer = Vec::new();
    // Either the answer or, since the server has closed with bytes unread, a reset.
    let read = stream.read_to_end(&mut answer);
    assert!(
        sent < 1_000 || read.is_err() || answer.starts_with(b"HTTP/1.1 431"),
        "a megabyte of headers was taken"
    );
    assert_eq!(get(site, "/healthz").status, 200, "others are served");
    stop(server);
}

#[test]
fn a_drained_server_has_gone() {
    let (server, site) = server();
    assert_eq!(get(site, "/healthz").body, b"open");
    stop(server);
    assert!(TcpStream::connect(site).is_err(), "nobody listens");
}

#[test]
fn health_and_readiness_are_told_to_programs_at_whatever_name() {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let config = Config { listen: any.into(), site: any.into(), shards: 1, ..Config::default() };
    let server = Server::start(config).expect("a server");
    let told = |path| {
        let answer = ask(server.site_addr(), "GET", path, &[("Host", "10.1.2.3:8080")]);
        (answer.status, answer.body)
    };
    assert_eq!(told("/healthz"), (200, b"open".to_vec()));
    assert_eq!(told("/readyz"), (200, b"open".to_vec()));
    server.counters().set_max_sessions(0);
    assert_eq!(told("/readyz"), (503, b"full".to_vec()));
    server.counters().begin_drain();
    assert_eq!(told("/healthz"), (200, b"draining".to_vec()), "it lives, and is not to be started again");
    assert_eq!(told("/readyz"), (503, b"draining".to_vec()));
    stop(server);
}

/// A server whose site is at these addresses with a free port, and the port.
fn server_at(ips: &[&str]) -> (Server, u16) {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    loop {
        let port = TcpListener::bind(any).expect("a port").local_addr().expect("an address").port();
        let addresses = ips.iter().map(|ip| SocketAddr::new(ip.parse().expect("an address"), port));
        let site = Addresses::new(addresses).expect("addresses");
        let config = Config { listen: any.into(), site, shards: 1, ..Config::default() };
        match Server::start(config) {
            Ok(server) => return (server, port),
            // Somebody has taken it meanwhile.
            Err(error) if error.to_string().contains("the port is in use") => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Beside an IPv4 address an IPv6 one takes IPv6 alone; alone, `[::]` takes both.
#[test]
fn the_page_is_served_at_every_address_over_ipv4_and_ipv6() {
    for (ips, reached) in [
        (&["127.0.0.1", "::1", "127.0.0.2"][..], &["127.0.0.1", "::1", "127.0.0.2"][..]),
        (&["0.0.0.0", "::"], &["127.0.0.1", "127.0.0.2", "::1"]),
        (&["::"], &["127.0.0.1", "::1"]),
    ] {
        let (server, port) = server_at(ips);
        for ip in reached {
            let address = SocketAddr::new(ip.parse().expect("an address"), port);
            assert_eq!(get(address, "/healthz").status, 200, "{ips:?}: {ip}");
        }
        stop(server);
    }
}

/// Whoever may not be served is found behind a proxy that is trusted, and nobody can hide or pretend behind one that is not.
#[test]
fn a_trusted_proxy_says_where_a_client_comes_from_and_nobody_else_does() {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let refused = Prefixes::parse("192.0.2.0/24").expect("a range");
    let mut config = Config { listen: any.into(), site: any.into(), shards: 1, ..Config::default() };
    config.imprint.not_served_prefixes = Some(Arc::new(refused));
    let status = |server: &Server, said: &str| {
        let headers = [("Host", "localhost"), ("X-Forwarded-For", said)];
        ask(server.site_addr(), "GET", "/client-config.json", &headers).status
    };
    let server = Server::start(config.clone()).expect("a server");
    assert_eq!(status(&server, "192.0.2.1"), 451);
    assert_eq!(status(&server, "203.0.113.1, 192.0.2.1"), 451, "what the client has made up comes first");
    assert_eq!(status(&server, "192.0.2.1, 203.0.113.1"), 200);
    stop(server);
    config.proxies.from = Arc::new(Prefixes::parse("10.0.0.0/8").expect("a range"));
    let server = Server::start(config).expect("a server");
    assert_eq!(status(&server, "192.0.2.1"), 200, "it is not asked");
    stop(server);
}

#[test]
fn metrics_are_counts_on_a_listener_of_their_own() {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let config =
        Config { listen: any.into(), site: any.into(), metrics: Some(any), shards: 2, ..Config::default() };
    let server = Server::start(config).expect("a server");
    let metrics = server.metrics_addr().expect("an address");
    let text = String::from_utf8(get(metrics, "/metrics").body).expect("UTF-8");
    assert!(text.contains("\nanoncam_channels{shard=\"0\"} 0\nanoncam_channels{shard=\"1\"} 0\n"), "{text}");
    assert_eq!(get(metrics, "/client-config.json").status, 404, "the page is elsewhere");
    assert_eq!(get(server.site_addr(), "/metrics").status, 404, "and the metrics are not on the page's port");
    let rebound = ask(metrics, "GET", "/metrics", &[("Host", "evil.example")]);
    assert_eq!(rebound.status, 421);
    stop(server);
}
