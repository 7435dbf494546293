//! What a session goes through, told from the client's side.

use super::super::codes::{error, webtransport_error};
use super::super::response::SESSION_RESPONSE;
use super::*;
use crate::limits::{REQUEST_BYTES, SESSION_LAYER_BYTES};

fn closed(code: u32, reason: &'static str) -> Effect {
    Effect::SessionClosed { code, reason: Bytes::from_static(reason.as_bytes()) }
}

fn write(id: u64, data: &'static [u8]) -> Effect {
    Effect::Write { id: StreamId(id), data: Bytes::from_static(data) }
}

fn finish(id: u64) -> Effect {
    Effect::Finish { id: StreamId(id) }
}

fn reset(id: u64, code: u64) -> Effect {
    Effect::Reset { id: StreamId(id), code }
}

fn stop(id: u64, code: u64) -> Effect {
    Effect::StopSending { id: StreamId(id), code }
}

#[test]
fn a_client_connects_opens_the_channel_and_its_bytes_come_through() {
    let mut world = World::new();
    assert_eq!(world.send(CONTROL, &control()), Received::Consumed);
    world.send(CONNECT, &connect());
    assert_eq!(world.effects(), [write(CONNECT, &SESSION_RESPONSE_BYTES), Effect::SessionOpened]);
    world.send(CHANNEL, &webtransport_stream(CONNECT));
    let opened = Effect::ChannelOpened { id: StreamId(CHANNEL), data: Bytes::new(), fin: false };
    assert_eq!(world.effects(), [opened]);
    let frame = Bytes::from_static(b"\x01\x00\x00\x02{}");
    let received = world.session.handle_stream(StreamId(CHANNEL), frame.clone(), false);
    let Received::Channel { data, fin: false } = received else { panic!("{received:?}") };
    assert_eq!(data.as_ptr(), frame.as_ptr(), "the same bytes, not a copy");
    assert!(world.effects().is_empty());
}

const SESSION_RESPONSE_BYTES: [u8; 43] =
    *b"\x01\x29\x00\x00\xd9\x27\x15sec-webtransport-http3-draft\x07draft02";

#[test]
fn the_response_is_that_of_draft_02() {
    assert_eq!(SESSION_RESPONSE, &SESSION_RESPONSE_BYTES[..]);
}

#[test]
fn settings_may_come_after_the_connect() {
    let mut world = World::new();
    world.send(CONNECT, &connect());
    assert!(world.effects().contains(&Effect::SessionOpened));
    world.send(CONTROL, &control());
    assert!(world.effects().is_empty());
}

#[test]
fn a_channel_that_comes_before_the_connect_waits_for_it() {
    let mut world = World::new();
    world.send(CHANNEL, &[webtransport_stream(CONNECT), b"early".to_vec()].concat());
    assert!(world.effects().is_empty());
    assert!(!world.session.is_readable(StreamId(CHANNEL)), "its bytes stay in QUIC");
    world.send(8, &webtransport_stream(CONNECT));
    world.send(12, &webtransport_stream(16));
    world.send(CONNECT, &connect());
    let effects = world.effects();
    let rejected = error::WEBTRANSPORT_BUFFERED_STREAM_REJECTED;
    assert_eq!(
        effects[1..],
        [
            Effect::SessionOpened,
            Effect::ChannelOpened { id: StreamId(CHANNEL), data: Bytes::from_static(b"early"), fin: false },
            reset(8, webtransport_error(1)),
            stop(8, webtransport_error(1)),
            reset(12, rejected),
            stop(12, rejected),
        ]
    );
    assert!(world.session.is_readable(StreamId(CHANNEL)));
    assert!(matches!(world.send(CHANNEL, b"more"), Received::Channel { .. }));
}

#[test]
fn a_channel_that_waits_for_a_refused_connect_is_refused() {
    let mut world = World::new();
    world.send(CHANNEL, &webtransport_stream(CONNECT));
    world.send(CONNECT, &connect_with(":path", Some("/v2")));
    let effects = world.effects();
    assert!(effects.contains(&reset(CHANNEL, error::WEBTRANSPORT_BUFFERED_STREAM_REJECTED)), "{effects:?}");
}

#[test]
fn a_channel_that_ended_before_the_connect_ends_the_session_at_once() {
    let mut world = World::new();
    world.send_last(CHANNEL, &webtransport_stream(CONNECT));
    world.send(CONNECT, &connect());
    let effects = world.effects();
    assert!(effects.contains(&Effect::SessionOpened) && effects.contains(&closed(0, "")), "{effects:?}");
    assert!(effects.contains(&finish(CONNECT)));
}

#[test]
fn the_client_closes_with_code_and_reason() {
    let mut world = World::with_channel();
    world.send(CONNECT, &data(&capsule(0x2843, b"\x00\x00\x00\x07see you")));
    let gone = error::WEBTRANSPORT_SESSION_GONE;
    assert_eq!(
        world.effects(),
        [reset(CHANNEL, gone), stop(CHANNEL, gone), closed(7, "see you"), finish(CONNECT)]
    );
    world.send_last(CONNECT, b"");
    assert!(world.effects().is_empty());
    assert!(world.session.is_over());
}

#[test]
fn the_client_closes_by_ending_the_connect_stream() {
    let mut world = World::with_channel();
    world.send_last(CONNECT, b"");
    let gone = error::WEBTRANSPORT_SESSION_GONE;
    assert_eq!(world.effects(), [finish(CONNECT), reset(CHANNEL, gone), stop(CHANNEL, gone), closed(0, "")]);
}

#[test]
fn the_client_closes_by_resetting_or_stopping_the_connect_stream() {
    for stopping in [false, true] {
        let mut world = World::with_channel();
        if stopping {
            world.session.handle_stop_sending(StreamId(CONNECT), error::REQUEST_CANCELLED);
        } else {
            world.session.handle_reset(StreamId(CONNECT), error::REQUEST_CANCELLED);
        }
        let effects = world.effects();
        assert!(effects.contains(&reset(CONNECT, error::REQUEST_CANCELLED)), "{effects:?}");
        assert_eq!(effects.iter().filter(|effect| **effect == closed(0, "")).count(), 1, "{effects:?}");
    }
}

#[test]
fn the_client_closes_by_ending_the_channel_after_its_last_bytes() {
    let mut world = World::with_channel();
    let received = world.send_last(CHANNEL, b"bye");
    assert_eq!(received, Received::Channel { data: Bytes::from_static(b"bye"), fin: true });
    assert_eq!(
        world.effects(),
        [finish(CHANNEL), write(CONNECT, b"\x00\x07\x68\x43\x04\0\0\0\0"), finish(CONNECT), closed(0, "")]
    );
}

#[test]
fn the_client_closes_by_resetting_or_stopping_the_channel() {
    for stopping in [false, true] {
        let mut world = World::with_channel();
        if stopping {
            world.session.handle_stop_sending(StreamId(CHANNEL), 9);
        } else {
            world.session.handle_reset(StreamId(CHANNEL), 9);
        }
        let effects = world.effects();
        assert!(effects.contains(&reset(CHANNEL, error::WEBTRANSPORT_SESSION_GONE)), "{effects:?}");
        assert!(effects.contains(&finish(CONNECT)), "{effects:?}");
        assert_eq!(effects.last(), Some(&closed(0, "")));
    }
}

#[test]
fn the_server_closes_with_code_and_reason_and_what_it_wrote_before_still_arrives() {
    let mut world = World::with_channel();
    world.session.close(8, b"full");
    assert_eq!(
        world.effects(),
        [
            write(CONNECT, b"\x00\x0b\x68\x43\x08\0\0\0\x08full"),
            finish(CONNECT),
            finish(CHANNEL),
            stop(CHANNEL, error::WEBTRANSPORT_SESSION_GONE),
        ]
    );
    world.session.close(1, b"again");
    world.send(CONNECT, &data(&capsule(0x2843, b"\x00\x00\x00\x00")));
    world.send_last(CONNECT, b"");
    assert!(world.effects().is_empty(), "a session closes once");
}

#[test]
fn a_second_connect_is_rejected_while_a_session_is_on_and_after() {
    let mut world = World::with_channel();
    world.send(8, &connect());
    assert_eq!(world.effects(), [reset(8, error::REQUEST_REJECTED), stop(8, error::REQUEST_REJECTED)]);
    world.session.close(0, b"");
    world.effects();
    world.send(12, &connect());
    assert_eq!(world.effects(), [reset(12, error::REQUEST_REJECTED), stop(12, error::REQUEST_REJECTED)]);
}

#[test]
fn after_a_refused_connect_another_may_be_tried() {
    let mut world = World::new();
    world.send(CONNECT, &connect_with(":path", Some("/v0")));
    world.effects();
    world.send(4, &connect());
    assert!(world.effects().contains(&Effect::SessionOpened));
}

#[test]
fn streams_beyond_the_channel_are_refused_with_application_error_1() {
    let mut world = World::with_channel();
    world.send(8, &webtransport_stream(CONNECT));
    assert_eq!(world.effects(), [reset(8, 0x52e4_a40f_a8dc), stop(8, 0x52e4_a40f_a8dc)]);
    world.send(6, &[varint(0x54), varint(CONNECT), b"data".to_vec()].concat());
    assert_eq!(world.effects(), [stop(6, 0x52e4_a40f_a8dc)]);
}

#[test]
fn a_response_that_the_client_does_not_want_is_let_go() {
    let mut world = World::new();
    world.send(CONNECT, &connect_with(":path", Some("/v0")));
    world.effects();
    world.session.handle_stop_sending(StreamId(CONNECT), error::REQUEST_CANCELLED);
    assert_eq!(world.effects(), [reset(CONNECT, error::REQUEST_CANCELLED)]);
}

#[test]
fn more_streams_than_there_are_places_are_turned_away() {
    let mut world = World::new();
    for id in (0..).step_by(4).take(crate::limits::CLIENT_STREAMS) {
        world.send(id, b"\x01");
    }
    assert!(world.effects().is_empty());
    world.send(400, b"\x01");
    assert_eq!(world.effects(), [reset(400, error::EXCESSIVE_LOAD), stop(400, error::EXCESSIVE_LOAD)]);
}

#[test]
fn streams_that_come_and_go_leave_nothing_behind() {
    let mut world = World::with_channel();
    for round in 0..1_000_u64 {
        world.send(8 + 8 * round, b"\x01\x40");
        world.session.handle_reset(StreamId(8 + 8 * round), 0);
        world.send_last(
            12 + 8 * round,
            &headers(&[(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")]),
        );
        world.send(6 + 4 * round, &[varint(0x21), b"grease".to_vec()].concat());
        world.effects();
    }
    assert!(matches!(world.send(CHANNEL, b"still here"), Received::Channel { .. }));
}

#[test]
fn an_open_session_is_small_and_holds_nothing_on_the_heap() {
    assert!(size_of::<Session>() <= SESSION_LAYER_BYTES, "{}", size_of::<Session>());
    assert!(size_of::<super::super::request::Request>() <= REQUEST_BYTES);
    let world = World::with_channel();
    let shown = format!("{:?}", world.session);
    assert!(shown.contains("effects: None"), "{shown}");
    for on_the_heap in ["Waiting", "Request", "Content", "Close("] {
        assert!(!shown.contains(on_the_heap), "{shown}");
    }
}
