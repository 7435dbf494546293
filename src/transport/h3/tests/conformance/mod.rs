//! What RFC 9114, RFC 9204, RFC 9220 and RFC 9297 ask of a server, as a table: what a client sends, and how it is answered.

mod control;
mod requests;
mod sessions;

use super::*;

/// How a case ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The connection is closed with this error.
    Connection(u64),
    /// This stream is refused with this error, and nothing else happens.
    Stream(u64, u64),
    /// The request on stream 0 is answered with this response: all but its frame and section headers.
    Status(&'static [u8]),
    /// A session opens.
    Session,
    /// Nothing is to be said.
    Silence,
}

use Answer::{Connection, Silence, Status, Stream};

const NOT_FOUND: Answer = Status(b"\xdb");
const FORBIDDEN: Answer = Status(b"\xff\x05");
const NOT_IMPLEMENTED: Answer = Status(b"\x5f\x09\x03501");
const FIELDS_TOO_LARGE: Answer = Status(b"\x5f\x09\x03431");

/// One case: its story, the streams in order (`true`: the stream ends), and the answer.
type Case = (&'static str, Vec<(u64, Vec<u8>, bool)>, Answer);

fn answer(world: &mut World) -> Answer {
    let effects = world.effects();
    let mut refused = None;
    for effect in &effects {
        match effect {
            Effect::CloseConnection { code, .. } => return Connection(*code),
            Effect::Write { .. } if effects.contains(&Effect::SessionOpened) => return Answer::Session,
            Effect::Write { id: StreamId(0), data } => {
                assert!(
                    effects.contains(&Effect::Finish { id: StreamId(0) }),
                    "each response ends its stream"
                );
                let statuses = [NOT_FOUND, FORBIDDEN, NOT_IMPLEMENTED, FIELDS_TOO_LARGE];
                let is = |answer: &Answer| matches!(answer, Status(bytes) if *bytes == &data[4..]);
                return statuses.into_iter().find(is).unwrap_or_else(|| panic!("{data:?}"));
            }
            Effect::StopSending { id, code } => refused = Some(Stream(id.0, *code)),
            Effect::Reset { .. } => {}
            effect => panic!("{effect:?}"),
        }
    }
    refused.unwrap_or(Silence)
}

fn check(cases: Vec<Case>) {
    for (story, pieces, expected) in cases {
        let mut world = World::new();
        for (id, bytes, last) in pieces {
            world.session.handle_stream(StreamId(id), bytes.into(), last);
        }
        assert_eq!(answer(&mut world), expected, "{story}");
    }
}
