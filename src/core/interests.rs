//! Step 3 of 6: what people name as their interests and languages.
//!
//! In: strings from FIND. Out: normalised strings, and small numbers for them, so that the waiting room compares
//! numbers. A string lives as long as somebody who waits here names it, and is wiped when the last one is gone.

use std::hash::BuildHasher;

use caseless::default_case_fold_str;
use siphasher::sip::SipHasher13;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroize as _;

use super::index::Index;
use super::pages::Slots;
use crate::limits::{INTEREST_CHARACTERS, LANG_LETTERS};

/// A language's primary subtag, packed: up to 8 lower-case letters, the first in the highest byte used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lang(pub u64);

impl Lang {
    /// A primary subtag of BCP 47 in lower case, else `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let letters =
            (2..=LANG_LETTERS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase());
        letters.then(|| Self(text.bytes().fold(0, |packed, byte| packed << 8 | u64::from(byte))))
    }
}

/// The form in which interests are compared: NFKC, case folding, trimmed. `None` if it is empty, too long or has
/// control characters.
pub fn normalise(text: &str) -> Option<String> {
    let plain = text.is_ascii();
    let folded = if plain { text.to_ascii_lowercase() } else { fold(text) };
    let trimmed = folded.trim();
    let characters = trimmed.chars().count();
    let good = (1..=INTEREST_CHARACTERS).contains(&characters) && !trimmed.chars().any(char::is_control);
    good.then(|| trimmed.to_owned())
}

/// Case folding can undo a normalisation and the other way round; this order is stable (Unicode, section 3.13, D146).
fn fold(text: &str) -> String {
    let composed: String = text.nfkc().collect();
    default_case_fold_str(&composed).nfkc().collect()
}

/// An interest's number on this shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterestId(pub u32);

/// Keyed hashing for tables whose keys clients choose.
#[derive(Clone, Copy, Debug)]
pub struct Keyed(pub u64, pub u64);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

#[derive(derive_more::Debug)]
struct Interned {
    #[debug("{} bytes", text.len())]
    text: Box<str>,
    holders: u32,
}

/// The interests that somebody names at present.
#[derive(Debug)]
pub struct Interner {
    numbers: Index,
    texts: Slots<Interned>,
}

impl Interner {
    /// An empty one; `key` keeps clients from choosing strings that collide.
    pub fn new(key: Keyed) -> Self {
        Self { numbers: Index::new(key), texts: Slots::default() }
    }

    /// The number of a normalised string, held until [`release`](Self::release).
    pub fn hold(&mut self, text: &str) -> InterestId {
        let hash = self.numbers.hash(text);
        let texts = &self.texts;
        let known =
            self.numbers.get(hash, |number| texts.get(number).is_some_and(|known| *known.text == *text));
        if let Some(interned) = known.and_then(|number| self.texts.get_mut(number)) {
            interned.holders += 1;
        }
        let number = known.unwrap_or_else(|| {
            let number = self.texts.insert(Interned { text: text.into(), holders: 1 });
            self.numbers.insert(hash, number);
            number
        });
        InterestId(number)
    }

    /// Gives a number back; the last holder's string is wiped.
    pub fn release(&mut self, id: InterestId) {
        let Some(interned) = self.texts.get_mut(id.0) else { return };
        interned.holders -= 1;
        if interned.holders > 0 {
            return;
        }
        if let Some(Interned { mut text, .. }) = self.texts.remove(id.0) {
            self.numbers.remove(self.numbers.hash(&*text), id.0);
            text.zeroize();
        }
    }

    /// The string of a number that is held.
    pub fn text(&self, id: InterestId) -> &str {
        self.texts.get(id.0).map_or("", |interned| &interned.text)
    }

    /// Strings held.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether no string is held.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interests_compare_by_meaning_of_their_characters() {
        let same = |a: &str, b: &str| assert_eq!(normalise(a), normalise(b), "{a} and {b}");
        same("Music", " music ");
        same("STRASSE", "straße");
        same("e\u{301}cole", "École");
        same("ｊａｚｚ", "Jazz");
        for wrong in ["", "   ", "a\u{7}b", "a\nb", &"x".repeat(33), "\u{85}a\u{85}b"] {
            assert_eq!(normalise(wrong), None, "{wrong:?}");
        }
        assert!(normalise(&"é".repeat(32)).is_some());
    }

    #[test]
    fn langs_are_primary_subtags() {
        assert!(Lang::parse("en").is_some() && Lang::parse("gsw") < Lang::parse("zzzz"));
        for wrong in ["", "e", "EN", "en-gb", "abcdefghi", "é"] {
            assert_eq!(Lang::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_string_goes_with_its_last_holder() {
        let mut interner = Interner::new(Keyed(1, 2));
        let music = interner.hold("music");
        assert_eq!(interner.hold("music"), music);
        assert_ne!(interner.hold("film"), music);
        interner.release(music);
        assert_eq!(interner.text(music), "music");
        interner.release(music);
        assert_eq!((interner.text(music), interner.len()), ("", 1));
    }
}
