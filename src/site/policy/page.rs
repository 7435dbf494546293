//! The policy as a page: the site's own template with the text between two marks.

use std::fmt::Write as _;

use super::{Part, PrivacyPolicy, Section, Statement};
use crate::site::assets::Asset;

/// Where the template lies among the files of the page.
const TEMPLATE: &str = "/privacy.html";
/// What the text stands between.
const BEGIN: &str = "<!-- policy -->";
const END: &str = "<!-- /policy -->";

/// The page; `None` if the template is not there or has no marks, which a test sees.
pub(super) fn render(policy: &PrivacyPolicy) -> Option<String> {
    let template = std::str::from_utf8(Asset::find(TEMPLATE)?.plain).ok()?;
    let (before, rest) = template.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{}{after}", body(policy)))
}

fn body(policy: &PrivacyPolicy) -> String {
    let mut html = String::from("<p class=\"who\">TL;DR</p>\n<ul class=\"plainlist\">\n");
    // Writing to a String does not fail.
    for Statement { id, text } in policy.short() {
        let key = id.rsplit('.').next().unwrap_or_default();
        let _ = writeln!(html, "<li data-t=\"{key}\">{}</li>", escaped(text));
    }
    let (updated, fingerprint) = (policy.updated(), policy.fingerprint());
    let _ = write!(
        html,
        "</ul>\n<p class=\"hint\" data-t=\"privacy_legal\">The full text follows in English.</p>\n<div lang=\"en\" dir=\"ltr\">\n\
         <h2>Privacy policy</h2>\n<p>Last updated <time datetime=\"{updated}\">{updated}</time> (version {fingerprint})</p>\n"
    );
    for (number, section) in (1..).zip(policy.sections()) {
        write_section(&mut html, number, section);
    }
    html.push_str("</div>\n");
    html
}

fn write_section(html: &mut String, number: usize, section: &Section) {
    let _ = writeln!(html, "<h2 id=\"section-{number}\">{number}. {}</h2>", escaped(section.title));
    for part in &section.parts {
        match part {
            Part::Says(Statement { text, .. }) => {
                let _ = writeln!(html, "<p>{}</p>", escaped(text));
            }
            Part::List(items) => {
                html.push_str("<ul class=\"plainlist\">\n");
                for Statement { text, .. } in items {
                    let _ = writeln!(html, "<li>{}</li>", escaped(text));
                }
                html.push_str("</ul>\n");
            }
            Part::Table(rows) => write_table(html, rows),
        }
    }
}

fn write_table(html: &mut String, rows: &[Statement]) {
    html.push_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"How long it is kept\"><table>\n\
         <thead><tr><th>What</th><th>For how long</th><th>Where</th></tr></thead>\n<tbody>\n",
    );
    for Statement { text, .. } in rows {
        let mut cells = text.split('\t').map(escaped);
        let _ = write!(html, "<tr><th>{}</th>", cells.next().unwrap_or_default());
        cells.for_each(|cell| {
            let _ = write!(html, "<td>{cell}</td>");
        });
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
}

/// What an operator writes stays text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
