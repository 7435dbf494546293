//! What the policy said when, and what operators and visitors have to be told of it.
//!
//! Each entry is one version of the text. Whoever changes a sentence or a ceiling adds an entry with the day, and with a notice
//! if something becomes weaker; the tests below fail otherwise, and say what to add. Before the first release its one entry is
//! replaced instead.

use crate::calendar::Date;
use crate::limits;

/// One version of the text.
pub struct Entry {
    /// The day on which it was written.
    pub date: &'static str,
    /// Of the text for some imaginary operators, so that it does not depend on a real one.
    pub fingerprint: &'static str,
    /// What the server keeps at most, in seconds, in the order of [`CEILINGS`].
    pub ceilings: [u64; CEILINGS.len()],
    /// What has become weaker since the version before, in words for visitors.
    pub notice: Option<&'static str>,
}

/// The ceilings, by name.
pub const CEILINGS: [(&str, u64); 10] = [
    ("address", limits::ADDRESS_GONE_S),
    ("session", limits::TOKEN_GONE_S),
    ("resume", limits::RESUME_S),
    ("counters", limits::COUNTER_GONE_S),
    ("marks", limits::MARK_GONE_S),
    ("server log", limits::SERVER_LOG_S),
    ("access log", limits::ACCESS_LOG_S),
    ("debug", limits::DEBUG_S),
    ("credential", limits::MAX_TURN_TTL_S),
    ("monitor", limits::MONITOR_H * 3_600),
];

/// All versions, the newest last.
pub const LEDGER: &[Entry] = &[Entry {
    date: "2026-11-28",
    fingerprint: "461e76ec",
    ceilings: [300, 300, 60, 300, 86_400, 604_800, 86_400, 7_200, 600, 86_400],
    notice: None,
}];

/// The day on which the present text was written.
pub fn written() -> Date {
    // The tests read each date.
    LEDGER.last().and_then(|entry| Date::parse(entry.date)).unwrap_or(Date { year: 1970, month: 1, day: 1 })
}

/// What the present text makes weaker.
pub fn notice() -> Option<&'static str> {
    LEDGER.last().and_then(|entry| entry.notice)
}

/// What is wrong with a ledger, in words for whoever changed something.
pub fn faults(ledger: &[Entry]) -> Vec<String> {
    let mut faults = Vec::new();
    for pair in ledger.windows(2) {
        let [before, after] = pair else { continue };
        let dates = [before, after].map(|entry| Date::parse(entry.date));
        if dates[0].is_none() || dates[1].is_none() || dates[0] > dates[1] {
            faults.push(format!("{} and {} are not days in their order", before.date, after.date));
        }
        let numbers = before.ceilings.iter().zip(&after.ceilings);
        for ((name, _), (old, new)) in CEILINGS.iter().zip(numbers) {
            if new > old && after.notice.is_none_or(|notice| notice.trim().is_empty()) {
                faults.push(format!(
                    "{}: {name} was raised from {old} to {new} s without a notice",
                    after.date
                ));
            }
        }
    }
    if ledger.iter().any(|entry| Date::parse(entry.date).is_none()) {
        faults.push("a date is not a day".to_owned());
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::{PrivacyPolicy, hex};
    use super::*;
    use crate::config::{Config, Imprint, Relay, Turn};
    use aws_lc_rs::digest::{SHA256, digest};
    use std::sync::Arc;
    use std::time::Duration;

    /// Operators who between them have every sentence in their policies.
    fn operators() -> Vec<Config> {
        let imprint = Imprint {
            name: Some("Example Ltd".into()),
            site: Some("chat.example".into()),
            country: Some("Ireland".into()),
            contact: Some("privacy@chat.example".into()),
            ..Imprint::default()
        };
        let turn = |urls: &[&str]| {
            let urls = urls.iter().map(ToString::to_string).collect();
            Some(Turn { urls, secrets: Vec::new(), ttl: Duration::from_secs(limits::MAX_TURN_TTL_S) })
        };
        let plain = Config { imprint: imprint.clone(), ..Config::default() };
        let own = Config {
            turn: turn(&["turn:relay.example", "stun:relay.example"]),
            access_log: true,
            log_dir: Some("log".into()),
            imprint: Imprint {
                relay: Some(Relay::Own),
                not_served: vec!["Atlantis".into()],
                ..imprint.clone()
            },
            ..Config::default()
        };
        let prefixes = crate::privacy::Prefixes::parse("192.0.2.0/24").expect("a list");
        let other = Config {
            turn: turn(&["turns:relay.example"]),
            imprint: Imprint {
                relay: Some(Relay::Other("Relay Inc, Canada".into())),
                server_country: Some("Iceland".into()),
                not_served: vec!["Atlantis".into(), "Mu".into()],
                not_served_prefixes: Some(Arc::new(prefixes)),
                ..imprint
            },
            ..Config::default()
        };
        vec![Config::default(), plain, own, other]
    }

    #[test]
    fn the_last_entry_is_about_the_text_and_the_ceilings_as_they_are() {
        let texts: Vec<_> = operators().iter().map(|config| PrivacyPolicy::of(config).body()).collect();
        let fingerprint = hex(&digest(&SHA256, texts.concat().as_bytes()).as_ref()[..4]);
        let last = LEDGER.last().expect("an entry");
        let now = CEILINGS.map(|(_, seconds)| seconds);
        assert!(
            last.fingerprint == fingerprint && last.ceilings == now,
            "the privacy policy has changed: add an entry to the ledger (before the first release, change the one there is) with the day, \
             the fingerprint {fingerprint} and the ceilings {now:?}; with a notice if anything has become weaker"
        );
    }

    #[test]
    fn the_ledger_is_in_order_and_raises_nothing_without_a_notice() {
        assert_eq!(faults(LEDGER), Vec::<String>::new());
    }

    #[test]
    fn a_raised_ceiling_without_a_notice_is_a_fault() {
        let entry = |date, address, notice| {
            let mut ceilings = CEILINGS.map(|(_, seconds)| seconds);
            ceilings[0] = address;
            Entry { date, fingerprint: "", ceilings, notice }
        };
        let first = || entry("2026-11-28", 300, None);
        assert!(
            faults(&[first(), entry("2027-01-01", 600, None)])[0]
                .contains("address was raised from 300 to 600 s")
        );
        assert!(faults(&[first(), entry("2027-01-01", 600, Some(" "))])[0].contains("without a notice"));
        assert_eq!(faults(&[first(), entry("2027-01-01", 600, Some("Addresses are kept longer."))]).len(), 0);
        assert_eq!(faults(&[first(), entry("2027-01-01", 60, None)]).len(), 0, "shorter needs none");
        assert_eq!(faults(&[first(), entry("2026-11-27", 300, None)]).len(), 1);
        assert!(!faults(&[entry("2026-02-30", 300, None)]).is_empty());
    }
}
