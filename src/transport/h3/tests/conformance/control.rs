//! Unidirectional streams: the control stream, QPACK's, and those that nobody knows.

use super::super::super::codes::error;
use super::*;

fn on_control(frames: &[u8]) -> Vec<(u64, Vec<u8>, bool)> {
    vec![(CONTROL, [&control()[..], frames].concat(), false)]
}

fn first_on_control(frames: &[u8]) -> Vec<(u64, Vec<u8>, bool)> {
    vec![(CONTROL, [b"\x00", frames].concat(), false)]
}

#[test]
fn unidirectional_streams() {
    let settings = settings(&[]);
    check(vec![
        (
            "a second control stream",
            vec![(2, control(), false), (6, vec![0], false)],
            Connection(error::STREAM_CREATION_ERROR),
        ),
        (
            "a second encoder stream",
            vec![(2, vec![2], false), (6, vec![2], false)],
            Connection(error::STREAM_CREATION_ERROR),
        ),
        (
            "a second decoder stream",
            vec![(2, vec![3], false), (6, vec![3], false)],
            Connection(error::STREAM_CREATION_ERROR),
        ),
        ("a push stream", vec![(2, vec![1], false)], Connection(error::STREAM_CREATION_ERROR)),
        (
            "the control stream ends",
            vec![(2, [b"\x00", &settings[..]].concat(), true)],
            Connection(error::CLOSED_CRITICAL_STREAM),
        ),
        (
            "the control stream ends empty",
            vec![(2, vec![0], true)],
            Connection(error::CLOSED_CRITICAL_STREAM),
        ),
        ("the encoder stream ends", vec![(2, vec![2], true)], Connection(error::CLOSED_CRITICAL_STREAM)),
        ("the decoder stream ends", vec![(2, vec![3], true)], Connection(error::CLOSED_CRITICAL_STREAM)),
        ("a stream ends before its type", vec![(2, vec![], true), (6, vec![0x40], true)], Silence),
        (
            "a stream of an unknown type",
            vec![(2, [varint(0x21), vec![7; 900]].concat(), false)],
            Stream(2, error::STREAM_CREATION_ERROR),
        ),
        ("a table capacity of 0", vec![(2, vec![2, 0x20], false)], Silence),
        (
            "a table capacity above 0",
            vec![(2, vec![2, 0x21], false)],
            Connection(error::QPACK_ENCODER_STREAM_ERROR),
        ),
        (
            "an insertion",
            vec![(2, b"\x02\xc0\x01a".to_vec(), false)],
            Connection(error::QPACK_ENCODER_STREAM_ERROR),
        ),
        ("a duplicate", vec![(2, vec![2, 0x00], false)], Connection(error::QPACK_ENCODER_STREAM_ERROR)),
        ("a cancelled stream", vec![(2, vec![3, 0x44, 0x7f, 0x80, 0x80, 0x01], false)], Silence),
        (
            "a stream id without end",
            vec![(2, [vec![3, 0x7f], vec![0x80; 10]].concat(), false)],
            Connection(error::QPACK_DECODER_STREAM_ERROR),
        ),
        (
            "an acknowledged section",
            vec![(2, vec![3, 0x80], false)],
            Connection(error::QPACK_DECODER_STREAM_ERROR),
        ),
        ("an insert count", vec![(2, vec![3, 0x01], false)], Connection(error::QPACK_DECODER_STREAM_ERROR)),
    ]);
}

#[test]
fn a_reset_or_stop_of_a_critical_stream_closes_the_connection() {
    for (stream, opening) in [(CONTROL, control()), (ENCODER, vec![2]), (DECODER, vec![3])] {
        let mut world = World::new();
        world.send(stream, &opening);
        world.session.handle_reset(StreamId(stream), 0);
        assert_eq!(answer(&mut world), Connection(error::CLOSED_CRITICAL_STREAM));
    }
    let mut world = World::new();
    world.session.handle_stop_sending(StreamId(3), 0);
    assert_eq!(answer(&mut world), Connection(error::CLOSED_CRITICAL_STREAM));
}

#[test]
fn frames_of_the_control_stream() {
    check(vec![
        ("DATA first", first_on_control(&data(b"")), Connection(error::MISSING_SETTINGS)),
        ("GOAWAY first", first_on_control(&frame(0x07, &[0])), Connection(error::MISSING_SETTINGS)),
        ("a reserved frame first", first_on_control(&frame(0x21, b"")), Connection(error::MISSING_SETTINGS)),
        ("SETTINGS first", on_control(b""), Silence),
        ("SETTINGS again", on_control(&settings(&[])), Connection(error::FRAME_UNEXPECTED)),
        ("DATA", on_control(&data(b"x")), Connection(error::FRAME_UNEXPECTED)),
        ("HEADERS", on_control(&connect()), Connection(error::FRAME_UNEXPECTED)),
        ("PUSH_PROMISE", on_control(&frame(0x05, &[0])), Connection(error::FRAME_UNEXPECTED)),
        ("PRIORITY of HTTP/2", on_control(&frame(0x02, &[0; 5])), Connection(error::FRAME_UNEXPECTED)),
        ("PING of HTTP/2", on_control(&frame(0x06, &[0; 8])), Connection(error::FRAME_UNEXPECTED)),
        ("WINDOW_UPDATE of HTTP/2", on_control(&frame(0x08, &[0; 4])), Connection(error::FRAME_UNEXPECTED)),
        ("CONTINUATION of HTTP/2", on_control(&frame(0x09, b"")), Connection(error::FRAME_UNEXPECTED)),
        ("a WebTransport stream's header", on_control(&frame(0x41, b"")), Connection(error::FRAME_ERROR)),
        ("reserved frames", on_control(&[frame(0x21, &[1; 400]), frame(0x40, b"")].concat()), Silence),
        ("PRIORITY_UPDATE, an extension", on_control(&frame(0xf_0700, b"\x00u=1")), Silence),
        (
            "MAX_PUSH_ID rises",
            on_control(&[frame(0x0d, &[1]), frame(0x0d, &[2]), frame(0x0d, &[2])].concat()),
            Silence,
        ),
        (
            "MAX_PUSH_ID falls",
            on_control(&[frame(0x0d, &[2]), frame(0x0d, &[1])].concat()),
            Connection(error::ID_ERROR),
        ),
        ("GOAWAY falls", on_control(&[frame(0x07, &[2]), frame(0x07, &[1])].concat()), Silence),
        (
            "GOAWAY rises",
            on_control(&[frame(0x07, &[1]), frame(0x07, &[2])].concat()),
            Connection(error::ID_ERROR),
        ),
        ("CANCEL_PUSH without a push", on_control(&frame(0x03, &[0])), Connection(error::ID_ERROR)),
        ("GOAWAY without an id", on_control(&frame(0x07, b"")), Connection(error::FRAME_ERROR)),
        ("GOAWAY with more than an id", on_control(&frame(0x07, &[0, 0])), Connection(error::FRAME_ERROR)),
        ("GOAWAY with a part of an id", on_control(&frame(0x07, &[0x40])), Connection(error::FRAME_ERROR)),
        ("MAX_PUSH_ID over its integer", on_control(&frame(0x0d, &[0; 9])), Connection(error::FRAME_ERROR)),
    ]);
}

#[test]
fn settings_of_the_client() {
    let first = |pairs: &[(u64, u64)]| first_on_control(&settings(pairs));
    let mut forbidden = Vec::new();
    for id in 0x02..=0x05 {
        forbidden.push(("a setting of HTTP/2", first(&[(id, 0)]), Connection(error::SETTINGS_ERROR)));
    }
    check(forbidden);
    check(vec![
        ("none", first(&[]), Silence),
        (
            "those of browsers",
            first(&[(0x01, 65_536), (0x06, 262_144), (0x07, 100), (0x33, 1), (0x2b60_3742, 1)]),
            Silence,
        ),
        ("reserved settings, also twice", first(&[(0x21, 5), (0x21, 6), (0x40, u64::MAX >> 2)]), Silence),
        ("thousands of unknown settings", first(&[(0x1f * 70 + 0x21, 9); 3_000]), Silence),
        (
            "a known setting twice",
            first(&[(0x01, 0), (0x06, 9), (0x01, 0)]),
            Connection(error::SETTINGS_ERROR),
        ),
        ("datagrams 0", first(&[(0x33, 0)]), Silence),
        ("datagrams 2", first(&[(0x33, 2)]), Connection(error::SETTINGS_ERROR)),
        ("extended CONNECT 2", first(&[(0x08, 2)]), Connection(error::SETTINGS_ERROR)),
        ("an id without a value", first_on_control(&frame(0x04, &[0x21])), Connection(error::FRAME_ERROR)),
        ("a value cut off", first_on_control(&frame(0x04, &[0x21, 0x80])), Connection(error::FRAME_ERROR)),
    ]);
}
