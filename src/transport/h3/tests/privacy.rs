//! The promise that headers which could tell who somebody is are never kept.

use super::super::request::Request;
use super::*;

/// The memory of a value, byte by byte.
#[allow(unsafe_code)]
fn memory<T>(value: &mut std::mem::MaybeUninit<T>) -> &[u8] {
    // SAFETY: the test zeroes the whole value before it is initialised, so that padding can be read too.
    unsafe { std::slice::from_raw_parts(value.as_ptr().cast(), size_of::<T>()) }
}

fn holds(memory: &[u8], text: &[u8]) -> bool {
    memory.windows(text.len()).any(|window| window == text)
}

/// A request that has read this much of a HEADERS frame, in memory that was all zero before.
#[allow(unsafe_code)]
fn request_after(frame: &[u8]) -> Box<std::mem::MaybeUninit<Request>> {
    let policy = Policy::new(vec![], true);
    let mut request = Box::new(std::mem::MaybeUninit::<Request>::zeroed());
    request.write(Request::new(0x01).unwrap());
    // SAFETY: written the line before.
    let written = unsafe { request.assume_init_mut() };
    written.read(&policy, &mut Bytes::copy_from_slice(&frame[1..])).unwrap();
    request
}

#[test]
fn nothing_of_a_user_agent_or_a_language_is_in_a_request() {
    let mut pairs = CONNECT_FIELDS.to_vec();
    pairs.push(("user-agent", "Mozilla/5.0 (X11; Linux)"));
    pairs.push(("accept-language", "tlh-KX,tlh;q=0.5"));
    pairs.push(("cookie", "id=abcdefgh"));
    let mut request = request_after(&headers(&pairs));
    let memory = memory(&mut request);
    assert!(
        holds(memory, b"https://chat.example"),
        "the last value that was compared shows that the test can see"
    );
    for part in ["Mozi", "Linu", "tlh-", "abcd"] {
        assert!(!holds(memory, part.as_bytes()), "{part}");
    }
}

#[test]
fn nothing_of_a_user_agent_is_in_a_request_that_stopped_within_it() {
    // user-agent by its index in the static table, then "www.example.com" in Huffman code, then in plain.
    let coded = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
    for (length, value) in [(0x8c, &coded[..]), (0x0f, b"www.example.com")] {
        let section = [&fields(&[("origin", "seen")])[..], &[0x5f, 80, length], value].concat();
        let whole = frame(0x01, &section);
        for cut in whole.len() - value.len()..whole.len() {
            let mut request = request_after(&whole[..cut]);
            let memory = memory(&mut request);
            assert!(holds(memory, b"seen") && !holds(memory, b"ww") && !holds(memory, b"exam"));
        }
    }
}
