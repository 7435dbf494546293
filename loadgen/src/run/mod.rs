//! A run from start to end: open the sessions, start the schedule on all threads, watch, report.
//!
//! In: settings and a target. Out: a [`Report`], also when the run is interrupted.

pub mod collect;
mod conductor;
mod health;
pub mod http;
pub mod machine;
pub mod profile;
pub mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::net::{Net, Target, Transport};
use crate::options::Options;
use crate::quic::net::QuicNet;
use crate::report::{Built, Report, SCHEMA};
use crate::settings::Settings;
use crate::stats::server::Server;
use crate::tcp::channel::ChannelNet;
use crate::tcp::matchbox::MatchboxNet;
use crate::time::now;
use crate::worker::{Shared, Worker};
use collect::{Collector, Watch};
use conductor::Conductor;

/// Set by Ctrl-C: the run ends early and is reported.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Everything that a run needs to know.
pub struct Plan {
    /// Checked settings.
    pub settings: Settings,
    /// Where to.
    pub target: Target,
    /// For the report.
    pub options: Options,
    /// Where the server's costs are read.
    pub server: Server,
    /// Unix time to start the schedule at.
    pub start_at: Option<f64>,
}

/// Runs. `watch` is told every interval. Errors are those that leave nothing to report.
pub fn run(plan: Plan, watch: &mut dyn Watch) -> Result<Report, String> {
    plan.settings.suit(plan.target.transport)?;
    let settings = Arc::new(plan.settings);
    let shared = Arc::new(Shared { run: std::process::id() ^ now() as u32, ..Shared::default() });
    let (sender, receiver) = mpsc::channel();
    let started_unix_s = unix_seconds();
    let mut collector = Collector::new(Arc::clone(&settings), plan.server.clone(), receiver);
    let mut threads = Vec::new();
    for index in 0..settings.threads {
        let scenario = crate::scenario::new(&settings);
        let worker = Worker::new(index, net(&plan.target)?, Arc::clone(&settings), Arc::clone(&shared));
        let sender = sender.clone();
        threads.push(thread::spawn(move || {
            machine::fine_timers();
            worker.run(scenario, &sender)
        }));
    }
    drop(sender);
    let profiled = plan.options.profile.unwrap_or(false).then(|| plan.server.pid()).flatten();
    let mut conductor = Conductor::new(&settings, &shared, watch, profiled);
    let end = conductor.conduct(&mut collector, plan.start_at);
    let drops = health::Drops::since(&collector);
    shared.stop.store(true, Ordering::Relaxed);
    collector.until(conductor.watch, None, |_| false);
    let mut conducted = conductor.conducted;
    conducted.end = end.err();
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => conducted.end = Some(error),
            Err(_) => conducted.end = Some("a load thread failed".into()),
        }
    }
    let (opening, measured) = conducted.phases(&collector);
    let health = health::verdict(&settings, &opening, &measured, &conducted, &drops);
    Ok(Report {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        built: Built::here(),
        scenario: settings.kind,
        end: conducted.end.unwrap_or_else(|| "completed".into()),
        started_unix_s,
        options: plan.options,
        target: plan.target.address.to_string(),
        server_program: plan.server.program(),
        machine: machine::Machine::here(),
        health,
        opening,
        stages: conducted.stages,
        measured,
        intervals: collector.intervals,
        profile: conducted.profile.and_then(Result::ok),
    })
}

/// The connections of one thread, by transport.
fn net(target: &Target) -> Result<Box<dyn Net>, String> {
    let target = target.clone();
    Ok(match target.transport {
        Transport::WebTransport => Box::new(QuicNet::new(target)?),
        Transport::WebSocket { .. } => Box::new(ChannelNet::new(target)?),
        Transport::Matchbox => Box::new(MatchboxNet::new(target)?),
    })
}

/// Now, as Unix time in seconds.
pub fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
