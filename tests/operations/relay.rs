//! The relay as it is deployed: whom it lets in, where it relays to, what it keeps, and how its secret is changed.

use std::process::{Command, Stdio};
use std::time::Duration;

use anoncam::config::Turn;
use anoncam::ops::doctor::relay::{Relay, RelayError};
use anoncam::privacy::Hidden;
use serde_json::{Value, json};

use crate::coturn::{Coturn, address, credential, unix_s};
use crate::support::{MATCHED, World};

/// The type of the frame that renews credentials.
const ICE: u8 = 0x48;

const SECRET: &str = "the present secret";
const NEXT: &str = "the one that follows it";

fn refused(result: Result<impl std::fmt::Debug, RelayError>) -> u16 {
    match result {
        Err(RelayError::Refused(code, _)) => code,
        other => panic!("refused, was expected: {other:?}"),
    }
}

fn allocated(coturn: &Coturn, secret: &str, random: u64) -> Relay {
    let mut client = coturn.client();
    let credential = credential(secret, 60, random);
    let relayed = client.allocate(&credential.username, &credential.password).expect("an address");
    assert_eq!(relayed.expect("an address").ip(), address("127.0.0.1:1").ip());
    client
}

#[test]
fn who_has_a_credential_is_let_in_until_it_expires_and_nobody_else() {
    let coturn = Coturn::start(&[SECRET, NEXT]);
    // Two secrets at once, while one follows the other.
    allocated(&coturn, SECRET, 1);
    allocated(&coturn, NEXT, 2);
    for (secret, seconds) in [(SECRET, -1), (NEXT, -600), ("another secret", 60)] {
        let wrong = credential(secret, seconds, 3);
        assert_eq!(refused(coturn.client().allocate(&wrong.username, &wrong.password)), 401, "{seconds}");
    }
    // A name that its holder has given a longer life.
    let right = credential(SECRET, 60, 4);
    let (expires, random) = right.username.split_once(':').expect("EXPIRY:RANDOM");
    let later = expires.parse::<u64>().expect("seconds since 1970") + 3_600;
    assert_eq!(refused(coturn.client().allocate(&format!("{later}:{random}"), &right.password)), 401);
}

#[test]
fn who_comes_in_the_first_moment_of_a_relay_is_let_in() {
    let coturn = Coturn::start(&[SECRET]);
    std::thread::scope(|scope| {
        for random in 0..12 {
            let coturn = &coturn;
            scope.spawn(move || drop(allocated(coturn, SECRET, 100 + random)));
        }
    });
}

#[test]
fn a_call_outlives_its_credential_and_a_new_one_needs_a_new_credential() {
    let coturn = Coturn::start(&[SECRET]);
    // As brief as this machine is quick enough for.
    let (brief, mut call) = [2, 10, 30]
        .into_iter()
        .find_map(|seconds| {
            let (brief, mut client) = (credential(SECRET, seconds, 5), coturn.client());
            client.allocate(&brief.username, &brief.password).is_ok().then_some((brief, client))
        })
        .expect("an address");
    let expires: u64 = brief.username.split(':').next().and_then(|at| at.parse().ok()).expect("a time");
    while unix_s() <= expires + 1 {
        std::thread::sleep(Duration::from_millis(100));
    }
    call.permit(address("127.0.0.1:50000")).expect("the call goes on");
    assert_eq!(refused(coturn.client().allocate(&brief.username, &brief.password)), 401);
    allocated(&coturn, SECRET, 6);
}

#[test]
fn one_credential_gets_no_more_than_its_share() {
    let coturn = Coturn::start(&[SECRET]);
    let _held: Vec<_> = (0..16).map(|_| allocated(&coturn, SECRET, 7)).collect();
    let same = credential(SECRET, 60, 7);
    assert_eq!(refused(coturn.client().allocate(&same.username, &same.password)), 486);
    allocated(&coturn, SECRET, 8);
}

/// The first, the last or a telling address of each range that turnserver.conf denies.
const DENIED: [&str; 34] = [
    "0.0.0.1",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "127.0.0.2",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::10.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00::2",
    "fe80::1",
    "fec0::1",
    "ff02::1",
];

#[test]
fn nothing_private_is_reached_through_it() {
    let coturn = Coturn::start(&[SECRET]);
    // coturn's own client, which speaks IPv6 to an IPv6 relay. Each has a credential of its own, so that no quota is in the way.
    let asked = DENIED.iter().zip(0..).map(|(peer, random)| {
        let credential = credential(SECRET, 60, random);
        let (relay, family): (_, &[&str]) =
            if peer.contains(':') { ("::1", &["-x"]) } else { ("127.0.0.1", &[]) };
        let port = coturn.port.to_string();
        let mut uclient = Command::new("turnutils_uclient");
        uclient.args(["-p", &port, "-u", &credential.username, "-w", &credential.password]);
        uclient.args(["-n", "1", "-m", "1", "-c", "-e", peer]).args(family).arg(relay);
        let output = uclient.stdin(Stdio::null()).output().expect("it comes with coturn");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (peer, text)
    });
    for (peer, text) in asked {
        assert!(text.contains("error 403 (Forbidden IP)"), "{peer}:\n{text}");
    }
    // Its own address is: two people who are both hidden meet there.
    let mut client = allocated(&coturn, SECRET, 100);
    client.permit(address("127.0.0.1:50000")).expect("permitted");
    assert_eq!(refused(client.permit(address("127.0.0.3:50000"))), 403);
}

#[test]
fn it_keeps_nothing_that_names_anybody() {
    let coturn = Coturn::start(&[SECRET]);
    let mut client = allocated(&coturn, SECRET, 0xfeed_f00d);
    client.permit(address("127.0.0.1:50000")).expect("permitted");
    let mut kept: Vec<_> = std::fs::read_dir(coturn.directory.path()).expect("a directory").collect();
    kept.sort_by_key(|entry| entry.as_ref().expect("an entry").file_name());
    let names: Vec<_> = kept.iter().map(|entry| entry.as_ref().expect("an entry").file_name()).collect();
    assert_eq!(names, ["pid", "turnserver.conf"], "no log, no table of accounts");
}

/// What is shipped beside the configurations, judged by those who read it.
#[test]
fn its_unit_and_that_of_the_monitor_are_right_and_give_away_little() {
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    for unit in ["relay/anoncam-relay.service", "monitoring/anoncam-prometheus.service"] {
        let path = format!("{deploy}/{unit}");
        for arguments in [&["verify"][..], &["security", "--offline=true", "--threshold=11"]] {
            let output =
                Command::new("systemd-analyze").args(arguments).arg(&path).output().expect("systemd");
            let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{unit} {arguments:?}:\n{told}");
        }
    }
}

/// The name and password of the relay in MATCHED or in an ICE frame.
fn given(frame: &Value) -> (String, String) {
    let text = |key: &str| frame["ice"][0][key].as_str().expect("a relay").to_owned();
    (text("username"), text("credential"))
}

/// What the server makes and coturn takes, over the life of a call: who comes from another network after the first credentials
/// have expired gets a relayed address with those of the last ICE frame, and with no others.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_survives_a_change_of_network_after_its_first_credentials_have_expired() {
    let coturn = Coturn::start(&[SECRET]);
    let secrets = vec![Hidden::new(SECRET.as_bytes().to_vec())];
    let ttl = Duration::from_secs(anoncam::limits::MIN_TURN_TTL_S);
    let world = World::with(|config| config.turn = Some(Turn { urls: vec![coturn.url()], secrets, ttl }));
    let (mut ada, mut ben) = (world.person().await, world.person().await);
    ada.hello().await;
    ben.hello().await;
    ada.find(json!({"n": 1, "mode": "video"})).await;
    ben.find(json!({"n": 1, "mode": "video"})).await;
    let first = given(&ada.expect(MATCHED).await);
    assert_ne!(first.0, given(&ben.expect(MATCHED).await).0, "each has a name of their own");

    // A slow machine may read a frame when it is old: then the next one is good.
    let mut names = vec![first.0.clone()];
    loop {
        let (username, password) = given(&ada.expect(ICE).await);
        assert!(!names.contains(&username), "never the same name twice");
        names.push(username.clone());
        let elsewhere = coturn.client().allocate(&first.0, &first.1);
        if elsewhere.is_ok() {
            continue;
        }
        assert_eq!(refused(elsewhere), 401);
        let mut call = coturn.client();
        if call.allocate(&username, &password).is_ok() {
            call.permit(address("127.0.0.1:50000")).expect("the call goes on");
            return;
        }
        assert!(names.len() < 20, "an ICE frame brings credentials that are good");
    }
}
