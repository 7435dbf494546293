//! The command line and the environment.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};

use super::draft::{Draft, nearest};
use super::settings::{SETTINGS, Setting};
use super::value::Value;
use super::{Place, Problem};
use crate::ops::control::{self, Order};
use crate::ops::top::Top;
use crate::upgrade;

/// The variable that stands for `--config`.
pub(super) const CONFIG_VARIABLE: &str = "ANONCAM_CONFIG";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Green.on_default());

const AFTER_HELP: &str = "\
Examples:
  anoncam                                  a server for this machine, no setup: open http://localhost:8080
  anoncam --shards 2 --log debug           two shards, a talkative log (still nothing about a person)
  anoncam --config /etc/anoncam.toml       settings from a file
  anoncam check-config /etc/anoncam.toml   is the file right? prints ok, or each line that is wrong
  anoncam settings                         everything that a file or the environment can set

Without a certificate the server stays on loopback and makes one for itself. Flags win over environment variables
(ANONCAM_LISTEN, ANONCAM_MAX_SESSIONS, ...), those over the file.";

/// Anonymous chat with a stranger, by text or video: the server and its page.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "anoncam", version = concat!(env!("CARGO_PKG_VERSION"), " (protocol 1)"))]
#[command(styles = STYLES, after_help = AFTER_HELP, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Arguments {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// UDP address of WebTransport, or several with commas [default: 127.0.0.1:4433]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// TCP address of the page, IP:PORT or localhost:PORT, or several [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub site: Option<String>,
    /// Threads that own a socket each, 1 to 256 [default: one a core]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub shards: Option<String>,
    /// off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Unix socket on which a server takes orders, and by which the subcommands reach it
    #[arg(long, value_name = "PATH", global = true)]
    pub control: Option<String>,
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Lets the memory be read, for the tests that search it; refused in production
    #[arg(long, hide = true)]
    pub dumpable_for_tests: bool,
}

impl Arguments {
    /// The socket of the running server that is meant: `--control`, else `ANONCAM_CONTROL`, else the usual place.
    pub fn control_path(&self) -> PathBuf {
        let variable = || std::env::var_os(control::PATH_VARIABLE).map(PathBuf::from);
        self.control
            .as_ref()
            .map(PathBuf::from)
            .or_else(variable)
            .unwrap_or_else(|| control::DEFAULT_PATH.into())
    }
}

/// Things to do other than serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Check a configuration file: prints ok and a summary, or what is wrong in which line (exit status 2)
    CheckConfig {
        /// The TOML file
        file: PathBuf,
    },
    /// Print the privacy policy that a configuration makes, and the line that adopts it
    Policy {
        /// The TOML file
        file: PathBuf,
    },
    /// List every setting: its key and variable, what it does, its default and what it can cost
    Settings,
    /// Show a running server live, shard by shard; q leaves
    Top(Top),
    /// Look at this machine, the certificate, the ports and the relays, and say what mends what is wrong (exit status 1)
    Doctor {
        /// TOML file with settings
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Give an order to a running server.
    #[command(flatten)]
    Order(Order),
}

/// The variables of this program, by their prefix.
pub(super) fn own_variables(
    environment: impl IntoIterator<Item = (String, String)>,
) -> Vec<(String, String)> {
    environment.into_iter().filter(|(name, _)| name.starts_with("ANONCAM_")).collect()
}

/// Takes the settings among the variables; a variable that is none gets a warning, since others may use the prefix.
pub(super) fn apply_environment(environment: &[(String, String)], draft: &mut Draft) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, value) in environment {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == *name) {
            let given = draft.give(setting.key, &Value::Words(value.clone()), Place::Variable(name.clone()));
            problems.extend(given.err());
        } else if name != CONFIG_VARIABLE && name != upgrade::VARIABLE {
            let variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
            let near = nearest(name, variables.iter().map(String::as_str));
            let hint = near.map(|near| format!(", did you mean {near}?")).unwrap_or_default();
            draft.config.warnings.push(format!("{name} is not a setting and has no effect{hint}"));
        }
    }
    problems
}

/// Takes the flags.
pub(super) fn apply_flags(arguments: &Arguments, draft: &mut Draft) -> Vec<Problem> {
    let flags = [
        ("listen", &arguments.listen),
        ("site", &arguments.site),
        ("shards", &arguments.shards),
        ("log", &arguments.log),
        ("control", &arguments.control),
    ];
    let given = flags.iter().filter_map(|(key, value)| value.as_ref().map(|value| (key, value)));
    given
        .filter_map(|(key, value)| {
            draft.give(key, &Value::Words(value.clone()), Place::Flag(format!("--{key}"))).err()
        })
        .collect()
}
