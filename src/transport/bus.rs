//! Between shards: bounded rings, one from each shard to each other, and a mailbox that wakes a shard.
//!
//! In: messages of the core, and commands from the rest of the process. Out: the same on the other side, in order.
//! Nobody waits for anybody: behind a full ring messages queue up to a bound, and past it they are lost, which the
//! core is made for. A shard that sleeps is woken once a turn, not once a message.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use mio::Waker;
use rtrb::{Consumer, Producer, RingBuffer};

use super::cid::Generation;
use super::settings::ShardSettings;
use crate::core::bus::BusMessage;
use crate::core::io::ShardId;
use crate::core::pairing::Address;
use crate::limits::{RING_OVERFLOW, RING_SLOTS};

/// What the rest of the process asks of a shard.
#[derive(derive_more::Debug)]
pub enum Command {
    /// Take no new sessions, tell everybody, end what is left after this many milliseconds.
    Drain {
        /// Milliseconds until chats are ended.
        within_ms: u64,
    },
    /// Take over other settings.
    Set(Arc<ShardSettings>),
    /// Send everybody to a newer process, end what is left after this many milliseconds.
    Move {
        /// Milliseconds until chats are ended.
        within_ms: u64,
    },
    /// Read the socket, which was left to another process so far.
    Read,
    /// Tell the ways to older processes, for an heir.
    TellElders(Sender<Vec<(Generation, OwnedFd)>>),
    /// Leave the socket to the process at the other end, and say when that is done.
    HandOver(OwnedFd, Sender<()>),
    /// The process that the socket was left to is not to be: read again.
    TakeBack,
    /// End this session for good.
    End {
        /// Whose.
        who: Address,
        /// What the client is told with code 4.
        #[debug("{} bytes", reason.len())]
        reason: Bytes,
    },
    /// Close everything and end the thread.
    Stop,
    /// That shard has restarted after a panic.
    ShardLost(ShardId),
    /// Panic: fault injection for the tests of what happens then.
    Panic,
    /// Do nothing for so long: fault injection too.
    Hang(Duration),
}

/// Wakes one shard, and holds the commands for it.
#[derive(Debug, Default)]
pub struct Mailbox {
    woken: AtomicBool,
    /// The same from the site's thread, which may not run again for long after it has set it: no shard relies on that.
    woken_by_site: AtomicBool,
    /// Ends the sleep of the shard that runs now. Used once a turn of another shard, at most; written when a shard (re)starts,
    /// so that nobody who wakes waits for anybody else who does.
    waker: RwLock<Option<Waker>>,
    /// Commands are rare: a handful in the life of a process. `woken` says whether to look.
    commands: Mutex<Vec<Command>>,
}

impl Mailbox {
    /// Wakes the shard, now or when it next wants to sleep.
    pub fn wake(&self) {
        self.wake_unless(&self.woken);
    }

    /// The same, for the site's thread.
    pub fn wake_by_site(&self) {
        self.wake_unless(&self.woken_by_site);
    }

    fn wake_unless(&self, woken: &AtomicBool) {
        if !woken.swap(true, Ordering::AcqRel)
            && let Some(waker) = &*self.waker.read().unwrap_or_else(PoisonError::into_inner)
        {
            // The one error there is means that the shard's poll is gone: whoever takes its place starts awake.
            let _ = waker.wake();
        }
    }

    /// From now on a sleep on the poll of this waker is what ends. A shard starts awake.
    pub fn ends_sleep_by(&self, waker: Waker) {
        *self.waker.write().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    /// Leaves a command and wakes the shard.
    pub fn command(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        self.wake();
    }

    /// Whether anything has come since the last call. The commands are taken by [`Mailbox::take_commands`].
    pub fn take_woken(&self) -> bool {
        self.woken.load(Ordering::Relaxed) && self.woken.swap(false, Ordering::AcqRel)
    }

    /// Whether the site has anything new. Asked before looking at what it is.
    pub fn take_woken_by_site(&self) -> bool {
        self.woken_by_site.load(Ordering::Relaxed) && self.woken_by_site.swap(false, Ordering::AcqRel)
    }

    /// The commands so far.
    pub fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A message, and the shard that says it: the one at the other end of the ring, or one of another process for which that one
/// has heard it.
type Parcel = (ShardId, BusMessage);

/// One shard's ends of the rings.
pub struct BusPort {
    own: ShardId,
    inboxes: Vec<Consumer<Parcel>>,
    outboxes: Vec<Outbox>,
    /// For shards of other processes, until the end of the turn.
    beyond: Vec<Parcel>,
    mailboxes: Arc<[Mailbox]>,
}

struct Outbox {
    to: ShardId,
    ring: Producer<Parcel>,
    /// What did not fit, in order. As long as there is any, nothing new goes into the ring.
    overflow: VecDeque<Parcel>,
    /// Whether the other side has to be woken at the end of the turn.
    wake: bool,
    /// Slots of the ring that hold what is or was in them.
    used: usize,
}

impl Outbox {
    fn push(&mut self, parcel: Parcel) -> Result<(), rtrb::PushError<Parcel>> {
        self.ring.push(parcel)?;
        self.used += 1;
        Ok(())
    }

    fn forget(&mut self) {
        let free = self.ring.slots();
        // What is there now will have been taken out by the next time.
        let used = std::mem::replace(&mut self.used, RING_SLOTS - free);
        let Ok(mut slots) = self.ring.write_chunk_uninit(free) else { return };
        let (first, second) = slots.as_mut_slices();
        // The last to be used is the last that is used again.
        let last = first.iter_mut().chain(second).rev().take(used);
        last.for_each(|slot| *slot = MaybeUninit::zeroed());
    }
}

/// Connects `shards` shards, each with each.
#[must_use]
pub fn connect(shards: u16) -> Vec<BusPort> {
    let mailboxes: Arc<[Mailbox]> = (0..shards).map(|_| Mailbox::default()).collect();
    let mut ports: Vec<BusPort> = (0..shards)
        .map(|own| BusPort {
            own: ShardId(own),
            inboxes: Vec::new(),
            outboxes: Vec::new(),
            beyond: Vec::new(),
            mailboxes: Arc::clone(&mailboxes),
        })
        .collect();
    for from in 0..shards {
        for to in (0..shards).filter(|to| *to != from) {
            let (ring, inbox) = RingBuffer::new(RING_SLOTS);
            let outbox = Outbox { to: ShardId(to), ring, overflow: VecDeque::new(), wake: false, used: 0 };
            ports[from as usize].outboxes.push(outbox);
            ports[to as usize].inboxes.push(inbox);
        }
    }
    ports
}

impl BusPort {
    /// This shard's mailbox.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailboxes[self.own.0 as usize]
    }

    /// All mailboxes, by shard.
    pub fn mailboxes(&self) -> &Arc<[Mailbox]> {
        &self.mailboxes
    }

    /// Sends a message; `false` when it is lost, because the other side is far behind.
    pub fn send(&mut self, to: ShardId, message: BusMessage) -> bool {
        if to.ahead() == 0 {
            return self.pass_on(to, self.own, message);
        }
        let room = self.beyond.len() < RING_OVERFLOW;
        if room {
            self.beyond.push((to, message));
        }
        room
    }

    /// What is to be said to shards of other processes.
    pub fn take_beyond(&mut self) -> Vec<(ShardId, BusMessage)> {
        std::mem::take(&mut self.beyond)
    }

    /// Sends a message that another shard says.
    pub fn pass_on(&mut self, to: ShardId, from: ShardId, message: BusMessage) -> bool {
        // Outboxes leave out the shard's own index.
        let index = to.0 as usize - usize::from(to.0 > self.own.0);
        let Some(outbox) = self.outboxes.get_mut(index).filter(|outbox| outbox.to == to) else {
            return false;
        };
        outbox.wake = true;
        let parcel = (from, message);
        if outbox.overflow.is_empty() {
            let Err(rtrb::PushError::Full(parcel)) = outbox.push(parcel) else { return true };
            outbox.overflow.push_back(parcel);
            return true;
        }
        if outbox.overflow.len() >= RING_OVERFLOW {
            return false;
        }
        outbox.overflow.push_back(parcel);
        true
    }

    /// At the end of a turn: moves what waits into the rings and wakes whom it concerns. Returns whether
    /// something still waits.
    pub fn flush(&mut self) -> bool {
        let mut waits = false;
        for outbox in &mut self.outboxes {
            while let Some(parcel) = outbox.overflow.pop_front() {
                if let Err(rtrb::PushError::Full(parcel)) = outbox.push(parcel) {
                    outbox.overflow.push_front(parcel);
                    waits = true;
                    break;
                }
                outbox.wake = true;
            }
            if std::mem::take(&mut outbox.wake) {
                self.mailboxes[outbox.to.0 as usize].wake();
            }
        }
        waits
    }

    /// Wipes what the rings of this shard still hold of messages that have been taken out.
    pub fn forget(&mut self) {
        self.outboxes.iter_mut().for_each(Outbox::forget);
    }

    /// Takes up to `budget` messages, a few from each shard in turn. Returns whether there may be more.
    pub fn receive(&mut self, budget: usize, mut each: impl FnMut(ShardId, BusMessage)) -> bool {
        let mut left = budget;
        loop {
            let before = left;
            for inbox in &mut self.inboxes {
                for _ in 0..16 {
                    if left == 0 {
                        return true;
                    }
                    let Ok((from, message)) = inbox.pop() else { break };
                    left -= 1;
                    each(from, message);
                }
            }
            if left == before {
                return false;
            }
        }
    }
}
