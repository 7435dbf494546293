//! One value as it was given, and its conversion to what a setting takes.
//!
//! In: a TOML value, or the untyped words of a flag or variable. Out: a number, an address, a list, or the
//! sentence that says what is allowed instead.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use super::Addresses;
use crate::limits::MAX_ADDRESSES;

/// A value before it is known what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// The words of a flag or an environment variable: their type is what the setting makes of them.
    Words(String),
    /// A TOML integer; `None` when it is larger than any setting takes.
    Integer(Option<i64>),
    /// A TOML string.
    Text(String),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array.
    List(Vec<Value>),
    /// Any other TOML type, which no setting takes: its name, with its article.
    Other(&'static str),
}

/// What a log shows: the level and everything more severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Faults of the server.
    Error,
    /// What an operator should look at.
    Warn,
    /// Start, stop and changes of state.
    Info,
    /// What the server decides.
    Debug,
    /// Each step; still nothing about a person.
    Trace,
}

const LEVELS: [(LogLevel, &str); 6] = [
    (LogLevel::Off, "off"),
    (LogLevel::Error, "error"),
    (LogLevel::Warn, "warn"),
    (LogLevel::Info, "info"),
    (LogLevel::Debug, "debug"),
    (LogLevel::Trace, "trace"),
];

impl LogLevel {
    /// The level of a number that `as u8` made of one.
    pub(crate) fn from_number(number: u8) -> Self {
        LEVELS.iter().map(|(level, _)| *level).find(|level| *level as u8 == number).unwrap_or(Self::Info)
    }
}

/// How a line of a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Words, then `name=value`.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = LEVELS.iter().find(|(level, _)| level == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl Value {
    /// How many, within `range`.
    pub(super) fn count(&self, range: RangeInclusive<u32>) -> Result<u32, String> {
        self.integer((*range.start()).into()..=(*range.end()).into()).map(|number| number as u32)
    }

    /// A whole number within `range`.
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, String> {
        let allowed = format!("allowed is {} to {}", range.start(), range.end());
        let number = match self {
            Self::Integer(number) => number.map(i128::from),
            Self::Words(words) => match words.trim().parse::<i128>() {
                Ok(number) => Some(number),
                Err(_) => return Err(format!("\"{words}\" is not a whole number, {allowed}")),
            },
            other => return Err(format!("{} where a whole number belongs, {allowed}", other.kind())),
        };
        let Some(number) = number else { return Err(format!("the number is out of range, {allowed}")) };
        match u64::try_from(number) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(format!("{number} is out of range, {allowed}")),
        }
    }

    /// A string of at least one character; `allowed` ends the sentence that says otherwise.
    pub(super) fn text(&self, allowed: &str) -> Result<&str, String> {
        match self {
            Self::Words(text) | Self::Text(text) if !text.trim().is_empty() => Ok(text.trim()),
            Self::Words(_) | Self::Text(_) => Err(format!("it is empty, allowed is {allowed}")),
            other => Err(format!("{} where a string belongs, allowed is {allowed}", other.kind())),
        }
    }

    /// A list of strings; in words, commas separate them.
    pub(super) fn list(&self, most: usize, allowed: &str) -> Result<Vec<String>, String> {
        let items = match self {
            Self::Words(words) => words.split(',').map(|item| item.trim().to_owned()).collect(),
            Self::List(items) => items
                .iter()
                .map(|item| item.text(allowed).map(str::to_owned))
                .collect::<Result<Vec<_>, _>>()?,
            other => {
                return Err(format!("{} where a list belongs, allowed is a list of {allowed}", other.kind()));
            }
        };
        if items.len() > most {
            return Err(format!("{} entries, allowed are at most {most}", items.len()));
        }
        Ok(items)
    }

    /// `IP:PORT` or `localhost:PORT`.
    pub(super) fn address(&self) -> Result<SocketAddr, String> {
        const ALLOWED: &str = "IP:PORT or localhost:PORT, such as 127.0.0.1:4433";
        let text = self.text(ALLOWED)?;
        let localhost = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
        match localhost {
            Some(port) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
            None => text.parse().map_err(|_| format!("\"{text}\" is not an address, allowed is {ALLOWED}")),
        }
    }

    /// One address or a list of them; in words, commas separate them.
    pub(super) fn addresses(&self) -> Result<Addresses, String> {
        let all = match self {
            Self::Words(words) => words
                .split(',')
                .map(|one| Self::Words(one.to_owned()).address())
                .collect::<Result<Vec<_>, _>>()?,
            Self::List(items) if items.len() > MAX_ADDRESSES => {
                return Err(format!("{} entries, allowed are at most {MAX_ADDRESSES}", items.len()));
            }
            Self::List(items) => items.iter().map(Self::address).collect::<Result<Vec<_>, _>>()?,
            one => vec![one.address()?],
        };
        Addresses::new(all).ok_or_else(|| "it is empty, allowed is at least one address".to_owned())
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, String> {
        match self {
            Self::Boolean(value) => Ok(*value),
            Self::Words(words) => words
                .trim()
                .parse()
                .map_err(|_| format!("\"{words}\" is not allowed, allowed is true or false")),
            other => Err(format!("{} where a boolean belongs, allowed is true or false", other.kind())),
        }
    }

    /// `text` or `json`.
    pub(super) fn format(&self) -> Result<LogFormat, String> {
        match self.text("text or json")? {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(format!("\"{other}\" is not allowed, allowed is text or json")),
        }
    }

    /// The name of a log level.
    pub(super) fn level(&self) -> Result<LogLevel, String> {
        const ALLOWED: &str = "off, error, warn, info, debug or trace";
        let text = self.text(ALLOWED)?;
        let found = LEVELS.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        found
            .map(|(level, _)| *level)
            .ok_or_else(|| format!("\"{text}\" is not a log level, allowed is {ALLOWED}"))
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Words(_) | Self::Text(_) => "a string",
            Self::Integer(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Other(kind) => kind,
        }
    }
}
