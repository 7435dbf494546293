//! What deploy/monitoring brings, run against a real Prometheus that reads a real server.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http;
use crate::program::Guarded;
use crate::support::{LONG, World};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(shipped(name)).expect("a file")
}

fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(shipped(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool comes with Prometheus (scripts/setup.sh)");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("an end");
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

#[test]
fn the_configuration_is_right_and_each_alert_fires_in_its_story_alone() {
    for arguments in [
        &["check", "config", "--lint-fatal", "prometheus.yml"][..],
        &["check", "rules", "--lint-fatal", "alerts.yml"],
        &["test", "rules", "alerts.test.yml"],
    ] {
        let (right, told) = promtool(arguments, "");
        assert!(right, "promtool {arguments:?}:\n{told}");
    }
    // Each alert has a story, and a section of the runbook.
    let (stories, alerts) = (read("alerts.test.yml"), read("alerts.yml"));
    let manual = include_str!("../../docs/RUNBOOK.md");
    let named = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    for name in named {
        assert!(stories.contains(&format!("alertname=\"{name}\"")), "{name} has no story");
        let section = format!("runbook: docs/RUNBOOK.md#{}", name.to_lowercase());
        assert!(alerts.lines().any(|line| line.trim() == section), "{name} names no section");
        assert!(manual.lines().any(|line| line == format!("### {name}")), "{name} has no section");
    }
}

/// What it holds is of the last day and in memory: the privacy policy says so.
#[test]
fn the_monitor_keeps_a_day_in_memory() {
    let unit = read("anoncam-prometheus.service");
    let value = |flag: &str| {
        let line = unit.lines().find_map(|line| line.trim().strip_prefix(flag));
        line.unwrap_or_else(|| panic!("{flag}")).trim_end_matches(" \\").to_owned()
    };
    let hours = |flag: &str| -> u64 { value(flag).trim_end_matches('h').parse().expect("a number of hours") };
    // A block goes when the newest is that much younger; the newest is written an hour after its end.
    let block = hours("--storage.tsdb.max-block-duration=");
    let oldest = hours("--storage.tsdb.retention.time=") + block + 1;
    assert!(oldest <= anoncam::limits::MONITOR_H, "{oldest} h");
    let path = value("--storage.tsdb.path=");
    assert_eq!(path, "/run/anoncam-prometheus");
    assert!(unit.contains("\nRuntimeDirectory=anoncam-prometheus\n"));
    assert!(value("--web.listen-address=").starts_with("127.0.0.1:"));
}

/// A Prometheus with the shipped configuration, four times a second.
struct Prometheus {
    _process: Guarded,
    _directory: tempfile::TempDir,
    address: SocketAddr,
}

impl Prometheus {
    fn of(metrics: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = read("prometheus.yml").replace("127.0.0.1:9464", &metrics.to_string());
        let config = config.replace(": 15s", ": 250ms");
        std::fs::write(directory.path().join("prometheus.yml"), config).expect("a file");
        std::fs::copy(shipped("alerts.yml"), directory.path().join("alerts.yml")).expect("a file");
        let argument = |name: &str, file: &str| format!("--{name}={}", directory.path().join(file).display());
        let mut child = Command::new("prometheus")
            .arg(argument("config.file", "prometheus.yml"))
            .arg(argument("storage.tsdb.path", "data"))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Prometheus is installed (scripts/setup.sh)");
        let mut log = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let listens = log.find_map(|line| {
            let rest = line.split_once("msg=\"Listening on\" address=")?.1;
            rest.split_whitespace().next()?.parse().ok()
        });
        // A full pipe would hold it up.
        std::thread::spawn(move || log.for_each(drop));
        Self { _process: Guarded(child), _directory: directory, address: listens.expect("its address") }
    }

    fn api(&self, path: &str) -> Value {
        let answer = http::get(self.address, &format!("/api/v1/{path}"));
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| json!({"status": answer.status}))
    }

    /// The series that a query gives now.
    fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let answer = self.api(&format!("query?query={encoded}"));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().expect("a vector").clone()
    }

    fn value(&self, query: &str) -> Option<f64> {
        self.query(query).first()?["value"][1].as_str()?.parse().ok()
    }

    /// Waits until a query that compares gives something.
    fn until(&self, query: &str) {
        let deadline = Instant::now() + 2 * LONG;
        // Until it has started, it answers 503.
        let ready = || http::get(self.address, "/-/ready").status == 200;
        while !(ready() && self.value(query).is_some()) {
            assert!(Instant::now() < deadline, "{query}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The queries of the dashboard as Grafana would send them.
fn queries_of_the_dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries = targets.map(|target| target["expr"].as_str().expect("a query"));
    queries.map(|query| query.replace("$__rate_interval", "1m")).collect()
}

/// Names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("anoncam_") || word.starts_with("process_")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_and_of_the_alerts_finds_what_the_server_counts() {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let world = World::with(|config| config.metrics = Some(any));
    let metrics = world.server().metrics_addr().expect("an address");
    let prometheus = tokio::task::spawn_blocking(move || Prometheus::of(metrics)).await.expect("it starts");
    tokio::task::block_in_place(|| prometheus.until("count_over_time(up{job=\"anoncam\"}[1m]) >= 2"));
    let (_ada, _ben, _chat) = world.chat().await;
    let mut cleo = world.person().await;
    cleo.hello().await;
    cleo.find(json!({"n": 1, "mode": "video"})).await;
    tokio::task::block_in_place(|| {
        prometheus.until(
            "sum(anoncam_sessions{state=\"chat\"}) == 2 and sum(increase(anoncam_matched_total[1m])) > 0",
        );
        prometheus.until("sum(anoncam_waiting{pool=\"video\"}) == 1");

        let queries = queries_of_the_dashboard();
        assert!(queries.len() > 40, "{}", queries.len());
        for query in &queries {
            assert!(!prometheus.query(query).is_empty(), "nothing for {query}");
        }
        // The query of an alert gives nothing as long as nothing is wrong: what it is made of has to be there.
        let rules = prometheus.api("rules");
        let rules = rules["data"]["groups"][0]["rules"].as_array().expect("rules").clone();
        assert_eq!(rules.len(), read("alerts.yml").matches("- alert: ").count());
        for rule in &rules {
            let query = rule["query"].as_str().expect("a query");
            prometheus.query(query);
            let alerts = rule["alerts"].as_array().expect("alerts");
            assert!(alerts.iter().all(|alert| alert["state"] != "firing"), "nothing is wrong: {alerts:?}");
            for metric in metrics_in(query) {
                assert!(!prometheus.query(metric).is_empty(), "nothing is called {metric}: {query}");
            }
        }
        // And nothing is counted that nobody would see.
        let told = String::from_utf8(http::get(metrics, "/metrics").body).expect("UTF-8");
        let (clean, lint) = promtool(&["check", "metrics"], &told);
        assert!(clean && lint.is_empty(), "{lint}");
        let shown = queries.join(" ");
        let own =
            told.lines().filter_map(|line| line.strip_prefix("# TYPE anoncam_")?.split_whitespace().next());
        for name in own {
            assert!(shown.contains(&format!("anoncam_{name}")), "no panel shows anoncam_{name}");
        }
    });
}
