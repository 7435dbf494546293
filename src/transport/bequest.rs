//! Step 1 of 6 during an upgrade: what an engine leaves to the engine of a newer process, and how it goes on without it.
//!
//! In: the running shards. Out: descriptors and keys for an heir; then its shards leave their sockets to it. Until
//! the heir serves, [`Engine::take_back`] undoes all of it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::bus::Command;
use super::cid::Generation;
use super::engine::Engine;
use super::generations;
use super::keys::QuicKeys;
use crate::limits::{ELDERS, MOVED_LINGER_MS, SHARD_ANSWER_MS};

/// What an heir gets, and this process's ends of the ways to it.
#[derive(Debug)]
pub struct Bequest {
    /// The heir's number.
    pub generation: Generation,
    /// The same in all generations.
    pub keys: QuicKeys,
    /// Addresses that the sockets are bound to.
    pub groups: usize,
    /// Descriptors of the sockets: one a shard for the first address, then for the next.
    pub sockets: Vec<OwnedFd>,
    /// The heir's elders, this process the last, each with the heir's ends of the ways to it.
    pub elders: Vec<(Generation, Vec<OwnedFd>)>,
    /// For [`Engine::hand_over`].
    pub own_ends: Vec<OwnedFd>,
}

impl Engine {
    /// Prepares what an heir gets. Nothing changes yet. An error says why there can be no heir now.
    pub fn bequest(&self) -> io::Result<Bequest> {
        let mut elders = self.living_elders()?;
        if elders.len() >= ELDERS {
            return Err(io::Error::other(format!(
                "{ELDERS} older processes still have chats that are not over; wait until one of them has ended"
            )));
        }
        let shards = self.mailboxes.len();
        let (mut own_ends, mut heirs_ends) = (Vec::with_capacity(shards), Vec::with_capacity(shards));
        for _ in 0..shards {
            let (own, heirs) = generations::pair()?;
            own_ends.push(own);
            heirs_ends.push(heirs);
        }
        elders.push((self.generation, heirs_ends));
        let sockets = self.sockets.iter().map(|socket| socket.as_fd().try_clone_to_owned());
        Ok(Bequest {
            generation: self.generation.next(),
            keys: self.keys.clone(),
            groups: self.sockets.len() / shards,
            sockets: sockets.collect::<io::Result<_>>()?,
            elders,
            own_ends,
        })
    }

    /// Those that every shard still hears of, each with the ends of all shards in order.
    fn living_elders(&self) -> io::Result<Vec<(Generation, Vec<OwnedFd>)>> {
        let mut told = Vec::new();
        for answer in self.ask_all(|_, to| Command::TellElders(to)) {
            told.push(answer_of(&answer)?);
        }
        let mut elders: Vec<(Generation, Vec<OwnedFd>)> = Vec::new();
        for (generation, end) in told.into_iter().flatten() {
            match elders.iter_mut().find(|(known, _)| *known == generation) {
                Some((_, ends)) => ends.push(end),
                None => elders.push((generation, vec![end])),
            }
        }
        elders.retain(|(_, ends)| ends.len() == self.mailboxes.len());
        Ok(elders)
    }

    /// Leaves the sockets to the heir: when this returns, no shard reads them any more. Datagrams wait in the kernel meanwhile.
    pub fn hand_over(&self, own_ends: Vec<OwnedFd>) -> io::Result<()> {
        let mut ends = own_ends.into_iter();
        let done =
            self.ask_all(|_, done| ends.next().map_or(Command::TakeBack, |end| Command::HandOver(end, done)));
        done.iter().try_for_each(answer_of)
    }

    /// There will be no heir: reads the sockets again.
    pub fn take_back(&self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.command(Command::TakeBack));
    }

    /// Begins to read sockets that another process has left.
    pub fn read(&self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.command(Command::Read));
    }

    /// After the hand-over: sends everybody to the heir, those in a chat when it is over or `within` is; then stops. It blocks
    /// the calling thread.
    pub fn move_out_and_stop(self, within: Duration) -> io::Result<()> {
        let deadline = Instant::now() + within;
        let within_ms = within.as_millis().try_into().unwrap_or(u64::MAX);
        self.mailboxes.iter().for_each(|mailbox| mailbox.command(Command::Move { within_ms }));
        self.wait_until(deadline, |counters| counters.sum(|shard| shard.in_chat.get()) == 0);
        // Whoever is idle has been told by then, and leaves.
        let last = deadline.min(Instant::now() + within / 2 + Duration::from_millis(MOVED_LINGER_MS));
        self.wait_until(last, |_| self.is_empty());
        self.say_goodbye_and_stop()
    }

    fn ask_all<T>(&self, mut command: impl FnMut(usize, mpsc::Sender<T>) -> Command) -> Vec<Receiver<T>> {
        let ask = |(index, mailbox): (usize, &super::bus::Mailbox)| {
            let (to, answer) = mpsc::channel();
            mailbox.command(command(index, to));
            answer
        };
        self.mailboxes.iter().enumerate().map(ask).collect()
    }
}

fn answer_of<T>(answer: &Receiver<T>) -> io::Result<T> {
    let within = Duration::from_millis(SHARD_ANSWER_MS);
    answer.recv_timeout(within).map_err(|_| io::Error::other("a shard of this process does not answer"))
}
