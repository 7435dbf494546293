//! Step 4 of 6: who fits whom (PROTOCOL.md section 8).
//!
//! In: two who wait, and the time. Out: whether they fit and how well. Nothing else decides it: the waiting room's
//! shelves only make sure that few who do not fit are looked at.

use super::few::Few;
use super::interests::{InterestId, Lang};
use super::io::{ShardId, Time};
use crate::limits::{BLOCKS, INTERESTS, LANGS, RECENT_STRANGERS, RECENT_WAIT_MS, RELAX_WAIT_MS};

/// A session's random name among sessions, the same on every shard; never on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub u64);

/// A session's slot on its home shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

/// Where a session lives. Slots are used again: `person` says whether it is still the same session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its home shard.
    pub shard: ShardId,
    /// Its slot there.
    pub session: SessionId,
    /// Its name.
    pub person: PersonId,
}

/// What two strangers want to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Text alone.
    Text,
    /// Camera and microphone.
    Video,
}

impl Mode {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Video => "video",
        }
    }
}

/// Whom a session has met and does not want to meet again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The last strangers, or 0, which is nobody's name; the next one is written at `met`.
    recent: [PersonId; RECENT_STRANGERS],
    met: u8,
    /// The last stranger, for a late report.
    pub last: Option<Last>,
    /// Blocked, the oldest first; over [`BLOCKS`] the oldest is forgotten.
    blocked: Vec<PersonId>,
}

/// The stranger of the last chat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Last {
    /// Who it was.
    pub who: Address,
    /// When the chat ended.
    pub ended: Time,
}

impl Known {
    /// Remembers a stranger as the most recent.
    pub fn meet(&mut self, person: PersonId) {
        self.recent[self.met as usize % RECENT_STRANGERS] = person;
        self.met = (self.met + 1) % RECENT_STRANGERS as u8;
    }

    /// Never meets this person again.
    pub fn block(&mut self, person: PersonId) {
        if self.blocked.contains(&person) {
            return;
        }
        if self.blocked.len() == BLOCKS {
            self.blocked.remove(0);
        }
        self.blocked.push(person);
    }

    fn has_met(&self, person: PersonId) -> bool {
        self.recent.contains(&person)
    }

    fn has_blocked(&self, person: PersonId) -> bool {
        self.blocked.contains(&person)
    }

    /// Bytes on the heap besides the struct itself.
    pub fn heap_bytes(&self) -> usize {
        self.blocked.capacity() * size_of::<PersonId>()
    }
}

/// What FIND named: both lists sorted and without duplicates.
#[derive(Clone, Debug)]
pub struct Wants(Lists);

#[derive(Clone, Debug)]
enum Lists {
    /// What most people name who name anything lies where its owner lies: whoever looks at them has it at once.
    Short(Few<InterestId, 2>, Few<Lang, 1>),
    /// Anything longer.
    Long(Box<(Few<InterestId, INTERESTS>, Few<Lang, LANGS>)>),
}

impl Default for Wants {
    fn default() -> Self {
        Self(Lists::Short(Few::default(), Few::default()))
    }
}

impl Wants {
    /// These interests and languages.
    pub fn new(interests: Few<InterestId, INTERESTS>, langs: Few<Lang, LANGS>) -> Self {
        let short = interests.len() <= 2 && langs.len() <= 1;
        Self(if short {
            Lists::Short(Few::of(interests.iter().copied()), Few::of(langs.iter().copied()))
        } else {
            Lists::Long(Box::new((interests, langs)))
        })
    }

    /// Interests.
    #[inline]
    pub fn interests(&self) -> &[InterestId] {
        match &self.0 {
            Lists::Short(interests, _) => interests,
            Lists::Long(lists) => &lists.0,
        }
    }

    /// Languages.
    #[inline]
    pub fn langs(&self) -> &[Lang] {
        match &self.0 {
            Lists::Short(_, langs) => langs,
            Lists::Long(lists) => &lists.1,
        }
    }

    /// Whether nothing was named.
    #[inline]
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Lists::Short(interests, langs) if interests.is_empty() && langs.is_empty())
    }
}

/// Somebody who waits, here or (in a rendezvous) on another shard.
#[derive(Debug)]
pub struct Seeker {
    /// Who.
    pub who: Address,
    /// When they began to wait.
    pub since: Time,
    /// Text or video.
    pub mode: Mode,
    /// Only somebody who shares an interest and a language.
    pub strict: bool,
    /// Whether another shard is being asked for a stranger for them: until it answers nobody else gets them.
    pub claimed: bool,
    /// Interests and languages; most people name none.
    pub wants: Wants,
    /// Whom they know.
    pub known: Option<Box<Known>>,
}

impl Seeker {
    /// The interests they named.
    pub fn interests(&self) -> &[InterestId] {
        self.wants.interests()
    }

    /// The languages they named.
    pub fn langs(&self) -> &[Lang] {
        self.wants.langs()
    }

    /// Whether they have waited so long that interests and languages matter to them no more.
    pub fn relaxed(&self, now: Time) -> bool {
        !self.strict && now.ms_since(self.since) >= RELAX_WAIT_MS
    }

    /// Whether they take somebody without a shared interest.
    pub fn open(&self, now: Time) -> bool {
        !self.strict && (self.interests().is_empty() || self.relaxed(now))
    }
}

/// If `a` and `b` fit: how many interests they share.
pub fn fits(a: &Seeker, b: &Seeker, now: Time) -> Option<usize> {
    if a.mode != b.mode || a.claimed || b.claimed || a.who.person == b.who.person || !may_meet(a, b, now) {
        return None;
    }
    let shared = shared(a.interests(), b.interests()).count();
    let speak = a.langs().is_empty()
        || b.langs().is_empty()
        || shares(a.langs(), b.langs())
        || (a.relaxed(now) && b.relaxed(now));
    (speak && (shared > 0 || (a.open(now) && b.open(now)))).then_some(shared)
}

/// Neither blocked the other, and they did not just meet (unless both have waited for a while).
fn may_meet(a: &Seeker, b: &Seeker, now: Time) -> bool {
    let test = |of: &Seeker, what: fn(&Known, PersonId) -> bool, person| {
        of.known.as_ref().is_some_and(|known| what(known, person))
    };
    let either = |what| test(a, what, b.who.person) || test(b, what, a.who.person);
    let patient = |seeker: &Seeker| now.ms_since(seeker.since) >= RECENT_WAIT_MS;
    !either(Known::has_blocked) && (!either(Known::has_met) || (patient(a) && patient(b)))
}

fn shares<T: Ord + Copy>(a: &[T], b: &[T]) -> bool {
    shared(a, b).next().is_some()
}

/// What two sorted lists have in common.
pub fn shared<'a, T: Ord + Copy>(a: &'a [T], b: &'a [T]) -> impl Iterator<Item = T> + 'a {
    a.iter().copied().filter(|item| b.binary_search(item).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeker(person: u64, interests: &[u32], langs: &[&str]) -> Seeker {
        let interests = Few::of(interests.iter().copied().map(InterestId));
        let langs = Few::of(langs.iter().filter_map(|lang| Lang::parse(lang)));
        Seeker {
            who: Address { shard: ShardId(0), session: SessionId(0), person: PersonId(person) },
            since: Time(0),
            mode: Mode::Text,
            strict: false,
            claimed: false,
            wants: Wants::new(interests, langs),
            known: None,
        }
    }

    fn strict(mut seeker: Seeker) -> Seeker {
        seeker.strict = true;
        seeker
    }

    fn at(ms: u64) -> Time {
        Time(0).plus_ms(ms)
    }

    #[test]
    fn short_and_long_wishes_are_what_was_named() {
        for (interests, langs) in
            (0..=INTERESTS as u32).flat_map(|many| (0..=LANGS as u64).map(move |few| (many, few)))
        {
            let named = (Few::of((0..interests).map(InterestId)), Few::of((0..langs).map(Lang)));
            let wants = Wants::new(named.0, named.1);
            assert_eq!((wants.interests(), wants.langs()), (&*named.0, &*named.1));
            assert_eq!(wants.is_empty(), interests == 0 && langs == 0);
            assert_eq!(matches!(wants.0, Lists::Short(..)), interests <= 2 && langs <= 1);
        }
    }

    #[test]
    fn people_without_wishes_fit_and_modes_never_mix() {
        let (a, mut b) = (seeker(1, &[], &[]), seeker(2, &[], &[]));
        assert_eq!(fits(&a, &b, at(0)), Some(0));
        b.mode = Mode::Video;
        assert_eq!(fits(&a, &b, at(9_000)), None);
        assert_eq!(fits(&a, &a, at(0)), None, "nobody meets themselves");
    }

    #[test]
    fn interests_relax_after_five_seconds_unless_strict() {
        let (music, film, none) = (seeker(1, &[1], &[]), seeker(2, &[2], &[]), seeker(3, &[], &[]));
        assert_eq!(fits(&music, &film, at(4_999)), None);
        assert_eq!(fits(&music, &film, at(5_000)), Some(0));
        assert_eq!(fits(&music, &none, at(4_999)), None);
        assert_eq!(fits(&music, &none, at(5_000)), Some(0));
        assert_eq!(fits(&strict(music), &none, at(90_000)), None);
        assert_eq!(fits(&strict(seeker(1, &[], &[])), &none, at(90_000)), None, "strict without an interest");
        assert_eq!(fits(&strict(seeker(1, &[1, 2, 4], &[])), &seeker(2, &[2, 3, 4], &[]), at(0)), Some(2));
    }

    #[test]
    fn languages_relax_only_when_both_have_waited() {
        let (en, fr) = (seeker(1, &[], &["en"]), seeker(2, &[], &["fr"]));
        assert_eq!(fits(&en, &fr, at(4_999)), None);
        assert_eq!(fits(&en, &fr, at(5_000)), Some(0));
        let mut late = seeker(3, &[], &["fr"]);
        late.since = at(3_000);
        assert_eq!(fits(&en, &late, at(7_999)), None);
        assert_eq!(fits(&en, &seeker(4, &[], &[]), at(0)), Some(0));
        let strict_en = strict(seeker(1, &[7], &["en"]));
        assert_eq!(fits(&strict_en, &seeker(2, &[7], &["fr"]), at(60_000)), None);
        assert_eq!(fits(&strict_en, &seeker(2, &[7], &[]), at(0)), Some(1));
    }

    #[test]
    fn recent_strangers_meet_again_after_two_seconds_and_blocked_ones_never() {
        let (mut a, b) = (seeker(1, &[], &[]), seeker(2, &[], &[]));
        let known = a.known.get_or_insert_default();
        known.meet(PersonId(2));
        assert_eq!(fits(&a, &b, at(1_999)), None);
        assert_eq!(fits(&b, &a, at(2_000)), Some(0));
        for other in 10..18 {
            a.known.get_or_insert_default().meet(PersonId(other));
        }
        assert_eq!(fits(&a, &b, at(0)), Some(0), "eight others later");
        a.known.get_or_insert_default().block(PersonId(2));
        assert_eq!(fits(&a, &b, at(90_000)), None);
        assert_eq!(fits(&b, &a, at(90_000)), None);
    }
}
