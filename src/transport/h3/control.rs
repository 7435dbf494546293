//! The client's control stream and its two QPACK streams.
//!
//! Part of step 1. In: their bytes in any slicing. Out: nothing but faults: nothing that a client says here changes what
//! this server does, so it is checked and forgotten.

use bytes::{Buf, Bytes};

use super::Fault;
use super::codes::{error, setting};
use super::frame::{FrameKind, FramePart, FrameReader};
use super::varint::VarintReader;

/// What outlives a frame of the control stream.
#[derive(Debug)]
pub struct ControlMemory {
    /// Whether SETTINGS came: the first frame, and the only one of its kind.
    settings_seen: bool,
    /// The last `MAX_PUSH_ID`, which never falls.
    max_push_id: u64,
    /// The last GOAWAY's push id, which never rises.
    goaway_id: u64,
}

impl ControlMemory {
    /// Before the first frame.
    pub const fn new() -> Self {
        Self { settings_seen: false, max_push_id: 0, goaway_id: u64::MAX }
    }

    /// Whether a frame may begin here; its length is checked where its kind has one.
    fn admit(&mut self, kind: FrameKind, length: u64) -> Result<Option<Content>, Fault> {
        let first = !std::mem::replace(&mut self.settings_seen, true);
        match kind {
            FrameKind::Settings if first => Ok(Some(Content::Settings(SettingsReader::default()))),
            _ if first => Err(Fault::connection(error::MISSING_SETTINGS, "the first frame is not SETTINGS")),
            FrameKind::Settings => Err(Fault::connection(error::FRAME_UNEXPECTED, "a second SETTINGS")),
            FrameKind::Data | FrameKind::Headers => {
                Err(Fault::connection(error::FRAME_UNEXPECTED, "a request's frame on the control stream"))
            }
            FrameKind::Goaway | FrameKind::MaxPushId | FrameKind::CancelPush
                if !(1..=8).contains(&length) =>
            {
                Err(Fault::connection(error::FRAME_ERROR, "a frame of one integer has 1 to 8 bytes"))
            }
            FrameKind::Goaway | FrameKind::MaxPushId | FrameKind::CancelPush => {
                Ok(Some(Content::Number(VarintReader::default())))
            }
            FrameKind::Unknown => Ok(None),
        }
    }

    /// What GOAWAY, `MAX_PUSH_ID` and `CANCEL_PUSH` may say (RFC 9114, sections 7.2.3, 7.2.6 and 7.2.7).
    fn number(&mut self, kind: FrameKind, number: u64) -> Result<(), Fault> {
        match kind {
            FrameKind::Goaway if number > self.goaway_id => {
                Err(Fault::connection(error::ID_ERROR, "GOAWAY with a larger id"))
            }
            FrameKind::MaxPushId if number < self.max_push_id => {
                Err(Fault::connection(error::ID_ERROR, "MAX_PUSH_ID with a smaller id"))
            }
            FrameKind::CancelPush => Err(Fault::connection(error::ID_ERROR, "CANCEL_PUSH without a push")),
            FrameKind::Goaway => {
                self.goaway_id = number;
                Ok(())
            }
            _ => {
                self.max_push_id = number;
                Ok(())
            }
        }
    }
}

/// Where the control stream stands.
#[derive(Debug)]
pub enum ControlReader {
    /// Between frames, in a frame's header, or in a frame to skip.
    Frames(FrameReader),
    /// In a frame that means something: the only state that holds memory, and only while it lasts.
    Content(Box<(FrameReader, Content)>),
}

/// The content of a frame that means something.
#[derive(Debug)]
pub enum Content {
    /// SETTINGS.
    Settings(SettingsReader),
    /// GOAWAY, `MAX_PUSH_ID` or `CANCEL_PUSH`.
    Number(VarintReader),
}

impl Default for ControlReader {
    fn default() -> Self {
        Self::Frames(FrameReader::default())
    }
}

impl ControlReader {
    /// Takes all of `data`.
    pub fn read(&mut self, memory: &mut ControlMemory, data: &mut Bytes) -> Result<(), Fault> {
        loop {
            match self {
                Self::Frames(frames) => match frames.next(data)? {
                    Some(FramePart::Header(kind, length)) => {
                        if let Some(content) = memory.admit(kind, length)? {
                            *self = Self::Content(Box::new((*frames, content)));
                        }
                    }
                    // The payload of a frame with content is read below.
                    Some(FramePart::Payload(..)) => {}
                    None => return Ok(()),
                },
                Self::Content(reading) => {
                    let (frames, content) = &mut **reading;
                    let Some(FramePart::Payload(kind, bytes, last)) = frames.next(data)? else {
                        return Ok(());
                    };
                    content.read(memory, kind, bytes, last)?;
                    if last {
                        *self = Self::Frames(*frames);
                    }
                }
            }
        }
    }
}

impl Content {
    fn read(
        &mut self,
        memory: &mut ControlMemory,
        kind: FrameKind,
        mut bytes: Bytes,
        last: bool,
    ) -> Result<(), Fault> {
        match self {
            Self::Settings(settings) => {
                settings.read(&mut bytes)?;
                if last && !settings.is_between_settings() {
                    return Err(Fault::connection(error::FRAME_ERROR, "SETTINGS ends within a setting"));
                }
            }
            Self::Number(reader) => match reader.read(&mut bytes) {
                Some(number) if last && bytes.is_empty() => memory.number(kind, number)?,
                None if !last => {}
                _ => {
                    return Err(Fault::connection(
                        error::FRAME_ERROR,
                        "a frame's length is not its integer's",
                    ));
                }
            },
        }
        Ok(())
    }
}

/// Reads settings one by one.
#[derive(Debug, Default)]
pub struct SettingsReader {
    id: Option<u64>,
    integer: VarintReader,
    /// Which of the known settings came: a bit for each place in [`KNOWN_SETTINGS`].
    seen: u8,
}

/// Settings that a client may send and that must not come twice. Others are skipped without being remembered.
const KNOWN_SETTINGS: [u64; 7] = [
    setting::QPACK_MAX_TABLE_CAPACITY,
    setting::MAX_FIELD_SECTION_SIZE,
    setting::QPACK_BLOCKED_STREAMS,
    setting::ENABLE_CONNECT_PROTOCOL,
    setting::H3_DATAGRAM,
    setting::ENABLE_WEBTRANSPORT,
    setting::WEBTRANSPORT_MAX_SESSIONS,
];

impl SettingsReader {
    fn read(&mut self, data: &mut Bytes) -> Result<(), Fault> {
        while let Some(integer) = self.integer.read(data) {
            match self.id.take() {
                None => self.id = Some(self.begin(integer)?),
                Some(setting::ENABLE_CONNECT_PROTOCOL | setting::H3_DATAGRAM) if integer > 1 => {
                    return Err(Fault::connection(
                        error::SETTINGS_ERROR,
                        "a setting that is 0 or 1 is neither",
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn begin(&mut self, id: u64) -> Result<u64, Fault> {
        if (0x02..=0x05).contains(&id) {
            return Err(Fault::connection(error::SETTINGS_ERROR, "a setting of HTTP/2"));
        }
        if let Some(place) = KNOWN_SETTINGS.iter().position(|known| *known == id) {
            if self.seen & 1 << place != 0 {
                return Err(Fault::connection(error::SETTINGS_ERROR, "a setting came twice"));
            }
            self.seen |= 1 << place;
        }
        Ok(id)
    }

    const fn is_between_settings(&self) -> bool {
        self.id.is_none() && self.integer.is_empty()
    }
}

/// Reads the client's encoder stream: without a dynamic table it may only set the table's capacity to 0
/// (RFC 9204, sections 3.2.3 and 4.3.1).
pub fn read_encoder_stream(data: &mut Bytes) -> Result<(), Fault> {
    let allowed = data.iter().all(|byte| *byte == 0x20);
    data.clear();
    if allowed {
        return Ok(());
    }
    Err(Fault::connection(error::QPACK_ENCODER_STREAM_ERROR, "an instruction for a table without room"))
}

/// Reads the client's decoder stream: since no field of the server refers to a dynamic table, it may only cancel
/// streams (RFC 9204, section 4.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct DecoderStream {
    /// Bytes of a stream id that have been read, 0 between instructions.
    id_bytes: u8,
}

impl DecoderStream {
    /// Takes all of `data`.
    pub fn read(&mut self, data: &mut Bytes) -> Result<(), Fault> {
        while data.has_remaining() {
            let byte = data.get_u8();
            self.id_bytes = match self.id_bytes {
                0 if byte == 0x7f => 1,
                0 if byte & 0xc0 == 0x40 => 0,
                // A stream id has at most 62 bits: 6 in the first byte and 7 in each that follows.
                1..10 if byte & 0x80 != 0 => self.id_bytes + 1,
                1..10 => 0,
                _ => {
                    let reason = "an acknowledgement of what was not sent";
                    return Err(Fault::connection(error::QPACK_DECODER_STREAM_ERROR, reason));
                }
            };
        }
        Ok(())
    }
}
