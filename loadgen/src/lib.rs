//! Load generator for `AnonCam`: pairing latency at scale, honestly.
//!
//! The way of a run through the crate: [`quic`] and [`wt`] are a small client of their own.

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
