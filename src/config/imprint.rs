//! What an operator says about themselves and their site, for the privacy policy.
//!
//! In: the settings under `operator`. Out: an [`Imprint`]; in production a complete one that fits the effective text of the policy, or what is
//! missing.

use std::path::Path;
use std::sync::Arc;

use super::draft::Draft;
use super::value::Value;
use super::{Config, Problem};
use crate::calendar::Date;
use crate::limits;
use crate::privacy::Prefixes;
use crate::site::policy::PrivacyPolicy;

/// Who runs the site, and what else the policy has to know about it. In development all of it may be missing.
#[derive(Clone, Debug, Default)]
pub struct Imprint {
    /// The legal name of a person or company.
    pub name: Option<String>,
    /// The site's own name, such as its host; the first origin unless set.
    pub site: Option<String>,
    /// The country whose law the operator is under.
    pub country: Option<String>,
    /// Where people write to: a mail address, or the address of a page.
    pub contact: Option<String>,
    /// The country in which the server stands, if it is another one.
    pub server_country: Option<String>,
    /// Who runs the relay for video, if there is one.
    pub relay: Option<Relay>,
    /// Countries that are not served, by their names.
    pub not_served: Vec<String>,
    /// The ranges of addresses from which nobody is served.
    pub not_served_prefixes: Option<Arc<Prefixes>>,
    /// What the operator has read and stands by.
    pub adopted: Option<Adopted>,
}

/// Who runs the relay for video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relay {
    /// Nobody: there is none.
    None,
    /// The operator.
    Own,
    /// Somebody else: a name and a country.
    Other(String),
}

/// The effective text of the policy that an operator has read, and the day from which it applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// "Last updated".
    pub date: Date,
    /// Of the text ([`PrivacyPolicy::fingerprint`]).
    pub fingerprint: String,
}

/// A name, a country or an address that stands in the policy.
pub(super) fn words(value: &Value) -> Result<String, String> {
    let text = value.text("some words")?;
    if text.len() > limits::IMPRINT_BYTES || text.chars().any(char::is_control) {
        return Err(format!("allowed is one line of at most {} bytes", limits::IMPRINT_BYTES));
    }
    Ok(text.to_owned())
}

/// Names of countries.
pub(super) fn countries(value: &Value) -> Result<Vec<String>, String> {
    let names = value.list(limits::MAX_COUNTRIES, "names of countries")?;
    match names.iter().find(|name| name.len() > limits::IMPRINT_BYTES || name.chars().any(char::is_control)) {
        Some(_) => Err(format!("allowed are names of at most {} bytes", limits::IMPRINT_BYTES)),
        None => Ok(names),
    }
}

/// `none`, `self`, or `NAME, COUNTRY`.
pub(super) fn relay(value: &Value) -> Result<Relay, String> {
    let text = words(value)?;
    match text.as_str() {
        "none" => Ok(Relay::None),
        "self" => Ok(Relay::Own),
        other if other.contains(", ") => Ok(Relay::Other(text)),
        other => Err(format!("\"{other}\" is not allowed, allowed is none, self, or \"NAME, COUNTRY\"")),
    }
}

/// `2026-11-28 1a2b3c4d`: a day and a fingerprint.
pub(super) fn adopted(value: &Value) -> Result<Adopted, String> {
    let text = value.text("a day and a fingerprint, as anoncam policy prints them")?;
    let (date, fingerprint) = text.split_once(' ').unwrap_or((text, ""));
    let date = Date::parse(date).filter(|_| !fingerprint.is_empty());
    date.map(|date| Adopted { date, fingerprint: fingerprint.trim().to_owned() })
        .ok_or_else(|| format!("\"{text}\" is not a day and a fingerprint, such as \"2026-11-28 1a2b3c4d\""))
}

/// Reads the ranges that are not served.
fn read_prefixes(path: &Path) -> Result<Prefixes, String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limits::PREFIXES_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if text.len() as u64 > limits::PREFIXES_BYTES {
        return Err(format!("{} is larger than {} bytes", path.display(), limits::PREFIXES_BYTES));
    }
    Prefixes::parse(&text).map_err(|line| {
        format!(
            "{}:{line}: not a range of addresses, allowed is one a line, such as 192.0.2.0/24",
            path.display()
        )
    })
}

/// Checks what the operator says beside the other settings, and reads the ranges that are not served.
pub(super) fn check(draft: &mut Draft) -> Vec<Problem> {
    let mut problems = not_served(draft);
    let relays = draft.turn_urls.iter().flatten().any(|url| url.starts_with("turn"));
    match (&draft.config.imprint.relay, relays) {
        (Some(Relay::None), true) => {
            let message = "is none, and turn.urls has a relay; allowed is self, or \"NAME, COUNTRY\"";
            problems.push(draft.problem("operator.turn", message));
        }
        (Some(Relay::Own | Relay::Other(_)), false) => {
            let message = "names somebody who runs a relay, and turn.urls has none";
            problems.push(draft.problem("operator.turn", message));
        }
        (None, false) => draft.config.imprint.relay = Some(Relay::None),
        _ => {}
    }
    if draft.is_production() {
        problems.extend(missing(draft));
    }
    problems
}

fn not_served(draft: &mut Draft) -> Vec<Problem> {
    const KEY: &str = "operator.not_served_prefixes";
    let mut problems = Vec::new();
    let Some(path) = &draft.not_served_prefixes else { return problems };
    match read_prefixes(path) {
        Ok(prefixes) => draft.config.imprint.not_served_prefixes = Some(Arc::new(prefixes)),
        Err(message) => problems.push(draft.problem(KEY, message)),
    }
    if draft.config.imprint.not_served.is_empty() {
        let message = "whom the site does not serve, the policy has to say; set operator.not_served";
        problems.push(draft.problem(KEY, message));
    }
    problems
}

/// What people have to be told before they are served.
fn missing(draft: &Draft) -> Vec<Problem> {
    let Imprint { name, country, contact, relay, .. } = &draft.config.imprint;
    let all = [
        ("operator.name", name.is_some(), "the legal name of who runs this server"),
        ("operator.country", country.is_some(), "the country of who runs this server"),
        (
            "operator.contact",
            contact.is_some(),
            "a mail address or page where people can ask about their data",
        ),
        ("operator.turn", relay.is_some(), "who runs the relay of turn.urls: self, or \"NAME, COUNTRY\""),
        // What to set it to is told once everything else is right.
        (
            "operator.policy",
            draft.config.imprint.adopted.is_some() || draft.only_reads_policy,
            "since when it applies",
        ),
    ];
    let missing = all.into_iter().filter(|(_, there, _)| !there);
    missing
        .map(|(key, _, what)| {
            let message = format!("missing: the privacy policy has to say {what}");
            match key {
                "operator.policy" => {
                    draft.problem(key, format!("{message}; anoncam policy FILE prints what to set"))
                }
                key => draft.problem(key, message),
            }
        })
        .collect()
}

/// Fills in what follows from the rest of a configuration that is right, and checks that in production the operator has read the text
/// that their site shows.
pub(super) fn complete(draft: &Draft, config: &mut Config) -> Option<Problem> {
    if config.imprint.site.is_none() {
        let host = config.origins.first().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        config.imprint.site = host.map(str::to_owned);
    }
    let adopted = config.imprint.adopted.as_ref().filter(|_| !draft.only_reads_policy)?;
    let policy = PrivacyPolicy::of(config);
    let fingerprint = policy.fingerprint();
    let message = if adopted.fingerprint != fingerprint {
        format!(
            "the text of the privacy policy is not {} any more; read it (anoncam policy FILE), then set \
             \"YYYY-MM-DD {fingerprint}\" with the day from which it applies",
            adopted.fingerprint
        )
    } else if adopted.date < policy.written() {
        format!("{} is before the text was written, on {}", adopted.date, policy.written())
    } else {
        return None;
    };
    Some(draft.problem("operator.policy", message))
}
