//! One line of a log: a moment, a level, where it comes from, a message and named values; as text or as JSON.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::calendar::utc;
use crate::config::LogFormat;

/// A line before it is written.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// What it says.
    pub message: String,
    /// What it says it about.
    pub values: Vec<(&'static str, Value)>,
}

impl Line {
    /// A line of this program's own.
    pub fn new(message: &str, values: Vec<(&'static str, Value)>) -> Self {
        Self { message: message.to_owned(), values }
    }

    /// What an event of `tracing` says.
    pub fn of(event: &Event<'_>) -> Self {
        let mut line = Self::default();
        event.record(&mut line);
        line
    }

    /// The line as it is written, with its end.
    pub fn render(&self, format: LogFormat, wall_s: u64, level: Level, target: &str) -> String {
        let time = utc(wall_s);
        let mut text = match format {
            LogFormat::Text => self.text(&time, level, target),
            LogFormat::Json => self.json(time, level, target),
        };
        text.push('\n');
        text
    }

    fn text(&self, time: &str, level: Level, target: &str) -> String {
        let mut text = format!("{time} {level:5} {target} {}", one_line(&self.message));
        for (name, value) in &self.values {
            // Writing to a String does not fail.
            let _ = match value {
                Value::String(value) if is_plain(value) => write!(text, " {name}={value}"),
                value => write!(text, " {name}={value}"),
            };
        }
        text
    }

    fn json(&self, time: String, level: Level, target: &str) -> String {
        let mut map = Map::new();
        map.insert("time".to_owned(), time.into());
        map.insert("level".to_owned(), level.as_str().to_lowercase().into());
        map.insert("target".to_owned(), target.into());
        map.insert("message".to_owned(), self.message.as_str().into());
        for (name, value) in &self.values {
            map.insert((*name).to_owned(), value.clone());
        }
        Value::Object(map).to_string()
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => self.values.push((name, value)),
        }
    }
}

/// Whether a value needs no quotes to be told from what stands around it.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'=')
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(format: LogFormat) -> String {
        let values =
            vec![("shard", 3.into()), ("error", "no \"room\"\nleft".into()), ("place", "a.rs:7".into())];
        Line::new("two\nlines", values).render(format, 0, Level::WARN, "anoncam::x")
    }

    #[test]
    fn text_is_one_line_in_which_values_can_be_told_apart() {
        let expected = "1970-01-01T00:00:00Z WARN  anoncam::x two lines shard=3 error=\"no \\\"room\\\"\\nleft\" place=a.rs:7\n";
        assert_eq!(rendered(LogFormat::Text), expected);
    }

    #[test]
    fn json_is_one_object_a_line() {
        let line = rendered(LogFormat::Json);
        assert_eq!(line.lines().count(), 1);
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&value["level"], &value["shard"]), (&"warn".into(), &3.into()));
        assert_eq!((&value["message"], &value["error"]), (&"two\nlines".into(), &"no \"room\"\nleft".into()));
    }
}
