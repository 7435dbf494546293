//! The documents say what the program does: tables are compared with what they are tables of.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anoncam::config::{Config, SETTINGS, Turn};
use anoncam::site::policy::{Part, PrivacyPolicy};

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
fn privacy_maps_every_statement_of_the_policy_and_names_what_exists() {
    let text = read("docs/PRIVACY.md");
    let map = text.split("## The policy, sentence by sentence").nth(1).expect("the section");
    let rows: Vec<Vec<&str>> =
        map.lines().filter(|line| line.starts_with("| `")).map(|line| line.split(" | ").collect()).collect();
    let quoted =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mapped: Vec<String> = rows.iter().flat_map(|row| quoted(row[0])).collect();
    for (index, id) in mapped.iter().enumerate() {
        assert!(!mapped[..index].contains(id), "{id} is there twice");
    }
    // Everything that can be said is said of such a server.
    let mut config = Config::default();
    config.imprint.not_served = vec!["Atlantis".to_owned()];
    config.turn = Some(Turn {
        urls: vec!["stun:chat.example:3478".to_owned()],
        secrets: Vec::new(),
        ttl: std::time::Duration::ZERO,
    });
    let policy = PrivacyPolicy::of(&config);
    let parts = policy.sections().iter().flat_map(|section| &section.parts);
    let statements = parts.flat_map(|part| match part {
        Part::Says(says) => std::slice::from_ref(says),
        Part::List(all) | Part::Table(all) => all,
    });
    let said = policy.short().iter().chain(statements).map(|statement| statement.id.to_owned());
    let (mapped, said): (BTreeSet<String>, BTreeSet<String>) = (mapped.into_iter().collect(), said.collect());
    assert_eq!(mapped, said, "left: docs/PRIVACY.md, right: the policy");
    for name in rows.iter().flat_map(|row| row[1..].iter().flat_map(|cell| quoted(cell))) {
        let (path, test) =
            name.split_once("::").map_or((name.as_str(), None), |(path, test)| (path, Some(test)));
        if !path.contains('/') {
            continue;
        }
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{path} is not there");
        if let Some(test) = test {
            assert!(read(path).contains(&format!("fn {test}(")), "{path} has no test {test}");
        }
    }
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
