//! Replays the seeds of the fuzz targets, and whatever the fuzzer has found, without a fuzzer.

#[path = "../fuzz/harness/mod.rs"]
mod harness;

use std::path::Path;

/// Runs `target` on each of its seeds; there has to be one.
fn replay(name: &str, target: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut seeds = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        target(&std::fs::read(path).unwrap());
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
fn a_seed_leads_through_a_whole_session() {
    let seed = include_bytes!("../fuzz/seeds/h3_session/a-whole-session");
    let seen = harness::h3_session::seen(seed).join(" ");
    for part in ["SessionOpened", "channel", "SessionClosed { code: 1, reason: b\"bye\" }"] {
        assert!(seen.contains(part), "{seen}");
    }
}
