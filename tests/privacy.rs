//! The promises about a person's traces, looked for where they would show: in the log and in the memory of the process.

#[path = "support/http.rs"]
mod http;
#[path = "support/program.rs"]
mod program;
mod support;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use base64::Engine as _;
use program::Running;
use serde_json::json;
use support::{FIND, LEAVE, LONG, MATCHED, Person, REPORT, TEXT, WAITING, World, meet};

/// Lets this test read the memory of the program, also where it is not root.
const READABLE: &str = "--dumpable-for-tests";

/// Where the program serves WebTransport, as its site tells.
fn listen(running: &Running) -> SocketAddr {
    let answer = http::get(running.site, "/client-config.json");
    let config: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    let url = config["webtransport"]["url"].as_str().expect("a URL");
    url.trim_start_matches("https://").trim_end_matches("/v1").parse().expect("an address")
}

fn world(running: &Running) -> World {
    World::beside(listen(running), running.site)
}

/// Two people of whom everything that could be told is unmistakable.
async fn conspicuous_chat(world: &World) -> (Person, Person, u32) {
    let mut ada = world.person().await;
    let mut ben = world.person().await;
    ada.hello().await;
    ben.hello().await;
    let wishes = json!({"n": 1, "mode": "text", "interests": ["tiddlywinks"], "langs": ["gsw"]});
    ada.find(wishes.clone()).await;
    ben.find(wishes).await;
    let chat = ada.expect(MATCHED).await["chat"].as_u64().expect("a number") as u32;
    ben.expect(MATCHED).await;
    (ada, ben, chat)
}

/// The line of a file in `/proc` that begins so, without the words of its name.
fn in_proc(process: u32, file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{process}/{file}")).expect("a process");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_crash_writes_no_memory_to_disk() {
    let running = Running::start(&[]);
    assert_eq!(in_proc(running.id(), "limits", "Max core file size"), "0 0 bytes");
}

#[test]
fn memory_is_kept_out_of_swap_where_that_is_allowed_and_else_it_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("anoncam.toml");
    std::fs::write(&file, "lock_memory = true\n").expect("a file");
    let config = ["--config", file.to_str().expect("UTF-8")];
    // Nobody may lock more than 64 KiB, and root not either.
    let limited = "ulimit -l 64; exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"";
    for (through, refused) in [(&[][..], false), (&["sh", "-c", limited, "sh"], true)] {
        let running = Running::start_through(through, &config);
        let locked = in_proc(running.id(), "status", "VmLck:");
        running.signal("-TERM");
        let (_, log) = running.wait();
        let said = log.contains("memory cannot be kept out of swap");
        assert!(
            said && log.contains("LimitMEMLOCK=infinity") || log.contains("memory is kept out of swap"),
            "{log}"
        );
        assert_eq!(locked == "0 kB", said, "{locked}:\n{log}");
        assert!(said || !refused, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_nobody_at_its_most_talkative() {
    let running = Running::start(&["--log", "trace", "--shards", "2"]);
    let world = world(&running);
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

    let ports =
        [&ada, &ben].map(|person| person.endpoint.local_addr().expect("an address").port().to_string());
    let told = [
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
        &ada.token,
        &ben.token,
        &chat.to_string(),
        &ports[0],
        &ports[1],
    ];
    running.signal("-TERM");
    let (status, log) = running.wait();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("draining"), "there is a log:\n{log}");
    for trace in told {
        assert!(!log.contains(trace), "the log tells {trace:?}:\n{log}");
    }
}

/// How often `needle` is in the writable memory of a process.
fn in_memory(process: u32, needle: &[u8]) -> usize {
    let open = |name: &str| File::open(format!("/proc/{process}/{name}")).expect("a process to look into");
    let (memory, pagemap) = (open("mem"), open("pagemap"));
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).expect("the map of its memory");
    let mut found = 0;
    for line in
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw")))
    {
        let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let page = |text| u64::from_str_radix(text, 16).expect("an address") / PAGE_BYTES;
        for run in present(&pagemap, page(from)..page(to)) {
            let mut bytes = vec![0; ((run.end - run.start) * PAGE_BYTES) as usize];
            // A region that went away meanwhile holds nothing.
            let read = memory.read_at(&mut bytes, run.start * PAGE_BYTES).unwrap_or(0);
            found += memchr::memmem::find_iter(&bytes[..read], needle).count();
        }
    }
    found
}

const PAGE_BYTES: u64 = 4_096;

/// The runs of pages that exist: an allocator reserves far more than it uses.
fn present(pagemap: &File, pages: Range<u64>) -> Vec<Range<u64>> {
    let mut entries = vec![0; ((pages.end - pages.start) * 8) as usize];
    let read = pagemap.read_at(&mut entries, pages.start * 8).unwrap_or(0);
    let mut runs: Vec<Range<u64>> = Vec::new();
    for (page, entry) in pages.zip(entries[..read].chunks_exact(8)) {
        // Bit 63 says present, bit 62 swapped out.
        if entry[7] & 0xc0 == 0 {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.end == page => run.end += 1,
            _ => runs.push(page..page + 1),
        }
    }
    runs
}

/// Waits until `needle` is nowhere in the process.
async fn forgotten(process: u32, needle: &[u8], what: &str, within: Duration) {
    let deadline = Instant::now() + within;
    while in_memory(process, needle) > 0 {
        assert!(Instant::now() < deadline, "{what} is in memory {} times", in_memory(process, needle));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_forgets_interests_and_messages() {
    let running = Running::start(&["--shards", "1", READABLE]);
    let world = world(&running);
    let mut ada = world.person().await;
    ada.hello().await;
    ada.find(json!({"n": 1, "mode": "video", "interests": ["quidnunc-of-ada"]})).await;
    ada.expect(WAITING).await;
    assert!(
        in_memory(running.id(), b"quidnunc-of-ada") > 0,
        "who waits is known: the search sees what is there"
    );
    ada.raw(LEAVE, b"").await;
    forgotten(running.id(), b"quidnunc-of-ada", "an interest", LONG).await;

    let mut ben = world.person().await;
    ben.hello().await;
    let chat = meet(&mut ada, &mut ben).await;
    for size in [20, 3_000] {
        let message = [b"cormorant-of-ada".as_slice(), &vec![b'.'; size]].concat();
        ada.relay(TEXT, chat, &message).await;
        assert_eq!(ben.expect_relayed(TEXT, chat).await, message);
        forgotten(running.id(), b"cormorant-of-ada", "a relayed message", LONG).await;
    }
}

/// The promise is five minutes for each; a token is good for the minute in which its session may resume.
#[tokio::test(flavor = "multi_thread")]
async fn memory_forgets_an_address_and_a_token_when_their_time_is_over() {
    const PROMISED: Duration = Duration::from_secs(300);
    let running = Running::start(&["--shards", "1", READABLE]);
    let world = world(&running);
    let home = Ipv4Addr::new(127, 77, 13, 201);
    let endpoint = quinn::Endpoint::client((home, 0).into()).expect("a socket");
    let mut ada = world.person_at(&endpoint).await;
    ada.hello().await;
    let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&ada.token).expect("base64url");
    let secret = &token[token.len() - 16..];
    for (needle, what) in [(&home.octets()[..], "an address"), (secret, "a token")] {
        assert!(in_memory(running.id(), needle) > 0, "{what} in use is known: the search sees what is there");
    }
    ada.session.close(0, b"");
    endpoint.wait_idle().await;
    forgotten(running.id(), &home.octets(), "an address", PROMISED).await;
    forgotten(running.id(), secret, "a token", PROMISED).await;
}
