//! Step 3 of 6: what the shelves of the waiting room are for.
//!
//! In: what somebody wishes. Out: the keys of the shelves on which they stand, and of those on which everybody fits them by
//! interest and language.

use super::interests::{InterestId, Lang};
use super::io::Time;
use super::pairing::{Mode, Seeker, Wants};

/// What people on a shelf have in common besides mode and tongue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// Any stranger is welcome: no interest was named.
    Open,
    /// Any stranger is welcome by now: interests were named, but the wait has been long.
    Relaxed,
    /// This interest was named.
    Interest(InterestId),
}

/// Which language people on a shelf speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tongue {
    /// Everybody of the topic, for a searcher who named no language.
    All,
    /// Those who named none, and so accept everyone's.
    Unnamed,
    /// Those who named some, but by now accept everybody who does so too.
    Relaxed,
    /// Those who named this one.
    Named(Lang),
}

/// Kinds of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Open,
    Relaxed,
    Interest,
}

/// Kinds of tongues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    All,
    Unnamed,
    Relaxed,
    Named,
}

/// What a shelf is for, in 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShelfKey {
    /// Of [`Tongue::Named`], else 0.
    lang: Lang,
    /// Of [`Topic::Interest`], else 0.
    interest: InterestId,
    mode: Mode,
    about: About,
    speaks: Speaks,
}

impl Default for ShelfKey {
    fn default() -> Self {
        Self::new(Mode::Text, Topic::Open, Tongue::All)
    }
}

impl ShelfKey {
    #[inline]
    pub(super) fn new(mode: Mode, topic: Topic, tongue: Tongue) -> Self {
        let (about, interest) = match topic {
            Topic::Open => (About::Open, InterestId(0)),
            Topic::Relaxed => (About::Relaxed, InterestId(0)),
            Topic::Interest(interest) => (About::Interest, interest),
        };
        let (speaks, lang) = match tongue {
            Tongue::All => (Speaks::All, Lang(0)),
            Tongue::Unnamed => (Speaks::Unnamed, Lang(0)),
            Tongue::Relaxed => (Speaks::Relaxed, Lang(0)),
            Tongue::Named(lang) => (Speaks::Named, lang),
        };
        Self { lang, interest, mode, about, speaks }
    }

    /// Whether its people have named an interest in common.
    #[inline]
    pub(super) fn names_interest(self) -> bool {
        self.about == About::Interest
    }

    /// The fixed number of a shelf that is always there.
    #[inline]
    pub(super) fn plain(self) -> Option<u32> {
        let topic = match self.about {
            About::Open => 0,
            About::Relaxed => 2,
            About::Interest => return None,
        };
        let tongue = match self.speaks {
            Speaks::All => 0,
            Speaks::Unnamed => 1,
            Speaks::Relaxed | Speaks::Named => return None,
        };
        Some(4 * self.mode as u32 + topic + tongue)
    }

    /// What is hashed.
    #[inline]
    pub(super) fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.lang.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.interest.0.to_le_bytes());
        bytes[12..15].copy_from_slice(&[self.mode as u8, self.about as u8, self.speaks as u8]);
        bytes
    }
}

/// One of the shelves that somebody stands on: which topic of theirs, and which tongue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Which(pub(super) u32);

impl Which {
    /// Topics; from the last one on, the interests.
    const OPEN: u32 = 0;
    const RELAXED: u32 = 1;
    const INTEREST: u32 = 2;
    /// Tongues; from the last one on, the languages.
    const ALL: u32 = 0;
    const UNNAMED: u32 = 1;
    const OTHERS: u32 = 2;
    const LANG: u32 = 3;

    #[inline]
    fn new(topic: u32, tongue: u32) -> Self {
        Self(topic << 8 | tongue)
    }

    /// What the shelf is for, by the wishes of who stands there.
    #[inline]
    pub(super) fn key(self, mode: Mode, wants: &Wants) -> Option<ShelfKey> {
        let topic = match self.0 >> 8 {
            Self::OPEN => Topic::Open,
            Self::RELAXED => Topic::Relaxed,
            interest => Topic::Interest(*wants.interests().get((interest - Self::INTEREST) as usize)?),
        };
        let tongue = match self.0 & 0xff {
            Self::ALL => Tongue::All,
            Self::UNNAMED => Tongue::Unnamed,
            Self::OTHERS => Tongue::Relaxed,
            lang => Tongue::Named(*wants.langs().get((lang - Self::LANG) as usize)?),
        };
        Some(ShelfKey::new(mode, topic, tongue))
    }
}

/// The shelves that somebody stands on from the first.
#[inline]
pub(super) fn stood_on(strict: bool, wants: &Wants, mut each: impl FnMut(Which)) {
    let (interests, langs) = (wants.interests().len() as u32, wants.langs().len() as u32);
    for interest in 0..interests {
        with_own_tongues(Which::INTEREST + interest, langs, &mut each);
    }
    if interests == 0 && !strict {
        with_own_tongues(Which::OPEN, langs, &mut each);
    }
}

/// The shelves that somebody who is not strict stands on as well after a long wait.
pub(super) fn stood_on_later(wants: &Wants, mut each: impl FnMut(Which)) {
    let (interests, langs) = (wants.interests().len() as u32, wants.langs().len() as u32);
    if interests > 0 {
        with_own_tongues(Which::RELAXED, langs, &mut each);
    }
    if langs > 0 {
        let last = if interests == 0 { Which::OPEN } else { Which::RELAXED };
        let topics = (0..interests).map(|interest| Which::INTEREST + interest).chain([last]);
        topics.for_each(|topic| each(Which::new(topic, Which::OTHERS)));
    }
}

#[inline]
fn with_own_tongues(topic: u32, langs: u32, each: &mut impl FnMut(Which)) {
    each(Which::new(topic, Which::ALL));
    for lang in 0..langs {
        each(Which::new(topic, Which::LANG + lang));
    }
    if langs == 0 {
        each(Which::new(topic, Which::UNNAMED));
    }
}

/// The shelves on which everybody fits somebody by interest and language.
#[inline]
pub(super) fn looked_at(seeker: &Seeker, now: Time, mut each: impl FnMut(ShelfKey)) {
    for &interest in seeker.interests() {
        with_tongues_that_fit(seeker, now, Topic::Interest(interest), &mut each);
    }
    if seeker.open(now) {
        with_tongues_that_fit(seeker, now, Topic::Open, &mut each);
        with_tongues_that_fit(seeker, now, Topic::Relaxed, &mut each);
    }
}

#[inline]
fn with_tongues_that_fit(seeker: &Seeker, now: Time, topic: Topic, each: &mut impl FnMut(ShelfKey)) {
    let langs = seeker.langs();
    let any = if langs.is_empty() { Tongue::All } else { Tongue::Unnamed };
    each(ShelfKey::new(seeker.mode, topic, any));
    for &lang in langs {
        each(ShelfKey::new(seeker.mode, topic, Tongue::Named(lang)));
    }
    if !langs.is_empty() && seeker.relaxed(now) {
        each(ShelfKey::new(seeker.mode, topic, Tongue::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::index::Index;
    use crate::core::interests::Keyed;

    #[test]
    fn keys_are_told_apart_by_everything_that_they_say() {
        let index = Index::new(Keyed(1, 2));
        let topics =
            [Topic::Open, Topic::Relaxed, Topic::Interest(InterestId(0)), Topic::Interest(InterestId(1))];
        let tongues =
            [Tongue::All, Tongue::Unnamed, Tongue::Relaxed, Tongue::Named(Lang(0)), Tongue::Named(Lang(1))];
        let mut hashes = Vec::new();
        for mode in [Mode::Text, Mode::Video] {
            for topic in topics {
                hashes.extend(
                    tongues.map(|tongue| index.hash_bytes(&ShelfKey::new(mode, topic, tongue).bytes())),
                );
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 40);
    }
}
