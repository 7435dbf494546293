//! The counters as Prometheus reads them. Counts only; the one label is the shard.

use std::fmt::Write as _;

use super::counters::{Counters, ServerState, ShardCounters};

type Read = fn(&ShardCounters) -> u64;

/// Name, kind, help and source of each metric.
const METRICS: [(&str, &str, &str, Read); 11] = [
    ("anoncam_sessions", "gauge", "Sessions that are connected.", |shard| shard.online.get()),
    ("anoncam_waiting", "gauge", "Sessions that wait for a stranger.", |shard| shard.waiting.get()),
    ("anoncam_in_chat", "gauge", "Sessions in a chat.", |shard| shard.in_chat.get()),
    ("anoncam_connections", "gauge", "QUIC connections.", |shard| shard.connections.get()),
    ("anoncam_websockets", "gauge", "WebSockets.", |shard| shard.websockets.get()),
    ("anoncam_handshakes", "gauge", "Handshakes that are half-open.", |shard| shard.handshakes.get()),
    ("anoncam_sessions_opened_total", "counter", "Sessions opened.", |shard| shard.opened.get()),
    ("anoncam_matched_total", "counter", "Sessions matched with a stranger.", |shard| shard.matched.get()),
    ("anoncam_frames_relayed_total", "counter", "Frames relayed.", |shard| shard.relayed.get()),
    ("anoncam_refused_total", "counter", "Connections and sessions turned away.", |shard| {
        shard.refused.get()
    }),
    ("anoncam_shard_panics_total", "counter", "Times a shard was started again.", |shard| shard.panics.get()),
];

/// All metrics, in the text format, version 0.0.4.
pub fn text(counters: &Counters) -> String {
    let mut text = String::new();
    for (name, kind, help, read) in METRICS {
        // Writing to a String does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (shard, counted) in counters.shards().iter().enumerate() {
            let _ = writeln!(text, "{name}{{shard=\"{shard}\"}} {}", read(counted));
        }
    }
    write_process(&mut text);
    let accepting = u8::from(counters.state() == ServerState::Open);
    let help = "Whether newcomers are let in.";
    let _ = writeln!(text, "# HELP anoncam_open {help}\n# TYPE anoncam_open gauge\nanoncam_open {accepting}");
    text
}

/// CPU time and memory of the process, under the names that every Prometheus client uses. Linux only: elsewhere they
/// are left out.
fn write_process(text: &mut String) {
    /// Ticks of /proc/self/stat a second: fixed by Linux's interface to programs.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the program's name: field 14 is user time, 15 is system time, counted from 1.
    let times = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(2);
    let ticks: Vec<u64> = times.filter_map(|ticks| ticks.parse().ok()).collect();
    if let [user, system] = ticks[..] {
        let name = "process_cpu_seconds_total";
        let seconds = (user + system) as f64 / TICKS;
        let _ =
            writeln!(text, "# HELP {name} CPU time of all threads.\n# TYPE {name} counter\n{name} {seconds}");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    if let Some(kib) = resident.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()) {
        let name = "process_resident_memory_bytes";
        let bytes = kib * 1024;
        let _ = writeln!(text, "# HELP {name} Resident memory.\n# TYPE {name} gauge\n{name} {bytes}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_tells_its_cpu_time_and_memory() {
        let text = text(&Counters::new(1, 10));
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.expect("it is there").trim().parse().expect("it is a number")
        };
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_resident_memory_bytes") > 1e6);
    }

    #[test]
    fn each_shard_has_its_line_and_nothing_but_the_shard_is_a_label() {
        let counters = Counters::new(2, 10);
        counters.shards()[1].in_chat.add(3);
        let text = text(&counters);
        assert!(text.contains(
            "\n# TYPE anoncam_in_chat gauge\nanoncam_in_chat{shard=\"0\"} 0\nanoncam_in_chat{shard=\"1\"} 3\n"
        ));
        assert!(text.ends_with("anoncam_open 1\n"));
        let mut labels = text.lines().filter_map(|line| line.split_once('{'));
        assert!(labels.all(|(_, rest)| rest.starts_with("shard=\"") && rest.matches('=').count() == 1));
    }
}
