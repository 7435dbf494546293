//! The documents say what the program does: tables are compared with what they are tables of.

use std::fs;
use std::path::Path;

use anoncam::config::{Config, SETTINGS};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

#[test]
fn operations_explains_every_setting_and_no_other() {
    let text = read("docs/OPERATIONS.md");
    let table =
        text.split("## Settings").nth(1).and_then(|rest| rest.split("## ").next()).expect("the section");
    let documented: Vec<_> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `").and_then(|rest| rest.split('`').next()))
        .collect();
    let settings: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    assert_eq!(documented, settings);
}

#[test]
fn operations_says_what_a_reload_takes_over() {
    let text = read("docs/OPERATIONS.md");
    let told = text.split("A reload takes over").nth(1).and_then(|rest| rest.split("Any other").next());
    let told: Vec<_> = told.expect("the paragraph").split('`').skip(1).step_by(2).collect();
    assert_eq!(told, anoncam::config::LIVE);
}

#[test]
fn the_example_of_a_production_server_holds_known_settings() {
    let text = read("docs/OPERATIONS.md");
    let example = text.split("A production file:").nth(1).and_then(|rest| rest.split("UDP port").next());
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("anoncam.toml");
    fs::write(&file, example.expect("the example").replace("\n    ", "\n")).expect("a file");
    let complaint = Config::check_file(&file).expect_err("the files that it names are not here").to_string();
    // Nothing is wrong with it but that its certificate and secret are elsewhere.
    assert!(complaint.lines().all(|line| line.contains("cannot read")), "{complaint}");
}

#[test]
fn the_emoji_of_the_safety_code_are_the_same_everywhere() {
    let vectors: serde_json::Value = serde_json::from_str(&read("docs/vectors/emoji.json")).expect("JSON");
    let vectors = vectors["emoji"].as_array().expect("a list");
    assert_eq!(vectors.len(), 64);
    let (protocol, library) = (read("docs/PROTOCOL.md"), read("client-js/src/emoji.js"));
    let mut last = 0;
    for (value, entry) in vectors.iter().enumerate() {
        let (emoji, name) = (entry["emoji"].as_str().expect("text"), entry["name"].as_str().expect("text"));
        assert_eq!(emoji.chars().count(), 1, "{name}: one code point, whatever joins or varies it elsewhere");
        let row = format!("| {value} | {emoji} {name} |");
        assert!(protocol.contains(&row), "docs/PROTOCOL.md lacks {row}");
        let found = library
            .find(&format!("['{emoji}', '{name}']"))
            .unwrap_or_else(|| panic!("emoji.js lacks {name}"));
        assert!(found >= last, "{name} is out of order in emoji.js");
        last = found;
    }
}
