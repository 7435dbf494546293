//! Replays the seeds of the fuzz targets, and whatever the fuzzer has found, without a fuzzer.

#![allow(clippy::print_stdout)] // Which seed fails.

#[path = "../fuzz/harness/mod.rs"]
mod harness;

use std::path::Path;

/// Runs `target` on each of its seeds; there has to be one.
fn replay(name: &str, target: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut seeds = 0;
    for entry in std::fs::read_dir(directory).expect("seeds") {
        let path = entry.expect("a seed").path();
        println!("{}", path.display());
        target(&std::fs::read(path).expect("bytes"));
        seeds += 1;
    }
    assert!(seeds > 0);
}

#[test]
fn the_session_layer_stands_its_seeds() {
    replay("h3_session", harness::h3_session::run);
}

#[test]
fn field_sections_stand_their_seeds() {
    replay("qpack", harness::qpack::run);
}

#[test]
fn capsules_stand_their_seeds() {
    replay("capsule", harness::capsule::run);
}

#[test]
fn the_frame_decoder_stands_its_seeds() {
    replay("frame_decoder", harness::frame_decoder::run);
}

#[test]
fn the_core_stands_its_seeds() {
    replay("core_shard", harness::core_shard::run);
}

#[test]
fn the_configuration_stands_its_seeds() {
    replay("configuration", harness::configuration::run);
}

#[test]
fn messages_and_proofs_of_work_stand_their_seeds() {
    replay("messages", harness::messages::run);
}

#[test]
fn orders_of_the_control_socket_stand_their_seeds() {
    replay("orders", harness::orders::run);
}

#[test]
fn a_seed_leads_through_a_whole_session() {
    let seed = include_bytes!("../fuzz/seeds/h3_session/a-whole-session");
    let seen = harness::h3_session::seen(seed).join(" ");
    for part in ["SessionOpened", "channel", "SessionClosed { code: 1, reason: 3 bytes }"] {
        assert!(seen.contains(part), "{seen}");
    }
}

#[test]
fn seeds_of_the_core_lead_to_chats_here_and_across_and_to_a_resume() {
    let here = include_bytes!("../fuzz/seeds/core_shard/two-people-of-one-shard");
    assert_eq!(harness::core_shard::counts(here)[0].pairs_here, 1);
    let across = include_bytes!("../fuzz/seeds/core_shard/two-people-of-two-shards");
    let counts = harness::core_shard::counts(across);
    assert_eq!(counts[0].pairs_across + counts[1].pairs_across, 2, "both halves");
    let resume = include_bytes!("../fuzz/seeds/core_shard/a-resume-on-another-shard");
    let counts = harness::core_shard::counts(resume);
    assert_eq!(counts[0].resumed_across + counts[1].resumed_across, 1);
}
