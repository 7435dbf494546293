//! Conditions of `--fail-if`: `p99>2ms`, `failed>0`, `achieved<95%`; between two runs `p99>+10%`.
//!
//! In: text and a report (or a change in per cent). Out: whether the condition holds.

use crate::report::files::metric_of;
use crate::report::{Latency, Report};
use crate::stats::recorder::Count;

/// What is looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A figure of a latency (the main one if none is named), in microseconds.
    Latency(Option<crate::stats::recorder::Metric>, Figure),
    /// Sessions that did not open or were lost.
    Failed,
    /// Arrivals acted on, in per cent of those planned.
    Achieved,
    /// Arrivals acted on (without a schedule: operations timed), a second.
    Rate,
    /// Server memory a session, in bytes.
    Memory,
    /// Server CPU an operation, in microseconds.
    Cpu,
}

/// A figure of a latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure {
    /// Arithmetic mean.
    Mean,
    /// Largest.
    Max,
    /// A quantile, from 0 to 1.
    Quantile(f64),
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// As it was written.
    pub text: String,
    /// What is looked at.
    pub subject: Subject,
    /// Holds above the bound, or below it.
    pub above: bool,
    /// The bound, in the subject's unit; if relative, in per cent of change.
    pub bound: f64,
    /// Whether the bound is a change against another run.
    pub relative: bool,
}

impl Condition {
    /// Reads a condition; the error repeats it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("--fail-if \"{text}\": {why}");
        let at = text.find(['<', '>']).ok_or_else(|| bad("it needs a < or a >, as in p99>2ms"))?;
        let (subject, bound) = (text[..at].trim(), text[at + 1..].trim());
        let subject = Subject::parse(subject).ok_or_else(|| {
            bad("try p50, p99, p999, max, mean, pair.p99, failed, achieved, rate, memory or cpu")
        })?;
        let relative = bound.starts_with(['+', '-']) && bound.ends_with('%');
        let bound = if relative { bound.trim_end_matches('%').parse().ok() } else { number(bound, &subject) };
        let bound = bound.ok_or_else(|| bad("the bound is not a number with a unit that fits"))?;
        Ok(Self { text: text.into(), above: text.as_bytes()[at] == b'>', subject, bound, relative })
    }

    /// Whether it holds for a single run. A figure that the run does not have is an error, not a pass.
    pub fn holds(&self, report: &Report) -> Result<bool, String> {
        if self.relative {
            return Err(format!("--fail-if \"{}\" needs two runs: use compare", self.text));
        }
        let value = self.subject.value(report);
        let value =
            value.ok_or_else(|| format!("--fail-if \"{}\": the run has no such figure", self.text))?;
        Ok(if self.above { value > self.bound } else { value < self.bound })
    }
}

impl Subject {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "failed" => Self::Failed,
            "achieved" => Self::Achieved,
            "rate" => Self::Rate,
            "memory" => Self::Memory,
            "cpu" => Self::Cpu,
            _ => {
                let (metric, figure) = match text.split_once('.') {
                    Some((metric, figure)) if !metric.starts_with('p') || metric.len() > 3 => {
                        (Some(metric_of(metric)?), figure)
                    }
                    _ => (None, text),
                };
                Self::Latency(metric, Figure::parse(figure)?)
            }
        })
    }

    /// The figure of a run, if it has one.
    pub fn value(&self, report: &Report) -> Option<f64> {
        let phase = report.main_phase();
        match self {
            Self::Latency(metric, figure) => {
                let latency = match metric {
                    None => report.main_latency()?,
                    Some(metric) => {
                        phase.latencies.get(metric).or_else(|| report.opening.latencies.get(metric))?
                    }
                };
                figure.of(latency)
            }
            Self::Failed => {
                let failed = |count| (report.opening.count(count) + report.measured.count(count)) as f64;
                Some(failed(Count::OpenFailed) + failed(Count::Lost))
            }
            Self::Achieved => {
                let planned = phase.count(Count::Planned);
                (planned > 0).then(|| 100.0 * phase.count(Count::Started) as f64 / planned as f64)
            }
            Self::Rate if phase.achieved_rate > 0.0 => Some(phase.achieved_rate),
            Self::Rate => Some(report.main_latency()?.corrected.count as f64 / phase.seconds.max(0.001)),
            Self::Memory => memory(report),
            Self::Cpu => {
                let operations = report.main_latency()?.corrected.count;
                (operations > 0).then_some(phase.server?.cpu_s * 1e6 / operations as f64)
            }
        }
    }
}

/// Server memory a session: the slope over stages if there are several, else the growth.
fn memory(report: &Report) -> Option<f64> {
    if let Some(slope) = crate::report::stage::memory_slope(report) {
        return Some(slope);
    }
    let stage = report.stages.last().filter(|stage| stage.sessions > 0 && stage.server_rss_bytes > 0)?;
    let before = report.opening.server?.rss_before_bytes;
    Some((stage.server_rss_bytes as f64 - before as f64) / stage.sessions as f64)
}

impl Figure {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "mean" => Self::Mean,
            "max" => Self::Max,
            _ => {
                // p99, p99.9, and p999 for p99.9: the digits follow "0." in any case.
                let digits: String = text.strip_prefix('p')?.chars().filter(|c| *c != '.').collect();
                let quantile: f64 = format!("0.{digits}").parse().ok()?;
                (!digits.is_empty() && digits != "0").then_some(Self::Quantile(quantile))?
            }
        })
    }

    fn of(self, latency: &Latency) -> Option<f64> {
        let summary = &latency.corrected;
        if summary.count == 0 {
            return None;
        }
        Some(match self {
            Self::Mean => summary.mean,
            Self::Max => summary.max as f64,
            Self::Quantile(quantile) => summary.histogram().ok()?.value_at_quantile(quantile) as f64,
        })
    }
}

fn number(text: &str, subject: &Subject) -> Option<f64> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match (subject, unit.trim()) {
        (Subject::Latency(..), "ms") => 1e3,
        (Subject::Latency(..), "s") => 1e6,
        (Subject::Latency(..) | Subject::Cpu, "us")
        | (Subject::Achieved, "%" | "")
        | (Subject::Memory, "B")
        | (Subject::Failed | Subject::Rate, "") => 1.0,
        (Subject::Memory, "KiB") => 1024.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::recorder::Metric;

    #[test]
    fn conditions_are_read_with_their_units() {
        let condition = Condition::parse("p99>2ms").unwrap();
        assert_eq!(condition.subject, Subject::Latency(None, Figure::Quantile(0.99)));
        assert_eq!((condition.above, condition.bound, condition.relative), (true, 2000.0, false));
        let condition = Condition::parse("relay.p99.9 > 1s").unwrap();
        assert_eq!(condition.subject, Subject::Latency(Some(Metric::Relay), Figure::Quantile(0.999)));
        assert_eq!(
            Condition::parse("p999>1s").unwrap().subject,
            Condition::parse("p99.9>1s").unwrap().subject
        );
        let condition = Condition::parse("achieved<95%").unwrap();
        assert_eq!((condition.subject, condition.above, condition.bound), (Subject::Achieved, false, 95.0));
        let condition = Condition::parse("p99>+10%").unwrap();
        assert_eq!((condition.bound, condition.relative), (10.0, true));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["p99", "p99>2", "p99>2KiB", "speed>1", "p99>fast", "pp>1ms", "p0>1ms", "failed>x", ">1"]
        {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }
}
