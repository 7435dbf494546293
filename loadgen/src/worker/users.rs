//! The table of a thread's users, and which of them are idle, in a chat, or looking.

use super::user::{State, User};
use crate::net::SessionId;
use crate::time::Nanos;

/// The users of one thread.
#[derive(Default)]
pub struct Users {
    slots: Vec<Option<User>>,
    idle: Vec<SessionId>,
    open: u64,
    in_chat: u64,
    looking: u64,
}

impl Users {
    /// Adds a user.
    pub fn insert(&mut self, session: SessionId, user: User) {
        if self.slots.len() <= session.index() {
            self.slots.resize_with(session.index() + 1, || None);
        }
        self.slots[session.index()] = Some(user);
    }

    /// A user.
    pub fn get(&self, session: SessionId) -> Option<&User> {
        self.slots.get(session.index())?.as_ref().filter(|user| user.session == session)
    }

    /// A user, to be changed.
    pub fn get_mut(&mut self, session: SessionId) -> Option<&mut User> {
        self.slots.get_mut(session.index())?.as_mut().filter(|user| user.session == session)
    }

    /// Idle users.
    pub fn idle(&self) -> &[SessionId] {
        &self.idle
    }

    /// Users whose session is open.
    pub fn open(&self) -> u64 {
        self.open
    }

    /// Users in a chat.
    pub fn in_chat(&self) -> u64 {
        self.in_chat
    }

    /// Users who are looking for a stranger.
    pub fn looking(&self) -> u64 {
        self.looking
    }

    /// All sessions.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.slots.iter().flatten().map(|user| user.session)
    }

    /// Since when those who are looking do so, as it was meant.
    pub fn looking_since(&self) -> impl Iterator<Item = Nanos> + '_ {
        let all = self.slots.iter().flatten();
        all.filter(|user| user.state == State::Looking).map(|user| user.intended)
    }

    /// Moves a user on.
    pub fn set_state(&mut self, session: SessionId, state: State) {
        let place = self.idle.len() as u32;
        let Some(user) = self.get_mut(session) else { return };
        let before = std::mem::replace(&mut user.state, state);
        user.epoch = user.epoch.wrapping_add(1);
        let old_place = user.idle_place;
        if state == State::Idle {
            user.idle_place = place;
        }
        self.open += u64::from(before == State::Opening);
        let now = |which| u64::from(state == which);
        let then = |which| u64::from(before == which);
        self.in_chat = self.in_chat + now(State::InChat) - then(State::InChat);
        self.looking = self.looking + now(State::Looking) - then(State::Looking);
        if before == State::Idle && state != State::Idle {
            self.leave_idle(old_place);
        } else if before != State::Idle && state == State::Idle {
            self.idle.push(session);
        }
    }

    fn leave_idle(&mut self, place: u32) {
        self.idle.swap_remove(place as usize);
        if let Some(moved) = self.idle.get(place as usize).copied()
            && let Some(user) = self.get_mut(moved)
        {
            user.idle_place = place;
        }
    }

    /// Takes a user out.
    pub fn remove(&mut self, session: SessionId) -> Option<User> {
        self.get(session)?;
        let user = self.slots[session.index()].take()?;
        self.open -= u64::from(user.state != State::Opening);
        self.in_chat -= u64::from(user.state == State::InChat);
        self.looking -= u64::from(user.state == State::Looking);
        if user.state == State::Idle {
            self.leave_idle(user.idle_place);
        }
        Some(user)
    }
}
