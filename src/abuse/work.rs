//! Step 2 of 6: proof of work (PROTOCOL.md section 6).
//!
//! In: how hard it shall be, and what a client makes of it. Out: a challenge that the server need not remember, since its own code
//! over it says that it is genuine and until when; and whether a proof holds. Only what was used is remembered, until it would have
//! expired, so that nothing is used twice.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::core::io::Time;
use crate::limits::{CHALLENGE_BYTES, CHALLENGE_S, MOST_WORK_BITS, USED_CHALLENGES, WORK_COUNT};

/// Random bytes, expiry and code of a token.
const SALT_BYTES: usize = 6;
const EXPIRY_BYTES: usize = 4;
const CODE_BYTES: usize = 12;
const TOKEN_BYTES: usize = SALT_BYTES + EXPIRY_BYTES + CODE_BYTES;
/// Places that are looked at for a used challenge.
const PROBES: usize = 16;

/// Why a proof was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// It does not prove what its challenge asks for.
    Wrong,
    /// Its challenge is not of this server, or not any more.
    Expired,
    /// Its challenge was easier than what is asked for by now.
    TooEasy,
    /// Its challenge was used before.
    Used,
    /// More was used than can be remembered.
    Full,
}

/// Gives out challenges and takes proofs.
pub struct Work {
    key: hmac::Key,
    /// Numbers the challenges.
    given: AtomicU64,
    used: Mutex<Used>,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

impl Work {
    /// Under a random key.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        Ok(Self { key, given: AtomicU64::new(getrandom::u64()?), used: Mutex::default() })
    }

    /// A challenge of so many zero bits a number.
    pub fn challenge(&self, now: Time, bits: u32) -> String {
        let number = self.given.fetch_add(1, Relaxed);
        let mut token = [0; TOKEN_BYTES];
        token[..SALT_BYTES].copy_from_slice(&number.to_le_bytes()[..SALT_BYTES]);
        let expiry = (seconds(now) + CHALLENGE_S) as u32;
        token[SALT_BYTES..][..EXPIRY_BYTES].copy_from_slice(&expiry.to_be_bytes());
        let code = self.code(WORK_COUNT, bits, &token);
        token[SALT_BYTES + EXPIRY_BYTES..].copy_from_slice(&code);
        let challenge = format!("{WORK_COUNT}.{bits}.{}", URL_SAFE_NO_PAD.encode(token));
        debug_assert!(challenge.len() <= CHALLENGE_BYTES);
        challenge
    }

    /// Takes a proof of at least so many bits a number, once.
    pub fn take(&self, now: Time, proof: &str, least_bits: u32) -> Result<(), Unproven> {
        let proof = Proof::parse(proof).ok_or(Unproven::Wrong)?;
        let code = self.code(proof.count, proof.bits, &proof.token);
        let claimed = &proof.token[SALT_BYTES + EXPIRY_BYTES..];
        if aws_lc_rs::constant_time::verify_slices_are_equal(claimed, &code).is_err() {
            return Err(Unproven::Expired);
        }
        let expiry = u64::from(u32::from_be_bytes(four(&proof.token[SALT_BYTES..])));
        if expiry <= seconds(now) {
            return Err(Unproven::Expired);
        }
        if proof.bits < least_bits {
            return Err(Unproven::TooEasy);
        }
        if !proof.holds() {
            return Err(Unproven::Wrong);
        }
        let name = code[..8].iter().fold(0, |name, byte| name << 8 | u64::from(*byte));
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.max(1), expiry)
    }

    /// The server's own code over count, bits, salt and expiry.
    fn code(&self, count: u32, bits: u32, token: &[u8; TOKEN_BYTES]) -> [u8; CODE_BYTES] {
        let mut signed = hmac::Context::with_key(&self.key);
        signed.update(&count.to_be_bytes());
        signed.update(&bits.to_be_bytes());
        signed.update(&token[..SALT_BYTES + EXPIRY_BYTES]);
        let mut code = [0; CODE_BYTES];
        code.copy_from_slice(&signed.sign().as_ref()[..CODE_BYTES]);
        code
    }
}

fn seconds(now: Time) -> u64 {
    now.0 / 1_000_000
}

fn four(bytes: &[u8]) -> [u8; 4] {
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

/// What a client answers, taken apart.
struct Proof<'a> {
    challenge: &'a str,
    count: u32,
    bits: u32,
    token: [u8; TOKEN_BYTES],
    numbers: Vec<u8>,
}

impl<'a> Proof<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (challenge, numbers) = text.rsplit_once('.')?;
        let (count, rest) = challenge.split_once('.')?;
        let (bits, token) = rest.split_once('.')?;
        let (count, bits) = (decimal(count)?, decimal(bits)?);
        // What this server never asks for is not worth a hash.
        if challenge.len() > CHALLENGE_BYTES || count != WORK_COUNT || bits > MOST_WORK_BITS {
            return None;
        }
        if numbers.len() != (4 * count as usize * 4).div_ceil(3) {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        Some(Self { challenge, count, bits, token, numbers: URL_SAFE_NO_PAD.decode(numbers).ok()? })
    }

    fn holds(&self) -> bool {
        holds(self.challenge, self.count, self.bits, &self.numbers)
    }
}

/// A number as the challenge writes it: two digits at most, no leading zero.
fn decimal(text: &str) -> Option<u32> {
    let number = text.parse().ok()?;
    (text.len() <= 2 && !text.starts_with(['0', '+'])).then_some(number)
}

/// Whether `numbers`, 4 bytes each, are `count` of them in order, and each makes the challenge's hash begin with `bits` zero bits.
pub fn holds(challenge: &str, count: u32, bits: u32, numbers: &[u8]) -> bool {
    let mut block = challenge.as_bytes().to_vec();
    let (numbers, rest) = numbers.as_chunks::<4>();
    let ascending = numbers.is_sorted_by(|a, b| a < b);
    rest.is_empty()
        && numbers.len() == count as usize
        && ascending
        && numbers.iter().all(|number| {
            block.truncate(challenge.len());
            block.extend_from_slice(number);
            leading_zeros(digest::digest(&digest::SHA256, &block).as_ref()) >= bits
        })
}

fn leading_zeros(hash: &[u8]) -> u32 {
    hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first).leading_zeros())
}

/// Challenges that were used, by the span of time in which they expire: two spans are alive at once.
#[derive(Default)]
struct Used([Span; 2]);

#[derive(Default)]
struct Span {
    number: u64,
    count: usize,
    /// Open addressing; 0 is nobody. Empty until the first is used.
    names: Vec<u64>,
}

impl Used {
    /// Remembers a challenge; refused if it was there, or if no more fit.
    fn insert(&mut self, name: u64, expiry: u64) -> Result<(), Unproven> {
        let number = expiry / CHALLENGE_S;
        let span = &mut self.0[number as usize % 2];
        if span.number != number {
            // Two spans ago: all of it has expired.
            *span = Span { number, count: 0, names: vec![0; USED_CHALLENGES] };
        } else if span.names.is_empty() {
            span.names = vec![0; USED_CHALLENGES];
        }
        if span.count >= USED_CHALLENGES / 4 * 3 {
            return Err(Unproven::Full);
        }
        for probe in 0..PROBES {
            let place = &mut span.names[(name as usize).wrapping_add(probe) % USED_CHALLENGES];
            if *place == name {
                return Err(Unproven::Used);
            }
            if *place == 0 {
                *place = name;
                span.count += 1;
                return Ok(());
            }
        }
        Err(Unproven::Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(10_000_000);

    /// What a client does.
    pub fn solve(challenge: &str) -> String {
        let (_, rest) = challenge.split_once('.').expect("a count");
        let bits: u32 = rest.split_once('.').expect("bits").0.parse().expect("a number");
        let good = (0_u32..).filter(|number| holds(challenge, 1, bits, &number.to_be_bytes()));
        let numbers: Vec<u8> = good.take(WORK_COUNT as usize).flat_map(u32::to_be_bytes).collect();
        format!("{challenge}.{}", URL_SAFE_NO_PAD.encode(numbers))
    }

    #[test]
    fn a_proof_is_good_once_and_for_two_minutes() {
        let work = Work::new().expect("random numbers");
        let proof = solve(&work.challenge(NOW, 4));
        assert_eq!(work.take(NOW, &proof, 4), Ok(()));
        assert_eq!(work.take(NOW, &proof, 4), Err(Unproven::Used));
        let late = solve(&work.challenge(NOW, 4));
        assert_eq!(work.take(NOW.plus_ms(CHALLENGE_S * 1_000), &late, 4), Err(Unproven::Expired));
        let in_time = solve(&work.challenge(NOW, 4));
        assert_eq!(work.take(NOW.plus_ms(CHALLENGE_S * 1_000 - 1_001), &in_time, 4), Ok(()));
    }

    #[test]
    fn nothing_else_is_taken_for_a_proof() {
        let work = Work::new().expect("random numbers");
        let challenge = work.challenge(NOW, 6);
        let good = solve(&challenge);
        assert_eq!(work.take(NOW, &good, 7), Err(Unproven::TooEasy));
        let easier = good.replacen("8.6.", "8.5.", 1);
        assert_eq!(work.take(NOW, &easier, 5), Err(Unproven::Expired), "the challenge is signed");
        let other = Work::new().expect("random numbers");
        assert_eq!(other.take(NOW, &good, 6), Err(Unproven::Expired), "another server's");
        let zeros = format!("{challenge}.{}", "A".repeat(43));
        let odd = [
            "",
            ".",
            "8.6",
            "8.6.x.y",
            "+8.6.AAAA.AAAA",
            "99999999999.6.A.A",
            "8.256.A.B",
            &zeros,
            &challenge,
        ];
        for wrong in odd {
            assert_eq!(work.take(NOW, wrong, 6), Err(Unproven::Wrong), "{wrong:?}");
        }
        assert_eq!(work.take(NOW, &good, 6), Ok(()), "what was refused is not used up");
    }

    #[test]
    fn the_vectors_of_the_protocol_hold() {
        let vectors = include_str!("../../docs/vectors/work.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).expect("JSON");
        let verdict = |proof: &str| {
            let (challenge, numbers) = proof.rsplit_once('.').expect("a proof");
            let mut parts = challenge.split('.');
            let mut next = || parts.next().and_then(decimal).expect("a number");
            holds(challenge, next(), next(), &URL_SAFE_NO_PAD.decode(numbers).expect("base64url"))
        };
        for solved in vectors["solved"].as_array().expect("a list") {
            assert!(verdict(solved["proof"].as_str().expect("a proof")), "{solved}");
        }
        for wrong in vectors["wrong"].as_array().expect("a list") {
            assert!(!verdict(wrong["proof"].as_str().expect("a proof")), "{wrong}");
        }
    }

    #[test]
    fn the_hardest_challenge_fits_into_one_block() {
        let work = Work::new().expect("random numbers");
        let challenge = work.challenge(Time(u64::MAX / 2), MOST_WORK_BITS);
        assert!(challenge.len() <= CHALLENGE_BYTES, "{challenge}");
    }

    #[test]
    fn what_was_used_is_forgotten_when_it_has_expired() {
        let mut used = Used::default();
        for second in 0..10 * CHALLENGE_S {
            assert_eq!(used.insert(second + 1, second + CHALLENGE_S), Ok(()));
            assert_eq!(used.insert(second + 1, second + CHALLENGE_S), Err(Unproven::Used));
        }
        assert!(used.0.iter().all(|span| span.count <= CHALLENGE_S as usize));
    }

    #[test]
    fn what_cannot_be_remembered_is_refused() {
        let mut used = Used::default();
        let most = USED_CHALLENGES as u64 / 4 * 3;
        let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let taken = (0..most + 10).filter(|n| used.insert(spread(*n), 5).is_ok()).count() as u64;
        assert!(taken > most * 9 / 10 && taken <= most, "{taken} of {most}");
        assert_eq!(used.insert(spread(most + 20), 5), Err(Unproven::Full));
    }
}
