//! Step 5: one channel, over whichever stack.
//!
//! In: the two halves of a stream. Out: frames for the core, and the core's frames for the client. Nothing is held for an
//! idle channel: bytes are read into a buffer on the stack.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use anoncam::core::frame::FrameDecoder;
use anoncam::core::io::CloseCode;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::hub::{Outgoing, Place, Wait};

/// Read in one go: a datagram's worth is the common case, a 32 KiB frame takes eight.
const READ_BYTES: usize = 4_096;
/// Reads before the other tasks have their turn.
const TURN_READS: usize = 32;

/// Why a channel is over, where the core has decided it.
pub type Closed = (CloseCode, Bytes);

/// Serves a channel to its end; `None` when the client ended it.
pub async fn serve_channel<R, W>(place: &Place, reader: &mut R, writer: &mut W) -> Option<Closed>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut channel = Channel { place, reader, writer, decoder: FrameDecoder::default(), out: None };
    let closed = poll_fn(|cx| channel.poll(cx)).await;
    if closed.is_some() {
        // The client may be gone already; there is nobody else to tell.
        let _ = channel.writer.shutdown().await;
    }
    closed
}

struct Channel<'a, R, W> {
    place: &'a Place,
    reader: &'a mut R,
    writer: &'a mut W,
    decoder: FrameDecoder,
    /// What is being written.
    out: Option<Outgoing>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Channel<'_, R, W> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Closed>> {
        for _ in 0..TURN_READS {
            if self.write(cx).is_err() {
                return Poll::Ready(None);
            }
            match self.place.wait(cx) {
                Wait::Closed(code, reason) => return Poll::Ready(Some((code, reason))),
                Wait::Held => return Poll::Pending,
                Wait::Read => {}
            }
            if self.place.handle_frame(&mut self.decoder) {
                continue;
            }
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *self.reader).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.decoder.push(Bytes::copy_from_slice(buffer.filled()));
                }
                Poll::Ready(_) => return Poll::Ready(None),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what there is and the stack takes.
    fn write(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        loop {
            let Some(out) = &mut self.out else {
                self.out = self.place.next_outgoing();
                if self.out.is_some() {
                    continue;
                }
                return Ok(());
            };
            match Pin::new(&mut *self.writer).poll_write(cx, &out.bytes) {
                Poll::Pending => return Ok(()),
                Poll::Ready(written) => out.bytes.advance(written?),
            }
            if out.bytes.is_empty() {
                let relayed = out.relayed;
                self.out = None;
                if relayed > 0 {
                    self.place.flushed(relayed);
                }
            }
        }
    }
}
