//! Step 6 of 6: what follows for an address prefix whose people were reported too often.
//!
//! In: offences. Out: a mark, under a key of its own and in memory alone, for a day at most. One address can be thousands of phones, so
//! the first offence only means that newcomers from there prove work; the second is a ban of a quarter of an hour, and each further one
//! twice as long as the one before, up to a day. A mark is forgotten a day after the last offence.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};

use crate::core::io::{Mark, Time};
use crate::core::reports::{CaseCode, Reason};
use crate::limits::{FIRST_BAN_S, LONGEST_BAN_S, MARK_S, MARKS};

/// What a mark means at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// Offences so far.
    pub offences: u32,
    /// Newcomers from there are barred until then.
    pub until: Time,
    /// Why; `None` if an operator said so.
    pub reason: Option<Reason>,
    /// What to name in an appeal.
    pub case: CaseCode,
    /// When the mark is forgotten.
    forgotten_at: Time,
}

impl Sentence {
    /// For how long newcomers from there are still barred, in ms.
    pub fn barred_ms(&self, now: Time) -> u64 {
        self.until.ms_since(now)
    }

    /// What the reason is called on the wire.
    pub fn reason_name(&self) -> &'static str {
        self.reason.map_or("operator", Reason::name)
    }
}

/// How long a ban lasts, in seconds, by how many offences there have been.
fn ban_s(offences: u32) -> u64 {
    match offences {
        0 | 1 => 0,
        more => FIRST_BAN_S.saturating_mul(1 << (more - 2).min(20)).min(LONGEST_BAN_S),
    }
}

/// All marks.
#[derive(Debug, Default)]
pub struct Ledger {
    marks: RwLock<BTreeMap<u64, Sentence>>,
    /// How many there are: most of the time none, and nobody has to look.
    count: AtomicUsize,
}

impl Ledger {
    /// Adds an offence to a mark.
    pub fn offend(&self, now: Time, mark: Mark, reason: Reason, case: CaseCode) -> Sentence {
        self.change(now, mark, |before| {
            let offences = before.map_or(0, |before| before.offences) + 1;
            let until = now.plus_ms(ban_s(offences) * 1_000);
            Sentence {
                offences,
                until,
                reason: Some(reason),
                case,
                forgotten_at: now.plus_ms(MARK_S * 1_000),
            }
        })
    }

    /// Bars a mark because an operator says so, for a day at most.
    pub fn bar(&self, now: Time, mark: Mark, seconds: u64, case: CaseCode) -> Sentence {
        self.change(now, mark, |before| {
            let offences = before.map_or(1, |before| before.offences.max(1));
            let until = now.plus_ms(seconds.min(LONGEST_BAN_S) * 1_000);
            Sentence { offences, until, reason: None, case, forgotten_at: now.plus_ms(MARK_S * 1_000) }
        })
    }

    fn change(&self, now: Time, mark: Mark, change: impl FnOnce(Option<&Sentence>) -> Sentence) -> Sentence {
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        let before = marks.get(&mark.0).filter(|before| before.forgotten_at > now);
        let sentence = change(before);
        if marks.len() >= MARKS
            && !marks.contains_key(&mark.0)
            && let Some(first) =
                marks.iter().min_by_key(|(_, sentence)| sentence.forgotten_at).map(|(mark, _)| *mark)
        {
            marks.remove(&first);
        }
        marks.insert(mark.0, sentence);
        self.count.store(marks.len(), Relaxed);
        sentence
    }

    /// What a mark means now, if it is one.
    pub fn look(&self, now: Time, mark: Mark) -> Option<Sentence> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        marks.get(&mark.0).filter(|sentence| sentence.forgotten_at > now).copied()
    }

    /// The mark whose ban came with this code.
    pub fn find(&self, now: Time, case: CaseCode) -> Option<Mark> {
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        let named = |sentence: &Sentence| sentence.case == case && sentence.forgotten_at > now;
        marks.iter().find(|(_, sentence)| named(sentence)).map(|(mark, _)| Mark(*mark))
    }

    /// Forgets a mark by the code that its ban came with; `false` if there is none.
    pub fn pardon(&self, case: CaseCode) -> bool {
        self.keep(|_, sentence| sentence.case != case)
    }

    /// Forgets a mark.
    pub fn pardon_mark(&self, mark: Mark) -> bool {
        self.keep(|found, _| *found != mark.0)
    }

    /// Forgets marks whose time is over. For the driver to call once a minute.
    pub fn sweep(&self, now: Time) {
        self.keep(|_, sentence| sentence.forgotten_at > now);
    }

    /// Keeps some marks; whether any went. What goes was in memory that is freed, and so wiped.
    fn keep(&self, keep: impl Fn(&u64, &Sentence) -> bool) -> bool {
        if self.count.load(Relaxed) == 0 {
            return false;
        }
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        let before = marks.len();
        if marks.iter().all(|(mark, sentence)| keep(mark, sentence)) {
            return false;
        }
        *marks =
            marks.iter().filter(|(mark, sentence)| keep(mark, sentence)).map(|(m, s)| (*m, *s)).collect();
        self.count.store(marks.len(), Relaxed);
        marks.len() < before
    }

    /// Every mark that there is, for the operator.
    pub fn all(&self, now: Time) -> Vec<Sentence> {
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        marks.values().filter(|sentence| sentence.forgotten_at > now).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000_000);
    const WHERE: Mark = Mark(7);

    fn code(text: &str) -> CaseCode {
        CaseCode::parse(text).expect("a code")
    }

    #[test]
    fn work_first_then_a_quarter_of_an_hour_and_twice_as_long_each_time_up_to_a_day() {
        let ledger = Ledger::default();
        assert_eq!(ledger.look(NOW, WHERE), None);
        let bans: Vec<_> = (0..11)
            .map(|_| ledger.offend(NOW, WHERE, Reason::Spam, code("A")).barred_ms(NOW) / 60_000)
            .collect();
        assert_eq!(bans, [0, 15, 30, 60, 120, 240, 480, 960, 1_440, 1_440, 1_440]);
        assert_eq!(ledger.look(NOW, Mark(8)), None, "nobody else");
    }

    #[test]
    fn a_mark_is_gone_a_day_after_the_last_offence() {
        let ledger = Ledger::default();
        let day = MARK_S * 1_000;
        ledger.offend(NOW, WHERE, Reason::Spam, code("A"));
        ledger.offend(NOW.plus_ms(day - 1), WHERE, Reason::Spam, code("B"));
        let sentence = ledger.look(NOW.plus_ms(day), WHERE).expect("renewed");
        assert_eq!((sentence.offences, sentence.case), (2, code("B")));
        let later = NOW.plus_ms(2 * day);
        assert_eq!(ledger.look(later, WHERE), None);
        assert_eq!(ledger.offend(later, WHERE, Reason::Spam, code("C")).offences, 1, "from the beginning");
        ledger.sweep(later.plus_ms(day));
        assert_eq!(ledger.count.load(Relaxed), 0);
    }

    #[test]
    fn an_operator_bars_for_a_day_at_most_and_pardons_by_code() {
        let ledger = Ledger::default();
        let sentence = ledger.bar(NOW, WHERE, u64::MAX, code("A"));
        assert_eq!(sentence.barred_ms(NOW), 86_400_000);
        assert_eq!(sentence.reason_name(), "operator");
        assert!(!ledger.pardon(code("B")));
        assert!(ledger.pardon(code("A")) && ledger.look(NOW, WHERE).is_none());
    }

    #[test]
    fn of_too_many_marks_the_one_that_would_go_first_goes() {
        let ledger = Ledger::default();
        for mark in 0..=MARKS as u64 {
            ledger.offend(NOW.plus_ms(mark), Mark(mark), Reason::Other, code("A"));
        }
        assert_eq!(ledger.all(NOW).len(), MARKS);
        assert_eq!(ledger.look(NOW, Mark(0)), None);
        assert!(ledger.look(NOW, Mark(1)).is_some());
    }
}
