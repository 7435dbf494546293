//! The site's side of the pipes: opening one, and its two halves, which tasks wait at.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rtrb::{Consumer, Producer, RingBuffer};

use super::{Close, Event, Pipe, ShardEnd};
use crate::abuse::Guard;
use crate::limits::{PIPE_DOWN_SLOTS, PIPE_UP_SLOTS, STREAM_WINDOW_BYTES};
use crate::privacy::PeerAddress;
use crate::transport::bus::Mailbox;

/// The site's way to every shard.
#[derive(Clone)]
pub struct Doors {
    all: Arc<[Door]>,
    guard: Arc<Guard>,
}

/// The site's way to one shard.
pub(super) struct Door {
    /// The shard's list. Only the site's tasks ever wait for this lock.
    events: Mutex<Producer<Event>>,
    mailboxes: Arc<[Mailbox]>,
    shard: usize,
    places: Arc<AtomicUsize>,
    /// Places that there are.
    most: usize,
}

impl Door {
    pub fn new(events: Producer<Event>, mailboxes: &Arc<[Mailbox]>, shard: usize, most: usize) -> Self {
        let mailboxes = Arc::clone(mailboxes);
        Self { events: Mutex::new(events), mailboxes, shard, places: Arc::default(), most }
    }

    fn push(&self, event: Event) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        // Never full: it has two slots for each place.
        let _ = events.push(event);
        drop(events);
        self.mailboxes[self.shard].wake_by_site();
    }

    fn tell(&self, pipe: &Arc<Pipe>) {
        if !pipe.told_shard.swap(true, Ordering::AcqRel) {
            self.push(Event::News(Arc::clone(pipe)));
        }
    }
}

impl Doors {
    pub(super) fn new(doors: Vec<Door>, guard: Arc<Guard>) -> Self {
        Self { all: doors.into(), guard }
    }

    /// A pipe to the shard with the most room, for somebody from there; `None` when all places are taken.
    pub fn open(&self, client: &PeerAddress) -> Option<(Upstream, Downstream)> {
        let taken = |index: usize| self.all[index].places.load(Ordering::Acquire);
        let index = (0..self.all.len()).min_by_key(|index| taken(*index))?;
        let door = &self.all[index];
        if taken(index) >= door.most {
            return None;
        }
        let pipe = Pipe::new(&door.places);
        let (to_shard, up) = RingBuffer::new(PIPE_UP_SLOTS);
        let (down, from_shard) = RingBuffer::new(PIPE_DOWN_SLOTS);
        let (_, now) = self.guard.clock().now();
        let address = client.expose();
        let ticket = self.guard.enter(now, address, self.guard.connected(now, address));
        door.push(Event::Opened(Box::new(ShardEnd::new(Arc::clone(&pipe), up, down)), Box::new(ticket)));
        let side = Side { pipe, doors: self.clone(), index };
        let upstream = Upstream { side: side.clone(), ring: to_shard, sent: 0 };
        Some((upstream, Downstream { side, ring: from_shard }))
    }

    /// Pipes that are open, or not quite forgotten.
    pub fn in_use(&self) -> usize {
        self.all.iter().map(|door| door.places.load(Ordering::Acquire)).sum()
    }
}

/// What both halves of the site's end share.
#[derive(Clone)]
struct Side {
    pipe: Arc<Pipe>,
    doors: Doors,
    index: usize,
}

impl Side {
    fn tell(&self) {
        self.doors.all[self.index].tell(&self.pipe);
    }

    fn shard_gone(&self) -> bool {
        self.pipe.shard_gone.load(Ordering::Acquire)
    }
}

/// From the client to its shard. Dropping it says that the client has gone.
pub struct Upstream {
    side: Side,
    ring: Producer<Bytes>,
    sent: usize,
}

impl Upstream {
    /// Waits until the shard takes more of this channel, and says how many bytes; `None` when it has let go.
    pub async fn room(&mut self) -> Option<usize> {
        loop {
            if self.side.shard_gone() {
                return None;
            }
            let unread = self.sent - self.side.pipe.taken.load(Ordering::Acquire);
            let room = (STREAM_WINDOW_BYTES as usize).saturating_sub(unread);
            if room > 0 && self.ring.slots() > 0 {
                return Some(room);
            }
            self.side.pipe.room.notified().await;
        }
    }

    /// Waits until the shard has let go.
    pub async fn let_go(&mut self) {
        while !self.side.shard_gone() {
            self.side.pipe.end.notified().await;
        }
    }

    /// Passes on bytes of the channel: as many as [`Upstream::room`] allows, in one piece.
    pub fn send(&mut self, bytes: Bytes) {
        self.sent += bytes.len();
        // There is room: see above.
        let _ = self.ring.push(bytes);
        self.heard();
    }

    /// Something has come from the client, of whatever kind.
    pub fn heard(&self) {
        self.side.pipe.heard.store(true, Ordering::Release);
        self.side.tell();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.side.pipe.site_gone.store(true, Ordering::Release);
        self.side.tell();
    }
}

/// What is to be written to the client.
pub enum Down {
    /// Bytes of the channel.
    Bytes(Bytes),
    /// A sign of life is asked for.
    Ping,
    /// The session is over; without a close if the client has gone or cannot be reached.
    Closed(Option<Close>),
}

/// From a shard to its client.
pub struct Downstream {
    side: Side,
    ring: Consumer<Bytes>,
}

impl Downstream {
    /// The next thing to write, if there is any now.
    pub fn try_next(&mut self) -> Option<Down> {
        let pipe = &self.side.pipe;
        // Looked at first: bytes that were put into the ring before come before the end.
        let gone = self.side.shard_gone();
        if let Ok(bytes) = self.ring.pop() {
            return Some(Down::Bytes(bytes));
        }
        if gone {
            return Some(Down::Closed(pipe.close.get().cloned()));
        }
        pipe.ping.swap(false, Ordering::AcqRel).then_some(Down::Ping)
    }

    /// Waits until there may be something to write.
    pub async fn news(&mut self) {
        self.side.pipe.news.notified().await;
    }

    /// So many bytes have been passed on to the client's connection.
    pub fn flushed(&self, bytes: usize) {
        self.side.pipe.flushed.fetch_add(bytes, Ordering::AcqRel);
        self.side.tell();
    }
}

/// Tells the site's tasks what the list of one shard says. Runs on the site's runtime, as long as that lives.
pub struct Listener {
    list: Consumer<Arc<Pipe>>,
    bell: UnixStream,
    rung: Arc<AtomicBool>,
}

impl Listener {
    pub(super) fn new(list: Consumer<Arc<Pipe>>, bell: UnixStream, rung: Arc<AtomicBool>) -> Self {
        Self { list, bell, rung }
    }

    /// Wakes tasks until the shard's side is gone.
    pub async fn run(mut self) -> io::Result<()> {
        let bell = tokio::net::UnixStream::from_std(self.bell)?;
        loop {
            bell.readable().await?;
            let heard = bell.try_read(&mut [0; 64]);
            self.rung.swap(false, Ordering::AcqRel);
            while let Ok(pipe) = self.list.pop() {
                pipe.told_site.swap(false, Ordering::AcqRel);
                pipe.wake_tasks();
            }
            match heard {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
    }
}
