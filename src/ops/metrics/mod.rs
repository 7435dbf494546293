//! What the server counts, as Prometheus reads it: text format, version 0.0.4.
//!
//! In: the [`Counters`] of the process. Out: every metric with its help, in base units. Labels are the shard, the mode (`pool`), and words
//! of this program; none could name a person. `families.rs` is the table, `process.rs` what the operating system says, and `exposition.rs`
//! knows the format.

mod exposition;
mod families;
mod process;

use std::time::{Duration, SystemTime};

use exposition::Exposition;
use families::{FAMILIES, Family};

use super::{Counters, Pausable, ServerState};
use crate::core::latencies::Latencies;
use crate::core::pairing::Mode;

/// Upper bounds of the buckets of a duration, in microseconds: from a turn of a shard to the patience of a person.
const BUCKETS_US: [u64; 16] = [
    500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// All metrics. `certificate_ends` is `None` while there is no certificate that a browser would take.
pub fn text(counters: &Counters, certificate_ends: Option<SystemTime>) -> String {
    let mut text = Exposition::default();
    for Family { name, kind, help, series } in FAMILIES {
        text.begin(name, kind, help);
        for (shard, counted) in counters.shards().iter().enumerate() {
            let shard = shard.to_string();
            for (label, read) in *series {
                let labels: Vec<_> = [Some(("shard", &*shard)), *label].into_iter().flatten().collect();
                text.sample(name, &labels, read(counted));
            }
        }
    }
    write_latencies(&mut text, counters);
    write_server(&mut text, counters);
    let since_1970 = |moment: SystemTime| moment.duration_since(SystemTime::UNIX_EPOCH).ok();
    text.one(
        "anoncam_certificate_expires_timestamp_seconds",
        "gauge",
        "When the certificate ends, since 1970; 0 while there is none that a browser would take.",
        certificate_ends.and_then(since_1970).as_ref().map_or(0.0, Duration::as_secs_f64),
    );
    process::write(&mut text);
    text.into_text()
}

/// How long people wait, over all shards.
fn write_latencies(text: &mut Exposition, counters: &Counters) {
    let mut all = Latencies::default();
    for shard in counters.shards() {
        all.take(&mut shard.latencies());
    }
    let pools = [Mode::Text, Mode::Video].map(|mode| (mode, all.pool(mode)));
    let name = "anoncam_wait_seconds";
    text.begin(name, "histogram", "From FIND to MATCHED, of each session that was matched.");
    for (mode, pool) in pools {
        text.histogram(name, &[("pool", mode.name())], &pool.waits, &BUCKETS_US);
    }
    let name = "anoncam_pairing_seconds";
    text.begin(name, "histogram", "From the later FIND of two strangers to their chat.");
    for (mode, pool) in pools {
        text.histogram(name, &[("pool", mode.name())], &pool.pairings, &BUCKETS_US);
    }
}

/// The server as a whole.
fn write_server(text: &mut Exposition, counters: &Counters) {
    let state = counters.state();
    let flag = |is: bool| f64::from(u8::from(is));
    text.one("anoncam_open", "gauge", "Whether newcomers are let in.", flag(state == ServerState::Open));
    text.one(
        "anoncam_draining",
        "gauge",
        "Whether the server is going away.",
        flag(state == ServerState::Draining),
    );
    let name = "anoncam_paused";
    text.begin(name, "gauge", "Whether the operator has paused it.");
    for what in Pausable::ALL {
        text.sample(name, &[("what", what.name())], flag(counters.levers().is_paused(what)));
    }
    let most = counters.max_sessions() as f64;
    text.one("anoncam_sessions_max", "gauge", "Connected sessions at which the server is full.", most);
    let name = "anoncam_build_info";
    text.begin(name, "gauge", "Which program this is; always 1.");
    text.sample(name, &[("version", env!("CARGO_PKG_VERSION")), ("protocol", "1")], 1.0);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ops::{Total, Totals};

    #[test]
    fn each_shard_has_its_line() {
        let counters = Counters::new(2, 10);
        counters.shards()[1].waiting[1].set(3);
        let mut totals = Totals::default();
        totals[Total::ClosedTooMany] = 2;
        counters.shards()[0].totals.advance(&Totals::default(), &totals);
        let text = text(&counters, None);
        for line in [
            "# TYPE anoncam_waiting gauge",
            "anoncam_waiting{shard=\"1\",pool=\"video\"} 3",
            "anoncam_waiting{shard=\"0\",pool=\"video\"} 0",
            "anoncam_closed_total{shard=\"0\",code=\"3\"} 2",
            "anoncam_sessions_max 10",
            "anoncam_open 1",
            "anoncam_certificate_expires_timestamp_seconds 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_distribution_is_told_in_cumulative_buckets_over_all_shards() {
        let counters = Counters::new(2, 10);
        for (shard, us) in counters.shards().iter().zip([900, 700_000]) {
            let mut latencies = Latencies::default();
            latencies.record_pairing(Mode::Text, us);
            shard.take_latencies(&mut latencies);
        }
        let text = text(&counters, None);
        for line in [
            "anoncam_pairing_seconds_bucket{pool=\"text\",le=\"0.0005\"} 0",
            "anoncam_pairing_seconds_bucket{pool=\"text\",le=\"0.001\"} 1",
            "anoncam_pairing_seconds_bucket{pool=\"text\",le=\"1\"} 2",
            "anoncam_pairing_seconds_bucket{pool=\"text\",le=\"+Inf\"} 2",
            "anoncam_pairing_seconds_count{pool=\"text\"} 2",
            "anoncam_pairing_seconds_count{pool=\"video\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn the_table_of_the_docs_is_that_of_the_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
        let documents = std::fs::read_dir(folder).expect("docs").map(|entry| entry.expect("an entry").path());
        let documents = documents.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
        let docs: String = documents.map(|path| std::fs::read_to_string(path).expect("a document")).collect();
        let text = text(&Counters::new(1, 1), None);
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' '))
            else {
                continue;
            };
            let kind = lines.next().and_then(|line| line.rsplit(' ').next()).expect("a type");
            let row = format!("| `{name}` ({kind}) | {help} |");
            assert!(docs.contains(&row), "docs/OPERATIONS.md, Watching, needs this row: {row}");
        }
    }

    /// The promise: no label that could name a person. A new label has to be argued for here.
    #[test]
    fn labels_are_the_shard_the_mode_and_words_of_this_program() {
        let text = text(&Counters::new(2, 10), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(5)));
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let inside = samples.filter_map(|line| line.split_once('{')?.1.split_once('}'));
        let labels: BTreeSet<&str> = inside
            .flat_map(|(labels, _)| labels.split(','))
            .filter_map(|label| Some(label.split_once('=')?.0))
            .collect();
        let known = [
            "code",
            "le",
            "pool",
            "protocol",
            "reason",
            "result",
            "shard",
            "state",
            "stranger",
            "transport",
            "version",
            "what",
        ];
        assert_eq!(labels.into_iter().collect::<Vec<_>>(), known);
    }
}
