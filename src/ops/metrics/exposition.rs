//! Prometheus's text format: one metric family after the other, each with its help and type.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// A text that grows by metrics. Values of labels are words of this program and need no escaping.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Begins a family; its samples follow.
    pub fn begin(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String does not fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the family that was begun last.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, word)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{word}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    /// A family of one sample.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.begin(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The samples of a distribution of durations that were recorded in microseconds.
    pub fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        durations: &Histogram<u64>,
        buckets_us: &[u64],
    ) {
        let bucket = format!("{name}_bucket");
        for most in buckets_us {
            // A value that the histogram cannot tell from the bound counts as below it.
            let below = durations.count_between(0, *most);
            let le = (*most as f64 / 1e6).to_string();
            self.sample(&bucket, &with_le(labels, &le), below as f64);
        }
        let count = durations.len() as f64;
        self.sample(&bucket, &with_le(labels, "+Inf"), count);
        let sum_s = if durations.is_empty() { 0.0 } else { durations.mean() * count / 1e6 };
        self.sample(&format!("{name}_sum"), labels, sum_s);
        self.sample(&format!("{name}_count"), labels, count);
    }

    /// All of it.
    pub fn into_text(self) -> String {
        self.0
    }
}

fn with_le<'a>(labels: &[(&'a str, &'a str)], le: &'a str) -> Vec<(&'a str, &'a str)> {
    labels.iter().copied().chain([("le", le)]).collect()
}
