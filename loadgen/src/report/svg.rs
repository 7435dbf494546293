//! Plots as inline SVG: lines over time, and latency by percentile on a log axis. No script, no fonts from elsewhere.
//!
//! Colours come from the page's style sheet (classes `s0` to `s3`), so that light and dark are one drawing.

use std::fmt::Write;

/// Size of every plot in its own units; the page scales it.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 280.0;
/// Room for the axes' numbers.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 40.0;
/// Points of one line; more are thinned out, keeping the largest of each bucket.
const MAX_POINTS: usize = 720;

/// One line of a plot.
pub struct Line<'a> {
    /// Shown in the legend.
    pub name: &'a str,
    /// Points, in order of x.
    pub points: Vec<(f64, f64)>,
    /// Drawn dashed.
    pub dashed: bool,
}

/// A plot.
pub struct Plot<'a> {
    /// What is plotted; read out by screen readers.
    pub title: &'a str,
    /// What is on the x axis, with its unit.
    pub x_label: &'a str,
    /// What is on the y axis, with its unit.
    pub y_label: &'a str,
    /// The lines.
    pub lines: Vec<Line<'a>>,
    /// Whether x is a percentile, drawn so that each further nine takes the same room.
    pub percentiles: bool,
    /// Whether y is logarithmic.
    pub log_y: bool,
}

/// From the data to the page.
struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
    log: bool,
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let (from, to, value) = if self.log {
            (self.from.log10(), self.to.log10(), value.max(self.from).log10())
        } else {
            (self.from, self.to, value)
        };
        self.start + (value - from) / (to - from) * (self.end - self.start)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let (from, to) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
            return (from..=to).map(|power| 10f64.powi(power)).collect();
        }
        let step = nice_step((self.to - self.from) / 5.0);
        let first = (self.from / step).ceil() as i64;
        let last = (self.to * 1.0001 / step).floor() as i64;
        (first..=last).map(|index| index as f64 * step).collect()
    }
}

/// 1, 2 or 5 times a power of ten, at least `rough`.
fn nice_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough)
        .unwrap_or(power)
}

/// A percentile (0 to 100) on an axis where 90, 99, 99.9 are equally far apart.
fn nines(percentile: f64) -> f64 {
    -((100.0 - percentile).max(1e-4) / 100.0).log10()
}

impl Plot<'_> {
    /// Draws the plot.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let title = escape(self.title);
        write!(
            out,
            r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}"><title>{title}</title>"#
        )?;
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        if points().next().is_none() {
            write!(
                out,
                r#"<text x="{}" y="{}" class="label">no data</text></svg>"#,
                WIDTH / 2.0,
                HEIGHT / 2.0
            )?;
            return Ok(());
        }
        let (x, y) = self.scales(points);
        self.write_axes(out, &x, &y)?;
        for (index, line) in self.lines.iter().enumerate() {
            self.write_line(out, index, line, &x, &y)?;
        }
        write!(out, "</svg>")
    }

    fn scales<I: Iterator<Item = (f64, f64)>>(&self, points: impl Fn() -> I) -> (Scale, Scale) {
        let x_of = |x: f64| if self.percentiles { nines(x) } else { x };
        let low = points().map(|point| x_of(point.0)).fold(f64::INFINITY, f64::min);
        let high = points().map(|point| x_of(point.0)).fold(f64::NEG_INFINITY, f64::max);
        let least = points().map(|point| point.1).filter(|y| *y > 0.0).fold(f64::INFINITY, f64::min);
        let most = points().map(|point| point.1).fold(0.0, f64::max).max(1e-6);
        let x_from = if self.percentiles { 0.0 } else { low };
        let x =
            Scale { from: x_from, to: high.max(x_from + 1e-6), start: LEFT, end: WIDTH - RIGHT, log: false };
        let (from, to) = if self.log_y {
            let least = if least.is_finite() { least } else { most / 10.0 };
            let from = 10f64.powf(least.log10().floor());
            (from, 10f64.powf(most.log10().ceil()).max(from * 10.0))
        } else {
            (0.0, most * 1.08)
        };
        (x, Scale { from, to, start: HEIGHT - BOTTOM, end: TOP, log: self.log_y })
    }

    fn write_axes(&self, out: &mut String, x: &Scale, y: &Scale) -> std::fmt::Result {
        for tick in y.ticks() {
            let at = y.at(tick);
            write!(out, r#"<path class="grid" d="M{LEFT} {at:.1}H{:.1}"/>"#, WIDTH - RIGHT)?;
            write!(
                out,
                r#"<text class="tick end" x="{:.1}" y="{:.1}">{}</text>"#,
                LEFT - 6.0,
                at + 4.0,
                number(tick)
            )?;
        }
        let x_ticks: Vec<(f64, String)> = if self.percentiles {
            let marks = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999];
            marks
                .iter()
                .map(|mark| (nines(*mark), format!("{mark}%")))
                .filter(|(at, _)| *at <= x.to)
                .collect()
        } else {
            x.ticks().into_iter().map(|tick| (tick, number(tick))).collect()
        };
        for (tick, text) in x_ticks {
            let at = x.at(tick);
            write!(out, r#"<path class="grid" d="M{at:.1} {TOP}V{:.1}"/>"#, HEIGHT - BOTTOM)?;
            write!(out, r#"<text class="tick" x="{at:.1}" y="{:.1}">{text}</text>"#, HEIGHT - BOTTOM + 16.0)?;
        }
        let (middle, bottom) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 6.0);
        write!(out, r#"<text class="label" x="{middle}" y="{bottom}">{}</text>"#, escape(self.x_label))?;
        write!(out, r#"<text class="label start" x="4" y="14">{}</text>"#, escape(self.y_label))
    }

    fn write_line(
        &self,
        out: &mut String,
        index: usize,
        line: &Line<'_>,
        x: &Scale,
        y: &Scale,
    ) -> std::fmt::Result {
        let dash = if line.dashed { r#" stroke-dasharray="6 4""# } else { "" };
        write!(out, r#"<path class="line s{index}"{dash} d=""#)?;
        let bucket = line.points.len().div_ceil(MAX_POINTS).max(1);
        for (at, points) in line.points.chunks(bucket).enumerate() {
            let highest = points.iter().copied().fold(points[0], |a, b| if b.1 > a.1 { b } else { a });
            let place = if self.percentiles { nines(highest.0) } else { highest.0 };
            let verb = if at == 0 { 'M' } else { 'L' };
            write!(out, "{verb}{:.1} {:.1}", x.at(place), y.at(highest.1))?;
        }
        write!(out, r#""/>"#)?;
        let legend_x = LEFT + 150.0 + 150.0 * index as f64;
        write!(out, r#"<path class="line s{index}"{dash} d="M{legend_x:.1} 10h24"/>"#)?;
        write!(
            out,
            r#"<text class="tick start" x="{:.1}" y="14">{}</text>"#,
            legend_x + 30.0,
            escape(line.name)
        )
    }
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

/// Text that is safe inside HTML and attributes.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>, log_y: bool) -> String {
        let line = Line { name: "a <b>", points, dashed: false };
        Plot { title: "t", x_label: "x", y_label: "y", lines: vec![line], percentiles: false, log_y }.render()
    }

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
    fn odd_data_still_gives_a_picture() {
        for points in [vec![], vec![(0.0, 0.0)], vec![(5.0, 5.0)], vec![(0.0, 0.0), (1.0, 0.0)]] {
            for log_y in [false, true] {
                let svg = plot(points.clone(), log_y);
                assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"), "{svg}");
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }

    #[test]
    fn names_cannot_break_out_of_the_page() {
        let svg = plot(vec![(0.0, 1.0)], false);
        assert!(svg.contains("a &lt;b&gt;") && !svg.contains("<b>"));
    }

    #[test]
    fn a_long_run_is_thinned_and_keeps_its_peak() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|x| (f64::from(x), 1.0)).collect();
        points[54_321].1 = 1000.0;
        let svg = plot(points, false);
        assert!(svg.len() < 20_000);
        let peak = format!(" {:.1}", TOP + (HEIGHT - BOTTOM - TOP) * (1.0 - 1.0 / 1.08));
        assert!(svg.contains(&peak), "the peak at {peak} is missing");
    }
}
