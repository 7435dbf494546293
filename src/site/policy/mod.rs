//! The privacy policy: written from the constants that the server enforces, and from what the operator says about themselves.
//!
//! In: a configuration. Out: the policy as a page and as text, the fingerprint of its text, and since when it applies. The same
//! configuration gives the same text, whatever build it is; who changes a constant or a sentence adds to the [`ledger`].

mod data;
mod facts;
pub mod ledger;
mod page;
mod people;

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};

use crate::calendar::Date;
use crate::config::Config;
use crate::limits::NOTICE_DAYS;
use facts::Facts;

/// One sentence or a few that belong together, by a name that docs/PRIVACY.md maps to what keeps it true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its name.
    pub id: &'static str,
    /// What it says, in plain text.
    pub text: String,
}

/// A part of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A paragraph.
    Says(Statement),
    /// A list.
    List(Vec<Statement>),
    /// What is kept, how long, and where: a row each. `text` has three cells, a tab between them.
    Table(Vec<Statement>),
}

/// A section with its title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its title.
    pub title: &'static str,
    /// What it says.
    pub parts: Vec<Part>,
}

/// The effective policy of one server.
#[derive(Clone, Debug)]
pub struct PrivacyPolicy {
    short: Vec<Statement>,
    sections: Vec<Section>,
    updated: Date,
}

impl PrivacyPolicy {
    /// The policy of a server with this configuration.
    pub fn of(config: &Config) -> Self {
        let facts = Facts::of(config);
        let adopted = config.imprint.adopted.as_ref().map(|adopted| adopted.date);
        Self {
            short: data::short(),
            sections: data::sections(&facts).into_iter().chain(people::sections(&facts)).collect(),
            updated: adopted.unwrap_or_else(ledger::written),
        }
    }

    /// What it says, section by section.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The short version that stands first.
    pub fn short(&self) -> &[Statement] {
        &self.short
    }

    /// Since when it applies: the operator's word, in development the day on which the text was written.
    pub fn updated(&self) -> Date {
        self.updated
    }

    /// The day on which the text was written as it is, apart from what operators say.
    pub fn written(&self) -> Date {
        ledger::written()
    }

    /// Eight hexadecimal digits that change whenever a word of the policy does.
    pub fn fingerprint(&self) -> String {
        hex(&digest(&SHA256, self.body().as_bytes()).as_ref()[..4])
    }

    /// As a page between the template's marks.
    pub fn page(&self) -> Option<String> {
        page::render(self)
    }

    /// As plain text, with its date.
    pub fn text(&self) -> String {
        let Self { updated, .. } = self;
        format!("PRIVACY POLICY\n\nLast updated {updated} (version {})\n{}", self.fingerprint(), self.body())
    }

    /// Every word of it but the date and the fingerprint.
    fn body(&self) -> String {
        let mut text = String::from("\nTL;DR\n\n");
        // Writing to a String does not fail.
        for Statement { text: says, .. } in &self.short {
            let _ = writeln!(text, "- {says}");
        }
        for (number, Section { title, parts }) in (1..).zip(&self.sections) {
            let _ = writeln!(text, "\n{number}. {title}");
            for part in parts {
                let _ = match part {
                    Part::Says(says) => writeln!(text, "\n{}", says.text),
                    Part::List(all) | Part::Table(all) => {
                        text.push('\n');
                        all.iter().try_for_each(|says| writeln!(text, "- {}", says.text.replace('\t', ": ")))
                    }
                };
            }
        }
        text
    }
}

/// What the first page says for a while after the policy has changed.
#[derive(Clone, Copy, Debug)]
pub struct Notice {
    /// Since when the policy is as it is.
    pub changed: Date,
    /// What has become weaker, if anything has, in plain words.
    pub what: Option<&'static str>,
}

impl Notice {
    /// The notice of a server whose operator has adopted a policy; `None` where nobody has, which is in development.
    pub fn of(config: &Config) -> Option<Self> {
        let adopted = config.imprint.adopted.as_ref()?;
        Some(Self { changed: adopted.date, what: ledger::notice() })
    }

    /// Whether it is shown on this day: from the change on, for [`NOTICE_DAYS`].
    pub fn is_shown_on(&self, today: Date) -> bool {
        today.days().checked_sub(self.changed.days()).is_some_and(|age_days| age_days < NOTICE_DAYS)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A paragraph.
fn says(id: &'static str, text: impl Into<String>) -> Part {
    Part::Says(Statement { id, text: text.into() })
}

/// An entry of a list, or a row of a table.
fn item(id: &'static str, text: impl Into<String>) -> Statement {
    Statement { id, text: text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_for_thirty_days_from_its_day_on() {
        let day = |text| Date::parse(text).expect("a day");
        let notice = Notice { changed: day("2026-11-28"), what: None };
        let shown = ["2026-11-27", "2026-11-28", "2026-12-27", "2026-12-28"]
            .map(|text| notice.is_shown_on(day(text)));
        assert_eq!(shown, [false, true, true, false]);
    }

    /// One way that a configuration can differ.
    type Change = fn(&mut Config);

    #[test]
    fn the_fingerprint_follows_every_word_and_nothing_else() {
        let fingerprint = |change: Change| {
            let mut config = Config::default();
            change(&mut config);
            PrivacyPolicy::of(&config).fingerprint()
        };
        let plain = fingerprint(|_| {});
        let others: [Change; 6] = [
            |config| config.imprint.name = Some("Example Ltd".into()),
            |config| config.imprint.contact = Some("privacy@chat.example".into()),
            |config| config.imprint.not_served = vec!["Atlantis".into()],
            |config| config.retention.resume = std::time::Duration::from_secs(30),
            |config| config.log_dir = Some("log".into()),
            |config| config.access_log = true,
        ];
        for (number, change) in others.into_iter().enumerate() {
            assert_ne!(fingerprint(change), plain, "change {number}");
        }
        let same: [Change; 3] = [
            |config| config.shards = 7,
            |config| config.max_sessions = 7,
            |config| {
                let date = Date { year: 2030, month: 1, day: 1 };
                config.imprint.adopted = Some(crate::config::Adopted { date, fingerprint: "7".into() });
            },
        ];
        for change in same {
            assert_eq!(fingerprint(change), plain);
        }
    }

    #[test]
    fn there_are_thirteen_sections_in_the_order_that_is_promised() {
        let policy = PrivacyPolicy::of(&Config::default());
        let titles: Vec<_> = policy.sections().iter().map(|section| section.title).collect();
        let expected = [
            "covers",
            "handle",
            "use",
            "long",
            "strangers",
            "cookies",
            "third",
            "security",
            "children",
            "rights",
            "changes",
            "international",
            "contact",
        ];
        assert_eq!(titles.len(), expected.len());
        for (title, word) in titles.iter().zip(expected) {
            assert!(title.to_lowercase().contains(word), "{title}: {word}");
        }
    }

    #[test]
    fn what_an_operator_writes_stays_text() {
        let mut config = Config::default();
        config.imprint.name = Some("<script>alert(1)</script> & \"Sons\"".into());
        let page = PrivacyPolicy::of(&config).page().expect("a template with its marks");
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;Sons&quot;"), "{page}");
    }
}
