//! The configuration as an operator meets it: precedence, and what is said about each mistake.

use std::path::PathBuf;

use clap::Parser;

use super::*;
use crate::site::policy::PrivacyPolicy;

/// A directory with a file `anoncam.toml`, and what the server makes of it.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn with(text: &str) -> Self {
        let world = Self { directory: tempfile::tempdir().expect("a directory") };
        std::fs::write(world.path(), text).expect("a file");
        world
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("anoncam.toml")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).expect("a file");
    }

    fn check(&self) -> Result<Config, String> {
        let prefix = format!("{}/", self.directory.path().display());
        Config::check_file(&self.path()).map_err(|error| error.to_string().replace(&prefix, ""))
    }

    fn load(&self, flags: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
        let path = self.path();
        let path = path.to_str().expect("a UTF-8 path");
        let arguments = Arguments::parse_from([&["anoncam", "--config", path], flags].concat());
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load_with(&arguments, environment).map_err(|error| error.to_string())
    }
}

fn complaint(text: &str) -> String {
    World::with(text).check().expect_err("a refusal")
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let world = World::with("shards = 2\ndrain_seconds = 7\nlog = \"warn\"\n");
    let config = world
        .load(&["--log", "trace"], &[("ANONCAM_SHARDS", "3"), ("ANONCAM_LOG", "error"), ("HOME", "/")])
        .expect("a configuration");
    assert_eq!((config.shards, config.log, config.drain.as_secs()), (3, LogLevel::Trace, 7));
}

#[test]
fn an_empty_file_is_the_development_server() {
    let config = World::with("").check().expect("a configuration");
    assert_eq!(config.mode(), Mode::Development);
    assert_eq!(config.listen.to_string(), "127.0.0.1:4433");
    assert_eq!(config.site.to_string(), "127.0.0.1:8080");
    assert!(!config.site_is_https());
}

#[test]
fn localhost_is_an_address() {
    let config = World::with("site = \"localhost:9000\"").check().expect("a configuration");
    assert_eq!(config.site.to_string(), "127.0.0.1:9000");
}

#[test]
fn proxies_are_ranges_of_addresses_and_a_header() {
    let config = World::with("[proxy]\naddresses = \"10.0.0.0/8\"\nheader = \"X-Real-IP\"").check();
    let config = config.expect("a configuration");
    assert_eq!((config.proxies.from.len(), config.proxies.header.as_str()), (1, "x-real-ip"));
    let both = World::with("").load(&[], &[("ANONCAM_PROXY_ADDRESSES", "10.0.0.0/8,2001:db8::1")]);
    assert_eq!(both.expect("a configuration").proxies.from.len(), 2);
    let wrong = [
        (
            "addresses = [\"10.0.0.0/8\", \"nginx\"]",
            "proxy.addresses: \"nginx\" is not allowed, allowed is IP or IP/BITS",
        ),
        ("addresses = [\"10.0.0.0/33\"]", "proxy.addresses: \"10.0.0.0/33\" is not allowed"),
        ("addresses = 10", "proxy.addresses: a number where a list belongs"),
        ("header = \"a header\"", "proxy.header: \"a header\" is not the name of a header"),
        ("header = \"Forwarded\"", "proxy.header: \"forwarded\" is written in another way"),
    ];
    for (text, expected) in wrong {
        let complaint = complaint(&format!("[proxy]\n{text}"));
        assert!(complaint.starts_with(&format!("anoncam.toml:2: {expected}")), "{complaint}");
    }
}

#[test]
fn addresses_may_be_several() {
    let world = World::with("listen = [\"127.0.0.1:1\", \"[::1]:1\"]\nsite = [\"127.0.0.1:2\"]");
    let config = world.load(&["--site", "127.0.0.1:3,[::1]:3"], &[]).expect("a configuration");
    assert_eq!(config.listen.to_string(), "127.0.0.1:1, [::1]:1");
    assert_eq!(config.site.to_string(), "127.0.0.1:3, [::1]:3");
    let wrong = [
        ("listen = []", "anoncam.toml:1: listen: it is empty, allowed is at least one address"),
        ("listen = [\"127.0.0.1:1\", 2]", "anoncam.toml:1: listen: a number where a string belongs"),
        ("listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]", "anoncam.toml:1: listen: 127.0.0.1 is there twice"),
        ("site = [\"127.0.0.1:1\", \"0.0.0.0:1\"]", "anoncam.toml:1: site: 0.0.0.0:1 is not loopback"),
        ("redirect = \"127.0.0.1:1\"", "anoncam.toml:1: redirect: there is no HTTPS to send browsers to"),
    ];
    for (text, expected) in wrong {
        let complaint = complaint(text);
        assert!(complaint.starts_with(expected), "{text:?}\n gives    {complaint}\n expected {expected}");
    }
}

#[test]
fn a_mistake_is_told_with_its_line_its_key_and_what_is_allowed() {
    let told = [
        ("\n\n\n\n\n\nshards = 0", "anoncam.toml:7: shards: 0 is out of range, allowed is 1 to 256"),
        ("shards = 257", "anoncam.toml:1: shards: 257 is out of range, allowed is 1 to 256"),
        ("shards = -1", "anoncam.toml:1: shards: -1 is out of range, allowed is 1 to 256"),
        (
            "shards = 99999999999999999999",
            "anoncam.toml:1: shards: the number is out of range, allowed is 1 to 256",
        ),
        (
            "shards = \"2\"",
            "anoncam.toml:1: shards: a string where a whole number belongs, allowed is 1 to 256",
        ),
        (
            "shards = 1.5",
            "anoncam.toml:1: shards: a fraction where a whole number belongs, allowed is 1 to 256",
        ),
        ("# note\nshard = 2", "anoncam.toml:2: shard: unknown key, did you mean shards?"),
        ("sesions = 2", "anoncam.toml:1: sesions: unknown key, allowed are listen, site"),
        ("[turn]\nttl = 90", "anoncam.toml:2: turn.ttl: unknown key, did you mean turn.ttl_s?"),
        ("[turn]\nttl_s = 5", "anoncam.toml:2: turn.ttl_s: 5 is out of range, allowed is 10 to 600"),
        ("lock_memory = 1", "anoncam.toml:1: lock_memory: a number where a boolean belongs, allowed is true"),
        (
            "[retention]\nresume_s = 61",
            "anoncam.toml:2: retention.resume_s: 61 is out of range, allowed is 1 to 60",
        ),
        (
            "[retention]\nforget_s = 0",
            "anoncam.toml:2: retention.forget_s: 0 is out of range, allowed is 1 to 60",
        ),
        ("log = \"loud\"", "anoncam.toml:1: log: \"loud\" is not a log level, allowed is off, error"),
        (
            "listen = \"4433\"",
            "anoncam.toml:1: listen: \"4433\" is not an address, allowed is IP:PORT or localhost",
        ),
        ("listen = 4433", "anoncam.toml:1: listen: a number where a string belongs, allowed is IP:PORT"),
        ("origins = \"x\"", "anoncam.toml:1: origins: a string where a list belongs"),
        ("origins = [\"chat.example\"]", "anoncam.toml:1: origins: \"chat.example\" is not an origin"),
        ("public_url = \"http://x\"", "anoncam.toml:1: public_url: \"http://x\" is not allowed"),
        ("shards = 1\nshards = 2", "anoncam.toml:2: not TOML: duplicate key"),
        ("a b", "anoncam.toml:1: not TOML:"),
        (
            "metrics = \"0.0.0.0:9\"",
            "anoncam.toml:1: metrics: 0.0.0.0:9 is not loopback, allowed is 127.0.0.1:PORT",
        ),
        ("turn = 3", "anoncam.toml:1: turn: not a table, allowed is [turn] and its keys"),
    ];
    for (text, expected) in told {
        let complaint = complaint(text);
        assert!(complaint.starts_with(expected), "{text:?}\n gives    {complaint}\n expected {expected}");
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let complaint = complaint("shards = 0\nlog = 1\nnonsense = 1\n");
    assert_eq!(complaint.lines().count(), 3, "{complaint}");
}

#[test]
fn flags_and_variables_are_named_as_they_were_given() {
    let world = World::with("");
    let flag = world.load(&["--shards", "many"], &[]).expect_err("a refusal");
    assert_eq!(flag, "--shards: \"many\" is not a whole number, allowed is 1 to 256");
    let variable = world.load(&[], &[("ANONCAM_MAX_SESSIONS", "0")]).expect_err("a refusal");
    assert_eq!(variable, "ANONCAM_MAX_SESSIONS: 0 is out of range, allowed is 1 to 4000000");
}

#[test]
fn a_variable_that_sets_nothing_gets_a_warning() {
    let config = World::with("").load(&[], &[("ANONCAM_SHARD", "2")]).expect("a configuration");
    let expected = "ANONCAM_SHARD is not a setting and has no effect, did you mean ANONCAM_SHARDS?";
    assert_eq!(config.warnings, [expected]);
}

#[test]
fn without_a_certificate_nothing_leaves_the_machine() {
    for text in ["listen = \"0.0.0.0:4433\"", "site = \"[::]:80\"", "listen = \"192.0.2.1:1\""] {
        let complaint = complaint(text);
        assert!(complaint.contains("is not loopback") && complaint.contains("set cert, key"), "{complaint}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::check_file("/nowhere/anoncam.toml".as_ref()).expect_err("a refusal").to_string();
    assert!(error.starts_with("cannot read the configuration /nowhere/anoncam.toml: "), "{error}");
}

#[test]
fn a_missing_partner_is_asked_for() {
    assert!(complaint("cert = \"c.pem\"").starts_with("anoncam.toml:1: cert: the key of the certificate"));
    assert!(complaint("key = \"k.pem\"").starts_with("anoncam.toml:1: key: the certificate of the key"));
    assert!(
        complaint("[turn]\nurls = [\"turn:x\"]").starts_with("anoncam.toml:2: turn.urls: the relay's secret")
    );
    assert!(complaint("[turn]\nttl_s = 90").starts_with("anoncam.toml:2: turn.ttl_s: has no effect"));
}

/// A server for strangers, with all that it needs but an adopted policy.
fn production() -> World {
    let world = World::with(concat!(
        "listen = \"0.0.0.0:4433\"\nsite = \"0.0.0.0:443\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n",
        "public_url = \"https://chat.example:4433/\"\n",
        "[operator]\nname = \"Example Ltd\"\ncountry = \"Ireland\"\ncontact = \"privacy@chat.example\"\nturn = \"self\"\n",
        "[turn]\nurls = [\"turn:relay.example\"]\nsecret_file = \"s\"\n",
    ));
    let made = rcgen::generate_simple_self_signed(vec!["chat.example".into()]).expect("a certificate");
    world.write("cert.pem", &tls::test_pem("CERTIFICATE", made.cert.der()));
    world.write("key.pem", &tls::test_pem("PRIVATE KEY", &made.signing_key.serialize_der()));
    world.write("s", "hush hush\n");
    world
}

/// What adopts the policy of a file, on a day.
fn adopting(world: &World, date: &str) -> String {
    let config = Config::read_policy(&world.path()).expect("a configuration");
    format!("{date} {}", PrivacyPolicy::of(&config).fingerprint())
}

#[test]
fn a_production_server_knows_its_own_name() {
    let world = production();
    let adopted = adopting(&world, "2026-12-24");
    let load = |flags: &[&str]| world.load(flags, &[("ANONCAM_OPERATOR_POLICY", &adopted)]);
    let config = load(&[]).expect("a configuration");
    assert_eq!(config.mode(), Mode::Production);
    assert!(config.site_is_https());
    assert_eq!(config.origins, ["https://chat.example"]);
    assert_eq!(config.public_url.as_deref(), Some("https://chat.example:4433"));
    let turn = config.turn.as_ref().expect("a relay");
    assert_eq!((turn.secrets[0].expose().as_slice(), turn.ttl.as_secs()), (&b"hush hush"[..], 600));
    assert!(
        !format!("{config:?}").contains("hush") && !config.to_string().contains("hush"),
        "secrets stay secret"
    );
    assert_eq!(config.imprint.site.as_deref(), Some("chat.example"));
    assert_eq!(PrivacyPolicy::of(&config).updated().to_string(), "2026-12-24");

    let open = |name: &str| {
        format!("everybody can read {0}: chmod o-r {0}", world.path().with_file_name(name).display())
    };
    assert_eq!(config.warnings, [open("s"), open("key.pem")]);
    let certificate = std::fs::read_to_string(world.path().with_file_name("cert.pem")).expect("a file");
    world.write("cert.pem", &certificate.repeat(10));
    let warnings = load(&[]).expect("a configuration").warnings;
    assert!(warnings[0].contains("bytes too long for QUIC's first answer"), "{warnings:?}");

    let refusal = load(&["--dumpable-for-tests"]).expect_err("nobody reads the memory here");
    assert!(refusal.starts_with("--dumpable-for-tests: not in production"), "{refusal}");

    world.write("key.pem", "not a key");
    let complaint = load(&[]).expect_err("a refusal");
    assert!(complaint.contains("anoncam.toml:4: key: "), "{complaint}");
}

#[test]
fn a_server_for_strangers_says_who_runs_it_and_since_when_its_policy_applies() {
    let world = production();
    let text = std::fs::read_to_string(world.path()).expect("a file");
    let operator = text.split_once("[operator]").map(|(before, _)| before).expect("a table");
    world.write(
        "anoncam.toml",
        &format!("{operator}[turn]\nurls = [\"turn:relay.example\"]\nsecret_file = \"s\"\n"),
    );
    let complaint = world.check().expect_err("a refusal");
    let keys: Vec<_> = complaint.lines().filter_map(|line| line.split(": missing").next()).collect();
    let all = ["operator.name", "operator.country", "operator.contact", "operator.turn", "operator.policy"];
    assert_eq!(keys, all, "{complaint}");

    world.write("anoncam.toml", &text);
    let missing = world.check().expect_err("nobody has adopted it");
    assert!(
        missing.starts_with("operator.policy: missing") && missing.contains("anoncam policy"),
        "{missing}"
    );
    let adopt = |value: &str| world.load(&[], &[("ANONCAM_OPERATOR_POLICY", value)]);
    let right = adopting(&world, "2026-12-24");
    assert!(adopt(&right).is_ok());
    let fingerprint = right.split(' ').next_back().expect("a fingerprint");
    let other = adopt("2026-12-24 00000000").expect_err("another text");
    assert!(other.contains("is not 00000000 any more") && other.contains(fingerprint), "{other}");
    let early = adopt(&format!("2026-11-01 {fingerprint}")).expect_err("too early");
    assert!(early.contains("2026-11-01 is before the text was written"), "{early}");
    for wrong in ["2026-12-24", "today 1a2b3c4d", "2026-02-30 1a2b3c4d"] {
        assert!(adopt(wrong).expect_err("a refusal").contains("is not a day and a fingerprint"), "{wrong}");
    }
    // Another name is another text.
    world.write("anoncam.toml", &text.replace("Example Ltd", "Example Inc"));
    assert!(adopt(&right).expect_err("another text").contains("any more"));
}

#[test]
fn what_the_policy_says_fits_the_rest() {
    let world = production();
    let text = std::fs::read_to_string(world.path()).expect("a file");
    let complaint = |from: &str, to: &str| {
        world.write("anoncam.toml", &text.replace(from, to));
        Config::read_policy(&world.path()).expect_err("a refusal").to_string()
    };
    assert!(complaint("\"self\"", "\"none\"").contains("operator.turn: is none, and turn.urls has a relay"));
    assert!(
        complaint("turn:relay", "stun:relay")
            .contains("names somebody who runs a relay, and turn.urls has none")
    );
    assert!(complaint("\"self\"", "\"somebody\"").contains("allowed is none, self, or \"NAME, COUNTRY\""));
    let prefixes = "turn = \"self\"\nnot_served_prefixes = \"prefixes\"";
    assert!(complaint("turn = \"self\"", prefixes).contains("operator.not_served_prefixes: cannot read"));
    world.write("prefixes", "192.0.2.0/24\n203.0.113.0/240\n");
    let wrong = complaint("turn = \"self\"", prefixes);
    assert!(wrong.contains("prefixes:2: not a range of addresses"), "{wrong}");
    world.write("prefixes", "192.0.2.0/24\n");
    assert!(complaint("turn = \"self\"", prefixes).contains("set operator.not_served"));
    let named = format!("{prefixes}\nnot_served = [\"Atlantis\"]");
    world.write("anoncam.toml", &text.replace("turn = \"self\"", &named));
    let config = Config::read_policy(&world.path()).expect("a configuration");
    assert_eq!(config.imprint.not_served_prefixes.as_ref().map(|prefixes| prefixes.len()), Some(1));
}
