//! Requests: their frames, their form, and how they are answered.

use super::super::super::codes::error;
use super::*;

fn request(frames: &[u8]) -> Vec<(u64, Vec<u8>, bool)> {
    vec![(0, frames.to_vec(), true)]
}

fn raw_section(section: &[u8]) -> Vec<(u64, Vec<u8>, bool)> {
    request(&frame(0x01, section))
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")];

fn get() -> Vec<u8> {
    headers(&GET)
}

/// GET with more fields after its own.
fn get_and(more: &[(&str, &str)]) -> Vec<u8> {
    headers(&[&GET[..], more].concat())
}

#[test]
fn frames_of_a_request() {
    let push = frame(0x05, b"\x00\x00\x00");
    check(vec![
        ("GET", request(&get()), NOT_FOUND),
        ("GET, not ended yet", vec![(0, get(), false)], Silence),
        ("GET with content", request(&[get(), data(b"abc"), data(b"")].concat()), NOT_FOUND),
        ("GET with trailers", request(&[get(), data(b"abc"), headers(&[("x", "y")])].concat()), NOT_FOUND),
        (
            "reserved frames everywhere",
            request(&[frame(0x21, &[1; 99]), get(), frame(0x40, b""), data(b""), frame(0x21, b"")].concat()),
            NOT_FOUND,
        ),
        ("DATA first", request(&data(b"abc")), Connection(error::FRAME_UNEXPECTED)),
        (
            "HEADERS after trailers",
            request(&[get(), headers(&[]), headers(&[])].concat()),
            Connection(error::FRAME_UNEXPECTED),
        ),
        (
            "DATA after trailers",
            request(&[get(), headers(&[]), data(b"")].concat()),
            Connection(error::FRAME_UNEXPECTED),
        ),
        ("SETTINGS", request(&settings(&[])), Connection(error::FRAME_UNEXPECTED)),
        ("GOAWAY", request(&[get(), frame(0x07, &[0])].concat()), Connection(error::FRAME_UNEXPECTED)),
        ("MAX_PUSH_ID", request(&frame(0x0d, &[0])), Connection(error::FRAME_UNEXPECTED)),
        ("CANCEL_PUSH", request(&frame(0x03, &[0])), Connection(error::FRAME_UNEXPECTED)),
        ("PUSH_PROMISE", request(&[get(), push].concat()), Connection(error::FRAME_UNEXPECTED)),
        ("PRIORITY of HTTP/2", request(&frame(0x02, &[0; 5])), Connection(error::FRAME_UNEXPECTED)),
        ("PING of HTTP/2", request(&frame(0x06, &[0; 8])), Connection(error::FRAME_UNEXPECTED)),
        ("WINDOW_UPDATE of HTTP/2", request(&frame(0x08, &[0; 4])), Connection(error::FRAME_UNEXPECTED)),
        ("CONTINUATION of HTTP/2", request(&frame(0x09, b"")), Connection(error::FRAME_UNEXPECTED)),
        (
            "a WebTransport stream's header later on",
            request(&[get(), frame(0x41, b"")].concat()),
            Connection(error::FRAME_ERROR),
        ),
        ("an end within a frame's type", request(&[0x40]), Connection(error::FRAME_ERROR)),
        ("an end within a frame's length", request(&[0x01, 0x40]), Connection(error::FRAME_ERROR)),
        ("an end within HEADERS", request(&get()[..20]), Connection(error::FRAME_ERROR)),
        ("an end within DATA", request(&[get(), vec![0, 9, 1]].concat()), Connection(error::FRAME_ERROR)),
        (
            "an end within a reserved frame",
            request(&[get(), vec![0x21, 9, 1]].concat()),
            Connection(error::FRAME_ERROR),
        ),
        ("an end before anything", request(b""), Stream(0, error::REQUEST_INCOMPLETE)),
        ("an end before HEADERS", request(&frame(0x21, b"x")), Stream(0, error::REQUEST_INCOMPLETE)),
    ]);
}

#[test]
fn the_form_of_a_request() {
    let malformed = Stream(0, error::MESSAGE_ERROR);
    let without = |name: &str| {
        let pairs: Vec<_> = GET.into_iter().filter(|(other, _)| *other != name).collect();
        request(&headers(&pairs))
    };
    let with = |name: &str, value: &str| {
        let pairs: Vec<_> = GET
            .into_iter()
            .map(|(other, old)| if other == name { (other, value) } else { (other, old) })
            .collect();
        request(&headers(&pairs))
    };
    let and = |more: &[(&str, &str)]| request(&get_and(more));
    check(vec![
        ("no method", without(":method"), malformed),
        ("no scheme", without(":scheme"), malformed),
        ("no path", without(":path"), malformed),
        ("no authority and no host", without(":authority"), malformed),
        ("no field at all", request(&headers(&[])), malformed),
        ("an empty method", with(":method", ""), malformed),
        ("an empty path", with(":path", ""), malformed),
        ("a path without a slash", with(":path", "v1"), malformed),
        ("an empty authority", with(":authority", ""), malformed),
        ("an authority with a user", with(":authority", "me@a"), malformed),
        ("a pseudo-header twice", and(&[(":path", "/")]), malformed),
        ("a pseudo-header after a field", and(&[("x", "y"), (":protocol", "z")]), malformed),
        ("an unknown pseudo-header", and(&[(":unknown", "x")]), malformed),
        ("a response's pseudo-header", and(&[(":status", "200")]), malformed),
        (":protocol without CONNECT", and(&[(":protocol", "webtransport")]), malformed),
        ("an upper-case name", and(&[("User-Agent", "x")]), malformed),
        ("an empty name", and(&[("", "x")]), malformed),
        ("a name with a space", and(&[("a b", "x")]), malformed),
        ("a value with a line break", and(&[("a", "x\r\nb: c")]), malformed),
        ("a value with a zero", and(&[("a", "x\0")]), malformed),
        ("connection", and(&[("connection", "close")]), malformed),
        ("keep-alive", and(&[("keep-alive", "5")]), malformed),
        ("proxy-connection", and(&[("proxy-connection", "x")]), malformed),
        ("transfer-encoding", and(&[("transfer-encoding", "chunked")]), malformed),
        ("upgrade", and(&[("upgrade", "websocket")]), malformed),
        ("te: gzip", and(&[("te", "gzip")]), malformed),
        ("te: trailers", and(&[("te", "trailers")]), NOT_FOUND),
        ("another host than the authority", and(&[("host", "b")]), malformed),
        ("the same host", and(&[("host", "a")]), NOT_FOUND),
        ("origin twice", and(&[("origin", "a"), ("origin", "b")]), malformed),
        (
            "fields that do not matter",
            and(&[("user-agent", "x"), ("cookie", "a"), ("cookie", "b"), ("x", "")]),
            NOT_FOUND,
        ),
        (
            "OPTIONS *",
            request(&headers(&[
                (":method", "OPTIONS"),
                (":scheme", "https"),
                (":authority", "a"),
                (":path", "*"),
            ])),
            NOT_FOUND,
        ),
        ("a pseudo-header in trailers", request(&[get(), headers(&[(":path", "/")])].concat()), malformed),
        (
            "a connection field in trailers",
            request(&[get(), headers(&[("upgrade", "x")])].concat()),
            malformed,
        ),
    ]);
}

#[test]
fn the_length_of_content() {
    let malformed = Stream(0, error::MESSAGE_ERROR);
    let says = |length: &str| get_and(&[("content-length", length)]);
    check(vec![
        ("as it says", request(&[says("3"), data(b"ab"), data(b"c")].concat()), NOT_FOUND),
        ("0 and none", request(&says("0")), NOT_FOUND),
        ("less than it says", request(&[says("3"), data(b"ab")].concat()), malformed),
        ("none of what it says", request(&says("3")), malformed),
        (
            "more than it says, before the end",
            vec![(0, [says("3"), data(b"abcd")].concat(), false)],
            malformed,
        ),
        ("less, and trailers", request(&[says("3"), data(b"ab"), headers(&[])].concat()), malformed),
        ("no number", request(&says("three")), malformed),
        ("an empty number", request(&says("")), malformed),
        ("a negative number", request(&says("-1")), malformed),
        ("a number that overflows", request(&says("99999999999999999999")), malformed),
        (
            "twice the same",
            request(&[get_and(&[("content-length", "1"), ("content-length", "1")]), data(b"a")].concat()),
            NOT_FOUND,
        ),
        (
            "twice, and not the same",
            request(&get_and(&[("content-length", "1"), ("content-length", "2")])),
            malformed,
        ),
    ]);
}

#[test]
fn connects() {
    let with = |name: &str, value: Option<&str>| vec![(0, connect_with(name, value), false)];
    let malformed = Stream(0, error::MESSAGE_ERROR);
    let plain = headers(&[(":method", "CONNECT"), (":authority", "a:443")]);
    let and = |name, value| vec![(0, headers(&[&CONNECT_FIELDS[..], &[(name, value)]].concat()), false)];
    check(vec![
        ("the right one", with("", None), Answer::Session),
        ("another path", with(":path", Some("/")), NOT_FOUND),
        ("the path with a query", with(":path", Some("/v1?x")), NOT_FOUND),
        ("a path that is very long", with(":path", Some(&"/v1".repeat(500))), NOT_FOUND),
        ("another Origin", with("origin", Some("https://elsewhere.example")), FORBIDDEN),
        ("an Origin that only begins right", with("origin", Some("https://chat.example.org")), FORBIDDEN),
        ("Origin null", with("origin", Some("null")), FORBIDDEN),
        ("an Origin that is very long", with("origin", Some(&"https://chat.example".repeat(50))), FORBIDDEN),
        ("no Origin, where that is allowed", with("origin", None), Answer::Session),
        ("another protocol", with(":protocol", Some("websocket")), NOT_IMPLEMENTED),
        ("http", with(":scheme", Some("http")), NOT_FOUND),
        ("no scheme", with(":scheme", None), malformed),
        ("no path", with(":path", None), malformed),
        ("no authority", with(":authority", None), malformed),
        ("a content-length", and("content-length", "5"), malformed),
        ("an old draft's header", and("sec-webtransport-http3-draft02", "1"), Answer::Session),
        ("a tunnel", vec![(0, plain.clone(), false)], NOT_IMPLEMENTED),
        ("a tunnel with a scheme", with(":protocol", None), malformed),
        ("a tunnel without authority", vec![(0, headers(&[(":method", "CONNECT")]), false)], malformed),
    ]);
    let strict = Policy::new(vec!["https://chat.example".into()], false);
    let mut world = World { session: Session::new(Arc::new(strict)) };
    world.send(0, &connect_with("origin", None));
    assert_eq!(answer(&mut world), FORBIDDEN, "no Origin, where that is not allowed");
}

#[test]
fn field_sections() {
    let failed = Connection(error::QPACK_DECOMPRESSION_FAILED);
    let long = "x".repeat(crate::limits::FIELD_SECTION_BYTES);
    let announced = [varint(0x01), varint(crate::limits::FIELD_SECTION_BYTES as u64 + 1)].concat();
    let unfolds = [vec![0, 0], vec![0xc0 | 31; 1_000]].concat();
    check(vec![
        ("no section prefix", raw_section(b""), failed),
        ("half a section prefix", raw_section(b"\x00"), failed),
        ("a required insert count", raw_section(b"\x02\x00\xd1"), failed),
        ("a negative base", raw_section(b"\x00\x80\xd1"), failed),
        ("an index into the dynamic table", raw_section(b"\x00\x00\x80"), failed),
        ("a name from the dynamic table", raw_section(b"\x00\x00\x40\x01a"), failed),
        ("an index after the base", raw_section(b"\x00\x00\x10"), failed),
        ("a name after the base", raw_section(b"\x00\x00\x00\x01a"), failed),
        ("an index past the static table", raw_section(b"\x00\x00\xff\x24"), failed),
        ("an integer without end", raw_section(b"\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff"), failed),
        ("a section that ends within a field", raw_section(b"\x00\x00\xd1\x51\x05/v"), failed),
        ("a Huffman string with wrong padding", raw_section(b"\x00\x00\x51\x81\x00"), failed),
        (
            "a Huffman string with the end-of-string symbol",
            raw_section(b"\x00\x00\x51\x84\xff\xff\xff\xff"),
            failed,
        ),
        ("trailers that cannot be decoded", request(&[get(), frame(0x01, b"\x00\x00\x80")].concat()), failed),
        ("a frame over the limit, at its announcement", vec![(0, announced, false)], FIELDS_TOO_LARGE),
        ("fields over the limit", request(&headers(&[("x", &long[..8_160])])), FIELDS_TOO_LARGE),
        ("a short section that unfolds over the limit", raw_section(&unfolds), FIELDS_TOO_LARGE),
    ]);
}
