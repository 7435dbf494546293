//! The privacy policy as visitors get it from a server in production, and how an operator adopts it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Stdio;

use anoncam::calendar::Date;
use base64::Engine as _;

use crate::http;
use crate::peers::raw;
use crate::program::{Guarded, anoncam};
use crate::support::LONG;

pub const NAME: &str = "chat.example";

/// An operator with a certificate and a configuration.
pub struct Operator {
    directory: tempfile::TempDir,
    pub site: SocketAddr,
}

impl Operator {
    fn new(more: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).expect("a certificate");
        let operator = Self { directory, site: free };
        operator.pem("cert.pem", "CERTIFICATE", made.cert.der());
        operator.pem("key.pem", "PRIVATE KEY", &made.signing_key.serialize_der());
        let settings = format!(
            "listen = \"127.0.0.1:0\"\nsite = \"{free}\"\nshards = 1\ncert = \"cert.pem\"\nkey = \"key.pem\"\n\
             public_url = \"https://{NAME}:4433\"\n[operator]\n{more}\n"
        );
        operator.write("anoncam.toml", &settings);
        operator
    }

    pub fn identified(more: &str) -> Self {
        let who =
            "name = \"Müller & Söhne <Ltd>\"\ncountry = \"Ireland\"\ncontact = \"privacy@chat.example\"\n";
        Self::new(&format!("{who}{more}"))
    }

    /// The same with TLS of the server's own, rather than that of a proxy before it.
    pub fn over_https(self) -> Self {
        let text = fs::read_to_string(self.path("anoncam.toml")).expect("a file");
        self.write("anoncam.toml", &text.replace("site = \"127.0.0.1", "site = \"0.0.0.0"));
        self
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    fn pem(&self, name: &str, label: &str, der: &[u8]) {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        self.write(name, &format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"));
    }

    /// What `anoncam policy` prints: the text, and the value that adopts it.
    pub fn policy(&self) -> (String, String) {
        let output = anoncam(&["policy", &self.path("anoncam.toml")]).output().expect("the program");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let line =
            text.lines().last().and_then(|line| line.trim().strip_prefix("policy = ")).expect("a line");
        (text.clone(), line.trim_matches('"').to_owned())
    }

    pub fn start(&self, adopted: &str) -> Guarded {
        let mut command = anoncam(&["--config", &self.path("anoncam.toml")]);
        command.env("ANONCAM_OPERATOR_POLICY", adopted).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        assert!(line.starts_with("AnonCam is ready"), "{line}");
        Guarded(child)
    }

    fn get(&self, path: &str) -> (u16, String) {
        let answer = http::ask(self.site, "GET", path, &[("Host", NAME)]);
        (answer.status, String::from_utf8(answer.body).expect("UTF-8"))
    }
}

#[test]
fn production_does_not_start_before_people_are_told_who_runs_it() {
    let operator = Operator::new("");
    let output = anoncam(&["--config", &operator.path("anoncam.toml")]).output().expect("the program");
    let refused = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{refused}");
    for key in ["operator.name", "operator.country", "operator.contact", "operator.policy"] {
        assert!(refused.contains(&format!("{key}: missing")), "{refused}");
    }
}

#[test]
fn the_page_is_the_text_that_was_adopted_with_its_day() {
    let operator = Operator::identified("");
    let (text, today) = operator.policy();
    let (_, fingerprint) = today.split_once(' ').expect("a day and a fingerprint");
    assert!(text.contains("by Müller & Söhne <Ltd>, Ireland"), "{text}");
    let output = anoncam(&["check-config", &operator.path("anoncam.toml")]).output().expect("the program");
    assert_eq!(output.status.code(), Some(2), "it is not adopted yet");

    let server = operator.start(&today);
    let (status, page) = operator.get("/privacy");
    assert_eq!(status, 200);
    assert!(page.contains("Müller &amp; Söhne &lt;Ltd&gt;, Ireland") && !page.contains("<Ltd>"), "{page}");
    assert!(page.contains(&format!("(version {fingerprint})")), "{page}");
    let short = page.find("TL;DR").expect("a short version");
    let sections: Vec<_> = (1..=13).map(|number| page.find(&format!("id=\"section-{number}\""))).collect();
    assert!(sections.iter().all(|at| *at > Some(short)) && sections.is_sorted(), "{page}");
    // Every line of the text that was read is on the page.
    let escaped = |line: &str| {
        line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    };
    let body = text.split("TL;DR").nth(1).and_then(|rest| rest.split("To adopt").next()).expect("a body");
    for part in body.lines().flat_map(|line| line.trim_start_matches("- ").split(": ")) {
        assert!(page.contains(&escaped(part)), "{part:?} is not on the page:\n{page}");
    }
    assert_eq!(operator.get("/privacy.html").1, page, "there is no other");
    let sums = operator.get("/SHA256SUMS").1;
    assert!(
        !sums.contains("/privacy.html") && sums.contains("/index.html"),
        "it is no file of the source:\n{sums}"
    );
    drop(server);
}

#[test]
fn a_change_is_told_on_the_first_page_for_thirty_days() {
    let operator = Operator::identified("");
    let (_, today) = operator.policy();
    let (day, fingerprint) = today.split_once(' ').expect("a day and a fingerprint");
    let today = Date::parse(day).expect("a day");
    // A text cannot be adopted before it was written, so an old change may be out of reach; the unit tests have it.
    for (days, shown) in [(0, true), (5, false)] {
        let date = Date::from_days(today.days() + days);
        let server = operator.start(&format!("{date} {fingerprint}"));
        let config: serde_json::Value =
            serde_json::from_str(&operator.get("/client-config.json").1).expect("JSON");
        let expected = if shown { serde_json::json!(date.to_string()) } else { serde_json::Value::Null };
        assert_eq!(config["policy_changed"], expected, "{config}");
        assert!(operator.get("/privacy").1.contains(&format!("datetime=\"{date}\"")));
        drop(server);
    }
}

#[tokio::test]
async fn countries_that_are_not_served_are_refused_before_anything_is_kept() {
    let operator = Operator::identified("not_served = [\"Atlantis\"]\nnot_served_prefixes = \"atlantis\"");
    operator.write("atlantis", "# everybody on the left\n127.64.0.0/10\n");
    let (text, adopted) = operator.policy();
    assert!(
        text.contains("This site is not offered to people in: Atlantis. Connections from ranges"),
        "{text}"
    );
    let served: IpAddr = [127, 0, 0, 1].into();
    let not_served: IpAddr = [127, 77, 0, 1].into();
    let server = operator.start(&adopted);
    let ask = |from: IpAddr, path: &str| http::ask_from(from, operator.site, "GET", path, &[("Host", NAME)]);
    assert_eq!(ask(served, "/").status, 200);
    let refused = ask(not_served, "/");
    assert_eq!(refused.status, 451);
    assert!(String::from_utf8_lossy(&refused.body).contains("/privacy"));
    for path in ["/client-config.json", "/v1", "/src/frames.js"] {
        assert_eq!(ask(not_served, path).status, 451, "{path}");
    }
    assert_eq!(ask(not_served, "/privacy").status, 200, "whom to ask is told to everybody");

    let quic = udp_address(server.0.id());
    let try_from = |address: IpAddr| {
        let IpAddr::V4(address) = address else { unreachable!("the addresses above") };
        let endpoint = raw::endpoint_at(address, raw::tls(), quinn::TransportConfig::default());
        async move { endpoint.connect(quic, NAME).expect("an attempt").await }
    };
    assert!(tokio::time::timeout(LONG, try_from(served)).await.expect("an answer").is_ok());
    match tokio::time::timeout(LONG, try_from(not_served)).await.expect("an answer") {
        Err(quinn::ConnectionError::ConnectionClosed(close)) => {
            assert_eq!(u64::from(close.error_code), 0x02, "CONNECTION_REFUSED");
        }
        other => panic!("{other:?}"),
    }
}

/// The UDP port on loopback that a process listens at: the configuration names another to browsers.
fn udp_address(process: u32) -> SocketAddr {
    let inodes: Vec<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .expect("the descriptors")
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect();
    let table = fs::read_to_string("/proc/net/udp").expect("the sockets");
    let own = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = fields.get(1)?.rsplit(':').next()?;
        inodes
            .iter()
            .any(|inode| Some(&inode.as_str()) == fields.get(9))
            .then(|| u16::from_str_radix(port, 16).ok())?
    });
    SocketAddr::from(([127, 0, 0, 1], own.expect("a UDP socket")))
}

/// The page has the short version in seven languages; its ceilings are those of the program.
#[test]
fn the_short_version_is_the_same_in_every_language() {
    let read = |lang: &str| -> serde_json::Value {
        let path = format!("{}/client-js/app/i18n/pages/{lang}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&fs::read_to_string(path).expect("a catalogue")).expect("JSON")
    };
    let policy = anoncam::site::policy::PrivacyPolicy::of(&anoncam::config::Config::default());
    let english = read("en");
    for statement in policy.short() {
        let key = statement.id.trim_start_matches("short.");
        assert_eq!(english[key], statement.text, "{key}");
    }
    assert_eq!((anoncam::limits::ADDRESS_GONE_S, anoncam::limits::MARK_GONE_S), (5 * 60, 24 * 3_600));
    let told = [("p_address", ["5 ", "خمس دقائق"]), ("p_bans", ["24 ", "24 ساعة"])];
    for lang in ["en", "es", "pt", "de", "fr", "hi", "ar"] {
        let catalogue = read(lang);
        for (key, numbers) in told {
            let text = catalogue[key].as_str().expect("a text");
            assert!(numbers.iter().any(|number| text.contains(number)), "{lang}: {key}: {text}");
        }
    }
}
