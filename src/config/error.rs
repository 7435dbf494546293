//! What is wrong with a configuration, in words that say where and what to do.

use std::fmt;
use std::path::PathBuf;

/// Where a value was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: it is the default.
    #[default]
    Default,
    /// In the file, at a line counted from 1.
    File(PathBuf, usize),
    /// In an environment variable.
    Variable(String),
    /// By a flag.
    Flag(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    place: Place,
    key: &'static str,
    message: String,
}

impl Problem {
    pub(super) fn new(place: Place, key: &'static str, message: impl Into<String>) -> Self {
        Self { place, key, message: message.into() }
    }

    /// A problem of the place as a whole: a file that cannot be read, a line that is not TOML, an unknown key.
    pub(super) fn at(place: Place, message: impl Into<String>) -> Self {
        Self::new(place, "", message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            // A flag or variable is named after its key.
            Place::Flag(name) | Place::Variable(name) => return write!(f, "{name}: {}", self.message),
            Place::File(path, line) => write!(f, "{}:{line}: ", path.display())?,
            Place::Default => {}
        }
        if self.key.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.key, self.message)
        }
    }
}

/// A configuration that the server does not start with: every problem found, one a line. Exit status 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
