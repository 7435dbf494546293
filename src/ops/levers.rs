//! What an operator sets while the server runs: modes that are paused, and a message to everybody.
//!
//! In: orders of the control socket. Out: what shards look at once a turn and the site at each request. Nothing of it is written
//! down, so a restart forgets it.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::core::pause::Paused;
use crate::limits::MESSAGE_CHARACTERS;

/// What can be paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Pausable {
    /// New text chats
    Text,
    /// New video chats
    Video,
    /// Newcomers: who is there stays, and may come back after a lost connection
    New,
}

impl Pausable {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 3] = [Self::Text, Self::Video, Self::New];

    /// The word for it, in orders and in client-config.json.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Video => "video",
            Self::New => "new",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The levers of a running server.
#[derive(Debug, Default)]
pub struct Levers {
    /// The [`Pausable::bit`]s of what is paused.
    paused: AtomicU8,
    message: Mutex<Option<Arc<str>>>,
}

impl Levers {
    /// Pauses these, too.
    pub fn pause(&self, what: &[Pausable]) {
        self.paused.fetch_or(bits(what), Relaxed);
    }

    /// Pauses these no longer.
    pub fn resume(&self, what: &[Pausable]) {
        self.paused.fetch_and(!bits(what), Relaxed);
    }

    /// Whether it is paused.
    pub fn is_paused(&self, what: Pausable) -> bool {
        self.paused.load(Relaxed) & what.bit() != 0
    }

    /// The words of what is paused.
    pub fn paused_names(&self) -> Vec<&'static str> {
        Pausable::ALL.into_iter().filter(|what| self.is_paused(*what)).map(Pausable::name).collect()
    }

    /// What is paused, as a shard takes it.
    pub fn paused(&self) -> Paused {
        let bits = self.paused.load(Relaxed);
        let is = |what: Pausable| bits & what.bit() != 0;
        Paused { text: is(Pausable::Text), video: is(Pausable::Video), new: is(Pausable::New) }
    }

    /// The message to everybody.
    pub fn message(&self) -> Option<Arc<str>> {
        self.message.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows a message to everybody; an empty one takes it away. Refused, in words, if it is not one line of plain text.
    pub fn set_message(&self, text: &str) -> Result<(), String> {
        let text = text.trim();
        let characters = text.chars().count();
        if characters > MESSAGE_CHARACTERS {
            return Err(format!("{characters} characters, allowed are {MESSAGE_CHARACTERS}"));
        }
        if text.chars().any(char::is_control) {
            return Err("a message is one line without control characters".to_owned());
        }
        let message = (!text.is_empty()).then(|| Arc::from(text));
        *self.message.lock().unwrap_or_else(PoisonError::into_inner) = message;
        Ok(())
    }
}

fn bits(what: &[Pausable]) -> u8 {
    what.iter().fold(0, |bits, what| bits | what.bit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pausing_one_thing_leaves_the_others() {
        let levers = Levers::default();
        assert_eq!(levers.paused(), Paused::default());
        levers.pause(&[Pausable::Video, Pausable::New]);
        levers.pause(&[Pausable::Video]);
        assert_eq!(levers.paused(), Paused { text: false, video: true, new: true });
        levers.resume(&[Pausable::New, Pausable::Text]);
        assert_eq!(levers.paused_names(), ["video"]);
    }

    #[test]
    fn a_message_is_one_bounded_line_and_can_be_taken_away() {
        let levers = Levers::default();
        levers.set_message("  Back at 10 <b>UTC</b>  ").expect("plain text");
        assert_eq!(levers.message().as_deref(), Some("Back at 10 <b>UTC</b>"));
        for wrong in ["two\nlines", "\u{1b}[31mred", &"ä".repeat(MESSAGE_CHARACTERS + 1)] {
            assert!(levers.set_message(wrong).is_err(), "{wrong:?}");
        }
        assert!(levers.message().is_some(), "what was refused changes nothing");
        levers.set_message("").expect("nothing");
        assert_eq!(levers.message(), None);
    }
}
