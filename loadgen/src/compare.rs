//! Two runs, or two groups of runs, side by side, with the noise taken into account.
//!
//! In: reports of A and of B, best several each. Out: the ratio B/A of every figure, its 95 % interval by bootstrap
//! over runs, whether a rank test tells the groups apart, and whether a `--fail-if` holds.

use std::cmp::Ordering;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::condition::{Condition, Figure, Subject};
use crate::report::{Report, files};
use crate::rng::Rng;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 4000;
/// Two-sided error that the rank test may make.
const SIGNIFICANCE: f64 = 0.05;
/// Runs on each side from which the rank test can tell anything (3 against 3 cannot get below 0.1).
const ENOUGH_RUNS: usize = 4;

/// One figure of both sides.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// Its values in A, one a run.
    pub a: Vec<f64>,
    /// Its values in B.
    pub b: Vec<f64>,
    /// Median of B over median of A.
    pub ratio: f64,
    /// 95 % interval of the ratio.
    pub interval: (f64, f64),
    /// Probability of ranks at least this uneven if A and B were the same.
    pub p_value: f64,
}

impl Row {
    /// Compares the values of one figure.
    pub fn new(name: &str, a: Vec<f64>, b: Vec<f64>) -> Self {
        let ratio = median(&b) / median(&a);
        Self { name: name.into(), ratio, interval: bootstrap(&a, &b), p_value: rank_test(&a, &b), a, b }
    }

    /// Whether the difference is more than noise, as far as these runs can tell.
    pub fn differs(&self) -> bool {
        if self.a.len() >= ENOUGH_RUNS && self.b.len() >= ENOUGH_RUNS {
            return self.p_value < SIGNIFICANCE;
        }
        // Too few for the test: only groups that do not overlap at all are told apart.
        let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most(&self.a) < least(&self.b) || most(&self.b) < least(&self.a)
    }

    /// Whether a condition holds: the change is beyond the bound, and more than noise.
    pub fn holds(&self, condition: &Condition) -> bool {
        let change = if condition.relative { (self.ratio - 1.0) * 100.0 } else { median(&self.b) };
        let beyond = if condition.above { change > condition.bound } else { change < condition.bound };
        beyond && (self.differs() || !condition.relative)
    }
}

/// Reads the runs that an argument names: a report, the directory of a run, a directory of runs, or several of these
/// with commas between.
pub fn read_runs(argument: &str) -> Result<Vec<Report>, String> {
    let mut reports = Vec::new();
    for part in argument.split(',') {
        let path = Path::new(part);
        if !path.is_dir() {
            reports.push(Report::read(path)?);
        } else if path.join(files::REPORT).exists() || path.join(files::INTERVALS).exists() {
            reports.push(files::read_directory(path)?);
        } else {
            let entries = std::fs::read_dir(path).map_err(|error| format!("{part}: {error}"))?;
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                if path.is_dir() {
                    reports.push(files::read_directory(&path)?);
                } else if path.extension().is_some_and(|extension| extension == "json") {
                    reports.push(Report::read(&path)?);
                }
            }
        }
    }
    if reports.is_empty() {
        return Err(format!("{argument}: no reports there"));
    }
    Ok(reports)
}

/// The figures that both sides have.
pub fn rows(a: &[Report], b: &[Report]) -> Vec<Row> {
    let subjects = [
        ("p50, us", Subject::Latency(None, Figure::Quantile(0.5))),
        ("p90, us", Subject::Latency(None, Figure::Quantile(0.9))),
        ("p99, us", Subject::Latency(None, Figure::Quantile(0.99))),
        ("p99.9, us", Subject::Latency(None, Figure::Quantile(0.999))),
        ("mean, us", Subject::Latency(None, Figure::Mean)),
        ("rate, 1/s", Subject::Rate),
        ("failed", Subject::Failed),
        ("server CPU, us each", Subject::Cpu),
        ("server memory, B each", Subject::Memory),
    ];
    subjects.iter().filter_map(|(name, subject)| row(name, subject, a, b)).collect()
}

/// One figure, if every run has it and it is not 0 throughout.
pub fn row(name: &str, subject: &Subject, a: &[Report], b: &[Report]) -> Option<Row> {
    let values = |reports: &[Report]| -> Option<Vec<f64>> {
        reports.iter().map(|report| subject.value(report)).collect()
    };
    let (a, b) = (values(a)?, values(b)?);
    a.iter().chain(&b).any(|value| *value != 0.0).then(|| Row::new(name, a, b))
}

/// The comparison as text.
pub fn render(a: &[Report], b: &[Report], rows: &[Row]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, a, b, rows);
    out
}

fn write(out: &mut String, a: &[Report], b: &[Report], rows: &[Row]) -> std::fmt::Result {
    let kind = a[0].scenario.name();
    writeln!(out, "{kind}: A {} run(s), B {} run(s); medians over runs", a.len(), b.len())?;
    for (side, reports) in [("A", a), ("B", b)] {
        for report in reports.iter().filter(|report| !report.health.sound) {
            writeln!(out, "  {side} has a run that is not sound: {}", report.health.findings.join("; "))?;
        }
    }
    if a[0].scenario != b[0].scenario {
        writeln!(out, "  A and B are different scenarios: {kind} and {}", b[0].scenario.name())?;
    }
    if a.len() < ENOUGH_RUNS || b.len() < ENOUGH_RUNS {
        writeln!(
            out,
            "  fewer than {ENOUGH_RUNS} runs a side: only runs that do not overlap count as different"
        )?;
    }
    writeln!(out, "  {:<24} {:>12} {:>12} {:>8}  {:<17} {:>7}", "", "A", "B", "B/A", "95 % interval", "p")?;
    for row in rows {
        let verdict = if row.differs() { "different" } else { "same, within noise" };
        let interval = format!("{:.3} to {:.3}", row.interval.0, row.interval.1);
        let (a, b) = (median(&row.a), median(&row.b));
        writeln!(
            out,
            "  {:<24} {a:>12.1} {b:>12.1} {:>8.3}  {interval:<17} {:>7.3}  {verdict}",
            row.name, row.ratio, row.p_value
        )?;
    }
    Ok(())
}

/// The median.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// 95 % interval of the ratio of medians, by drawing runs with replacement. Seeded: the same runs give the same answer.
fn bootstrap(a: &[f64], b: &[f64]) -> (f64, f64) {
    let mut rng = Rng::new(0x5eed, 0);
    let mut draw = |values: &[f64]| -> f64 {
        let drawn: Vec<f64> = values.iter().map(|_| values[rng.below(values.len())]).collect();
        median(&drawn)
    };
    let mut ratios: Vec<f64> = (0..RESAMPLES).map(|_| draw(b) / draw(a)).collect();
    ratios.sort_by(f64::total_cmp);
    (ratios[RESAMPLES * 25 / 1000], ratios[RESAMPLES * 975 / 1000 - 1])
}

/// The two-sided p-value of the Mann-Whitney rank test, exact for small groups and by the normal law for large ones.
pub fn rank_test(a: &[f64], b: &[f64]) -> f64 {
    // How often a value of A is below one of B; ties count half.
    let place = |x: f64, y: f64| match x.total_cmp(&y) {
        Ordering::Less => 1.0,
        Ordering::Equal => 0.5,
        Ordering::Greater => 0.0,
    };
    let below: f64 = a.iter().flat_map(|x| b.iter().map(move |y| place(*x, *y))).sum();
    let pairs = (a.len() * b.len()) as f64;
    let far = below.max(pairs - below);
    if a.len() + b.len() <= 24 {
        let counts = rank_sums(a.len(), b.len());
        let all: f64 = counts.iter().sum();
        let tail: f64 =
            counts.iter().enumerate().filter(|(u, _)| *u as f64 >= far).map(|(_, count)| count).sum();
        return (2.0 * tail / all).min(1.0);
    }
    let deviation = (pairs * (a.len() + b.len() + 1) as f64 / 12.0).sqrt();
    let z = (far - pairs / 2.0 - 0.5).max(0.0) / deviation;
    (2.0 * normal_tail(z)).min(1.0)
}

/// In how many orders of m and n values the rank statistic takes each value from 0 to m n.
fn rank_sums(m: usize, n: usize) -> Vec<f64> {
    // ways[j][u]: j of the values seen so far belong to the first group, and they lie above u of the second.
    let mut ways = vec![vec![0.0; m * n + 1]; m + 1];
    ways[0][0] = 1.0;
    for seen in 1..=m + n {
        for j in (1..=m.min(seen)).rev() {
            // The latest value, if it is of the first group, lies above all seen of the second.
            let above = seen - j;
            if above > n {
                continue;
            }
            for u in (above..=m * n).rev() {
                ways[j][u] += ways[j - 1][u - above];
            }
        }
    }
    ways.swap_remove(m)
}

/// Probability that a standard normal value exceeds `z` (Abramowitz and Stegun 26.2.17, error below 1e-7).
fn normal_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let series = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(centre: f64, count: usize, seed: u64) -> Vec<f64> {
        let mut rng = Rng::new(seed, 0);
        (0..count).map(|_| centre * (1.0 + 0.05 * (rng.unit() - 0.5))).collect()
    }

    #[test]
    fn the_rank_test_knows_its_textbook_values() {
        // 5 against 5 without overlap: 2 / C(10, 5).
        let p = rank_test(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]);
        assert!((p - 2.0 / 252.0).abs() < 1e-9, "{p}");
        // 3 against 3 without overlap: 2 / C(6, 3).
        assert!((rank_test(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]) - 0.1).abs() < 1e-9);
        assert!(rank_test(&[1.0, 3.0, 5.0], &[2.0, 4.0, 6.0]) > 0.5);
        assert!((rank_test(&[1.0; 4], &[1.0; 4]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_large_groups_law_agrees_with_the_exact_one() {
        let (a, b) = (noisy(100.0, 12, 1), noisy(101.0, 12, 2));
        let exact = rank_test(&a, &b);
        let far = a.iter().flat_map(|x| b.iter().map(move |y| u32::from(x < y))).sum::<u32>() as f64;
        let z = (far.max(144.0 - far) - 72.5).max(0.0) / (144.0 * 25.0f64 / 12.0).sqrt();
        assert!((exact - 2.0 * normal_tail(z)).abs() < 0.02, "{exact}");
    }

    #[test]
    fn a_real_difference_is_found_and_noise_is_not() {
        let slower = Row::new("p99", noisy(100.0, 5, 1), noisy(120.0, 5, 2));
        assert!(slower.differs());
        assert!(slower.interval.0 > 1.1 && slower.interval.1 < 1.3, "{:?}", slower.interval);
        let same = Row::new("p99", noisy(100.0, 6, 3), noisy(100.0, 6, 4));
        assert!(!same.differs(), "p = {}", same.p_value);
        assert!(same.interval.0 < 1.0 && same.interval.1 > 1.0, "{:?}", same.interval);
    }

    #[test]
    fn a_condition_needs_both_size_and_certainty() {
        let condition = Condition::parse("p99>+10%").unwrap();
        assert!(Row::new("p99", noisy(100.0, 5, 1), noisy(120.0, 5, 2)).holds(&condition));
        assert!(
            !Row::new("p99", noisy(100.0, 5, 1), noisy(107.0, 5, 2)).holds(&condition),
            "certain, but small"
        );
        let wild = vec![50.0, 60.0, 120.0, 130.0, 140.0];
        assert!(!Row::new("p99", noisy(100.0, 5, 1), wild).holds(&condition), "large, but uncertain");
        // With one run a side there is no noise to see; not overlapping is all that can be asked.
        assert!(Row::new("p99", vec![100.0], vec![120.0]).holds(&condition));
    }

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-12);
        assert!(median(&[]).is_nan());
    }
}
