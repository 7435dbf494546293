//! The TOML file: keys, values and the lines they stand on.
//!
//! In: a path. Out: settings in the draft, and a problem for each line that is wrong. Tables become dotted keys
//! (`[turn] ttl_s` is `turn.ttl_s`), so the one table of settings serves flags, environment and file.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::draft::{Draft, is_table};
use super::value::Value;
use super::{Place, Problem};
use crate::limits;

/// Reads the file at `path` into the draft.
pub(super) fn read(path: &Path, draft: &mut Draft) -> Vec<Problem> {
    let whole = |message: String| vec![Problem::at(Place::Default, message)];
    let text = match read_bounded(path) {
        Ok(text) => text,
        Err(error) => return whole(format!("cannot read the configuration {}: {error}", path.display())),
    };
    draft.directory = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let lines = Lines { path, text: &text };
    match DeTable::parse(&text) {
        Ok(table) => {
            let mut problems = Vec::new();
            walk(&lines, "", table.get_ref(), draft, &mut problems);
            draft.directory.clear();
            problems
        }
        Err(error) => {
            let place = lines.place(&error.span().unwrap_or_default());
            vec![Problem::at(place, format!("not TOML: {}", error.message()))]
        }
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let mut file = std::fs::File::open(path)?.take(limits::CONFIG_FILE_BYTES + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > limits::CONFIG_FILE_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {} bytes", limits::CONFIG_FILE_BYTES)));
    }
    Ok(text)
}

struct Lines<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Lines<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        Place::File(self.path.to_path_buf(), before.matches('\n').count() + 1)
    }
}

fn walk(lines: &Lines, prefix: &str, table: &DeTable, draft: &mut Draft, problems: &mut Vec<Problem>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if is_table(&name) => {
                walk(lines, &format!("{name}."), inner, draft, problems);
            }
            _ if is_table(&name) => {
                let message = format!("{name}: not a table, allowed is [{name}] and its keys");
                problems.push(Problem::at(lines.place(&key.span()), message));
            }
            value => {
                let place = lines.place(&key.span());
                problems.extend(draft.give(&name, &convert(value), place).err());
            }
        }
    }
}

fn convert(value: &DeValue) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| convert(item.get_ref())).collect()),
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(_) => Value::Other("a table"),
    }
}
