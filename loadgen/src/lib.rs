//! Load generator for `AnonCam`: pairing latency at scale, honestly.
//!
//! The way of a run through the crate: [`cli`] reads what is asked for, [`settings`] decides the rest, and [`run`] opens the
//! sessions and starts the [`schedule`]. On each load thread a [`worker`] moves its users as a [`scenario`] wants, over a [`net`]:
//! WebTransport by [`quic`] and [`wt`], WebSocket by [`tcp`], a client of its own in both. What it sees goes through [`stats`] into
//! a [`report`], which [`output`] writes, and which [`compare`], [`merge`] and [`capacity`] work with.

#![allow(clippy::cast_sign_loss, reason = "lengths of time and counts are never negative")]

pub mod capacity;
pub mod cli;
pub mod compare;
pub mod condition;
pub mod floors;
pub mod limits;
mod live;
pub mod merge;
pub mod net;
pub mod options;
pub mod output;
pub mod quic;
pub mod report;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod settings;
mod sleep;
pub mod span;
pub mod stats;
pub mod tcp;
pub mod time;
pub mod worker;
pub mod wt;
