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

fn request_after(section: &[u8]) -> Box<std::mem::MaybeUninit<Request>> {
    let policy = Policy::new(vec![], true);
    let mut request = Box::new(std::mem::MaybeUninit::<Request>::zeroed());
    let mut data = Bytes::copy_from_slice(&frame(0x01, section)[1..]);
    request.write(Request::new(0x01).unwrap());
    #[allow(unsafe_code)]
    // SAFETY: written the line before.
    let answer = unsafe { request.assume_init_mut() }.read(&policy, &mut data);
    answer.unwrap();
    request
}

#[test]
fn nothing_of_a_user_agent_or_a_language_is_in_a_request() {
    let mut pairs = CONNECT_FIELDS.to_vec();
    pairs.push(("user-agent", "Mozilla/5.0 (X11; Linux)"));
    pairs.push(("accept-language", "tlh-KX,tlh;q=0.5"));
    pairs.push(("cookie", "id=abcdefgh"));
    let mut request = request_after(&fields(&pairs));
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
fn nothing_of_a_huffman_coded_user_agent_is_in_a_request() {
    // user-agent by its index in the static table (95 - 15 = 80), the value "www.example.com" coded.
    let mut section = vec![0, 0, 0x5f, 80, 0x8c];
    section.extend([0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]);
    section.extend_from_slice(&fields(&[("origin", "https://seen.example")])[2..]);
    // Without the pseudo-headers the request is malformed; it is looked at before it ends.
    section.push(0xc0 | 31);
    let policy = Policy::new(vec![], true);
    let mut request = Box::new(std::mem::MaybeUninit::<Request>::zeroed());
    request.write(Request::new(0x01).unwrap());
    let whole = frame(0x01, &section);
    let mut data = Bytes::copy_from_slice(&whole[1..whole.len() - 1]);
    #[allow(unsafe_code)]
    // SAFETY: written above.
    unsafe { request.assume_init_mut() }.read(&policy, &mut data).unwrap();
    assert!(holds(memory(&mut request), b"seen"));
    assert!(!holds(memory(&mut request), b"exam".as_slice()) || holds(memory(&mut request), b"seen.exam"));
    assert!(!holds(memory(&mut request), b"www."));
}
