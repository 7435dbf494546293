//! Steps 1, 5 and 6: one WebSocket, from its handshake to its end.
//!
//! In: a connection and a pipe to a shard. Out: nothing; the channel's bytes go through meanwhile. Reading and writing are independent, so
//! that a client who takes nothing is still heard. Back-pressure is what each side does not take: a pipe without room leaves the client's
//! bytes in its connection, and a connection without room leaves the shard's bytes in its queue.

use std::io;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::frame::{self, Fault, Found, Reader};
use crate::core::io::CloseCode;
use crate::limits::{LINGER_MS, WEBSOCKET_READ_BYTES, WEBSOCKET_WRITE_BYTES};
use crate::transport::pipe::{Close, Down, Downstream, Upstream};

/// Close codes of sessions are told with this added (PROTOCOL.md section 9).
const SESSION_CODES: u16 = 4_000;
/// "Protocol error" of WebSocket itself (RFC 6455, section 7.4.1).
const FRAMING_FAULT: u16 = 1_002;
/// "Normal closure", for a client that gave no code.
const NORMAL: u16 = 1_000;

/// What the reading half wants written.
#[derive(Default)]
struct Replies {
    /// The last ping's payload. A client that sends many gets one pong for all (RFC 6455, section 5.5.3).
    pong: Option<Vec<u8>>,
    /// The end, with its code and reason.
    close: Option<(u16, &'static str)>,
}

/// The way from the reading half to the writing half of one WebSocket.
#[derive(Default)]
struct Desk {
    replies: Mutex<Replies>,
    news: Notify,
}

impl Desk {
    fn leave(&self, change: impl FnOnce(&mut Replies)) {
        change(&mut self.replies.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_one();
    }

    fn take(&self) -> Replies {
        std::mem::take(&mut self.replies.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Carries one session's channel. `first` is what came with the handshake. Ends when the client and the shard are done with each other.
pub async fn carry(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    first: Bytes,
    pipe: Option<(Upstream, Downstream)>,
) {
    let (from_client, mut to_client) = tokio::io::split(stream);
    let Some((up, down)) = pipe else { return refuse(to_client).await };
    let desk = Desk::default();
    let linger = Duration::from_millis(LINGER_MS);
    {
        let mut reading = pin!(read(from_client, first, up, &desk));
        let mut writing = pin!(write(&mut to_client, down, &desk));
        // What ends first gives the other half a moment: for the last words, or for the client's close.
        tokio::select! {
            _ = &mut reading => drop(timeout(linger, writing).await),
            written = &mut writing => if written.is_ok() {
                drop(timeout(linger, reading).await);
            },
        }
    }
    let _ = timeout(linger, to_client.shutdown()).await;
}

/// All places are taken: told as the core tells it.
async fn refuse(mut to_client: impl AsyncWrite + Unpin) {
    let reason = crate::core::reply::close_reason("the server is full", crate::limits::RETRY_AFTER_MS);
    let mut bytes = Vec::new();
    write_session_close(&Close { code: CloseCode::Full, reason }, &mut bytes);
    let told = async {
        to_client.write_all(&bytes).await?;
        to_client.shutdown().await
    };
    let _ = timeout(Duration::from_millis(LINGER_MS), told).await;
}

/// From the client to the shard, until either is done.
async fn read(
    mut from_client: impl AsyncRead + Unpin,
    first: Bytes,
    mut up: Upstream,
    desk: &Desk,
) -> io::Result<()> {
    let mut reader = Reader::default();
    let mut buffer = [0; WEBSOCKET_READ_BYTES];
    let mut from_client = AsyncReadExt::chain(&*first, &mut from_client);
    while let Some(room) = up.room().await {
        let most = room.min(buffer.len());
        let length = tokio::select! {
            length = from_client.read(&mut buffer[..most]) => length?,
            () = up.let_go() => break,
        };
        if length == 0 {
            return Ok(());
        }
        match unframe(&mut reader, &mut buffer[..length], desk) {
            None => return Ok(()),
            Some(0) => up.heard(),
            Some(kept) => up.send(Bytes::copy_from_slice(&buffer[..kept])),
        }
    }
    // The shard is done. What the client still says is nobody's, but its close is waited for.
    let read_over = async {
        loop {
            let length = from_client.read(&mut buffer).await?;
            if length == 0 || unframe(&mut reader, &mut buffer[..length], desk).is_none() {
                return Ok(());
            }
        }
    };
    timeout(Duration::from_millis(LINGER_MS), read_over).await.unwrap_or(Ok(()))
}

/// Moves the channel's bytes among these to the front, and says how many they are; `None` when the WebSocket is over.
fn unframe(reader: &mut Reader, input: &mut [u8], desk: &Desk) -> Option<usize> {
    let (mut at, mut kept) = (0, 0);
    while at < input.len() {
        let (used, found) = match reader.step(&mut input[at..]) {
            Ok(step) => step,
            Err(fault) => {
                desk.leave(|replies| replies.close = Some(answer_to(fault)));
                return None;
            }
        };
        at += used;
        match found {
            Found::Payload(length) => {
                input.copy_within(at - length..at, kept);
                kept += length;
            }
            Found::Ping => desk.leave(|replies| replies.pong = Some(reader.control().to_vec())),
            Found::Close(code) => {
                let code = code.filter(|code| frame::may_be_sent(*code)).unwrap_or(NORMAL);
                desk.leave(|replies| replies.close = Some((code, "")));
                return None;
            }
            Found::Pong | Found::Nothing => {}
        }
    }
    Some(kept)
}

fn answer_to(fault: Fault) -> (u16, &'static str) {
    match fault {
        Fault::Framing => (FRAMING_FAULT, ""),
        Fault::Text => {
            (SESSION_CODES + CloseCode::Protocol as u16, "a text message, only binary ones are spoken")
        }
    }
}

/// From the shard to the client, until a close has been written.
async fn write(
    to_client: &mut (impl AsyncWrite + Unpin),
    mut down: Downstream,
    desk: &Desk,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let Replies { pong, close } = desk.take();
        if let Some(payload) = pong {
            frame::write_pong(&payload, &mut bytes);
        }
        let (of_channel, ended) = match close {
            Some((code, reason)) => {
                frame::write_close(code, reason, &mut bytes);
                (0, true)
            }
            None => gather(&mut down, &mut bytes),
        };
        if bytes.is_empty() {
            if ended {
                return Ok(());
            }
            tokio::select! {
                () = down.news() => {}
                () = desk.news.notified() => {}
            }
            continue;
        }
        to_client.write_all(&bytes).await?;
        to_client.flush().await?;
        bytes = Vec::new();
        down.flushed(of_channel);
        if ended {
            return Ok(());
        }
    }
}

/// Takes what the shard has given, as one message. Returns how many bytes of the channel that is, and whether the session is over.
fn gather(down: &mut Downstream, bytes: &mut Vec<u8>) -> (usize, bool) {
    let mut payload = Vec::new();
    let mut end = None;
    while payload.len() < WEBSOCKET_WRITE_BYTES && end.is_none() {
        match down.try_next() {
            Some(Down::Bytes(piece)) => payload.extend_from_slice(&piece),
            Some(other) => end = Some(other),
            None => break,
        }
    }
    if !payload.is_empty() {
        frame::write_binary_header(payload.len(), bytes);
        bytes.extend_from_slice(&payload);
    }
    match end {
        Some(Down::Ping) => frame::write_ping(bytes),
        Some(Down::Closed(close)) => {
            if let Some(close) = close {
                write_session_close(&close, bytes);
            }
            return (payload.len(), true);
        }
        Some(Down::Bytes(_)) | None => {}
    }
    (payload.len(), false)
}

fn write_session_close(close: &Close, bytes: &mut Vec<u8>) {
    // Every reason of the core is UTF-8.
    let reason = std::str::from_utf8(&close.reason).unwrap_or_default();
    frame::write_close(SESSION_CODES + close.code as u16, reason, bytes);
}
