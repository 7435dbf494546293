//! Two groups of runs side by side, as a page.

use std::fmt::{Result, Write};

use super::page;
use super::plots::{figure, points};
use crate::compare::{Row, median};
use crate::report::svg::{Axis, Line, Plot, escape, number};
use crate::report::{Report, main_metric, terminal};
use crate::stats::recorder::{Hist, histogram};

/// The page of a comparison.
pub fn compare(a: &[Report], b: &[Report], rows: &[Row]) -> String {
    let kind = a[0].scenario;
    page(&format!("{} · comparison · AnonCam load", kind.name()), |out| {
        let (runs_a, runs_b) = (a.len(), b.len());
        write!(
            out,
            "<h1>{}: A and B</h1><p class=\"sub\">{runs_a} runs of A, {runs_b} of B</p>",
            kind.name()
        )?;
        for (side, reports) in [("A", a), ("B", b)] {
            for report in reports.iter().filter(|report| !report.health.sound) {
                let why = escape(&report.health.findings.join("; "));
                write!(
                    out,
                    "<div class=\"verdict unsound\"><p><b>{side} has a run that is not sound:</b> {why}</p></div>"
                )?;
            }
        }
        write!(out, "<div class=\"plots\">")?;
        let lines = vec![
            Line::solid("A, all runs", points(pooled(a))),
            Line::dashed("B, all runs", points(pooled(b))),
        ];
        let title = format!("{} by percentile", terminal::name(main_metric(kind)));
        figure(
            out,
            &Plot {
                title: &title,
                x_label: "percentile",
                y_label: "ms",
                lines,
                x: Axis::Nines,
                y: Axis::Log,
                ..Plot::default()
            },
        )?;
        write!(out, "</div>")?;
        write_rows(out, rows)
    })
}

/// The main latency of all runs together: counts are added, percentiles never averaged.
fn pooled(reports: &[Report]) -> std::result::Result<Hist, String> {
    let mut sum = histogram();
    for latency in reports.iter().filter_map(Report::main_latency) {
        sum.add(latency.corrected.histogram()?).map_err(|error| error.to_string())?;
    }
    Ok(sum)
}

fn write_rows(out: &mut String, rows: &[Row]) -> Result {
    write!(
        out,
        "<h2>Figures, medians over runs</h2><div class=\"scroll\"><table><thead><tr><th></th><th>A</th><th>B</th>\
         <th>B/A</th><th>95 % interval</th><th>p (ranks)</th><th class=\"text\">verdict</th></tr></thead><tbody>"
    )?;
    for row in rows {
        let verdict = if row.differs() { "different" } else { "same, within noise" };
        write!(
            out,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.3} to {:.3}</td><td>{:.3}</td>\
             <td class=\"text\">{verdict}</td></tr>",
            escape(&row.name),
            number(median(&row.a)),
            number(median(&row.b)),
            row.ratio,
            row.interval.0,
            row.interval.1,
            row.p_value
        )?;
    }
    write!(out, "</tbody></table></div>")
}
