//! One request stream, from its first frame to the verdict and on to its end.
//!
//! Part of step 1. In: the stream's bytes in any slicing. Out: a session, or a status, or a fault. A `Request` is on the
//! heap only while it is read; content is counted and dropped.

use bytes::Bytes;

use super::Fault;
use super::codes::error;
use super::frame::{FrameKind, FramePart, FrameReader};
use super::head::{Head, HeadSink, Trailers, Verdict};
use super::policy::Policy;
use super::qpack::FieldDecoder;
use super::response::Status;
use crate::limits::FIELD_SECTION_BYTES;

/// What the layer above has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A session opens; the rest of the stream is capsules.
    Session,
    /// Answer with this status and read no more.
    Now(Status),
}

/// Which part of the request comes next or is being read.
#[derive(Debug)]
enum Stage {
    /// The head.
    Head,
    /// Content, of a request to be refused with this status; then perhaps trailers.
    Content(Status),
    /// Trailers, in which this was found.
    Trailers(Status, Trailers),
    /// The end of the stream.
    End(Status),
}

/// A request that is being read.
#[derive(Debug)]
pub struct Request {
    frames: FrameReader,
    fields: FieldDecoder,
    head: Head,
    stage: Stage,
    content_bytes: u64,
}

impl Request {
    /// A request whose stream begins with a frame of this type.
    pub fn new(first_frame_type: u64) -> Result<Self, Fault> {
        Ok(Self {
            frames: FrameReader::after_type(first_frame_type)?,
            fields: FieldDecoder::new(),
            head: Head::new(),
            stage: Stage::Head,
            content_bytes: 0,
        })
    }

    /// Takes all of `data`, or as much as it needs for an answer.
    pub fn read(&mut self, policy: &Policy, data: &mut Bytes) -> Result<Option<Answer>, Fault> {
        while let Some(part) = self.frames.next(data)? {
            let answer = match part {
                FramePart::Header(kind, length) => self.begin_frame(kind, length)?,
                FramePart::Payload(FrameKind::Data, bytes, _) => self.content(bytes.len() as u64)?,
                FramePart::Payload(_, bytes, last) => self.fields(policy, &bytes, last)?,
            };
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Ok(None)
    }

    /// The stream ends here: the status to answer with.
    pub fn finish(&self) -> Result<Status, Fault> {
        if !self.frames.is_between_frames() {
            return Err(Fault::connection(error::FRAME_ERROR, "a request's stream ends within a frame"));
        }
        match self.stage {
            Stage::Head | Stage::Trailers(..) => Err(Fault::Stream(error::REQUEST_INCOMPLETE)),
            Stage::Content(_) | Stage::End(_)
                if self.head.content_length().is_some_and(|length| length != self.content_bytes) =>
            {
                Err(Fault::Stream(error::MESSAGE_ERROR))
            }
            Stage::Content(status) | Stage::End(status) => Ok(status),
        }
    }

    fn begin_frame(&mut self, kind: FrameKind, length: u64) -> Result<Option<Answer>, Fault> {
        match (kind, &self.stage) {
            (FrameKind::Unknown, _) | (FrameKind::Data, Stage::Content(_)) => return Ok(None),
            (FrameKind::Headers, Stage::Head) => {}
            (FrameKind::Headers, Stage::Content(status)) => {
                self.stage = Stage::Trailers(*status, Trailers::default());
            }
            _ => {
                return Err(Fault::connection(
                    error::FRAME_UNEXPECTED,
                    "a frame out of its place in a request",
                ));
            }
        }
        self.fields = FieldDecoder::new();
        Ok((length > FIELD_SECTION_BYTES as u64).then_some(Answer::Now(Status::FieldsTooLarge)))
    }

    fn content(&mut self, bytes: u64) -> Result<Option<Answer>, Fault> {
        self.content_bytes = self.content_bytes.saturating_add(bytes);
        match self.head.content_length() {
            Some(length) if self.content_bytes > length => Err(Fault::Stream(error::MESSAGE_ERROR)),
            _ => Ok(None),
        }
    }

    fn fields(&mut self, policy: &Policy, bytes: &[u8], last: bool) -> Result<Option<Answer>, Fault> {
        let undecodable = |_| {
            Fault::connection(error::QPACK_DECOMPRESSION_FAILED, "a field section that cannot be decoded")
        };
        match &mut self.stage {
            Stage::Trailers(_, trailers) => self.fields.read(bytes, trailers),
            _ => self.fields.read(bytes, &mut HeadSink { head: &mut self.head, policy }),
        }
        .map_err(undecodable)?;
        if self.fields.is_too_large() {
            return Ok(Some(Answer::Now(Status::FieldsTooLarge)));
        }
        if !last {
            return Ok(None);
        }
        self.fields.finish().map_err(undecodable)?;
        self.section_done(policy)
    }

    fn section_done(&mut self, policy: &Policy) -> Result<Option<Answer>, Fault> {
        if let Stage::Trailers(status, trailers) = &self.stage {
            if trailers.malformed {
                return Err(Fault::Stream(error::MESSAGE_ERROR));
            }
            self.stage = Stage::End(*status);
            return Ok(None);
        }
        match self.head.verdict(policy) {
            Verdict::Malformed => Err(Fault::Stream(error::MESSAGE_ERROR)),
            Verdict::Session => Ok(Some(Answer::Session)),
            Verdict::RefusedConnect(status) => Ok(Some(Answer::Now(status))),
            Verdict::Refused(status) => {
                self.stage = Stage::Content(status);
                Ok(None)
            }
        }
    }
}
