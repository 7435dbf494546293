//! Step 6 of 6: sessions under report, as the operator sees them.
//!
//! In: what shards tell of reports. Out: a list by case code. A session is on it as long as it exists; nothing of what was said in a chat is
//! known here, and no address.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::core::io::{Mark, Time};
use crate::core::pairing::{Address, PersonId};
use crate::core::reports::{Accusation, CaseCode, Reason};
use crate::limits::{CASE_CODES, CASES};

/// A session that was reported.
#[derive(Clone, Debug)]
pub struct Case {
    /// Codes that its reporters were shown.
    pub codes: Vec<CaseCode>,
    /// Whose session it is.
    pub who: Address,
    /// Where it comes from.
    pub mark: Mark,
    /// Reports that counted.
    pub reports: u16,
    /// What most of them say.
    pub mostly: Reason,
    /// When the last one came.
    pub last: Time,
}

/// All of them. Each is boxed, so that its memory is wiped when it goes.
#[allow(clippy::vec_box)] // In a Vec alone a case that goes would lie there until another takes its place.
#[derive(Debug, Default)]
pub struct Docket(Mutex<Vec<Box<Case>>>);

impl Docket {
    #[allow(clippy::vec_box)] // See above.
    fn cases(&self) -> MutexGuard<'_, Vec<Box<Case>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a report. Of too many cases the one that was not reported for longest is left out.
    pub fn note(&self, now: Time, accusation: &Accusation, code: CaseCode) {
        let mut cases = self.cases();
        let found = cases.iter().position(|case| case.who.person == accusation.who.person);
        let at = found.unwrap_or_else(|| {
            if cases.len() >= CASES
                && let Some(oldest) = (0..cases.len()).min_by_key(|at| cases[*at].last)
            {
                cases.swap_remove(oldest);
            }
            cases.push(Box::new(Case {
                codes: Vec::new(),
                who: accusation.who,
                mark: accusation.mark,
                reports: 0,
                mostly: accusation.mostly,
                last: now,
            }));
            cases.len() - 1
        });
        let case = &mut cases[at];
        case.mark = accusation.mark;
        case.reports = accusation.reports;
        case.mostly = accusation.mostly;
        case.last = now;
        if case.codes.len() < CASE_CODES && !case.codes.contains(&code) {
            case.codes.push(code);
        }
    }

    /// The session is over.
    pub fn close(&self, person: PersonId) {
        self.cases().retain(|case| case.who.person != person);
    }

    /// A shard has lost all of its sessions.
    pub fn close_shard(&self, shard: crate::core::io::ShardId) {
        self.cases().retain(|case| case.who.shard != shard);
    }

    /// The case with this code; of several, the one with the most reports.
    pub fn find(&self, code: CaseCode) -> Option<Case> {
        let cases = self.cases();
        let named = cases.iter().filter(|case| case.codes.contains(&code));
        named.max_by_key(|case| case.reports).map(|case| Case::clone(case))
    }

    /// Forgets the cases of a mark, and gives them back.
    pub fn take(&self, mark: Mark) -> Vec<Case> {
        let mut cases = self.cases();
        let of_mark: Vec<_> =
            cases.iter().filter(|case| case.mark == mark).map(|case| Case::clone(case)).collect();
        cases.retain(|case| case.mark != mark);
        of_mark
    }

    /// All cases, the most reported first.
    pub fn all(&self) -> Vec<Case> {
        let mut all: Vec<_> = self.cases().iter().map(|case| Case::clone(case)).collect();
        all.sort_by_key(|case| (std::cmp::Reverse(case.reports), case.last));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::io::ShardId;
    use crate::core::pairing::SessionId;
    use crate::core::reports::Report;

    fn accusation(person: u64, reports: u16) -> Accusation {
        Accusation {
            who: Address { shard: ShardId(0), session: SessionId(1), person: PersonId(person) },
            link: None,
            mark: Mark(9),
            by: Mark(8),
            report: Report { reason: Reason::Spam, case: None },
            counted: true,
            too_many: false,
            reports,
            mostly: Reason::Spam,
        }
    }

    fn code(number: usize) -> CaseCode {
        CaseCode::parse(&format!("C{number}")).expect("a code")
    }

    #[test]
    fn a_case_is_found_by_each_of_its_codes_until_its_session_is_over() {
        let docket = Docket::default();
        docket.note(Time(1), &accusation(7, 1), code(1));
        docket.note(Time(2), &accusation(7, 2), code(2));
        docket.note(Time(3), &accusation(8, 1), code(3));
        assert_eq!(docket.find(code(1)).expect("a case").reports, 2);
        assert_eq!(docket.find(code(2)).expect("a case").who.person, PersonId(7));
        assert_eq!(docket.all().iter().map(|case| case.reports).collect::<Vec<_>>(), [2, 1]);
        docket.close(PersonId(7));
        assert!(docket.take(Mark(8)).is_empty());
        assert!(docket.find(code(1)).is_none() && docket.find(code(3)).is_some());
        docket.close_shard(ShardId(0));
        assert!(docket.all().is_empty());
    }

    #[test]
    fn codes_that_one_person_piles_up_push_out_nobody() {
        let docket = Docket::default();
        for number in 0..100 {
            docket.note(Time(1), &accusation(7, 1), code(number));
        }
        assert!(docket.find(code(0)).is_some() && docket.find(code(CASE_CODES)).is_none());
        for number in 0..CASES as u64 {
            docket.note(Time(2), &accusation(100 + number, 1), code(1_000));
        }
        assert_eq!(docket.all().len(), CASES);
        assert!(docket.find(code(0)).is_none(), "the oldest is left out");
    }
}
