//! What a user may ask of a run. The same names on the command line (`--open-rate`) and in presets (`open_rate`).
//!
//! In: arguments and a TOML preset. Out: one [`Options`] in which every field is still optional;
//! [`crate::settings::Settings`] fills in the rest and checks it.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::schedule::Spacing;
use crate::span::Span;

/// Declares [`Options`] and its `or`, so that a field cannot be forgotten in one of them.
macro_rules! options {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)*) => {
        /// Options of a run; `None` leaves the choice to the preset, then to the default.
        #[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Options {
            $(
                $(#[$meta])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )*
        }

        impl Options {
            /// These options, and where they are silent, those of `other`.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($name: self.$name.or(other.$name),)* }
            }
        }
    };
}

options! {
    /// The site: client-config.json is read from there [default: `http://127.0.0.1:8080`]
    #[arg(long, help_heading = "Target")]
    url: String,
    /// The WebTransport URL itself, for a server without a site; needs --cert-hash, --insecure or a public certificate
    #[arg(long, help_heading = "Target")]
    webtransport_url: String,
    /// SHA-256 of the server's DER certificate in base64 [default: read from client-config.json]
    #[arg(long, value_delimiter = ',', help_heading = "Target")]
    cert_hash: Vec<String>,
    /// Accept any certificate
    #[arg(long, num_args = 0..=1, default_missing_value = "true", help_heading = "Target")]
    insecure: bool,
    /// Origin sent with CONNECT [default: that of --url]
    #[arg(long, help_heading = "Target")]
    origin: String,
    /// Allow a target that is not loopback: you may load only what you are entitled to load
    #[arg(long, num_args = 0..=1, default_missing_value = "true", help_heading = "Target")]
    allow_remote: bool,
    /// Local addresses to connect from, in turn: a list, or a range as 127.1.0.1-127.1.0.250
    #[arg(long, value_delimiter = ',', help_heading = "Target")]
    source_addr: Vec<String>,
    /// The WebSocket URL itself (ws:// or wss://), with --transport ws
    #[arg(long, help_heading = "Target")]
    websocket_url: String,
    /// How to connect: wt (WebTransport), ws (WebSocket), or ws-matchbox for the peer `matchbox_server`
    #[arg(long, help_heading = "Target")]
    transport: String,
    /// Arrivals a second (relay: frames a second)
    #[arg(long, help_heading = "Load")]
    rate: f64,
    /// Spacing of arrivals
    #[arg(long, help_heading = "Load")]
    spacing: Spacing,
    /// Time in which the rate rises from 0
    #[arg(long, help_heading = "Load")]
    ramp: Span,
    /// Rates in steps instead of --rate, each for an equal part of the duration: 100,200,400
    #[arg(long, value_delimiter = ',', help_heading = "Load")]
    steps: Vec<f64>,
    /// Closed loop instead of a schedule: this many operations at a time (relay: frames in flight a pair)
    #[arg(long, help_heading = "Load")]
    closed: u32,
    /// pair, signal: every arrival is a new connection, and connecting is a part of what is timed
    #[arg(long, num_args = 0..=1, default_missing_value = "true", help_heading = "Load")]
    fresh: bool,
    /// Sessions opened before the schedule starts
    #[arg(long, help_heading = "Load")]
    connections: u64,
    /// idle: numbers of sessions at which to stop and measure: 1000,10000,50000
    #[arg(long, value_delimiter = ',', help_heading = "Load")]
    stages: Vec<u64>,
    /// Handshakes at a time while sessions are opened
    #[arg(long, help_heading = "Load")]
    in_flight: u64,
    /// Sessions opened a second beforehand, at most: a server may ask newcomers for proof of work when very many come
    #[arg(long, help_heading = "Load")]
    open_rate: f64,
    /// Time after the start of the schedule that is not measured
    #[arg(long, help_heading = "Load")]
    warmup: Span,
    /// Time that is measured
    #[arg(long, help_heading = "Load")]
    duration: Span,
    /// How long opened sessions stay (connect), or each stage is held (idle)
    #[arg(long, help_heading = "Load")]
    hold: Span,
    /// Time for a session to open, from the start of its connection to WELCOME
    #[arg(long, help_heading = "Load")]
    timeout: Span,
    /// Payload bytes of a relayed frame, chat number included
    #[arg(long, help_heading = "Users")]
    size: u64,
    /// Interests of every user
    #[arg(long, value_delimiter = ',', help_heading = "Users")]
    interests: Vec<String>,
    /// Typical length of a chat (pair: exact; churn: mean; mix, soak: median)
    #[arg(long, help_heading = "Users")]
    dwell: Span,
    /// Time before somebody who was left looks again
    #[arg(long, help_heading = "Users")]
    think: Span,
    /// Share of users who look for video (mix, soak)
    #[arg(long, help_heading = "Users")]
    video_share: f64,
    /// Seconds between two messages of one user (mix, soak)
    #[arg(long, help_heading = "Users")]
    message_every: Span,
    /// Share of users who leave for good when a chat ends (mix, soak)
    #[arg(long, help_heading = "Users")]
    leave_share: f64,
    /// Protocol version sent in HELLO
    #[arg(long, help_heading = "Users")]
    protocol_version: u32,
    /// Seed of the schedule and of all dice
    #[arg(long, help_heading = "Generator")]
    seed: u64,
    /// Load threads
    #[arg(long, help_heading = "Generator")]
    threads: usize,
    /// CPUs to run on, as 1 or 0-3 [default: all]
    #[arg(long, help_heading = "Generator")]
    cpus: String,
    /// Idle timeout offered to the server
    #[arg(long, help_heading = "Generator")]
    idle_timeout: Span,
    /// Keep-alives by the client [default: none, they are the server's job]
    #[arg(long, help_heading = "Generator")]
    keep_alive: Span,
    /// Start at this Unix time in seconds, for several machines at once
    #[arg(long, help_heading = "Generator")]
    start_at: f64,
    /// Process id of the server: its CPU, memory and context switches are sampled
    #[arg(long, help_heading = "Server")]
    server_pid: u32,
    /// Prometheus page of a remote server, sampled instead
    #[arg(long, help_heading = "Server")]
    metrics_url: String,
    /// Sample where the server's CPU goes while it is measured (needs --server-pid and perf)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", help_heading = "Server")]
    profile: bool,
    /// Print the report as JSON to this file, or to standard output with -
    #[arg(long, num_args = 0..=1, default_missing_value = "-", help_heading = "Output")]
    json: String,
    /// `HdrHistogram` percentile file of the main latency (corrected), in microseconds
    #[arg(long, help_heading = "Output")]
    hgrm: PathBuf,
    /// One line of JSON an interval
    #[arg(long, help_heading = "Output")]
    jsonl: PathBuf,
    /// A new directory for everything: report.json, report.html, latency.hgrm, latency.hlog, intervals.jsonl
    #[arg(long, help_heading = "Output")]
    out: PathBuf,
    /// Length of an interval
    #[arg(long, help_heading = "Output")]
    interval: Span,
    /// No live line
    #[arg(long, num_args = 0..=1, default_missing_value = "true", help_heading = "Output")]
    quiet: bool,
    /// Overwrite files that exist
    #[arg(long, num_args = 0..=1, default_missing_value = "true", help_heading = "Output")]
    force: bool,
    /// Exit with status 3 if this holds, as 'p99>2ms', 'failed>0', 'achieved<95%' (may be repeated)
    #[arg(long, help_heading = "Output")]
    fail_if: Vec<String>,
}

/// Local addresses from a list whose entries are addresses or ranges of IPv4 addresses.
pub fn source_addresses(list: &[String]) -> Result<Vec<IpAddr>, String> {
    let mut addresses = Vec::new();
    for entry in list {
        let bad = |_| format!("--source-addr: \"{entry}\" is not an address or a range a.b.c.d-e.f.g.h");
        match entry.split_once('-') {
            None => addresses.push(entry.parse().map_err(bad)?),
            Some((first, last)) => {
                let first: std::net::Ipv4Addr = first.parse().map_err(bad)?;
                let last: std::net::Ipv4Addr = last.parse().map_err(bad)?;
                addresses
                    .extend((first.to_bits()..=last.to_bits()).map(|bits| IpAddr::from(bits.to_be_bytes())));
            }
        }
        if addresses.len() > MAX_SOURCES {
            return Err(format!("--source-addr: more than {MAX_SOURCES} addresses"));
        }
    }
    Ok(addresses)
}

/// Source addresses of one run; a /16 of loopback.
const MAX_SOURCES: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_goes_before_the_preset() {
        let own = Options { rate: Some(5.0), ..Options::default() };
        let preset: Options = toml::from_str("rate = 1.0\nduration = \"10s\"").unwrap();
        let both = own.or(preset);
        assert_eq!((both.rate, both.duration), (Some(5.0), Some(Span::seconds(10.0))));
    }

    #[test]
    fn a_misspelt_preset_is_an_error() {
        assert!(toml::from_str::<Options>("raet = 1.0").is_err());
    }

    #[test]
    fn source_ranges_are_spelt_out() {
        let list = ["127.0.0.9".to_string(), "127.1.0.254-127.1.1.1".to_string()];
        let addresses = source_addresses(&list).unwrap();
        assert_eq!(addresses.len(), 5);
        assert_eq!(addresses[4].to_string(), "127.1.1.1");
        assert!(source_addresses(&["127.0.0.1-::1".to_string()]).is_err());
        assert!(source_addresses(&["10.0.0.0-10.255.255.255".to_string()]).is_err());
    }
}
