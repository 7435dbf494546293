//! What a person may ask an operator about their address (`anoncam rights ADDRESS`), and that it be forgotten.
//!
//! In: one address. Out: what is in memory under its hashes, in words; with `--erase` it is gone afterwards.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::guard::Guard;
use super::orders::describe_mark;
use super::table::Kind;
use crate::core::io::{Mark, Time};
use crate::core::reports::CaseCode;
use crate::ops::control::duration::words;

impl Guard {
    /// What is in memory about an address, or about its IPv6 network; erased when that is asked for. Sessions that are open are not
    /// ended, since many people may share the address: whoever wants that closes their page.
    pub fn rights(&self, now: Time, address: IpAddr, erase: bool) -> String {
        let prefixes = self.counting.prefixes(address);
        let mark = self.mark(address);
        let (sessions, weighs_s) = self.table.held(now, prefixes.near);
        let mut text = String::from("in memory about this address now:\n");
        // Writing to a String does not fail, here and below.
        let _ = match self.allowances() {
            Some(_) => writeln!(text, "  sessions that are open: {sessions}; each is gone when it ends"),
            None => writeln!(text, "  sessions that are open: not counted by address in development"),
        };
        let _ = writeln!(text, "  counters: {}", self.counters_of(now, prefixes.near));
        if let Some(site) = prefixes.wide {
            let _ =
                writeln!(text, "  counters of its /48, shared with others: {}", self.counters_of(now, site));
        }
        let reports = match weighs_s {
            0 => "none".to_owned(),
            more => format!("some, faded in {} at the latest", words(more)),
        };
        let _ = writeln!(text, "  reports about it: {reports}");
        let codes = self.codes_of(mark, erase);
        let _ = writeln!(text, "  its sessions under report: {}", or_none(&codes));
        let sentence = self.ledger.look(now, mark);
        let sentence =
            sentence.map(|sentence| format!("{}, code {}", describe_mark(now, &sentence), sentence.case));
        let _ = writeln!(text, "  mark: {}", sentence.as_deref().unwrap_or("none"));
        text.push_str("in logs, files and metrics: nothing, they never hold an address");
        if erase {
            self.table.erase(prefixes.near);
            self.ledger.pardon_mark(mark);
            text.push_str("\nerased: counters, reports and mark of this address");
        }
        text
    }

    fn counters_of(&self, now: Time, hash: u64) -> String {
        let spent = |(kind, name): (Kind, &str)| {
            let left_s = self.table.spent_ns(now, hash, kind).div_ceil(1_000_000_000);
            (left_s > 0).then(|| format!("{name}, gone in {}", words(left_s)))
        };
        or_none(&Kind::ALL.into_iter().filter_map(spent).collect::<Vec<_>>())
    }

    fn codes_of(&self, mark: Mark, erase: bool) -> Vec<String> {
        let cases = if erase { self.docket.take(mark) } else { self.docket.all() };
        let of_it = cases.into_iter().filter(|case| case.mark == mark);
        of_it.flat_map(|case| case.codes).map(|code: CaseCode| code.to_string()).collect()
    }
}

fn or_none(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join("; ") }
}
