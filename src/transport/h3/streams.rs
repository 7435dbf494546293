//! What each of the client's streams is for, and how its bytes lead from one role to the next.
//!
//! Steps 1 and 6. In: bytes of one stream. Out: its next role, effects, or a fault.

use std::mem;

use bytes::Bytes;

use super::capsule::CloseCapsule;
use super::codes::{error, stream, webtransport_error};
use super::control::{ControlReader, DecoderStream, read_encoder_stream};
use super::frame::{FrameKind, FramePart, FrameReader};
use super::request::{Answer, Request};
use super::response::SESSION_RESPONSE;
use super::session::{Session, Stage, critical_closed};
use super::varint::VarintReader;
use super::{Effect, Fault, StreamId};

/// What one of the client's streams is for. Packed into 16 bytes: what is larger is on the heap while it is needed.
#[derive(Debug, Default)]
pub(super) enum Role {
    /// No stream: the place is free.
    #[default]
    Free,
    /// A unidirectional stream whose type is being read.
    UniType(VarintReader),
    /// The client's control stream.
    Control(ControlReader),
    /// The instructions of its QPACK encoder.
    QpackEncoder,
    /// The instructions of its QPACK decoder.
    QpackDecoder(DecoderStream),
    /// A bidirectional stream whose first integer is being read.
    BidiType(VarintReader),
    /// A WebTransport stream whose session id is being read.
    SessionId(VarintReader),
    /// A WebTransport stream whose session is not open yet.
    Waiting(Box<Waiting>),
    /// A request that is being read.
    Request(Box<Request>),
    /// The CONNECT stream of the open session.
    Connect(FrameReader),
    /// The channel of the open session.
    Channel,
    /// A CONNECT stream after the client's close capsule: no byte may follow.
    Closed,
    /// A CONNECT stream after the server's close capsule: what follows is dropped.
    Ignored,
}

/// A WebTransport stream that came before its session.
#[derive(derive_more::Debug)]
pub(super) struct Waiting {
    pub session: StreamId,
    /// What came in one piece with the stream's header. The stream is not readable any further.
    #[debug("{} bytes", data.len())]
    pub data: Bytes,
    pub fin: bool,
}

/// One of the client's streams.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub id: StreamId,
    pub role: Role,
}

/// Streams that a client may open once, and must not close.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Critical {
    pub control: bool,
    pub encoder: bool,
    pub decoder: bool,
}

impl Session {
    /// Takes all of `data`, through as many roles as the bytes lead.
    pub(super) fn advance(
        &mut self,
        id: StreamId,
        mut role: Role,
        mut data: Bytes,
        fin: bool,
    ) -> Result<Role, Fault> {
        while !data.is_empty() {
            role = match role {
                Role::SessionId(mut reader) => match reader.read(&mut data) {
                    Some(session) => return self.webtransport_stream(id, StreamId(session), data, fin),
                    None => Role::SessionId(reader),
                },
                Role::Free => return Ok(Role::Free),
                role => self.step(id, role, &mut data)?,
            };
        }
        if fin { self.finish(id, role) } else { Ok(role) }
    }

    /// Takes bytes in one role, up to the next.
    fn step(&mut self, id: StreamId, role: Role, data: &mut Bytes) -> Result<Role, Fault> {
        match role {
            Role::UniType(mut reader) => match reader.read(data) {
                Some(stream_type) => self.uni_stream(id, stream_type),
                None => Ok(Role::UniType(reader)),
            },
            Role::BidiType(mut reader) => match reader.read(data) {
                Some(stream::WEBTRANSPORT_BIDI) => Ok(Role::SessionId(VarintReader::default())),
                Some(frame_type) => Ok(Role::Request(Box::new(Request::new(frame_type)?))),
                None => Ok(Role::BidiType(reader)),
            },
            Role::Control(mut reader) => {
                reader.read(&mut self.control, data)?;
                Ok(Role::Control(reader))
            }
            Role::QpackEncoder => read_encoder_stream(data).map(|()| Role::QpackEncoder),
            Role::QpackDecoder(mut decoder) => decoder.read(data).map(|()| Role::QpackDecoder(decoder)),
            Role::Request(mut request) => match request.read(&self.policy, data)? {
                Some(Answer::Session) => self.open(id),
                Some(Answer::Now(status)) => {
                    self.respond(id, status);
                    self.queue(Effect::StopSending { id, code: error::NO_ERROR });
                    Ok(Role::Free)
                }
                None => Ok(Role::Request(request)),
            },
            Role::Connect(frames) => self.connect_stream(id, frames, data),
            Role::Closed => Err(Fault::Stream(error::MESSAGE_ERROR)),
            // More of a stream that is not readable would have to be held.
            Role::Waiting(_) => Err(Fault::Stream(error::WEBTRANSPORT_BUFFERED_STREAM_REJECTED)),
            role @ (Role::Free | Role::SessionId(_) | Role::Channel | Role::Ignored) => {
                data.clear();
                Ok(role)
            }
        }
    }

    /// The stream ends here.
    fn finish(&mut self, id: StreamId, role: Role) -> Result<Role, Fault> {
        match role {
            Role::Control(_) | Role::QpackEncoder | Role::QpackDecoder(_) => return Err(critical_closed()),
            Role::BidiType(reader) if reader.is_empty() => {
                return Err(Fault::Stream(error::REQUEST_INCOMPLETE));
            }
            Role::BidiType(_) | Role::SessionId(_) => {
                return Err(Fault::connection(error::FRAME_ERROR, "a stream ends within its first frame"));
            }
            Role::Request(request) => {
                let status = request.finish()?;
                self.respond(id, status);
            }
            Role::Connect(frames) if !frames.is_between_frames() => {
                return Err(Fault::connection(error::FRAME_ERROR, "a CONNECT stream ends within a frame"));
            }
            Role::Connect(_) if !self.capsules.is_between_capsules() => {
                self.end_by_client(CloseCapsule { code: 0, reason: Bytes::new() });
                return Err(Fault::Stream(error::MESSAGE_ERROR));
            }
            Role::Connect(_) => {
                self.queue(Effect::Finish { id });
                self.end_by_client(CloseCapsule { code: 0, reason: Bytes::new() });
            }
            Role::Waiting(mut waiting) => {
                waiting.fin = true;
                return Ok(Role::Waiting(waiting));
            }
            Role::Free | Role::UniType(_) | Role::Channel | Role::Closed | Role::Ignored => {}
        }
        Ok(Role::Free)
    }

    /// A unidirectional stream says what it is.
    fn uni_stream(&mut self, id: StreamId, stream_type: u64) -> Result<Role, Fault> {
        let (opened, role) = match stream_type {
            stream::CONTROL => (&mut self.opened.control, Role::Control(ControlReader::default())),
            stream::QPACK_ENCODER => (&mut self.opened.encoder, Role::QpackEncoder),
            stream::QPACK_DECODER => (&mut self.opened.decoder, Role::QpackDecoder(DecoderStream::default())),
            stream::PUSH => {
                return Err(Fault::connection(error::STREAM_CREATION_ERROR, "a push stream from a client"));
            }
            stream_type => {
                let webtransport = stream_type == stream::WEBTRANSPORT_UNI;
                let code = if webtransport { webtransport_error(1) } else { error::STREAM_CREATION_ERROR };
                self.queue(Effect::StopSending { id, code });
                return Ok(Role::Free);
            }
        };
        if mem::replace(opened, true) {
            return Err(Fault::connection(
                error::STREAM_CREATION_ERROR,
                "a second stream of a kind that exists once",
            ));
        }
        Ok(role)
    }

    /// A WebTransport stream names its session.
    fn webtransport_stream(
        &mut self,
        id: StreamId,
        session: StreamId,
        data: Bytes,
        fin: bool,
    ) -> Result<Role, Fault> {
        if !session.is_client_initiated() || !session.is_bidi() {
            return Err(Fault::connection(error::ID_ERROR, "a session id that is no request's"));
        }
        let connect = self.place_of_role(|role| matches!(role, Role::Connect(_)));
        match self.stage {
            Stage::Before => Ok(Role::Waiting(Box::new(Waiting { session, data, fin }))),
            Stage::Open if connect.is_none_or(|place| self.streams[place].id != session) => {
                Err(Fault::Stream(error::WEBTRANSPORT_BUFFERED_STREAM_REJECTED))
            }
            Stage::Open if self.place_of_role(|role| matches!(role, Role::Channel)).is_some() => {
                Err(Fault::Stream(webtransport_error(1)))
            }
            Stage::Open => {
                self.queue(Effect::ChannelOpened { id, data, fin });
                if fin {
                    self.queue(Effect::Finish { id });
                    self.end_by_channel();
                    return Ok(Role::Free);
                }
                Ok(Role::Channel)
            }
            Stage::Over | Stage::Broken => Err(Fault::Stream(error::WEBTRANSPORT_SESSION_GONE)),
        }
    }

    /// A CONNECT is accepted.
    fn open(&mut self, id: StreamId) -> Result<Role, Fault> {
        if self.stage != Stage::Before {
            return Err(Fault::Stream(error::REQUEST_REJECTED));
        }
        self.stage = Stage::Open;
        self.queue(Effect::Write { id, data: SESSION_RESPONSE });
        self.queue(Effect::SessionOpened);
        if self.open_waiting(id) {
            return Ok(Role::Connect(FrameReader::default()));
        }
        self.stage = Stage::Over;
        self.say_closed(id, 0, b"");
        self.queue(Effect::SessionClosed { code: 0, reason: Bytes::new() });
        Ok(Role::Ignored)
    }

    /// Of the streams that came before their session, the first becomes the channel. `false` if it has ended already.
    fn open_waiting(&mut self, session: StreamId) -> bool {
        let ours =
            |stream: &&Stream| matches!(&stream.role, Role::Waiting(waiting) if waiting.session == session);
        let first = self.streams.iter().filter(ours).map(|stream| stream.id).min();
        let mut lives = true;
        for place in 0..self.streams.len() {
            let Stream { id, ref mut role } = self.streams[place];
            if !matches!(role, Role::Waiting(_)) {
                continue;
            }
            let Role::Waiting(waiting) = mem::take(role) else { continue };
            let Waiting { session: wanted, data, fin } = *waiting;
            if Some(id) == first {
                *role = if fin { Role::Free } else { Role::Channel };
                lives = !fin;
                self.queue(Effect::ChannelOpened { id, data, fin });
                if fin {
                    self.queue(Effect::Finish { id });
                }
            } else if wanted == session {
                self.refuse(id, webtransport_error(1));
            } else {
                self.refuse(id, error::WEBTRANSPORT_BUFFERED_STREAM_REJECTED);
            }
        }
        lives
    }

    /// A request came to nothing: streams that waited for it as their session do so in vain.
    pub(super) fn reject_waiting(&mut self, session: StreamId) {
        for place in 0..self.streams.len() {
            let Stream { id, ref mut role } = self.streams[place];
            if matches!(role, Role::Waiting(waiting) if waiting.session == session) {
                *role = Role::Free;
                self.refuse(id, error::WEBTRANSPORT_BUFFERED_STREAM_REJECTED);
            }
        }
    }

    /// The CONNECT stream of the open session: capsules in DATA frames, and frames of extensions.
    fn connect_stream(
        &mut self,
        id: StreamId,
        mut frames: FrameReader,
        data: &mut Bytes,
    ) -> Result<Role, Fault> {
        while let Some(part) = frames.next(data)? {
            let mut bytes = match part {
                FramePart::Header(FrameKind::Data | FrameKind::Unknown, _) => continue,
                FramePart::Payload(FrameKind::Data, bytes, _) => bytes,
                _ => return Err(Fault::connection(error::FRAME_UNEXPECTED, "only DATA follows a CONNECT")),
            };
            let close = match self.capsules.read(&mut bytes) {
                Ok(Some(close)) => close,
                Ok(None) => continue,
                Err(fault) => {
                    self.end_by_client(CloseCapsule { code: 0, reason: Bytes::new() });
                    return Err(fault);
                }
            };
            self.end_by_client(close);
            if !bytes.is_empty() || !frames.is_between_frames() {
                return Err(Fault::Stream(error::MESSAGE_ERROR));
            }
            self.queue(Effect::Finish { id });
            return Ok(Role::Closed);
        }
        Ok(Role::Connect(frames))
    }
}
