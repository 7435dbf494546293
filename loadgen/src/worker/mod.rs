//! One load thread: its connections, its virtual users, its timers, and the scenario that moves them.
//!
//! In: settings and the moment to start. Out: [`Sample`]s, one an interval.
//! The loop's order, every turn: receive, expire QUIC deadlines, tell the scenario what happened, open sessions that
//! are still missing, start what the schedule is due, report, sleep. Nothing in it blocks but the sleep.

pub mod message;
mod moving;
pub mod pairs;
pub mod timers;
pub mod user;
pub mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use crate::net::{Net, SessionId, Traffic};
use crate::rng::Rng;
use crate::scenario::{Arrival, Scenario};
use crate::schedule::Schedule;
use crate::settings::Settings;
use crate::stats::recorder::{Count, Metric, Recorder, Sample};
use crate::time::{MILLISECOND, Nanos, now};
use moving::Wish;
use pairs::Pairs;
use timers::{Timer, Timers};
use user::User;
use users::Users;

/// How often a thread looks for orders while it has nothing else to do.
const ORDERS_NS: Nanos = 5 * MILLISECOND;
/// How often a thread reports.
const REPORT_NS: Nanos = 200 * MILLISECOND;
/// Sessions closed between two turns of the loop at the end of a run.
const CLOSE_BATCH: usize = 256;

/// What all threads of a run share.
#[derive(Default)]
pub struct Shared {
    /// Sessions that the whole run is to have attempted by now; raised stage by stage.
    pub target: AtomicU64,
    /// When the schedule starts; 0 while sessions are still being opened.
    pub start: AtomicU64,
    /// The run is over.
    pub stop: AtomicBool,
    /// Chats of this process.
    pub pairs: Pairs,
    /// Marks this process's frames.
    pub run: u32,
}

/// What a thread tells the run.
pub struct Report {
    /// The thread.
    pub thread: usize,
    /// Whether the schedule had started when the sample was taken.
    pub measuring: bool,
    /// What was seen since the last report.
    pub sample: Sample,
    /// Sessions that are open now.
    pub open: u64,
    /// Of these, sessions in a chat.
    pub in_chat: u64,
    /// Of these, sessions that look for a stranger.
    pub looking: u64,
    /// Sessions attempted so far, and of these those not decided yet.
    pub attempted: (u64, u64),
    /// The schedule has started and was acted on to its end.
    pub finished: bool,
    /// What passed through its sockets so far.
    pub traffic: Traffic,
}

/// One load thread.
pub struct Worker {
    /// Its connections.
    pub net: Box<dyn Net>,
    /// Its users.
    pub users: Users,
    /// Its measurements.
    pub recorder: Recorder,
    /// Its dice.
    pub rng: Rng,
    /// The run's settings.
    pub settings: Arc<Settings>,
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    timers: Timers,
    thread: usize,
    schedule: Option<std::iter::Enumerate<Schedule>>,
    next_arrival: Option<Nanos>,
    start: Nanos,
    attempted: u64,
    /// When the next session may be opened beforehand.
    next_open: Nanos,
    undecided: u64,
    busy: Nanos,
    woke: Nanos,
    last_report: Nanos,
}

impl Worker {
    /// A thread that has opened nothing yet.
    pub fn new(thread: usize, net: Box<dyn Net>, settings: Arc<Settings>, shared: Arc<Shared>) -> Self {
        Self {
            net,
            users: Users::default(),
            recorder: Recorder::default(),
            rng: Rng::new(settings.seed, 1 + thread as u64),
            settings,
            shared,
            timers: Timers::default(),
            thread,
            schedule: None,
            next_arrival: None,
            start: 0,
            attempted: 0,
            next_open: 0,
            undecided: 0,
            busy: 0,
            woke: now(),
            last_report: now(),
        }
    }

    /// Runs until the run is over, then closes what is open.
    pub fn run(mut self, mut scenario: Box<dyn Scenario>, reports: &Sender<Report>) -> Result<(), String> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            if let Some(lag) = self.net.receive().map_err(|error| format!("the socket failed: {error}"))? {
                self.recorder.latency(Metric::ReceiveLag, self.woke, self.woke, self.woke + lag);
            }
            self.net.expire();
            self.net.drive();
            while let Some(event) = self.net.next_event() {
                user::handle(&mut self, scenario.as_mut(), event);
            }
            self.open_missing();
            self.begin(scenario.as_mut());
            self.run_due(scenario.as_mut());
            self.net.drive();
            self.report(reports);
            self.sleep();
        }
        for intended in self.users.looking_since() {
            self.recorder.scheduled(Count::Unanswered, intended);
        }
        self.last_report = 0;
        self.report(reports);
        self.close_all();
        Ok(())
    }

    /// Its number.
    pub fn thread(&self) -> usize {
        self.thread
    }

    /// Sets a timer; the scenario is called with `kind` unless the user has moved on by then.
    pub fn after(&mut self, session: SessionId, span: Nanos, kind: u8) {
        let epoch = self.users.get(session).map_or(0, |user| user.epoch);
        self.timers.add(now() + span, Timer::User { session, kind, epoch });
    }

    /// Starts a session; it is ready, or failed, later. `arrived` tells one that the schedule asked for from those that
    /// are opened beforehand.
    pub fn open(&mut self, intended: Nanos, arrived: bool) {
        let at = now();
        self.connect(|session| User::new(session, arrived, intended, at));
    }

    /// Starts a session for a user whose server goes away; it looks for this as soon as it is ready.
    pub fn open_again(&mut self, looks_for: Option<Wish>) {
        let at = now();
        self.connect(|session| {
            let mut user = User::new(session, false, at, at);
            user.looks_for = looks_for;
            user
        });
    }

    fn connect(&mut self, user: impl FnOnce(SessionId) -> User) {
        match self.net.open() {
            Ok(session) => {
                self.undecided += 1;
                self.users.insert(session, user(session));
                self.timers.add(now() + self.settings.timeout_ns, Timer::OpenDeadline { session });
            }
            Err(error) => {
                self.recorder.count(Count::OpenFailed, 1);
                self.recorder.failure(&error);
            }
        }
    }

    /// A session that was being opened is open, or failed.
    pub fn decided(&mut self) {
        self.undecided = self.undecided.saturating_sub(1);
    }

    /// Opens sessions up to this thread's share of the target, a few at a time.
    fn open_missing(&mut self) {
        let share = share_of(self.shared.target.load(Ordering::Relaxed), self.thread, self.settings.threads);
        let in_flight = share_of(self.settings.in_flight, self.thread, self.settings.threads).max(1);
        let pause = self.settings.open_every_ns * self.settings.threads as Nanos;
        while self.attempted < share && self.undecided < in_flight && self.next_open <= now() {
            // What was missed for a while is not made up for in a burst.
            self.next_open = self.next_open.max(now().saturating_sub(ORDERS_NS)) + pause;
            self.attempted += 1;
            self.open(now(), false);
        }
    }

    /// Starts the schedule when the order comes.
    fn begin(&mut self, scenario: &mut dyn Scenario) {
        let start = self.shared.start.load(Ordering::Acquire);
        if start == 0 || self.start != 0 {
            return;
        }
        self.start = start;
        // What was seen so far belongs to the opening.
        let settings = &self.settings;
        self.recorder.set_window(start + settings.warmup_ns..start + settings.scheduled_ns());
        self.schedule = self.settings.schedule().map(Iterator::enumerate);
        self.advance();
        scenario.begin(self, start);
    }

    /// Moves to this thread's next arrival: every `threads`-th of the schedule.
    fn advance(&mut self) {
        let (thread, threads) = (self.thread, self.settings.threads);
        let next = self.schedule.as_mut().and_then(|s| s.find(|(index, _)| index % threads == thread));
        self.next_arrival = next.map(|(_, offset)| self.start + offset);
    }

    fn run_due(&mut self, scenario: &mut dyn Scenario) {
        while let Some(intended) = self.next_arrival.filter(|intended| *intended <= now()) {
            let at = now();
            self.recorder.latency(Metric::Lag, intended, intended, at);
            self.recorder.scheduled(Count::Planned, intended);
            match scenario.arrival(self, intended) {
                Arrival::Started => self.recorder.scheduled(Count::Started, intended),
                Arrival::Dropped => self.recorder.scheduled(Count::Dropped, intended),
                Arrival::Waiting => {}
            }
            self.advance();
        }
        while let Some((due, timer)) = self.timers.take_due(now()) {
            match timer {
                Timer::OpenDeadline { session } => user::open_deadline(self, scenario, session),
                Timer::User { session, kind, epoch } => {
                    if self.users.get(session).is_some_and(|user| user.epoch == epoch) {
                        self.recorder.latency(Metric::Lag, due, due, now());
                        scenario.timer(self, session, kind, due);
                    }
                }
            }
        }
    }

    fn report(&mut self, reports: &Sender<Report>) {
        let at = now();
        if at < self.last_report + REPORT_NS {
            return;
        }
        let busy = std::mem::take(&mut self.busy) + (at - self.woke);
        let span = if self.last_report == 0 { busy } else { at - self.last_report };
        self.woke = at;
        self.last_report = at;
        let report = Report {
            thread: self.thread,
            measuring: self.start != 0,
            sample: self.recorder.take(busy, span),
            open: self.users.open(),
            in_chat: self.users.in_chat(),
            looking: self.users.looking(),
            attempted: (self.attempted, self.undecided),
            finished: self.start != 0 && self.next_arrival.is_none() && self.undecided == 0,
            traffic: self.net.traffic(),
        };
        // The run only stops listening when it is over.
        let _ = reports.send(report);
    }

    fn sleep(&mut self) {
        let at = now();
        let mut until = at + ORDERS_NS;
        let opening = (self.next_open > at).then_some(self.next_open);
        for due in [self.next_arrival, self.timers.next(), opening].into_iter().flatten() {
            until = until.min(due);
        }
        self.busy += at - self.woke;
        self.net.wait(until);
        self.woke = now();
    }

    fn close_all(&mut self) {
        let sessions: Vec<SessionId> = self.users.sessions().collect();
        for batch in sessions.chunks(CLOSE_BATCH) {
            for session in batch {
                self.net.close(*session, 0);
            }
            self.net.drive();
            // A failing socket at the end of a run has nothing left to spoil.
            let _ = self.net.receive();
        }
    }
}

/// Thread `index`'s share of `total`, as even as it can be.
pub fn share_of(total: u64, index: usize, threads: usize) -> u64 {
    let (index, threads) = (index as u64, threads.max(1) as u64);
    total / threads + u64::from(index < total % threads)
}
