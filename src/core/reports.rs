//! Step 6 of 6: reports about one session, and when they end it.
//!
//! Reports of one address prefix count once, so a reporter who comes back under another session adds nothing. What they weigh
//! fades, so that somebody who is reported now and then in hundreds of chats stays. What happens to whoever has been reported too
//! often is not the core's to decide: it tells its driver ([`Output::Accused`](super::io::Output::Accused)) and is told the sentence.

use std::fmt;

use bytes::Bytes;

use super::io::{CloseCode, LinkId, Mark, Output, Time};
use super::pairing::Address;
use super::reply::Why;
use super::shard::Shard;
use crate::limits::{CASE_CHARACTERS, MINOR_WEIGHT, REPORT_FADES_MS, REPORT_WEIGHT, REPORTERS, REPORTS_END};

/// What a report is about (PROTOCOL.md section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Somebody who looks like a child.
    Minor,
    /// Sexual behaviour that was not asked for.
    Sexual,
    /// Harassment.
    Harassment,
    /// Advertising, or a program.
    Spam,
    /// Something else.
    Other,
}

impl Reason {
    /// All, the gravest first.
    pub const ALL: [Self; 5] = [Self::Minor, Self::Sexual, Self::Harassment, Self::Spam, Self::Other];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minor => "minor",
            Self::Sexual => "sexual",
            Self::Harassment => "harassment",
            Self::Spam => "spam",
            Self::Other => "other",
        }
    }

    /// By its name on the wire.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// What such a report weighs.
    pub const fn weight(self) -> u64 {
        match self {
            Self::Minor => MINOR_WEIGHT,
            _ => REPORT_WEIGHT,
        }
    }
}

/// A code that people name to the operator: a reporter's own, or the one that a ban came with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CaseCode([u8; CASE_CHARACTERS]);

impl CaseCode {
    /// Reads a code: capitals, digits and hyphens.
    pub fn parse(text: &str) -> Option<Self> {
        let fine = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        let mut code = [0; CASE_CHARACTERS];
        code.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        (!text.is_empty() && text.bytes().all(fine)).then_some(Self(code))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(CASE_CHARACTERS);
        std::str::from_utf8(&self.0[..end]).unwrap_or_default()
    }
}

impl fmt::Display for CaseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CaseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A checked REPORT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it is about.
    pub reason: Reason,
    /// What the reporter was shown.
    pub case: Option<CaseCode>,
}

/// Reports about one session. Only sessions that were reported have one.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    /// When all of their weight has faded.
    faded_at: Time,
    /// How many counted.
    pub counted: u16,
    /// How many counted, by reason.
    by_reason: [u16; Reason::ALL.len()],
    /// The last reporters' prefixes, 16 bits of a hash each: enough to tell them apart, too little to name one.
    reporters: [u16; REPORTERS],
}

impl Reports {
    /// Counts a report, unless this reporter has been heard.
    fn count(&mut self, now: Time, reporter: u16, reason: Reason) -> bool {
        let known = usize::from(self.counted).min(REPORTERS);
        if self.reporters[..known].contains(&reporter) {
            return false;
        }
        self.reporters[usize::from(self.counted) % REPORTERS] = reporter;
        self.counted = self.counted.saturating_add(1);
        self.by_reason[reason as usize] = self.by_reason[reason as usize].saturating_add(1);
        self.faded_at = self.faded_at.max(now).plus_ms(reason.weight() * REPORT_FADES_MS);
        true
    }

    /// Whether they are too many: their weight is above what is left of the last one that is allowed.
    fn are_too_many(&self, now: Time) -> bool {
        self.faded_at.ms_since(now) > (REPORTS_END - 1) * REPORT_FADES_MS
    }

    /// What most of them say; of as many, the gravest.
    pub fn mostly(&self) -> Reason {
        let often = |reason: &Reason| (self.by_reason[*reason as usize], std::cmp::Reverse(*reason));
        Reason::ALL.into_iter().max_by_key(often).unwrap_or(Reason::Other)
    }
}

/// A report about a session of this shard, for whoever keeps account of addresses.
#[derive(Clone, Debug)]
pub struct Accusation {
    /// Who was reported.
    pub who: Address,
    /// Their channel, if it is on this shard.
    pub link: Option<LinkId>,
    /// Where they come from.
    pub mark: Mark,
    /// Where the reporter comes from.
    pub by: Mark,
    /// What was said.
    pub report: Report,
    /// Whether it counted; else one like it did before.
    pub counted: bool,
    /// Whether this session has to end.
    pub too_many: bool,
    /// How many have counted so far.
    pub reports: u16,
    /// What most of them say.
    pub mostly: Reason,
}

impl Shard {
    /// A session of this shard was reported.
    pub(super) fn reported(&mut self, now: Time, who: Address, by: Mark, report: Report) {
        let Some(session) = self.sessions.get_mut(who.session.0).filter(|found| found.person == who.person)
        else {
            return;
        };
        let reports = session.reports.get_or_insert_default();
        let counted = reports.count(now, by.short(who.person.0), report.reason);
        let accusation = Accusation {
            who,
            link: session.link,
            mark: session.mark,
            by,
            report,
            counted,
            too_many: counted && reports.are_too_many(now),
            reports: reports.counted,
            mostly: reports.mostly(),
        };
        let link = accusation.link.filter(|link| self.is_here(*link));
        self.outputs.push_back(Output::Accused(Box::new(Accusation { link, ..accusation })));
    }

    /// Ends a session for good: it cannot be resumed. Its stranger is told that it left.
    pub fn handle_sentence(&mut self, now: Time, who: Address, code: CloseCode, reason: Bytes) {
        let session = self.sessions.get(who.session.0).filter(|found| found.person == who.person);
        let Some(link) = session.map(|session| session.link) else { return };
        self.end_chat(now, who.session, Why::Left);
        self.forget(now, who.session);
        if let Some(link) = link {
            self.close(link, code, reason);
        }
        self.read_inbox(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000_000);

    #[test]
    fn one_reporter_counts_once_and_four_are_too_many() {
        let mut reports = Reports::default();
        assert!(reports.count(NOW, 1, Reason::Spam));
        for _ in 0..10 {
            assert!(!reports.count(NOW, 1, Reason::Spam), "the same one again");
        }
        for reporter in 2..=3 {
            assert!(reports.count(NOW, reporter, Reason::Sexual));
        }
        assert!(!reports.are_too_many(NOW));
        assert!(reports.count(NOW.plus_ms(60_000), 4, Reason::Other));
        assert!(reports.are_too_many(NOW.plus_ms(60_000)));
        assert_eq!(reports.mostly(), Reason::Sexual);
    }

    #[test]
    fn two_reports_of_a_minor_are_too_many() {
        let mut reports = Reports::default();
        reports.count(NOW, 1, Reason::Minor);
        assert!(!reports.are_too_many(NOW), "one person alone ends nobody's session");
        reports.count(NOW, 2, Reason::Minor);
        assert!(reports.are_too_many(NOW));
    }

    #[test]
    fn reports_now_and_then_fade() {
        let mut reports = Reports::default();
        for visit in 0..100 {
            let now = NOW.plus_ms(u64::from(visit) * REPORT_FADES_MS);
            assert!(reports.count(now, visit, Reason::Other));
            assert!(!reports.are_too_many(now));
        }
        assert_eq!(reports.counted, 100);
    }

    #[test]
    fn a_case_code_is_short_and_plain() {
        assert_eq!(CaseCode::parse("K7Q-2MD").expect("a code").to_string(), "K7Q-2MD");
        assert_eq!(CaseCode::parse("ABCDEFGHIJKL").expect("a code").as_str(), "ABCDEFGHIJKL");
        for wrong in ["", "k7q", "ABCDEFGHIJKLM", "A B", "Ä", "A\0"] {
            assert_eq!(CaseCode::parse(wrong), None, "{wrong:?}");
        }
    }
}
