//! The session layer of one connection: a small table of the client's streams, and what each is for.
//!
//! Steps 1 and 6. How it is driven is written in the module above.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::capsule::{CapsuleReader, CloseCapsule};
use super::codes::{error, stream, webtransport_error};
use super::control::{ControlMemory, ControlReader, DecoderStream, read_encoder_stream};
use super::frame::{FrameKind, FramePart, FrameReader};
use super::policy::Policy;
use super::request::{Answer, Request};
use super::response::{self, SESSION_RESPONSE, Status};
use super::varint::VarintReader;
use super::{Effect, Fault, Received, StreamId};
use crate::limits::CLIENT_STREAMS;

/// What one of the client's streams is for. Packed into 16 bytes: what is larger is on the heap while it is needed.
#[derive(Debug, Default)]
enum Role {
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
#[derive(Debug)]
struct Waiting {
    session: StreamId,
    /// What came in one piece with the stream's header. The stream is not readable any further.
    data: Bytes,
    fin: bool,
}

/// One of the client's streams.
#[derive(Debug, Default)]
struct Stream {
    id: StreamId,
    role: Role,
}

/// What was there of the one session that a connection may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// None yet.
    Before,
    /// It is open.
    Open,
    /// It was there and is over.
    Over,
    /// The connection is being closed: nothing is of interest any more.
    Broken,
}

/// The HTTP/3 and WebTransport state of one connection.
#[derive(Debug)]
pub struct Session {
    /// The client's streams: so few that looking through them is the fastest way to find one.
    streams: [Stream; CLIENT_STREAMS],
    policy: Arc<Policy>,
    /// Effects that the driver has not taken yet. `None` when there are none, so that nothing stays on the heap.
    #[allow(clippy::box_collection)] // 8 bytes in every connection instead of 32.
    effects: Option<Box<VecDeque<Effect>>>,
    capsules: CapsuleReader,
    control: ControlMemory,
    stage: Stage,
    /// Which of the streams that a client opens once it has opened.
    opened: Critical,
}

/// Streams that a client may open once, and must not close.
#[derive(Clone, Copy, Debug, Default)]
struct Critical {
    control: bool,
    encoder: bool,
    decoder: bool,
}

impl Session {
    /// A connection before its handshake.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            streams: Default::default(),
            policy,
            effects: None,
            capsules: CapsuleReader::default(),
            control: ControlMemory::new(),
            stage: Stage::Before,
            opened: Critical::default(),
        }
    }

    /// The handshake is done: the server's control stream can be opened.
    pub fn handle_handshake_done(&mut self) {
        self.queue(Effect::OpenUni);
    }

    /// The stream that [`Effect::OpenUni`] asked for.
    pub fn handle_uni_opened(&mut self, id: StreamId) {
        self.queue(Effect::Write { id, data: response::control_stream().into() });
    }

    /// Takes the next bytes of a stream, in any slicing. `fin` says that they are the last.
    pub fn handle_stream(&mut self, id: StreamId, data: Bytes, fin: bool) -> Received {
        let Some(place) = self.place_of(id).or_else(|| self.admit(id)) else { return Received::Consumed };
        if matches!(self.streams[place].role, Role::Channel) {
            if fin {
                self.streams[place].role = Role::Free;
                self.queue(Effect::Finish { id });
                self.end_by_channel();
            }
            return Received::Channel { data, fin };
        }
        let role = mem::take(&mut self.streams[place].role);
        match self.advance(id, role, data, fin) {
            Ok(role) => self.streams[place].role = role,
            Err(fault) => self.fail(id, fault),
        }
        Received::Consumed
    }

    /// The client abandoned a stream (`RESET_STREAM`).
    pub fn handle_reset(&mut self, id: StreamId, code: u64) {
        let _ = code;
        let Some(place) = self.place_of(id) else { return };
        match mem::take(&mut self.streams[place].role) {
            Role::Free | Role::UniType(_) | Role::Closed | Role::Ignored => {}
            Role::Control(_) | Role::QpackEncoder | Role::QpackDecoder(_) => self.fail(id, critical_closed()),
            Role::Connect(_) => {
                self.queue(Effect::Reset { id, code: error::REQUEST_CANCELLED });
                self.end_by_client(CloseCapsule { code: 0, reason: Bytes::new() });
            }
            Role::Channel => {
                self.queue(Effect::Reset { id, code: error::WEBTRANSPORT_SESSION_GONE });
                self.end_by_channel();
            }
            Role::BidiType(_) | Role::SessionId(_) | Role::Waiting(_) | Role::Request(_) => {
                self.queue(Effect::Reset { id, code: error::REQUEST_CANCELLED });
                self.reject_waiting(id);
            }
        }
    }

    /// The client does not want to receive a stream (`STOP_SENDING`).
    pub fn handle_stop_sending(&mut self, id: StreamId, code: u64) {
        let _ = code;
        if !id.is_client_initiated() {
            // The server's only stream of its own is its control stream.
            return self.fail(id, critical_closed());
        }
        let Some(place) = self.place_of(id) else { return };
        if matches!(self.streams[place].role, Role::Closed | Role::Ignored) {
            return;
        }
        self.queue(Effect::StopSending { id, code: error::REQUEST_CANCELLED });
        self.handle_reset(id, code);
    }

    /// Whether the driver may pass on bytes of a stream now; if not, it leaves them in QUIC.
    pub fn is_readable(&self, id: StreamId) -> bool {
        self.place_of(id).is_none_or(|place| !matches!(self.streams[place].role, Role::Waiting(_)))
    }

    /// Ends the session with a code and a reason for the client. Without an open session it does nothing.
    pub fn close(&mut self, code: u32, reason: &[u8]) {
        if self.stage != Stage::Open {
            return;
        }
        self.stage = Stage::Over;
        self.end_connect_stream(code, reason);
        if let Some(place) = self.place_of_role(|role| matches!(role, Role::Channel)) {
            let id = self.streams[place].id;
            self.streams[place].role = Role::Free;
            // What was written before is still delivered.
            self.queue(Effect::Finish { id });
            self.queue(Effect::StopSending { id, code: error::WEBTRANSPORT_SESSION_GONE });
        }
    }

    /// The next thing for the driver to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let effects = self.effects.as_mut()?;
        let effect = effects.pop_front();
        if effects.is_empty() {
            self.effects = None;
        }
        effect
    }

    /// Whether the one session of the connection is over, or can never be.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over | Stage::Broken)
    }

    fn queue(&mut self, effect: Effect) {
        if self.stage != Stage::Broken {
            self.effects.get_or_insert_default().push_back(effect);
        }
    }

    fn place_of(&self, id: StreamId) -> Option<usize> {
        self.streams.iter().position(|stream| stream.id == id && !matches!(stream.role, Role::Free))
    }

    fn place_of_role(&self, wanted: impl Fn(&Role) -> bool) -> Option<usize> {
        self.streams.iter().position(|stream| wanted(&stream.role))
    }

    /// A place for a stream that is new. The transport allows no more streams at a time than there are places.
    fn admit(&mut self, id: StreamId) -> Option<usize> {
        if self.stage == Stage::Broken || !id.is_client_initiated() {
            return None;
        }
        let Some(place) = self.place_of_role(|role| matches!(role, Role::Free)) else {
            self.refuse(id, error::EXCESSIVE_LOAD);
            return None;
        };
        let first = VarintReader::default();
        let role = if id.is_bidi() { Role::BidiType(first) } else { Role::UniType(first) };
        self.streams[place] = Stream { id, role };
        Some(place)
    }

    /// Takes all of `data`, through as many roles as the bytes lead.
    fn advance(&mut self, id: StreamId, mut role: Role, mut data: Bytes, fin: bool) -> Result<Role, Fault> {
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
    fn reject_waiting(&mut self, session: StreamId) {
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

    /// The client ended the session on the CONNECT stream, whose place the caller takes care of.
    fn end_by_client(&mut self, close: CloseCapsule) {
        self.stage = Stage::Over;
        if let Some(place) = self.place_of_role(|role| matches!(role, Role::Channel)) {
            let id = self.streams[place].id;
            self.streams[place].role = Role::Free;
            self.refuse(id, error::WEBTRANSPORT_SESSION_GONE);
        }
        self.queue(Effect::SessionClosed { code: close.code, reason: close.reason });
    }

    /// The client ended the channel, and with it the session.
    fn end_by_channel(&mut self) {
        self.stage = Stage::Over;
        self.end_connect_stream(0, b"");
        self.queue(Effect::SessionClosed { code: 0, reason: Bytes::new() });
    }

    fn end_connect_stream(&mut self, code: u32, reason: &[u8]) {
        if let Some(place) = self.place_of_role(|role| matches!(role, Role::Connect(_))) {
            self.streams[place].role = Role::Ignored;
            self.say_closed(self.streams[place].id, code, reason);
        }
    }

    /// Writes the close capsule and ends the CONNECT stream, from which nothing is of interest any more.
    fn say_closed(&mut self, id: StreamId, code: u32, reason: &[u8]) {
        self.capsules = CapsuleReader::default();
        self.queue(Effect::Write { id, data: response::close_capsule(code, reason).into() });
        self.queue(Effect::Finish { id });
    }

    fn respond(&mut self, id: StreamId, status: Status) {
        self.queue(Effect::Write { id, data: status.response() });
        self.queue(Effect::Finish { id });
        self.reject_waiting(id);
    }

    /// Turns a stream away, both ways.
    fn refuse(&mut self, id: StreamId, code: u64) {
        if id.is_bidi() {
            self.queue(Effect::Reset { id, code });
        }
        self.queue(Effect::StopSending { id, code });
    }

    /// Ends what the fault is about.
    fn fail(&mut self, id: StreamId, fault: Fault) {
        match fault {
            Fault::Stream(code) => {
                self.refuse(id, code);
                self.reject_waiting(id);
            }
            Fault::Connection { code, reason } => {
                if self.stage == Stage::Open {
                    self.end_by_client(CloseCapsule { code: 0, reason: Bytes::new() });
                }
                self.queue(Effect::CloseConnection { code, reason });
                self.stage = Stage::Broken;
                self.streams = Default::default();
                self.capsules = CapsuleReader::default();
            }
        }
    }
}

const fn critical_closed() -> Fault {
    Fault::connection(
        error::CLOSED_CRITICAL_STREAM,
        "a stream that lives as long as the connection was closed",
    )
}
