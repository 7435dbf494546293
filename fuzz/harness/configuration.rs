//! The configuration: a file of any bytes is taken or refused in words, and never more than that.

use std::path::PathBuf;
use std::sync::OnceLock;

use anoncam::config::Config;

/// A file of this process alone.
fn file() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| std::env::temp_dir().join(format!("anoncam-fuzz-{}.toml", std::process::id())))
}

/// The input is a configuration file.
pub fn run(data: &[u8]) {
    std::fs::write(file(), data).expect("a file in the temporary directory");
    match Config::check_file(file()) {
        Ok(config) => assert!(!config.to_string().is_empty(), "what was taken can be shown"),
        Err(error) => assert!(!error.to_string().is_empty(), "what was refused is said in words"),
    }
    let _ = Config::read_policy(file());
}
