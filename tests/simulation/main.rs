//! Hours of churn on several shards over a bad bus, told by a seed and checked after every step.
//!
//!     cargo test --release --test simulation                      ten thousand seeds
//!     ANONCAM_SEED=4711 cargo test --release --test simulation    one seed, with everything that happens
//!
//! Without optimisation fewer seeds are told, and coverage is not asked for.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod checker;
mod client;
mod profile;
mod random;
mod story;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use profile::Fault;
use story::{Coverage, tell};

fn environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn churn_breaks_no_rule() {
    if let Some(seed) = environment("ANONCAM_SEED") {
        let coverage = tell(seed, None, true).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        println!("{coverage:#?}");
        return;
    }
    let optimised = !cfg!(debug_assertions);
    let seeds = environment("ANONCAM_SEEDS").unwrap_or(if optimised { 10_000 } else { 300 });
    let begun = Instant::now();
    let (next, sum, failures) = (AtomicU64::new(0), Mutex::new(Coverage::default()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let mut coverage = Coverage::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || !failures.lock().unwrap().is_empty() {
                        break;
                    }
                    let told = std::panic::catch_unwind(|| tell(seed, None, false));
                    match told.unwrap_or_else(|_| Err("panic".to_owned())) {
                        Ok(one) => coverage.add(&one),
                        Err(wrong) => failures.lock().unwrap().push((seed, wrong)),
                    }
                }
                sum.lock().unwrap().add(&coverage);
            });
        }
    });
    if let Some((seed, wrong)) = failures.into_inner().unwrap().first() {
        panic!(
            "seed {seed}: {wrong}\nreplay: ANONCAM_SEED={seed} cargo test --release --test simulation churn"
        );
    }
    let coverage = sum.into_inner().unwrap();
    println!("{seeds} seeds in {:.1} s: {coverage:#?}", begun.elapsed().as_secs_f64());
    if seeds >= 10_000 {
        let rare = coverage.rare(1_000);
        assert!(rare.is_empty(), "walked fewer than 1,000 times: {rare:?}");
    }
}

/// The checker is worth something: each rule broken on purpose is noticed, and for what it is.
#[test]
fn broken_rules_are_noticed() {
    let cases: [(Fault, &[&str]); 7] = [
        (Fault::Misdeliver, &["not theirs together", "a frame of chat", "was due"]),
        (Fault::Repeat, &["was due"]),
        (Fault::Lose, &["was due"]),
        (Fault::Change, &["was changed", "was due"]),
        (Fault::NeverMeet, &["who fit"]),
        (Fault::Deaf, &["half a chat", "who fit", "is not empty"]),
        (Fault::Forget, &["given out twice", "is not empty"]),
    ];
    for (fault, signs) in cases {
        let noticed = (0..200).filter_map(|seed| tell(seed, Some(fault), false).err());
        let (right, wrong): (Vec<_>, Vec<_>) =
            noticed.partition(|told| signs.iter().any(|sign| told.contains(sign)));
        assert!(
            right.len() >= 5,
            "{fault:?} was noticed in {} of 200 stories: {:?}",
            right.len(),
            wrong.first()
        );
        assert!(wrong.is_empty(), "{fault:?} shows as {:?}", wrong[0]);
    }
}
