//! One WebTransport session from the client's side: control stream, CONNECT, channel, and how it ends.
//!
//! In: the events of a quinn-proto connection. Out: [`Happened`], in order.
//! The driver calls [`Session::handle_connected`] once, [`Session::handle_stream`] for every stream event, and
//! transmits what the connection then has to send. At most one request, one channel, and a few server streams exist.

use std::collections::VecDeque;

use bytes::Bytes;
use quinn_proto::{Connection, Dir, ReadError, StreamEvent, StreamId, VarInt, WriteError};

use super::frame::FrameReader;
use super::h3::{self, FrameBuffer, kind};
use super::qpack;
use crate::limits::{MAX_SERVER_STREAMS, MAX_UNSENT_BYTES};

/// HTTP/3 application error: nothing went wrong.
pub const H3_NO_ERROR: u32 = 0x100;

/// Where a session is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// `host:port` of the URL.
    pub authority: String,
    /// Path of the URL.
    pub path: String,
    /// What a browser would send as Origin: the site that served the page.
    pub origin: String,
}

/// What a session has to say to its driver.
#[derive(Debug, PartialEq, Eq)]
pub enum Happened {
    /// The server accepted the CONNECT; the channel can be written to.
    Open,
    /// A whole frame arrived on the channel.
    Frame(u8, Bytes),
    /// The session is over.
    Ended(End),
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The server answered the CONNECT with this status.
    Status(u16),
    /// The server closed the session with a code and a reason.
    Closed(u32, String),
    /// The server broke HTTP/3, WebTransport or the channel's framing.
    Protocol(&'static str),
    /// More is waiting for the server's flow control than this client holds.
    Stuck,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Handshake,
    /// Waiting for the server's SETTINGS: extended CONNECT may not be sent before (RFC 8441 section 3).
    Settings,
    Response,
    Open,
    Over,
}

enum ServerStream {
    Unknown(FrameBuffer),
    Control(FrameBuffer),
    Ignored,
}

/// The state of one session.
pub struct Session {
    phase: Phase,
    request: Option<StreamId>,
    channel: Option<StreamId>,
    server_streams: Vec<(StreamId, ServerStream)>,
    response: FrameBuffer,
    capsules: FrameBuffer,
    frames: FrameReader,
    unsent: VecDeque<Bytes>,
    unsent_bytes: usize,
    /// Whether the server has ended the channel. Why is told by a capsule on another stream, which may arrive later.
    channel_over: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            phase: Phase::Handshake,
            request: None,
            channel: None,
            server_streams: Vec::new(),
            response: FrameBuffer::default(),
            capsules: FrameBuffer::default(),
            frames: FrameReader::default(),
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            channel_over: false,
        }
    }
}

impl Session {
    /// The QUIC handshake is complete: opens the control stream.
    pub fn handle_connected(&mut self, quic: &mut Connection) -> Result<(), End> {
        let control =
            quic.streams().open(Dir::Uni).ok_or(End::Protocol("no unidirectional stream allowed"))?;
        write_whole(quic, control, &h3::control_stream())?;
        self.phase = Phase::Settings;
        Ok(())
    }

    /// A stream event; `happened` is called for everything that follows from it.
    pub fn handle_stream(
        &mut self,
        quic: &mut Connection,
        request: &Request,
        event: &StreamEvent,
        happened: &mut impl FnMut(Happened),
    ) {
        let result = match event {
            StreamEvent::Opened { dir: Dir::Uni } => self.accept_streams(quic, request),
            StreamEvent::Readable { id } => self.read(quic, request, *id, happened),
            StreamEvent::Writable { id } if Some(*id) == self.channel => {
                self.flush(quic);
                Ok(())
            }
            StreamEvent::Stopped { id, .. } if Some(*id) == self.channel => self.end_channel(quic, happened),
            _ => Ok(()),
        };
        if let Err(end) = result
            && self.phase != Phase::Over
        {
            self.phase = Phase::Over;
            happened(Happened::Ended(end));
        }
    }

    /// Whether the channel can be written to.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Writes a frame to the channel, or holds it until the server's flow control allows it.
    pub fn send(&mut self, quic: &mut Connection, frame: Bytes) -> Result<(), End> {
        if self.phase != Phase::Open || self.channel_over {
            return Ok(());
        }
        self.unsent_bytes += frame.len();
        self.unsent.push_back(frame);
        if self.unsent_bytes > MAX_UNSENT_BYTES {
            return Err(End::Stuck);
        }
        self.flush(quic);
        Ok(())
    }

    /// Says goodbye with a `CLOSE_WEBTRANSPORT_SESSION` capsule; the driver closes the connection after it.
    pub fn close(&mut self, quic: &mut Connection, code: u32) {
        if self.phase == Phase::Open
            && let Some(request) = self.request
        {
            let (mut capsule, mut data) = (Vec::new(), Vec::new());
            h3::put_frame(&mut capsule, kind::CLOSE_SESSION, &code.to_be_bytes());
            h3::put_frame(&mut data, kind::DATA, &capsule);
            // The connection is closed next, so a window without room for 12 bytes loses a courtesy and no more.
            if write_whole(quic, request, &data).is_ok() {
                let _ = quic.send_stream(request).finish();
            }
        }
        self.phase = Phase::Over;
    }

    fn accept_streams(&mut self, quic: &mut Connection, request: &Request) -> Result<(), End> {
        while let Some(id) = quic.streams().accept(Dir::Uni) {
            if self.server_streams.len() == MAX_SERVER_STREAMS {
                let _ = quic.recv_stream(id).stop(VarInt::from_u32(H3_NO_ERROR));
                continue;
            }
            self.server_streams.push((id, ServerStream::Unknown(FrameBuffer::default())));
            self.read_server_stream(quic, request, id)?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        quic: &mut Connection,
        request: &Request,
        id: StreamId,
        happened: &mut impl FnMut(Happened),
    ) -> Result<(), End> {
        if Some(id) == self.channel {
            self.read_channel(quic, id, happened)
        } else if Some(id) == self.request {
            self.read_request_stream(quic, id, happened)
        } else {
            self.read_server_stream(quic, request, id)
        }
    }

    fn read_channel(
        &mut self,
        quic: &mut Connection,
        id: StreamId,
        happened: &mut impl FnMut(Happened),
    ) -> Result<(), End> {
        let frames = &mut self.frames;
        let mut oversized = false;
        let fin = read_chunks(quic, id, |chunk| {
            let whole = |frame_type, payload| happened(Happened::Frame(frame_type, payload));
            oversized |= frames.push(chunk, whole).is_err();
        })?;
        if oversized {
            return Err(End::Protocol("a frame over the protocol's limit"));
        }
        if fin { self.end_channel(quic, happened) } else { Ok(()) }
    }

    /// The server has ended the channel: the session is over as soon as it is known why, and when the connection is at the latest.
    fn end_channel(&mut self, quic: &mut Connection, happened: &mut impl FnMut(Happened)) -> Result<(), End> {
        self.channel_over = true;
        self.unsent = VecDeque::new();
        self.request.map_or(Ok(()), |request| self.read_request_stream(quic, request, happened))
    }

    fn read_request_stream(
        &mut self,
        quic: &mut Connection,
        id: StreamId,
        happened: &mut impl FnMut(Happened),
    ) -> Result<(), End> {
        let response = &mut self.response;
        let fin = read_chunks(quic, id, |chunk| response.extend(&chunk))?;
        let too_large = |_| End::Protocol("an HTTP/3 frame over 16 KiB");
        while let Some((frame_type, payload)) = self.response.next_frame().map_err(too_large)? {
            match frame_type {
                kind::HEADERS if self.phase == Phase::Response => {
                    match qpack::response_status(&payload) {
                        Some(200) => self.open_channel(quic)?,
                        Some(100..=199) => continue,
                        Some(status) => return Err(End::Status(status)),
                        None => return Err(End::Protocol("a response without a readable status")),
                    }
                    happened(Happened::Open);
                }
                kind::DATA => self.capsules.extend(&payload),
                _ => {}
            }
        }
        while let Some((capsule, payload)) = self.capsules.next_frame().map_err(too_large)? {
            if capsule == kind::CLOSE_SESSION {
                let code = payload.first_chunk::<4>().map_or(0, |code| u32::from_be_bytes(*code));
                let reason = String::from_utf8_lossy(payload.get(4..).unwrap_or_default()).into_owned();
                return Err(End::Closed(code, reason));
            }
        }
        if fin { Err(End::Closed(0, String::new())) } else { Ok(()) }
    }

    fn read_server_stream(
        &mut self,
        quic: &mut Connection,
        request: &Request,
        id: StreamId,
    ) -> Result<(), End> {
        let Some((_, stream)) = self.server_streams.iter_mut().find(|(known, _)| *known == id) else {
            return Ok(());
        };
        let fin = read_chunks(quic, id, |chunk| match stream {
            ServerStream::Unknown(buffer) | ServerStream::Control(buffer) => buffer.extend(&chunk),
            ServerStream::Ignored => {}
        })?;
        if let ServerStream::Unknown(buffer) = stream
            && let Some(stream_type) = buffer.take_varint()
        {
            let buffer = std::mem::take(buffer);
            *stream = match stream_type {
                kind::CONTROL_STREAM => ServerStream::Control(buffer),
                _ => ServerStream::Ignored,
            };
        }
        let ServerStream::Control(buffer) = stream else { return Ok(()) };
        let mut allowed = None;
        let too_large = |_| End::Protocol("a control frame over 16 KiB");
        while let Some((frame_type, payload)) = buffer.next_frame().map_err(too_large)? {
            if frame_type == kind::SETTINGS {
                allowed = Some(h3::allows_webtransport(&payload));
            }
        }
        if fin {
            return Err(End::Protocol("the server closed its control stream"));
        }
        match allowed {
            Some(true) if self.phase == Phase::Settings => self.send_request(quic, request),
            Some(false) => Err(End::Protocol("the server's SETTINGS do not offer WebTransport")),
            _ => Ok(()),
        }
    }

    fn send_request(&mut self, quic: &mut Connection, request: &Request) -> Result<(), End> {
        let id = quic.streams().open(Dir::Bi).ok_or(End::Protocol("no bidirectional stream allowed"))?;
        let mut headers = Vec::new();
        let section = qpack::connect_request(&request.authority, &request.path, &request.origin);
        h3::put_frame(&mut headers, kind::HEADERS, &section);
        write_whole(quic, id, &headers)?;
        self.request = Some(id);
        self.phase = Phase::Response;
        Ok(())
    }

    fn open_channel(&mut self, quic: &mut Connection) -> Result<(), End> {
        let id =
            quic.streams().open(Dir::Bi).ok_or(End::Protocol("no second bidirectional stream allowed"))?;
        let mut header = Vec::new();
        h3::put_varint(&mut header, kind::WEBTRANSPORT_STREAM);
        h3::put_varint(&mut header, self.request.map_or(0, u64::from));
        write_whole(quic, id, &header)?;
        self.channel = Some(id);
        self.phase = Phase::Open;
        Ok(())
    }

    fn flush(&mut self, quic: &mut Connection) {
        let Some(channel) = self.channel.filter(|_| !self.channel_over) else { return };
        while let Some(frame) = self.unsent.front_mut() {
            let before = frame.len();
            match quic.send_stream(channel).write_chunks(std::slice::from_mut(frame)) {
                Ok(_) => {}
                Err(WriteError::Blocked) => return,
                // It was stopped, which its event is about to tell.
                Err(_) => break,
            }
            self.unsent_bytes -= before - frame.len();
            if frame.is_empty() {
                self.unsent.pop_front();
            }
        }
        self.unsent = VecDeque::new();
    }
}

/// Writes a few bytes at the start of a stream, where the server's first window always has room.
fn write_whole(quic: &mut Connection, id: StreamId, bytes: &[u8]) -> Result<(), End> {
    match quic.send_stream(id).write(bytes) {
        Ok(written) if written == bytes.len() => Ok(()),
        _ => Err(End::Protocol("the server's first flow-control window is too small")),
    }
}

/// Hands every readable chunk to `take`; says whether the stream has ended.
fn read_chunks(quic: &mut Connection, id: StreamId, mut take: impl FnMut(Bytes)) -> Result<bool, End> {
    let mut stream = quic.recv_stream(id);
    let Ok(mut chunks) = stream.read(true) else { return Ok(false) };
    let result = loop {
        match chunks.next(usize::MAX) {
            Ok(Some(chunk)) => take(chunk.bytes),
            Ok(None) => break Ok(true),
            Err(ReadError::Blocked) => break Ok(false),
            Err(ReadError::Reset(_)) => break Err(End::Closed(0, "the server reset the stream".into())),
        }
    };
    let _ = chunks.finalize();
    result
}
