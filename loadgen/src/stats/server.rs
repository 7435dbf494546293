//! Where the server's costs are read: its process on this machine, or its metrics page elsewhere.

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
