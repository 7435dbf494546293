//! What clients say in JSON, and proofs of work: anything that is taken keeps the bounds of the protocol.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anoncam::abuse::work::{Unproven, Work, holds};
use anoncam::core::interests::normalise;
use anoncam::core::io::Time;
use anoncam::core::message::{Find, Hello};
use anoncam::core::reports::Report;
use anoncam::limits::{INTEREST_CHARACTERS, INTERESTS, LANGS, WORK_COUNT};

use super::Input;

/// A second later each time, so that what was used is forgotten.
fn now() -> Time {
    static SECONDS: AtomicU64 = AtomicU64::new(1);
    Time(SECONDS.fetch_add(1, Relaxed) * 1_000_000)
}

/// Few bits, so that a proof is found at once and a changed one may hold too.
const BITS: u32 = 2;

/// The first byte says what the rest is.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => hello(input.0),
        1 => find(input.0),
        2 => drop(Report::parse(input.0)),
        _ => proof(input),
    }
}

fn hello(payload: &[u8]) {
    let Ok(hello) = Hello::parse(payload) else { return };
    if let Some(token) = &hello.resume {
        let (shown, text) = (format!("{hello:?}"), token.encode());
        assert!(shown.contains("Secret((hidden))"), "of the secret is printed that there is one");
        let text = std::str::from_utf8(text.expose()).expect("base64url");
        let bytes = format!("{:?}", token.secret.expose());
        assert!(!shown.contains(text) && !shown.contains(&bytes), "a token is not printed");
    }
    if let Some(work) = hello.work {
        assert!(work_of_the_process().take(now(), &work, 0).is_err(), "nobody has solved this");
    }
}

fn find(payload: &[u8]) {
    let Ok(find) = Find::parse(payload) else { return };
    assert!(find.n < 1 << 53 && find.interests.len() <= INTERESTS && find.langs.len() <= LANGS);
    for interest in &find.interests {
        assert!((1..=INTEREST_CHARACTERS).contains(&interest.chars().count()), "{interest:?}");
        assert!(!interest.chars().any(char::is_control), "{interest:?}");
        assert_eq!(normalise(interest).as_ref(), Some(interest), "once is enough");
    }
}

/// A good proof with bytes changed at places that the input names.
fn proof(mut input: Input) {
    let (work, now) = (work_of_the_process(), now());
    let challenge = work.challenge(now, BITS);
    let good = solve(&challenge);
    let mut changed = good.clone().into_bytes();
    while !input.is_empty() {
        let (at, byte) = (usize::from(input.byte()) % changed.len(), input.byte());
        changed[at] = byte;
    }
    let changed = String::from_utf8_lossy(&changed);
    let taken = work.take(now, &changed, BITS);
    if taken.is_ok() {
        assert!(changed.starts_with(&*challenge), "the challenge is of this server");
        assert_eq!(work.take(now, &changed, BITS), Err(Unproven::Used));
        assert_eq!(work.take(now, &good, BITS), Err(Unproven::Used), "the challenge, not the proof, is used");
    } else {
        assert_ne!(*changed, good);
        assert_eq!(work.take(now, &good, BITS), Ok(()), "what was refused is not used up");
    }
}

/// What a client does.
fn solve(challenge: &str) -> String {
    use base64::Engine as _;
    let good = (0_u32..).filter(|number| holds(challenge, 1, BITS, &number.to_be_bytes()));
    let numbers: Vec<u8> = good.take(WORK_COUNT as usize).flat_map(u32::to_be_bytes).collect();
    format!("{challenge}.{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(numbers))
}

fn work_of_the_process() -> &'static Work {
    static WORK: OnceLock<Work> = OnceLock::new();
    WORK.get_or_init(|| Work::new().expect("random numbers"))
}
