//! Steps 2 to 6: the core behind a mutex, and a queue for each connection's task.
//!
//! In: frames and the passing of time. Out: bytes for the tasks, which are woken. A frame for somebody else is pushed to
//! their queue as slices, without a copy, as in the server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use anoncam::core::frame::{Frame, FrameDecoder};
use anoncam::core::io::{CloseCode, FrameBytes, LinkId, Output, Relayed, ShardId, Time};
use anoncam::core::shard::{Shard, ShardConfig};
use bytes::Bytes;
use slab::Slab;
use tokio::sync::Notify;

/// The one core of the process.
pub struct Hub {
    state: Mutex<State>,
    started: Instant,
    /// The next deadline has moved closer.
    sooner: Notify,
}

struct State {
    core: Shard,
    seats: Slab<Seat>,
    /// The seat of each of the core's links.
    by_link: Vec<usize>,
    /// The deadline that the timer task sleeps for.
    armed: Option<Time>,
}

/// What the core has for one connection's task.
#[derive(Default)]
struct Seat {
    /// `None` once either side has closed.
    link: Option<LinkId>,
    out: VecDeque<Outgoing>,
    closed: Option<(CloseCode, Bytes)>,
    held: bool,
    task: Option<Waker>,
}

/// Bytes for a channel.
#[derive(Default)]
pub struct Outgoing {
    /// What is left to write.
    pub bytes: Bytes,
    /// Relayed bytes among them, of which the core is told when they have left.
    pub relayed: usize,
}

/// What a connection's task may do when it has nothing (more) to write.
pub enum Wait {
    /// Close the session.
    Closed(CloseCode, Bytes),
    /// Read.
    Read,
    /// Neither: back-pressure.
    Held,
}

impl Hub {
    /// An empty core.
    pub fn new(seed: [u8; 32]) -> Self {
        let config = ShardConfig {
            id: ShardId(0),
            shards: 1,
            max_sessions: 1_000_000,
            limit_rates: false,
            ..ShardConfig::default()
        };
        let core = Shard::new(config, seed, Time(0));
        let state = State { core, seats: Slab::new(), by_link: Vec::new(), armed: None };
        Self { state: Mutex::new(state), started: Instant::now(), sooner: Notify::new() }
    }

    fn now(&self) -> Time {
        Time(self.started.elapsed().as_micros() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies what the core has decided, and sees to it that its next deadline is kept.
    fn apply(&self, state: &mut State) {
        while let Some(output) = state.core.poll_output() {
            match output {
                Output::Send { link, frame } => {
                    state.push(link, frame.into(), false);
                }
                Output::Close { link, code, reason } => state.with_seat(link, |seat| {
                    seat.link = None;
                    seat.closed = Some((code, reason));
                }),
                Output::Read { link, on } => state.with_seat(link, |seat| seat.held = !on),
                // One shard has nobody to tell; probes are left to quinn's keep-alive, and nobody keeps account of reports.
                Output::Bus { .. }
                | Output::InChat { .. }
                | Output::Accused(_)
                | Output::CaseClosed { .. } => {}
            }
        }
        let next = state.core.poll_timeout();
        if next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed)) {
            state.armed = next;
            self.sooner.notify_one();
        }
    }

    /// A session was accepted. It is over when the [`Place`] is dropped.
    pub fn open(self: &Arc<Self>) -> Place {
        let mut state = self.lock();
        let link = state.core.handle_open(self.now());
        let seat = state.seats.insert(Seat { link: Some(link), ..Seat::default() });
        let index = link.0 as usize;
        if state.by_link.len() <= index {
            state.by_link.resize(index + 1, usize::MAX);
        }
        state.by_link[index] = seat;
        self.apply(&mut state);
        Place { hub: Arc::clone(self), seat }
    }

    /// Lets the core act when its time has come. Never returns.
    pub async fn run_timers(&self) {
        loop {
            let wait = {
                let mut state = self.lock();
                if state.core.poll_timeout().is_some_and(|at| at <= self.now()) {
                    state.core.handle_timeout(self.now());
                    self.apply(&mut state);
                }
                state.armed = state.core.poll_timeout();
                state.armed.map_or(u64::MAX, |at| at.0.saturating_sub(self.now().0))
            };
            tokio::select! {
                () = tokio::time::sleep(Duration::from_micros(wait.min(60_000_000))) => {}
                () = self.sooner.notified() => {}
            }
        }
    }
}

impl State {
    fn with_seat(&mut self, link: LinkId, act: impl FnOnce(&mut Seat)) {
        let seat = self.by_link.get(link.0 as usize).and_then(|&seat| self.seats.get_mut(seat));
        if let Some(seat) = seat.filter(|seat| seat.link == Some(link)) {
            act(seat);
            if let Some(task) = seat.task.take() {
                task.wake();
            }
        }
    }

    fn push(&mut self, to: LinkId, frame: FrameBytes, relayed: bool) {
        self.with_seat(to, |seat| {
            for bytes in std::iter::once(frame.first).chain(frame.rest) {
                let relayed = if relayed { bytes.len() } else { 0 };
                seat.out.push_back(Outgoing { bytes, relayed });
            }
        });
    }
}

/// One connection's place in the core.
pub struct Place {
    hub: Arc<Hub>,
    seat: usize,
}

impl Place {
    /// What to write next.
    pub fn next_outgoing(&self) -> Option<Outgoing> {
        self.hub.lock().seats[self.seat].out.pop_front()
    }

    /// What to wait for. The task is woken when that has changed.
    pub fn wait(&self, cx: &Context<'_>) -> Wait {
        let mut state = self.hub.lock();
        let seat = &mut state.seats[self.seat];
        if let Some((code, reason)) = seat.closed.take() {
            return Wait::Closed(code, reason);
        }
        if !seat.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            seat.task = Some(cx.waker().clone());
        }
        if seat.link.is_some() && !seat.held { Wait::Read } else { Wait::Held }
    }

    /// Hands the next complete frame to the core. Returns whether there may be more.
    pub fn handle_frame(&self, decoder: &mut FrameDecoder) -> bool {
        let frame = decoder.next();
        let mut state = self.hub.lock();
        let state = &mut *state;
        let Some(link) = state.seats[self.seat].link else { return false };
        let now = self.hub.now();
        match frame {
            Ok(None) => return false,
            Ok(Some(Frame::Control { kind, payload })) => {
                state.core.handle_control(now, link, kind, &payload);
            }
            Ok(Some(Frame::Relay(frame))) => {
                let relayed = state.core.handle_relay(now, link, frame);
                self.hub.apply(state);
                if let Relayed::Here { to, frame } = relayed {
                    state.push(to, frame, true);
                }
                return true;
            }
            Err(fault) => state.core.handle_fault(now, link, fault),
        }
        self.hub.apply(state);
        true
    }

    /// This many relayed bytes have left.
    pub fn flushed(&self, bytes: usize) {
        let mut state = self.hub.lock();
        if let Some(link) = state.seats[self.seat].link {
            state.core.handle_flushed(self.hub.now(), link, bytes);
            self.hub.apply(&mut state);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        let seat = state.seats.remove(self.seat);
        if let Some(link) = seat.link {
            state.core.handle_closed(self.hub.now(), link);
            self.hub.apply(&mut state);
        }
    }
}
