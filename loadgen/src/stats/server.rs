//! Where the server's costs are read: its process on this machine, or its metrics page elsewhere.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::process::{Usage, usage};
use crate::options::Options;
use crate::quic::verify::Trust;
use crate::run::http::{self, Url};

/// The source.
#[derive(Clone, Debug, Default)]
pub enum Server {
    /// Nothing is known of the server's costs.
    #[default]
    Unwatched,
    /// A process of this machine.
    Process(u32),
    /// A Prometheus page with the usual `process_` metrics.
    Metrics(Url),
}

/// The program behind a process id, so that a reader can tell two builds apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Where it was started from.
    pub path: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

impl Program {
    /// The program of a process; `None` if it may not be read.
    fn of(pid: u32) -> Option<Self> {
        let exe = format!("/proc/{pid}/exe");
        let path = std::fs::read_link(&exe).ok()?.display().to_string();
        let hash = digest::digest(&digest::SHA256, &std::fs::read(&exe).ok()?);
        let hex = |byte: &u8| format!("{byte:02x}");
        Some(Self { path, sha256: hash.as_ref().iter().map(hex).collect() })
    }
}

impl Server {
    /// As the options say; an error if it cannot be read.
    pub fn new(options: &Options) -> Result<Self, String> {
        let server = match (options.server_pid, &options.metrics_url) {
            (Some(pid), _) => Self::Process(pid),
            (None, Some(url)) => Self::Metrics(Url::parse(url)?),
            (None, None) => Self::Unwatched,
        };
        if let Some(reading) = server.read() {
            reading?;
        }
        Ok(server)
    }

    /// What the server has used up to now, if it can be known.
    pub fn usage(&self) -> Option<Usage> {
        self.read()?.ok()
    }

    /// Its process, if it is one of this machine.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Process(pid) => Some(*pid),
            _ => None,
        }
    }

    /// Its program, if that can be known.
    pub fn program(&self) -> Option<Program> {
        Program::of(self.pid()?)
    }

    fn read(&self) -> Option<Result<Usage, String>> {
        match self {
            Self::Unwatched => None,
            Self::Process(pid) => Some(usage(*pid)),
            Self::Metrics(url) => Some(http::get(url, &Trust::System).and_then(|page| {
                parse(&String::from_utf8_lossy(&page)).ok_or_else(|| {
                    format!("--metrics-url {}{} has no process_cpu_seconds_total", url.origin(), url.path)
                })
            })),
        }
    }
}

/// Reads the metrics that every Prometheus client library exports of its process.
fn parse(page: &str) -> Option<Usage> {
    let metric = |name: &str| {
        page.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?;
            // The name may be followed by labels; a longer name is another metric.
            let rest = if rest.starts_with('{') { rest.split_once('}')?.1 } else { rest };
            if !rest.starts_with(' ') {
                return None;
            }
            rest.split_whitespace().next()?.parse::<f64>().ok()
        })
    };
    Some(Usage {
        cpu_s: metric("process_cpu_seconds_total")?,
        rss_bytes: metric("process_resident_memory_bytes").unwrap_or(0.0) as u64,
        voluntary_switches: 0,
        involuntary_switches: 0,
        threads: metric("process_threads").unwrap_or(0.0) as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_metrics_are_read() {
        let page = "# HELP process_cpu_seconds_total CPU\nprocess_cpu_seconds_total_more 9\n\
                    process_cpu_seconds_total 12.5\nprocess_resident_memory_bytes{a=\"b\"} 1.5e+07\n";
        let usage = parse(page).unwrap();
        assert!((usage.cpu_s - 12.5).abs() < 1e-9);
        assert_eq!(usage.rss_bytes, 15_000_000);
        assert!(parse("process_resident_memory_bytes 1").is_none());
    }

    #[test]
    fn a_page_that_is_not_there_is_an_error_before_the_run() {
        let options =
            Options { metrics_url: Some("http://127.254.254.254:9/metrics".into()), ..Options::default() };
        assert!(Server::new(&options).unwrap_err().contains("no server answers"));
        assert!(matches!(Server::new(&Options::default()), Ok(Server::Unwatched)));
    }
}
