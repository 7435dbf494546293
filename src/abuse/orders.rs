//! What an operator asks about reports, bans and proof of work (`anoncam reports`, `ban`, `unban`, `pow`). No answer holds an address,
//! or anything that somebody said.

use std::fmt::Write as _;

use super::docket::Case;
use super::guard::{Asking, Guard, random_code};
use super::ledger::Sentence;
use crate::core::io::Time;
use crate::core::reports::{CaseCode, Reason};
use crate::ops::control::duration::words;
use crate::ops::{Counters, Total};

impl Guard {
    /// Sessions under report, marks, proof of work, and what was refused since the start.
    pub fn describe(&self, now: Time, counters: &Counters) -> String {
        let mut text = format!("proof of work: {}\n", self.describe_asking(now));
        let total = |total| counters.sum(|shard| shard.totals.get(total));
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "since the start: {} connections refused, {} newcomers told to come later, {} barred, {} asked for \
             work, {} have proven it; {} requests refused, channels delayed {} times; {} reports counted, {} \
             sessions ended",
            total(Total::RefusedAddress),
            total(Total::RefusedCrowded),
            total(Total::RefusedBarred),
            total(Total::RefusedWork),
            total(Total::WorkProven),
            total(Total::RefusedRate),
            total(Total::Delayed),
            total(Total::ReportsCounted),
            total(Total::Sentences),
        );
        let cases = self.docket.all();
        let _ = writeln!(text, "sessions under report: {}", cases.len());
        for case in cases {
            let codes: Vec<_> = case.codes.iter().map(CaseCode::as_str).collect();
            let ago = words(now.ms_since(case.last) / 1_000);
            let (reports, mostly) = (case.reports, case.mostly.name());
            let _ = writeln!(
                text,
                "  {}: {reports} reports, mostly {mostly}, the last {ago} ago",
                codes.join(", ")
            );
        }
        let marks = self.ledger.all(now);
        let _ = write!(text, "marked addresses: {}", marks.len());
        for mark in marks {
            let _ = write!(text, "\n  {}: {}", mark.case, describe_mark(now, &mark));
        }
        text
    }

    /// How proof of work is asked for.
    pub fn describe_asking(&self, now: Time) -> String {
        let bits = self.asked_bits(now);
        let of_marked = "of those from a marked address";
        match self.asking() {
            Asking::Off => "off, asked of nobody".to_owned(),
            Asking::On => format!("on, asked of every newcomer ({bits} bits)"),
            Asking::Auto if bits > 0 => format!("auto, asked of every newcomer for now ({bits} bits)"),
            Asking::Auto => format!("auto, asked {of_marked}"),
        }
    }

    /// Bars the address of a session under report, or of a mark, for so long. Gives back what its clients are told, and the session.
    pub fn ban(&self, now: Time, code: &str, seconds: u64) -> Result<(Sentence, Option<Case>), String> {
        let code = parse(code)?;
        let case = self.docket.find(code);
        let mark = case.as_ref().map(|case| case.mark).or_else(|| self.ledger.find(now, code));
        let Some(mark) = mark else { return Err(unknown(code)) };
        let fresh = random_code().ok_or("the system has no random numbers")?;
        Ok((self.ledger.bar(now, mark, seconds, fresh), case))
    }

    /// Forgets the mark that a ban with this code, or a session under report with it, has left.
    pub fn unban(&self, code: &str) -> Result<String, String> {
        let code = parse(code)?;
        let of_case = || self.docket.find(code).is_some_and(|case| self.ledger.pardon_mark(case.mark));
        if self.ledger.pardon(code) || of_case() {
            return Ok(format!("{code}: the address is not marked any more"));
        }
        Err(format!("{code}: there is no such ban; one is forgotten after a day at most"))
    }
}

fn parse(code: &str) -> Result<CaseCode, String> {
    let capitals = code.trim().to_uppercase();
    CaseCode::parse(&capitals).ok_or_else(|| format!("\"{code}\" is no code; they look like K7Q-2MD"))
}

fn unknown(code: CaseCode) -> String {
    format!("{code}: no session under report has this code; it is known as long as that session lasts")
}

pub(super) fn describe_mark(now: Time, mark: &Sentence) -> String {
    let why = mark.reason.map_or("by the operator", Reason::name);
    let barred_s = mark.barred_ms(now).div_ceil(1_000);
    let what =
        if barred_s > 0 { format!("barred for {}", words(barred_s)) } else { "proves work".to_owned() };
    format!("{what}, {why}, offences {}", mark.offences)
}
