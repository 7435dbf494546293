//! From data to the page: linear, logarithmic, and percentiles of which each further nine takes the same room.

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Evenly.
    Linear,
    /// Each power of ten takes the same room.
    Log,
    /// From 0 to 100, where 90, 99 and 99.9 are equally far apart.
    Nines,
}

/// An axis with its ends.
pub struct Scale {
    axis: Axis,
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// An axis that holds `values`, drawn from `start` to `end`. `zero`: whether a linear one begins at 0.
    pub fn new(axis: Axis, values: impl Iterator<Item = f64>, (start, end): (f64, f64), zero: bool) -> Self {
        let positive = |value: &f64| axis != Axis::Log || *value > 0.0;
        let (low, high) = values
            .filter(positive)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low.is_finite() { (low, high) } else { (0.1, 1.0) };
        let (from, to) = match axis {
            Axis::Nines => (0.0, nines(high).max(nines(90.0))),
            Axis::Log => log_ends(low, high),
            Axis::Linear if zero => (0.0, if high > 0.0 { high * 1.08 } else { 1.0 }),
            Axis::Linear => (low, if high > low { high } else { low + 1.0 }),
        };
        Self { axis, from, to, start, end }
    }

    /// Where a value is drawn.
    pub fn at(&self, value: f64) -> f64 {
        let (from, to, value) = match self.axis {
            Axis::Linear => (self.from, self.to, value),
            Axis::Log => (self.from.log10(), self.to.log10(), value.max(self.from).log10()),
            Axis::Nines => (self.from, self.to, nines(value)),
        };
        self.start + (value - from) / (to - from) * (self.end - self.start)
    }

    /// What is marked on the axis, and how it is written.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let numbered = |values: Vec<f64>| values.into_iter().map(|value| (value, number(value))).collect();
        match self.axis {
            Axis::Nines => {
                let marks = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999];
                let shown = marks.into_iter().filter(|mark| nines(*mark) <= self.to * 1.001);
                shown.map(|mark| (mark, format!("{mark}%"))).collect()
            }
            Axis::Log => numbered(self.log_ticks()),
            Axis::Linear => numbered(self.even_ticks()),
        }
    }

    fn log_ticks(&self) -> Vec<f64> {
        let (first, last) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
        // On a short axis the powers of ten alone would leave a reader without a number.
        let steps: &[f64] = if last - first > 3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = (first..=last).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        all.filter(|tick| *tick >= self.from * 0.999 && *tick <= self.to * 1.001).collect()
    }

    fn even_ticks(&self) -> Vec<f64> {
        let step = nice_step((self.to - self.from) / 5.0);
        let first = (self.from / step).ceil() as i64;
        let last = (self.to * 1.0001 / step).floor() as i64;
        (first..=last).map(|index| index as f64 * step).collect()
    }
}

/// The ends of a logarithmic axis: the nearest of 1, 2 and 5 times a power of ten around the data.
fn log_ends(low: f64, high: f64) -> (f64, f64) {
    let around = |value: f64, up: bool| {
        let power = 10f64.powf(value.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        if up {
            steps.into_iter().find(|step| *step >= value * 0.999).unwrap_or(power * 10.0)
        } else {
            steps.into_iter().rfind(|step| *step <= value * 1.001).unwrap_or(power)
        }
    };
    let (from, to) = (around(low, false), around(high, true));
    (from, if to > from { to } else { from * 10.0 })
}

/// 1, 2 or 5 times a power of ten, at least `rough`.
fn nice_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(power)
}

/// A percentile (0 to 100) on an axis where 90, 99, 99.9 are equally far apart.
fn nines(percentile: f64) -> f64 {
    -((100.0 - percentile).max(1e-4) / 100.0).log10()
}

/// A number as short as it can be: 12000 is 12k.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let (scaled, unit) = match size {
        _ if size >= 1e9 => (value / 1e9, "G"),
        _ if size >= 1e6 => (value / 1e6, "M"),
        _ if size >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if size > 0.0 && size < 1.0 { (1.0 - size.log10()).ceil() as usize } else { 2 };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (12_000.0, "12k"), (1_500_000.0, "1.5M"), (0.05, "0.05"), (7.0, "7")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn every_nine_takes_the_same_room() {
        let step = nines(99.0) - nines(90.0);
        assert!((nines(99.9) - nines(99.0) - step).abs() < 1e-9);
        assert!(nines(0.0).abs() < 1e-9 && nines(100.0).is_finite());
    }

    #[test]
    fn an_axis_ends_close_to_its_data() {
        let scale = Scale::new(Axis::Log, [0.3, 7.0].into_iter(), (0.0, 1.0), false);
        assert_eq!((scale.from, scale.to), (0.2, 10.0));
        let written: Vec<String> = scale.ticks().into_iter().map(|tick| tick.1).collect();
        assert_eq!(written, ["0.2", "0.5", "1", "2", "5", "10"]);
        let wide = Scale::new(Axis::Log, [0.01, 1000.0].into_iter(), (0.0, 1.0), false);
        assert_eq!(wide.ticks().len(), 6);
        let even = Scale::new(Axis::Linear, [3.0, 9.0].into_iter(), (0.0, 1.0), true);
        assert!(even.at(0.0).abs() < 1e-9 && even.at(9.0) < 1.0);
    }
}
