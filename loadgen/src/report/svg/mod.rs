//! Plots as inline SVG: lines over time, by percentile, or by number. No script, no fonts from elsewhere.
//!
//! Colours come from the page's style sheet (classes `s0` to `s3`), so that light and dark are one drawing.

mod scale;

use std::fmt::Write;

use scale::Scale;
pub use scale::{Axis, number};

/// Size of every plot in its own units; the page scales it.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
/// Room for the axes' numbers.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 42.0;
/// Points of one line; more are thinned out, keeping the largest of each bucket.
const MAX_POINTS: usize = 720;
/// Lines with at most so many points show each of them.
const MARKED_POINTS: usize = 24;
/// Width of a letter of the legend, on average.
const LETTER: f64 = 6.6;

/// One line of a plot.
pub struct Line<'a> {
    /// Shown in the legend.
    pub name: &'a str,
    /// Points, in order of x.
    pub points: Vec<(f64, f64)>,
    /// Drawn dashed.
    pub dashed: bool,
}

impl<'a> Line<'a> {
    /// A solid line.
    pub fn solid(name: &'a str, points: Vec<(f64, f64)>) -> Self {
        Self { name, points, dashed: false }
    }

    /// A dashed line.
    pub fn dashed(name: &'a str, points: Vec<(f64, f64)>) -> Self {
        Self { name, points, dashed: true }
    }
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
    /// How x is divided.
    pub x: Axis,
    /// How y is divided.
    pub y: Axis,
    /// A part of the x axis that is shaded, with what it is.
    pub shaded: Option<(f64, f64, &'a str)>,
    /// A level that is marked, with what it is.
    pub level: Option<(f64, &'a str)>,
}

impl Default for Plot<'_> {
    fn default() -> Self {
        Self {
            title: "",
            x_label: "",
            y_label: "",
            lines: Vec::new(),
            x: Axis::Linear,
            y: Axis::Linear,
            shaded: None,
            level: None,
        }
    }
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
            let (middle, half) = (WIDTH / 2.0, HEIGHT / 2.0);
            return write!(out, r#"<text x="{middle}" y="{half}" class="label middle">no data</text></svg>"#);
        }
        let levels = self.level.iter().map(|(level, _)| *level);
        let shaded = self.shaded.iter().flat_map(|(from, to, _)| [*from, *to]);
        let xs = points().map(|point| point.0).chain(shaded);
        let x = Scale::new(self.x, xs, (LEFT, WIDTH - RIGHT), false);
        let y = Scale::new(self.y, points().map(|point| point.1).chain(levels), (HEIGHT - BOTTOM, TOP), true);
        self.write_shade(out, &x)?;
        self.write_axes(out, &x, &y)?;
        if let Some((level, name)) = self.level {
            let (at, right) = (y.at(level), WIDTH - RIGHT);
            write!(out, r#"<path class="level" d="M{LEFT} {at:.1}H{right}"/>"#)?;
            let (x, y) = (LEFT + 6.0, at - 5.0);
            write!(out, r#"<text class="tick" x="{x:.1}" y="{y:.1}">{}</text>"#, escape(name))?;
        }
        for (index, line) in self.lines.iter().enumerate() {
            self.write_line(out, index, line, &x, &y)?;
        }
        self.write_legend(out)?;
        write!(out, "</svg>")
    }

    fn write_shade(&self, out: &mut String, x: &Scale) -> std::fmt::Result {
        let Some((from, to, name)) = self.shaded else { return Ok(()) };
        let (from, to) = (x.at(from), x.at(to));
        let (width, height) = (to - from, HEIGHT - BOTTOM - TOP);
        write!(
            out,
            r#"<rect class="shade" x="{from:.1}" y="{TOP}" width="{width:.1}" height="{height:.1}"/>"#
        )?;
        if width > name.len() as f64 * LETTER {
            let (x, y) = (f64::midpoint(from, to), TOP + 14.0);
            write!(out, r#"<text class="tick middle" x="{x:.1}" y="{y:.1}">{}</text>"#, escape(name))?;
        }
        Ok(())
    }

    fn write_axes(&self, out: &mut String, x: &Scale, y: &Scale) -> std::fmt::Result {
        for (tick, text) in y.ticks() {
            let (at, right) = (y.at(tick), WIDTH - RIGHT);
            write!(out, r#"<path class="grid" d="M{LEFT} {at:.1}H{right:.1}"/>"#)?;
            let (x, y) = (LEFT - 6.0, at + 4.0);
            write!(out, r#"<text class="tick end" x="{x:.1}" y="{y:.1}">{text}</text>"#)?;
        }
        let bottom = HEIGHT - BOTTOM;
        for (tick, text) in x.ticks() {
            let at = x.at(tick);
            write!(out, r#"<path class="grid" d="M{at:.1} {TOP}V{bottom:.1}"/>"#)?;
            write!(out, r#"<text class="tick middle" x="{at:.1}" y="{:.1}">{text}</text>"#, bottom + 16.0)?;
        }
        let (middle, below) = (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 6.0);
        write!(
            out,
            r#"<text class="label middle" x="{middle}" y="{below}">{}</text>"#,
            escape(self.x_label)
        )?;
        write!(out, r#"<text class="label" x="4" y="16">{}</text>"#, escape(self.y_label))
    }

    fn write_line(
        &self,
        out: &mut String,
        index: usize,
        line: &Line<'_>,
        x: &Scale,
        y: &Scale,
    ) -> std::fmt::Result {
        if line.points.is_empty() {
            return Ok(());
        }
        write!(out, r#"<path class="line s{index}{}" d=""#, if line.dashed { " dashed" } else { "" })?;
        let bucket = line.points.len().div_ceil(MAX_POINTS).max(1);
        for (at, points) in line.points.chunks(bucket).enumerate() {
            let highest = points.iter().copied().fold(points[0], |a, b| if b.1 > a.1 { b } else { a });
            let verb = if at == 0 { 'M' } else { 'L' };
            write!(out, "{verb}{:.1} {:.1}", x.at(highest.0), y.at(highest.1))?;
        }
        write!(out, r#""/>"#)?;
        if line.points.len() <= MARKED_POINTS && self.x != Axis::Nines {
            for (at, value) in &line.points {
                let (cx, cy) = (x.at(*at), y.at(*value));
                let text = format!("{}: {} {}", line.name, number(*value), self.y_label);
                let text = escape(&text);
                write!(
                    out,
                    r#"<circle class="dot s{index}" cx="{cx:.1}" cy="{cy:.1}" r="3.5"><title>{text}</title></circle>"#
                )?;
            }
        }
        Ok(())
    }

    /// From the right, so that it meets the axis's label last.
    fn write_legend(&self, out: &mut String) -> std::fmt::Result {
        let mut right = WIDTH - RIGHT;
        let drawn = self.lines.iter().enumerate().filter(|(_, line)| !line.points.is_empty());
        for (index, line) in drawn.rev() {
            write!(out, r#"<text class="tick end" x="{right:.1}" y="16">{}</text>"#, escape(line.name))?;
            right -= line.name.chars().count() as f64 * LETTER + 32.0;
            let dashed = if line.dashed { " dashed" } else { "" };
            write!(out, r#"<path class="line s{index}{dashed}" d="M{right:.1} 12h24"/>"#)?;
            right -= 16.0;
        }
        Ok(())
    }
}

/// Text that is safe inside HTML and attributes.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>, y: Axis) -> String {
        let lines = vec![Line::solid("a <b>", points)];
        Plot { title: "t", x_label: "x", y_label: "y", lines, y, ..Plot::default() }.render()
    }

    #[test]
    fn odd_data_still_gives_a_picture() {
        for points in [vec![], vec![(0.0, 0.0)], vec![(5.0, 5.0)], vec![(0.0, 0.0), (1.0, 0.0)]] {
            for y in [Axis::Linear, Axis::Log, Axis::Nines] {
                let svg = plot(points.clone(), y);
                assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"), "{svg}");
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }

    #[test]
    fn names_cannot_break_out_of_the_page() {
        let svg = plot(vec![(0.0, 1.0)], Axis::Linear);
        assert!(svg.contains("a &lt;b&gt;") && !svg.contains("<b>"));
    }

    #[test]
    fn a_long_run_is_thinned_and_keeps_its_peak() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|x| (f64::from(x), 1.0)).collect();
        points[54_321].1 = 1000.0;
        let svg = plot(points, Axis::Linear);
        assert!(svg.len() < 20_000);
        let peak = format!(" {:.1}", TOP + (HEIGHT - BOTTOM - TOP) * (1.0 - 1.0 / 1.08));
        assert!(svg.contains(&peak), "the peak at {peak} is missing");
    }
}
