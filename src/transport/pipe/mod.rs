//! Steps 1 and 5: pipes between the site's thread, which speaks WebSocket, and the shards.
//!
//! In: bytes of a channel on one side. Out: the same bytes on the other side, and who has something new. A pipe is two bounded rings and
//! a few flags; a shard has one list of pipes with news, and so has the site for each shard. Nothing here makes a shard
//! wait for the site's thread: a ring that is full, or a thread that does not run, is back-pressure on one channel.
//!
//! A pipe is at most once in each list, and its place is given back when the last list has let go of it, so no list is ever too short.

mod shard;
mod site;

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rtrb::RingBuffer;
use tokio::sync::Notify;

use super::bus::Mailbox;
use crate::abuse::{Guard, Ticket};
use crate::core::io::CloseCode;

pub use shard::{Lobby, ShardEnd};
use site::Door;
pub use site::{Doors, Down, Downstream, Listener, Upstream};

/// What both ends of a pipe know.
pub struct Pipe {
    /// Bytes that the shard has taken out of the pipe.
    taken: AtomicUsize,
    /// Bytes that the site has passed on to the client's connection.
    flushed: AtomicUsize,
    /// Whether anything has come from the client since the shard last looked.
    heard: AtomicBool,
    /// Whether the shard wants the client to be asked for a sign of life.
    ping: AtomicBool,
    /// Whether the client's connection is over. Set after the last byte was put into the ring.
    site_gone: AtomicBool,
    /// Whether the shard has let go. Set after the last byte was put into the ring.
    shard_gone: AtomicBool,
    /// Why the shard has let go.
    close: OnceLock<Close>,
    /// Whether it is in the shard's list.
    told_shard: AtomicBool,
    /// Whether it is in the site's list.
    told_site: AtomicBool,
    /// The shard's own name for it.
    slot: AtomicU32,
    /// The client may be read again.
    room: Notify,
    /// Something is to be written to the client.
    news: Notify,
    /// The shard has let go.
    end: Notify,
    /// The places of its shard that are taken.
    places: Arc<AtomicUsize>,
}

impl Pipe {
    /// A pipe that takes one of these places.
    fn new(places: &Arc<AtomicUsize>) -> Arc<Self> {
        places.fetch_add(1, Ordering::AcqRel);
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            flushed: AtomicUsize::new(0),
            heard: AtomicBool::new(false),
            ping: AtomicBool::new(false),
            site_gone: AtomicBool::new(false),
            shard_gone: AtomicBool::new(false),
            close: OnceLock::new(),
            told_shard: AtomicBool::new(false),
            told_site: AtomicBool::new(false),
            slot: AtomicU32::new(u32::MAX),
            room: Notify::new(),
            news: Notify::new(),
            end: Notify::new(),
            places: Arc::clone(places),
        })
    }

    /// Lets the site's tasks for this pipe look at what is new.
    fn wake_tasks(&self) {
        self.room.notify_one();
        self.news.notify_one();
        if self.shard_gone.load(Ordering::Acquire) {
            self.end.notify_one();
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.places.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How a session ends, as the core says it.
#[derive(Clone)]
pub struct Close {
    /// The code of PROTOCOL.md section 6.
    pub code: CloseCode,
    /// Its reason; at most 1,024 bytes.
    pub reason: Bytes,
}

/// What a shard finds in its list.
pub enum Event {
    /// Somebody has connected, with their place among those of their address.
    Opened(Box<ShardEnd>, Box<Ticket>),
    /// Something is new at this pipe.
    News(Arc<Pipe>),
}

/// The shard's own name for a pipe.
pub fn slot_of(pipe: &Pipe) -> u32 {
    pipe.slot.load(Ordering::Relaxed)
}

/// Connects the site with the shards behind `mailboxes`; at most `most` pipes at once in all.
pub fn connect(
    mailboxes: &Arc<[Mailbox]>,
    most: usize,
    guard: &Arc<Guard>,
) -> io::Result<(Doors, Vec<Listener>, Vec<Lobby>)> {
    let most = most.div_ceil(mailboxes.len().max(1));
    let (mut doors, mut listeners, mut lobbies) = (Vec::new(), Vec::new(), Vec::new());
    for shard in 0..mailboxes.len() {
        // Each place may be in the list as a newcomer and again with news.
        let (to_shard, events) = RingBuffer::new(2 * most.max(1));
        let (to_site, list) = RingBuffer::new(most.max(1));
        let (ring, bell) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        let rung = Arc::new(AtomicBool::new(false));
        doors.push(Door::new(to_shard, mailboxes, shard, most));
        listeners.push(Listener::new(list, bell, Arc::clone(&rung)));
        lobbies.push(Lobby::new(events, to_site, ring, rung));
    }
    Ok((Doors::new(doors, Arc::clone(guard)), listeners, lobbies))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abuse::GuardConfig;
    use crate::limits::{PIPE_DOWN_SLOTS, SEND_WINDOW_BYTES, STREAM_WINDOW_BYTES};
    use crate::privacy::PeerAddress;
    use crate::transport::clock::Clock;

    fn opened(lobby: &mut Lobby) -> ShardEnd {
        match lobby.receive() {
            Some(Event::Opened(end, _)) => *end,
            _ => panic!("somebody has connected"),
        }
    }

    fn client() -> PeerAddress {
        PeerAddress::new(std::net::Ipv4Addr::LOCALHOST.into())
    }

    fn world(most: usize) -> (Doors, Listener, Lobby) {
        let mailboxes: Arc<[Mailbox]> = Arc::new([Mailbox::default()]);
        let config =
            GuardConfig { limit_addresses: false, people_per_address: 1, work_above: 0, max_sessions: 1 };
        let guard = Arc::new(Guard::new(Clock::start(), config).expect("random numbers"));
        let (doors, mut listeners, mut lobbies) =
            connect(&mailboxes, most, &guard).expect("a pair of sockets");
        (doors, listeners.remove(0), lobbies.remove(0))
    }

    /// The site's thread gets no time at all: its tasks are there and nobody runs them.
    #[test]
    fn a_site_that_does_not_run_holds_up_no_shard() {
        let (doors, _listener, mut lobby) = world(8);
        let sides: Vec<_> = (0..8).map(|_| doors.open(&client()).expect("a place")).collect();
        let mut ends: Vec<_> = (0..8).map(|_| opened(&mut lobby)).collect();
        for _ in 0..1_000 {
            for end in &mut ends {
                let piece = end.room().min(1_000);
                if piece > 0 {
                    end.give(Bytes::from(vec![0; piece]));
                }
                lobby.tell(end);
            }
            assert!(!lobby.flush(), "each is in the list once, so there is room for all");
        }
        for end in &ends {
            assert_eq!(end.room(), 0, "what was given is bounded");
        }
        drop(sides);
    }

    #[test]
    fn bytes_arrive_in_order_both_ways_and_no_more_of_them_than_the_windows_allow() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (doors, listener, mut lobby) = world(1);
        let (mut up, mut down) = doors.open(&client()).expect("a place");
        assert!(doors.open(&client()).is_none(), "all places are taken");
        let mut end = opened(&mut lobby);
        runtime.block_on(async {
            tokio::spawn(listener.run());
            let (mut sent, mut taken) = (Vec::new(), Vec::new());
            for round in 0..500_u32 {
                let room = up.room().await.expect("the shard is there");
                assert!(room <= STREAM_WINDOW_BYTES as usize);
                let piece = vec![round as u8; room.min(round as usize % 997 + 1)];
                sent.extend_from_slice(&piece);
                up.send(Bytes::from(piece));
                if round % 3 == 0 {
                    while let Some(bytes) = end.take() {
                        taken.extend_from_slice(&bytes);
                    }
                    lobby.tell(&end);
                    lobby.flush();
                }
            }
            while let Some(bytes) = end.take() {
                taken.extend_from_slice(&bytes);
            }
            assert!(sent == taken, "in order, whole and once");

            let mut given = 0;
            while end.room() > 0 {
                let piece = end.room().min(700);
                end.give(Bytes::from(vec![7; piece]));
                given += piece;
            }
            assert!(given <= SEND_WINDOW_BYTES as usize && given / 700 <= PIPE_DOWN_SLOTS);
            end.ping();
            let mut heard = 0;
            while let Some(Down::Bytes(bytes)) = down.try_next() {
                heard += bytes.len();
                down.flushed(bytes.len());
            }
            assert_eq!((heard, end.room()), (given, SEND_WINDOW_BYTES as usize), "credit comes back");
            lobby.tell(&end);
            let close = Close { code: CloseCode::Draining, reason: Bytes::from_static(b"{}") };
            end.let_go(Some(close));
            lobby.flush();
            up.let_go().await;
            assert!(up.room().await.is_none());
            let told = std::iter::from_fn(|| down.try_next()).find_map(|told| match told {
                Down::Closed(close) => Some(close.map(|close| close.code)),
                Down::Bytes(_) | Down::Ping => None,
            });
            assert_eq!(told, Some(Some(CloseCode::Draining)));
        });
        drop((up, down));
        lobby.clear();
        // What is left in the other list goes with it.
        drop((runtime, lobby));
        assert_eq!(doors.in_use(), 0, "the place is given back");
    }
}
