//! The settings of a run: every option decided and checked.

use serde::{Deserialize, Serialize};

use crate::net::Transport;
use crate::options::Options;
use crate::run::machine;
use crate::schedule::{Schedule, Segment, Spacing};
use crate::span::Span;
use crate::tcp::matchbox::STAMP_CHARACTERS;
use crate::time::{Nanos, SECOND};

/// What kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Opens sessions.
    Connect,
    /// Holds sessions that do nothing.
    Idle,
    /// Arrivals look for a stranger.
    Pair,
    /// Frames between pairs.
    Relay,
    /// The exchange that sets up a video call.
    Signal,
    /// People who press next.
    Churn,
    /// A realistic day.
    Mix,
    /// The same for hours.
    Soak,
}

impl Kind {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Idle => "idle",
            Self::Pair => "pair",
            Self::Relay => "relay",
            Self::Signal => "signal",
            Self::Churn => "churn",
            Self::Mix => "mix",
            Self::Soak => "soak",
        }
    }

    /// The preset that comes with the program.
    pub const fn preset(self) -> &'static str {
        match self {
            Self::Connect => include_str!("../scenarios/connect.toml"),
            Self::Idle => include_str!("../scenarios/idle.toml"),
            Self::Pair => include_str!("../scenarios/pair.toml"),
            Self::Relay => include_str!("../scenarios/relay.toml"),
            Self::Signal => include_str!("../scenarios/signal.toml"),
            Self::Churn => include_str!("../scenarios/churn.toml"),
            Self::Mix => include_str!("../scenarios/mix.toml"),
            Self::Soak => include_str!("../scenarios/soak.toml"),
        }
    }
}

/// Everything decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What kind of load.
    pub kind: Kind,
    /// Rate profile of the schedule; empty without one.
    pub segments: Vec<Segment>,
    /// Spacing of arrivals.
    pub spacing: Spacing,
    /// Operations at a time instead of a schedule.
    pub closed: Option<u32>,
    /// Whether every arrival of pair and signal is a new connection.
    pub fresh: bool,
    /// Numbers of sessions to open before the schedule, stage by stage.
    pub stages: Vec<u64>,
    /// Handshakes at a time.
    pub in_flight: u64,
    /// Time between two sessions that are opened beforehand, over all threads; 0 for as fast as they come.
    pub open_every_ns: Nanos,
    /// Not measured.
    pub warmup_ns: Nanos,
    /// Measured.
    pub duration_ns: Nanos,
    /// How long sessions or stages are held.
    pub hold_ns: Nanos,
    /// For a session to open.
    pub timeout_ns: Nanos,
    /// Payload bytes of a relayed frame.
    pub size: usize,
    /// Interests of every user.
    pub interests: Vec<String>,
    /// Length of a chat.
    pub dwell_ns: Nanos,
    /// Before looking again.
    pub think_ns: Nanos,
    /// Between messages.
    pub message_every_ns: Nanos,
    /// Share of users who look for video.
    pub video_share: f64,
    /// Share of users who leave for good.
    pub leave_share: f64,
    /// Sent in HELLO.
    pub protocol_version: u32,
    /// Of the schedule and all dice.
    pub seed: u64,
    /// Load threads.
    pub threads: usize,
    /// Length of an interval.
    pub interval_ns: Nanos,
}

impl Settings {
    /// Fills in defaults and checks; an error names the option.
    pub fn new(kind: Kind, options: &Options) -> Result<Self, String> {
        let nanos = |span: Option<Span>, otherwise: f64| span.unwrap_or(Span::seconds(otherwise)).as_nanos();
        let warmup = options.warmup.map_or(0.0, Span::as_seconds);
        let duration = options.duration.map_or(10.0, Span::as_seconds);
        let settings = Self {
            kind,
            segments: segments(kind, options, warmup + duration),
            spacing: options.spacing.unwrap_or(Spacing::Poisson),
            closed: options.closed,
            fresh: options.fresh.unwrap_or(false),
            stages: stages(options),
            in_flight: options.in_flight.unwrap_or(64),
            open_every_ns: options.open_rate.map_or(0, |rate| (SECOND as f64 / rate.max(1e-3)) as Nanos),
            warmup_ns: nanos(options.warmup, 0.0),
            duration_ns: nanos(options.duration, 10.0),
            hold_ns: nanos(options.hold, 0.0),
            timeout_ns: nanos(options.timeout, 10.0),
            size: options.size.unwrap_or(100) as usize,
            interests: options.interests.clone().unwrap_or_default(),
            dwell_ns: nanos(options.dwell, 0.1),
            think_ns: nanos(options.think, 0.0),
            message_every_ns: nanos(options.message_every, 5.0),
            video_share: options.video_share.unwrap_or(0.3),
            leave_share: options.leave_share.unwrap_or(0.1),
            protocol_version: options.protocol_version.unwrap_or(1),
            seed: options.seed.unwrap_or(1),
            threads: options.threads.unwrap_or(1),
            interval_ns: nanos(options.interval, 1.0),
        };
        settings.check()?;
        Ok(settings)
    }

    /// The schedule of the run, if it has one.
    pub fn schedule(&self) -> Option<Schedule> {
        (!self.segments.is_empty()).then(|| Schedule::new(self.segments.clone(), self.spacing, self.seed))
    }

    /// Sessions to open before the schedule starts.
    pub fn connections(&self) -> u64 {
        self.stages.last().copied().unwrap_or(0)
    }

    /// From the start of the schedule to its end.
    pub fn scheduled_ns(&self) -> Nanos {
        self.warmup_ns + self.duration_ns
    }

    /// Whether a transport can carry this load; an error says what to change.
    pub fn suit(&self, transport: Transport) -> Result<(), String> {
        if transport == Transport::WebTransport {
            return Ok(());
        }
        machine::allow_open_files(self.connections())?;
        if transport != Transport::Matchbox {
            return Ok(());
        }
        let served = matches!(self.kind, Kind::Connect | Kind::Idle | Kind::Relay) || self.fresh;
        match () {
            () if !served => Err(format!(
                "matchbox_server pairs who connects, so it can serve connect, idle and relay, and {} only with --fresh",
                Kind::Pair.name()
            )),
            () if self.threads > 1 => {
                Err("--transport ws-matchbox needs --threads 1: a pair has to be in one".into())
            }
            () if self.size < STAMP_CHARACTERS => Err(format!(
                "--transport ws-matchbox needs --size {STAMP_CHARACTERS} or more: its messages are text"
            )),
            () => Ok(()),
        }
    }

    fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_string());
        if self.threads == 0 || self.threads > 256 {
            return wrong("--threads must be from 1 to 256");
        }
        if self.in_flight == 0 {
            return wrong("--in-flight must be at least 1");
        }
        if self.segments.iter().any(|segment| !(segment.to >= 0.0 && segment.to <= 1e8)) {
            return wrong("--rate and --steps must be from 0 to 100,000,000 a second");
        }
        if self.size > crate::limits::MAX_CHANNEL_PAYLOAD_BYTES {
            return wrong("--size is over the longest payload of a frame, 32,768 bytes");
        }
        if self.size < crate::worker::message::STAMP_BYTES {
            return wrong("--size must be at least 25 bytes: chat number and time stamps");
        }
        if self.open_every_ns > 600 * SECOND {
            return wrong("--open-rate must be above 0");
        }
        if !self.stages.is_sorted() {
            return wrong("--stages must grow from one to the next");
        }
        if self.interval_ns < SECOND / 10 {
            return wrong("--interval must be at least 100ms");
        }
        if self.fresh && !matches!(self.kind, Kind::Pair | Kind::Signal) {
            return wrong("--fresh is for pair and signal");
        }
        let needs_pairs = matches!(self.kind, Kind::Pair | Kind::Relay | Kind::Signal | Kind::Churn);
        if needs_pairs && !self.fresh && self.connections() < 2 {
            return wrong("--connections must be at least 2: somebody has to meet somebody");
        }
        if [self.video_share, self.leave_share].iter().any(|share| !(0.0..=1.0).contains(share)) {
            return wrong("--video-share and --leave-share must be from 0 to 1");
        }
        Ok(())
    }
}

fn stages(options: &Options) -> Vec<u64> {
    options.stages.clone().unwrap_or_else(|| vec![options.connections.unwrap_or(0)])
}

fn segments(kind: Kind, options: &Options, seconds: f64) -> Vec<Segment> {
    // A closed loop has no schedule, and some loads are their own clock.
    if options.closed.is_some() || matches!(kind, Kind::Idle | Kind::Churn) {
        return Vec::new();
    }
    if let Some(steps) = options.steps.as_ref().filter(|steps| !steps.is_empty()) {
        let seconds = seconds / steps.len() as f64;
        return steps.iter().map(|rate| Segment { seconds, from: *rate, to: *rate }).collect();
    }
    let rate = options.rate.unwrap_or(0.0);
    if rate <= 0.0 {
        return Vec::new();
    }
    let ramp = options.ramp.map_or(0.0, Span::as_seconds).min(seconds);
    vec![
        Segment { seconds: ramp, from: 0.0, to: rate },
        Segment { seconds: seconds - ramp, from: rate, to: rate },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid() {
        for kind in <Kind as clap::ValueEnum>::value_variants() {
            let options: Options = toml::from_str(kind.preset()).unwrap();
            assert!(Settings::new(*kind, &options).is_ok(), "{}", kind.name());
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_options_name() {
        let with = |options: Options| Settings::new(Kind::Relay, &options).unwrap_err();
        let pair = Options { connections: Some(2), ..Options::default() };
        assert!(with(Options { connections: Some(1), ..Options::default() }).contains("--connections"));
        assert!(with(Options { size: Some(40_000), ..pair.clone() }).contains("--size"));
        assert!(with(Options { size: Some(8), ..pair.clone() }).contains("--size"));
        assert!(with(Options { threads: Some(0), ..pair.clone() }).contains("--threads"));
        assert!(
            with(Options { rate: Some(f64::NAN), steps: Some(vec![f64::NAN]), ..pair }).contains("--rate")
        );
    }
}
