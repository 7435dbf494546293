//! Settings as they come in, one after the other, and the name that was meant where there is no such setting.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::acme::AcmeDraft;
use super::settings::SETTINGS;
use super::value::Value;
use super::{Config, Place, Problem};

/// Settings as they are collected, before the rules between them are checked.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) acme: AcmeDraft,
    pub(super) turn_urls: Option<Vec<String>>,
    pub(super) turn_secret: Option<PathBuf>,
    pub(super) not_served_prefixes: Option<PathBuf>,
    /// Whether it is only read for the policy that it makes: that need not be adopted yet.
    pub(super) only_reads_policy: bool,
    /// 0 means the default.
    pub(super) turn_ttl_s: u64,
    /// While the file is read, where it lies: relative paths in it start there. Else empty: they start here.
    pub(super) directory: PathBuf,
    /// The value of each key that was given last.
    pub(super) given: BTreeMap<&'static str, Value>,
    /// Where each key was given last.
    places: Vec<(&'static str, Place)>,
}

impl Draft {
    /// Takes one value for the setting called `name`.
    pub(super) fn give(&mut self, name: &str, value: &Value, place: Place) -> Result<(), Problem> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == name) else {
            return Err(Problem::at(place, unknown(name)));
        };
        (setting.apply)(self, value).map_err(|message| Problem::new(place.clone(), setting.key, message))?;
        self.given.insert(setting.key, value.clone());
        self.places.push((setting.key, place));
        Ok(())
    }

    /// Where `key` was given, for a problem that shows only beside other settings.
    pub(super) fn problem(&self, key: &'static str, message: impl Into<String>) -> Problem {
        let place = self.places.iter().rev().find(|(given, _)| *given == key);
        Problem::new(place.map(|(_, place)| place.clone()).unwrap_or_default(), key, message)
    }

    /// Whether it is meant for strangers: there is a certificate that they trust, or a way to get one.
    pub(super) fn is_production(&self) -> bool {
        ["cert", "key", "acme.state"].iter().any(|key| self.is_given(key))
    }

    /// Whether somebody set this key at all.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.places.iter().any(|(given, _)| *given == key)
    }
}

/// Whether `name` is a table that holds settings.
pub(super) fn is_table(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.key.split_once('.').is_some_and(|(table, _)| table == name))
}

fn unknown(name: &str) -> String {
    let keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    match nearest(name, keys.iter().copied()) {
        Some(key) => format!("{name}: unknown key, did you mean {key}?"),
        None => format!("{name}: unknown key, allowed are {}", keys.join(", ")),
    }
}

/// The known name that takes the fewest edits to reach from `name`, if they are few enough to be a slip.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let slips = (name.len() / 3).clamp(1, 4);
    let (distance, key) = known.map(|key| (edits(name, key), key)).min()?;
    let part = key.split(['.', '_']).any(|word| word == name);
    (distance <= slips || part).then_some(key)
}

/// Levenshtein distance in bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
