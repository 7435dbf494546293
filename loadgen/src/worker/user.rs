//! A virtual user: where its session stands in the AnonCam protocol, and what each frame changes.
//!
//! In: the session's events, and what a scenario asks for. Out: frames, measurements, and [`Did`]s for the scenario.

use bytes::Bytes;

use super::Worker;
use super::message::{self, Ended, Matched, Notice, Stamp, Why};
use super::moving::{self, Wish};
use super::pairs::End;
use crate::net::{Gone, NetEvent, SessionId, What};
use crate::scenario::Scenario;
use crate::stats::recorder::{Count, Metric};
use crate::time::{Nanos, now};
use crate::wt::frame;
use crate::wt::session::End as SessionEnd;

/// Where a user stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Connecting, or waiting for WELCOME.
    Opening,
    /// Connected, neither in a chat nor looking for one.
    Idle,
    /// FIND was sent.
    Looking,
    /// MATCHED arrived.
    InChat,
}

/// One virtual user.
pub struct User {
    /// Its session.
    pub session: SessionId,
    /// Whether the schedule asked for it; others were opened beforehand.
    pub arrived: bool,
    /// Where it stands.
    pub state: State,
    /// When its present wish (to be open, to find someone) was meant to be sent, and when it was.
    pub(super) intended: Nanos,
    sent: Nanos,
    /// Counts FINDs.
    n: u32,
    /// The chat, while in one.
    pub chat: u32,
    /// Its role in the chat.
    pub offerer: bool,
    /// Whether it looked for video.
    pub video: bool,
    /// What the present wish is timed as: FIND, or "next".
    wish: Metric,
    /// Grows with every change of state, which voids the timers set before.
    pub epoch: u32,
    /// When MATCHED arrived.
    pub matched: Nanos,
    /// What the scenario counts.
    pub progress: u32,
    /// The server goes away: for how long it has promised to let chats go on.
    pub(super) leaves_within: Option<Nanos>,
    /// What it looks for as soon as it is open, from a session before this one.
    pub(super) looks_for: Option<Wish>,
    /// Place in the list of idle users, while idle.
    pub(super) idle_place: u32,
}

impl User {
    /// A user whose connection has just been started.
    pub fn new(session: SessionId, arrived: bool, intended: Nanos, sent: Nanos) -> Self {
        Self {
            session,
            arrived,
            state: State::Opening,
            intended,
            sent,
            n: 0,
            chat: 0,
            offerer: false,
            video: false,
            wish: Metric::Find,
            epoch: 0,
            matched: 0,
            progress: 0,
            leaves_within: None,
            looks_for: None,
            idle_place: 0,
        }
    }
}

impl User {
    /// Its chat, if it is in one.
    pub(super) fn chat(&self) -> Option<u32> {
        (self.state == State::InChat).then_some(self.chat)
    }

    /// What it looks for.
    pub(super) fn wish(&self) -> Wish {
        Wish { intended: self.intended, metric: self.wish, video: self.video }
    }
}

/// What a scenario is told about a user.
#[derive(Debug)]
pub enum Did {
    /// WELCOME arrived.
    Ready,
    /// MATCHED arrived.
    Matched,
    /// The stranger ended the chat, or the server refused to look for one.
    Ended,
    /// A relayed frame arrived.
    Frame(Stamp),
    /// The session ended, wished or not. The user is no more.
    Gone,
}

/// Sends FIND for a user that is idle, or "next" for one in a chat. `intended` is when it was meant to be sent.
pub fn find(worker: &mut Worker, session: SessionId, intended: Nanos, video: bool) {
    look(worker, session, (intended, now()), video);
}

/// Sends FIND for a user that has just connected in order to find somebody: its wish counts from when it was to connect.
pub fn find_on_arrival(worker: &mut Worker, session: SessionId, video: bool) {
    let Some(user) = worker.users.get(session) else { return };
    let since = (user.intended, user.sent);
    look(worker, session, since, video);
}

fn look(worker: &mut Worker, session: SessionId, (intended, sent): (Nanos, Nanos), video: bool) {
    let Some(user) = worker.users.get_mut(session) else { return };
    user.n += 1;
    user.intended = intended;
    user.sent = sent;
    user.wish = if user.state == State::InChat { Metric::Next } else { Metric::Find };
    user.video = video;
    if user.leaves_within.is_some() {
        let wish = user.wish();
        return moving::go_on_looking_elsewhere(worker, session, Some(wish));
    }
    let (n, left) = (user.n, user.chat());
    forget(worker, left);
    let frame = message::find(n, video, &worker.settings.interests);
    worker.users.set_state(session, State::Looking);
    worker.net.send(session, frame);
}

/// Sends the FIND of a session before this one. Its wish is as old as it was.
fn look_again(worker: &mut Worker, session: SessionId, wish: Wish) {
    look(worker, session, (wish.intended, now()), wish.video);
    if let Some(user) = worker.users.get_mut(session) {
        user.wish = wish.metric;
    }
}

/// A chat is over, if there was one: it is not to be taken for a later one of the same number.
pub(super) fn forget(worker: &mut Worker, chat: Option<u32>) {
    if chat.is_some_and(|chat| worker.shared.pairs.forget(chat)) {
        worker.recorder.count(Count::Foreign, 1);
    }
}

/// Leaves the chat or the queue.
pub fn leave(worker: &mut Worker, session: SessionId) {
    let Some(user) = worker.users.get(session) else { return };
    if matches!(user.state, State::InChat | State::Looking) {
        forget(worker, user.chat());
        worker.net.send(session, message::leave());
        worker.users.set_state(session, State::Idle);
        if moving::has_to_go(worker, session) {
            moving::go_on_elsewhere(worker, session);
        }
    }
}

/// Sends a stamped frame in the user's chat.
pub fn send(
    worker: &mut Worker,
    session: SessionId,
    frame_type: u8,
    kind: u8,
    size: usize,
    intended: Nanos,
) -> bool {
    let Some(user) = worker.users.get(session).filter(|user| user.state == State::InChat) else {
        return false;
    };
    let stamp = Stamp { chat: user.chat, run: worker.shared.run, kind, intended, sent: now() };
    worker.recorder.scheduled(Count::FramesSent, intended);
    worker.net.send(session, stamp.encode(frame_type, size));
    true
}

/// Closes a user's session.
pub fn close(worker: &mut Worker, session: SessionId) {
    if let Some(user) = worker.users.remove(session) {
        forget(worker, user.chat());
        worker.recorder.count(Count::Closed, 1);
        worker.net.close(session, 0);
    }
}

/// A session had to be open by now.
pub fn open_deadline(worker: &mut Worker, scenario: &mut dyn Scenario, session: SessionId) {
    if worker.users.get(session).is_some_and(|user| user.state == State::Opening) {
        worker.net.close(session, 0);
        gone(worker, scenario, session, "no WELCOME within --timeout");
    }
}

/// Takes one event of the thread's connections.
pub fn handle(worker: &mut Worker, scenario: &mut dyn Scenario, event: NetEvent) {
    let NetEvent { session, at, what } = event;
    let Some(user) = worker.users.get(session) else { return };
    match what {
        What::Handshaken => worker.recorder.latency(Metric::Handshake, user.intended, user.sent, at),
        What::Open => worker.net.send(session, message::hello(worker.settings.protocol_version)),
        What::Frame(frame_type, payload) => handle_frame(worker, scenario, session, at, frame_type, &payload),
        What::Gone(why) if moving::is_moving(user, &why) => moving::go_on_elsewhere(worker, session),
        What::Gone(why) => gone(worker, scenario, session, &in_words(&why)),
    }
}

fn handle_frame(
    worker: &mut Worker,
    scenario: &mut dyn Scenario,
    session: SessionId,
    at: Nanos,
    frame_type: u8,
    payload: &Bytes,
) {
    match frame_type {
        frame::SIGNAL | frame::TEXT => relayed(worker, scenario, session, at, frame_type, payload),
        frame::MATCHED => matched(worker, scenario, session, at, payload),
        frame::ENDED => {
            let ended = serde_json::from_slice::<Ended>(payload).ok();
            worker.recorder.count(Count::Ended, 1);
            let Some(user) = worker.users.get(session) else { return };
            let Some(ended) = ended.filter(|ended| Some(ended.chat) == user.chat()) else { return };
            forget(worker, user.chat());
            if ended.why == Why::Draining {
                moving::cut_short(worker, session, at);
            }
            worker.users.set_state(session, State::Idle);
            scenario.did(worker, session, Did::Ended);
            if worker.users.get(session).is_some_and(|user| user.state == State::Idle)
                && moving::has_to_go(worker, session)
            {
                moving::go_on_elsewhere(worker, session);
            }
        }
        frame::WELCOME => {
            let Some(user) = worker.users.get(session).filter(|user| user.state == State::Opening) else {
                return;
            };
            worker.recorder.latency(Metric::Open, user.intended, user.sent, at);
            worker.recorder.scheduled(Count::Opened, user.intended);
            let looks_for = user.looks_for;
            worker.users.set_state(session, State::Idle);
            worker.decided();
            match looks_for {
                None => scenario.did(worker, session, Did::Ready),
                Some(wish) => look_again(worker, session, wish),
            }
        }
        frame::DRAIN => moving::drained(worker, session, payload),
        frame::WAITING => worker.recorder.count(Count::Waiting, 1),
        frame::NOTICE => {
            worker.recorder.count(Count::Notices, 1);
            let code =
                serde_json::from_slice::<Notice>(payload).map_or("unreadable".into(), |notice| notice.code);
            worker.recorder.failure(&format!("NOTICE {code}"));
            // It refuses one thing: of somebody who is looking, that.
            if worker.users.get(session).is_some_and(|user| user.state == State::Looking) {
                worker.users.set_state(session, State::Idle);
                scenario.did(worker, session, Did::Ended);
            }
        }
        // A client ignores unknown server types (docs/PROTOCOL.md section 2).
        _ => {}
    }
}

fn matched(worker: &mut Worker, scenario: &mut dyn Scenario, session: SessionId, at: Nanos, payload: &Bytes) {
    let Ok(matched) = serde_json::from_slice::<Matched<'_>>(payload) else {
        worker.recorder.failure("a MATCHED that is not the protocol's JSON");
        return;
    };
    let Some(user) = worker.users.get_mut(session) else { return };
    if user.state != State::Looking || matched.n != user.n {
        return;
    }
    user.chat = matched.chat;
    user.offerer = matched.role == "offerer";
    user.matched = at;
    user.progress = 0;
    let own = End { intended: user.intended, sent: user.sent, matched: at };
    let wish = user.wish;
    worker.users.set_state(session, State::InChat);
    worker.recorder.scheduled(Count::Matched, own.intended);
    worker.recorder.latency(wish, own.intended, own.sent, at);
    if let Some(other) = worker.shared.pairs.meet(matched.chat, own) {
        let intended = own.intended.max(other.intended);
        let sent = own.sent.max(other.sent);
        worker.recorder.latency(Metric::Pair, intended, sent, own.matched);
        worker.recorder.latency(Metric::Pair, intended, sent, other.matched);
        let waited = intended - own.intended.min(other.intended);
        worker.recorder.latency(Metric::PairWait, intended, intended, intended + waited);
    }
    scenario.did(worker, session, Did::Matched);
}

fn relayed(
    worker: &mut Worker,
    scenario: &mut dyn Scenario,
    session: SessionId,
    at: Nanos,
    frame_type: u8,
    payload: &Bytes,
) {
    let Some(stamp) = Stamp::decode(payload) else { return };
    let Some(user) = worker.users.get(session) else { return };
    if user.state != State::InChat || user.chat != stamp.chat {
        return;
    }
    if stamp.run != worker.shared.run {
        // From another process, whose clock is not ours: send it back as it came, marked as answered.
        if stamp.kind != Stamp::ECHO {
            let echo = Stamp { kind: Stamp::ECHO, ..stamp };
            worker.net.send(session, echo.encode(frame_type, payload.len()));
        }
        scenario.did(worker, session, Did::Frame(stamp));
        return;
    }
    let metric = if stamp.kind == Stamp::ECHO { Metric::RoundTrip } else { Metric::Relay };
    worker.recorder.latency(metric, stamp.intended, stamp.sent, at);
    worker.recorder.scheduled(Count::FramesReceived, stamp.intended);
    worker.recorder.count(Count::BytesReceived, payload.len() as u64);
    if stamp.kind != Stamp::ECHO {
        scenario.did(worker, session, Did::Frame(stamp));
    }
}

fn gone(worker: &mut Worker, scenario: &mut dyn Scenario, session: SessionId, why: &str) {
    let Some(user) = worker.users.remove(session) else { return };
    forget(worker, user.chat());
    if user.state == State::Opening {
        worker.decided();
        worker.recorder.count(Count::OpenFailed, 1);
    } else {
        worker.recorder.count(Count::Lost, 1);
    }
    worker.recorder.failure(why);
    scenario.did(worker, session, Did::Gone);
}

/// Few words, the same for all endings alike, so that a report can count them.
fn in_words(gone: &Gone) -> String {
    match gone {
        Gone::Connection(why) => why.clone(),
        Gone::Session(SessionEnd::Status(403)) => "HTTP 403: the server does not allow this Origin".into(),
        Gone::Session(SessionEnd::Status(404)) => "HTTP 404: no WebTransport at this path".into(),
        Gone::Session(SessionEnd::Status(status)) => format!("HTTP {status}"),
        Gone::Session(SessionEnd::Closed(code, reason)) => {
            let name = match code {
                0 => "done",
                1 => "protocol error",
                2 => "frame too large",
                3 => "too many requests",
                4 => "banned",
                5 => "draining",
                6 => "idle",
                7 => "internal",
                8 => "full",
                _ => "unknown code",
            };
            // JSON reasons carry times and challenges that differ from one to the next.
            let plain = match reason.as_str() {
                json if json.starts_with('{') && json.contains("\"work\"") => {
                    "(it asks for proof of work: come more slowly, --open-rate, or raise its limit)"
                }
                json if json.starts_with('{') => "",
                plain => plain,
            };
            format!("closed by the server: {code} {name} {plain}").trim_end().to_string()
        }
        Gone::Session(SessionEnd::Protocol(what)) => format!("not the protocol: {what}"),
        Gone::Session(SessionEnd::Stuck) => "the server stopped reading (256 KiB waiting)".into(),
    }
}
