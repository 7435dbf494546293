//! When things are meant to happen: an open-loop schedule, fixed before the run by rate, shape and seed.
//!
//! In: a rate profile and a spacing. Out: the intended moment of every arrival, counted from the start.
//! A unit-rate process is stretched by the inverse of the profile's integral, so that every shape works with even
//! and with Poisson spacing.

use crate::rng::Rng;
use crate::time::{Nanos, SECOND};

/// How arrivals are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Spacing {
    /// Evenly.
    Constant,
    /// At random, independently of one another, as people arrive.
    Poisson,
}

/// A stretch of time over which the rate changes evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// Length in seconds.
    pub seconds: f64,
    /// Arrivals a second at its beginning.
    pub from: f64,
    /// Arrivals a second at its end.
    pub to: f64,
}

impl Segment {
    /// Arrivals expected in the first `t` seconds.
    fn expected(&self, t: f64) -> f64 {
        self.from * t + (self.to - self.from) * t * t / (2.0 * self.seconds)
    }

    /// The time by which `count` arrivals are expected; the inverse of [`Self::expected`].
    fn time_of(&self, count: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds;
        if slope.abs() < f64::EPSILON {
            return count / self.from;
        }
        ((self.from * self.from + 2.0 * slope * count).max(0.0).sqrt() - self.from) / slope
    }
}

/// A schedule: iterate over it for the intended moments in order, in nanoseconds from the start.
#[derive(Clone, Debug)]
pub struct Schedule {
    segments: Vec<Segment>,
    spacing: Spacing,
    rng: Rng,
    /// Position on the unit-rate process.
    unit: f64,
    segment: usize,
    /// Arrivals expected, and seconds, before the current segment.
    before: (f64, f64),
}

impl Schedule {
    /// A schedule over `segments`.
    pub fn new(segments: Vec<Segment>, spacing: Spacing, seed: u64) -> Self {
        let segments = segments.into_iter().filter(|segment| segment.seconds > 0.0);
        Self {
            segments: segments.collect(),
            spacing,
            rng: Rng::new(seed, 0),
            // Even spacing begins with an arrival, chance with a gap.
            unit: if spacing == Spacing::Constant { -1.0 } else { 0.0 },
            segment: 0,
            before: (0.0, 0.0),
        }
    }

    /// `rate` a second for `seconds`, reached evenly within `ramp` seconds.
    pub fn steady(rate: f64, ramp: f64, seconds: f64, spacing: Spacing, seed: u64) -> Self {
        let ramp = ramp.min(seconds);
        let ramping = Segment { seconds: ramp, from: 0.0, to: rate };
        let steady = Segment { seconds: seconds - ramp, from: rate, to: rate };
        Self::new(vec![ramping, steady], spacing, seed)
    }

    /// Arrivals expected over the whole schedule.
    pub fn expected(&self) -> f64 {
        self.segments.iter().map(|segment| segment.expected(segment.seconds)).sum()
    }
}

impl Iterator for Schedule {
    type Item = Nanos;

    fn next(&mut self) -> Option<Nanos> {
        self.unit += match self.spacing {
            Spacing::Constant => 1.0,
            Spacing::Poisson => self.rng.exponential(1.0),
        };
        loop {
            let segment = self.segments.get(self.segment)?;
            let whole = segment.expected(segment.seconds);
            let within = self.unit - self.before.0;
            // A hair's breadth of slack: an evenly spaced arrival on the border belongs to what follows.
            if within < whole - 1e-9 {
                let seconds = self.before.1 + segment.time_of(within).min(segment.seconds);
                return Some((seconds * SECOND as f64) as Nanos);
            }
            self.before.0 += whole;
            self.before.1 += segment.seconds;
            self.segment += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_spacing_is_even() {
        let arrivals: Vec<Nanos> = Schedule::steady(100.0, 0.0, 2.0, Spacing::Constant, 1).collect();
        assert_eq!(arrivals.len(), 200);
        assert!(arrivals.windows(2).all(|pair| (pair[1] - pair[0]).abs_diff(10_000_000) <= 1));
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_another_seed_another() {
        let draw = |seed| Schedule::steady(500.0, 1.0, 3.0, Spacing::Poisson, seed).collect::<Vec<_>>();
        assert_eq!(draw(42), draw(42));
        assert_ne!(draw(42), draw(43));
    }

    #[test]
    fn poisson_gaps_vary_as_much_as_they_last() {
        let arrivals: Vec<Nanos> = Schedule::steady(1000.0, 0.0, 20.0, Spacing::Poisson, 3).collect();
        let gaps: Vec<f64> = arrivals.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
        assert!((deviation / mean - 1.0).abs() < 0.05, "{deviation}");
    }

    #[test]
    fn a_ramp_brings_half_of_its_arrivals_in_the_last_30_percent() {
        let schedule = Schedule::steady(1000.0, 10.0, 10.0, Spacing::Constant, 1);
        assert!((schedule.expected() - 5000.0).abs() < 1e-6);
        let arrivals: Vec<Nanos> = schedule.collect();
        assert_eq!(arrivals.len(), 5000);
        let half = arrivals[2499] as f64 / 1e9;
        assert!((half - 10.0 / 2f64.sqrt()).abs() < 0.01, "{half}");
    }

    #[test]
    fn steps_follow_one_another_and_a_pause_is_a_pause() {
        let step = |seconds, rate| Segment { seconds, from: rate, to: rate };
        let steps = vec![step(1.0, 10.0), step(1.0, 0.0), step(1.0, 20.0)];
        let arrivals: Vec<Nanos> = Schedule::new(steps, Spacing::Constant, 1).collect();
        assert_eq!(arrivals.len(), 30);
        assert!(!arrivals.iter().any(|at| (SECOND + 1..2 * SECOND).contains(at)));
    }
}
