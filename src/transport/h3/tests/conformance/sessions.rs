//! WebTransport's streams and capsules.

use super::super::super::codes::error;
use super::*;

#[test]
fn webtransport_streams() {
    let header = webtransport_stream;
    check(vec![
        ("a session id of a unidirectional stream", vec![(0, header(2), false)], Connection(error::ID_ERROR)),
        ("a session id of the server's", vec![(0, header(1), false)], Connection(error::ID_ERROR)),
        ("an end within the header", vec![(0, varint(0x41), true)], Connection(error::FRAME_ERROR)),
        (
            "a unidirectional stream without a session",
            vec![(2, varint(0x54), false)],
            Stream(2, 0x52e4_a40f_a8dc),
        ),
        ("a stream before its session", vec![(4, header(0), false)], Silence),
    ]);
    let mut world = World::with_session();
    world.send(4, &header(8));
    assert_eq!(
        answer(&mut world),
        Stream(4, error::WEBTRANSPORT_BUFFERED_STREAM_REJECTED),
        "another session's"
    );
    world.session.close(0, b"");
    world.effects();
    world.send(8, &header(0));
    assert_eq!(answer(&mut world), Stream(8, error::WEBTRANSPORT_SESSION_GONE), "a session that is over");
}

#[test]
fn the_connect_stream_of_a_session() {
    let close = |reason: &[u8]| data(&capsule(0x2843, &[b"\0\0\0\0", reason].concat()));
    let malformed = Stream(0, error::MESSAGE_ERROR);
    let cases: Vec<(&str, Vec<u8>, bool, Answer)> = vec![
        ("a drain capsule", data(&capsule(0x78ae, b"")), false, Silence),
        ("a reserved capsule in two frames", [data(b"\x21\x03a"), data(b"bc")].concat(), false, Silence),
        ("a datagram capsule", data(&capsule(0x00, b"datagram")), false, Silence),
        ("a reserved frame", frame(0x21, b"x"), false, Silence),
        ("HEADERS", headers(&[]), false, Connection(error::FRAME_UNEXPECTED)),
        ("SETTINGS", settings(&[]), false, Connection(error::FRAME_UNEXPECTED)),
        ("an end within a frame", vec![0x00, 0x05], true, Connection(error::FRAME_ERROR)),
        ("an end within a capsule", data(b"\x21\x05"), true, malformed),
        ("a reason of 1,025 bytes", close(&[b'x'; 1_025]), false, malformed),
        ("a reason that is no UTF-8", close(b"\xff"), false, malformed),
        ("a close capsule without a code", data(&capsule(0x2843, b"\0\0\0")), false, malformed),
        ("data after the close capsule", [close(b""), data(b"x")].concat(), false, malformed),
        (
            "a capsule after the close capsule",
            data(&[capsule(0x2843, &[0; 4]), capsule(0, b"")].concat()),
            false,
            malformed,
        ),
    ];
    for (story, bytes, last, expected) in cases {
        let mut world = World::with_session();
        world.session.handle_stream(StreamId(0), bytes.into(), last);
        let mut effects = world.effects();
        let ended = effects.iter().filter(|effect| matches!(effect, Effect::SessionClosed { .. })).count();
        assert_eq!(ended, usize::from(expected != Silence), "{story}: the core hears of it once");
        effects.retain(|effect| !matches!(effect, Effect::SessionClosed { .. } | Effect::Finish { .. }));
        let expects = |effect: &Effect| match expected {
            Connection(code) => {
                matches!(effect, Effect::CloseConnection { code: found, .. } if *found == code)
            }
            Stream(id, code) => *effect == Effect::Reset { id: StreamId(id), code },
            _ => false,
        };
        assert_eq!(effects.iter().any(expects), expected != Silence, "{story}: {effects:?}");
        assert!(expected != Silence || effects.is_empty(), "{story}: {effects:?}");
    }
}

#[test]
fn nothing_is_said_after_the_connection_is_closed() {
    let mut world = World::with_channel();
    world.send(CONTROL, &data(b""));
    let effects = world.effects();
    assert!(matches!(effects.last(), Some(Effect::CloseConnection { .. })), "{effects:?}");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::SessionClosed { .. })));
    world.send(CONNECT, &connect());
    world.send(CHANNEL, b"x");
    world.session.handle_reset(StreamId(CONNECT), 0);
    world.session.close(0, b"");
    assert_eq!(world.effects(), []);
}
