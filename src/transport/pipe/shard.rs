//! The shard's side of the pipes: what is new, and the ends that a shard gives bytes to and takes bytes from. Nothing here waits.

use std::collections::VecDeque;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use rtrb::{Consumer, Producer};

use super::{Close, Event, Pipe};
use crate::core::io::CloseCode;
use crate::limits::SEND_WINDOW_BYTES;

/// One shard's list of pipes with news, and its way to tell the site.
pub struct Lobby {
    events: Consumer<Event>,
    list: Producer<Arc<Pipe>>,
    /// Whom the site is told about at the end of the turn.
    told: VecDeque<Arc<Pipe>>,
    bell: UnixStream,
    rung: Arc<AtomicBool>,
}

impl Lobby {
    pub(super) fn new(
        events: Consumer<Event>,
        list: Producer<Arc<Pipe>>,
        bell: UnixStream,
        rung: Arc<AtomicBool>,
    ) -> Self {
        Self { events, list, told: VecDeque::new(), bell, rung }
    }

    /// The next event, if there is any.
    pub fn receive(&mut self) -> Option<Event> {
        let event = self.events.pop().ok()?;
        if let Event::News(pipe) = &event {
            pipe.told_shard.swap(false, Ordering::AcqRel);
        }
        Some(event)
    }

    /// Something is new for the site at this pipe: told at the end of the turn.
    pub fn tell(&mut self, end: &ShardEnd) {
        if !end.pipe.told_site.swap(true, Ordering::AcqRel) {
            self.told.push_back(Arc::clone(&end.pipe));
        }
    }

    /// At the end of a turn: tells the site, with one wake-up. Returns whether something is left to be told.
    pub fn flush(&mut self) -> bool {
        if self.told.is_empty() {
            return false;
        }
        while let Some(pipe) = self.told.pop_front() {
            if let Err(rtrb::PushError::Full(pipe)) = self.list.push(pipe) {
                self.told.push_front(pipe);
                break;
            }
        }
        if !self.rung.swap(true, Ordering::AcqRel) {
            // A bell that is full of rings has been heard; one whose site is gone needs not be.
            let _ = self.bell.write(&[1]);
        }
        !self.told.is_empty()
    }

    /// After a panic: nobody will look at what has come meanwhile.
    pub fn clear(&mut self) {
        while self.receive().is_some() {}
    }
}

/// The shard's end of a pipe. Dropping it without [`ShardEnd::let_go`] tells the site that the shard has failed.
pub struct ShardEnd {
    pipe: Arc<Pipe>,
    up: Consumer<Bytes>,
    down: Producer<Bytes>,
    given: usize,
    let_go: bool,
}

impl ShardEnd {
    pub(super) fn new(pipe: Arc<Pipe>, up: Consumer<Bytes>, down: Producer<Bytes>) -> Self {
        Self { pipe, up, down, given: 0, let_go: false }
    }

    /// Remembers the shard's own name for it.
    pub fn name(&self, slot: u32) {
        self.pipe.slot.store(slot, Ordering::Relaxed);
    }

    /// Whether it is the end of this pipe.
    pub fn is_of(&self, pipe: &Arc<Pipe>) -> bool {
        Arc::ptr_eq(&self.pipe, pipe)
    }

    /// Whether anything has come from the client since the last call.
    pub fn take_heard(&self) -> bool {
        self.pipe.heard.load(Ordering::Relaxed) && self.pipe.heard.swap(false, Ordering::AcqRel)
    }

    /// Whether the client's connection is over. What [`ShardEnd::take`] gives after a `true` is all that will come.
    pub fn is_gone(&self) -> bool {
        self.pipe.site_gone.load(Ordering::Acquire)
    }

    /// The next bytes of the channel, which makes room for more.
    pub fn take(&mut self) -> Option<Bytes> {
        let bytes = self.up.pop().ok()?;
        self.pipe.taken.fetch_add(bytes.len(), Ordering::AcqRel);
        Some(bytes)
    }

    /// How many bytes can be given now.
    pub fn room(&self) -> usize {
        if self.down.is_full() {
            return 0;
        }
        let under_way = self.given - self.pipe.flushed.load(Ordering::Acquire);
        (SEND_WINDOW_BYTES as usize).saturating_sub(under_way)
    }

    /// Gives bytes of the channel to the site: as many as [`ShardEnd::room`] allows.
    pub fn give(&mut self, bytes: Bytes) {
        self.given += bytes.len();
        // There is room: see above.
        let _ = self.down.push(bytes);
    }

    /// The site shall ask the client for a sign of life.
    pub fn ping(&self) {
        self.pipe.ping.store(true, Ordering::Release);
    }

    /// The session is over, with a close if the client is still to be told.
    pub fn let_go(mut self, close: Option<Close>) {
        if let Some(close) = close {
            let _ = self.pipe.close.set(close);
        }
        self.pipe.shard_gone.store(true, Ordering::Release);
        self.let_go = true;
    }
}

impl Drop for ShardEnd {
    fn drop(&mut self) {
        if !self.let_go {
            // After a panic nobody goes through the lists any more, so the tasks are woken from here.
            let _ = self.pipe.close.set(Close { code: CloseCode::Internal, reason: Bytes::new() });
            self.pipe.shard_gone.store(true, Ordering::Release);
            self.pipe.wake_tasks();
        }
    }
}
