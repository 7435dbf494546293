//! Step 1 of 6 during an upgrade: one shard's end of the way to the same shard of another process.
//!
//! The two ends are a pair of Unix sockets that keep messages whole and tell when the other side has gone (`SOCK_SEQPACKET`). What
//! is on its way is bounded by the kernel's send buffer; a message that finds no room is lost, like any datagram.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use mio::{Interest, Registry, Token};
use quinn_udp::RecvMeta;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::wire::{self, Place};
use crate::limits::{PASSED_MESSAGE_BYTES, SOCKET_BUFFER_BYTES};

/// The other process has gone.
#[derive(Debug)]
pub struct Gone;

/// One end, and what is to leave by it.
#[derive(derive_more::Debug)]
pub struct End {
    /// What it shares with a datagram socket is all that is used of it: whole messages, without an address.
    socket: mio::net::UnixDatagram,
    #[debug("{} bytes", out.len())]
    out: Vec<u8>,
}

/// The two ends of a new way.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    for end in [&one, &other] {
        // Larger than the default where the system allows it; what it does not allow is no error.
        let _ = sockopt::set_socket_send_buffer_size(end, SOCKET_BUFFER_BYTES);
    }
    Ok((one, other))
}

impl End {
    /// Takes over one end of a [`pair`].
    pub fn new(end: OwnedFd) -> Self {
        Self { socket: mio::net::UnixDatagram::from_std(UnixDatagram::from(end)), out: Vec::new() }
    }

    /// Tells `registry` to end its poll's sleep when something comes.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    /// The opposite. A descriptor that another process holds too is not forgotten by being closed.
    pub fn deregister(&mut self, registry: &Registry) {
        // An error means that it was not registered.
        let _ = registry.deregister(&mut self.socket);
    }

    /// Another descriptor of the same end, for another process.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    /// Adds a datagram to what leaves with the next [`End::flush`]; what is full leaves at once.
    pub fn push(&mut self, payload: &[u8], meta: &RecvMeta) -> Result<(), Gone> {
        self.make_room(wire::DATAGRAM_HEAD_BYTES + payload.len())?;
        wire::write_datagram(&mut self.out, payload, meta);
        Ok(())
    }

    /// The same for a message of a link.
    pub fn push_link(&mut self, from: Place, to: Place, message: &[u8]) -> Result<(), Gone> {
        self.make_room(wire::LINK_HEAD_BYTES + message.len())?;
        wire::write_link(&mut self.out, from, to, message);
        Ok(())
    }

    fn make_room(&mut self, record_bytes: usize) -> Result<(), Gone> {
        if self.out.len() + record_bytes > PASSED_MESSAGE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Sends what has come together.
    pub fn flush(&mut self) -> Result<(), Gone> {
        if self.out.is_empty() {
            return Ok(());
        }
        let sent = self.socket.send(&self.out);
        self.out.clear();
        match sent {
            Err(error) if !is_transient(&error) => Err(Gone),
            _ => Ok(()),
        }
    }

    /// Receives one message into `buffer`; `None` when there is none yet.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>, Gone> {
        match self.socket.recv(buffer) {
            Ok(0) => Err(Gone),
            Ok(length) => Ok(Some(length)),
            Err(error) if is_transient(&error) => Ok(None),
            Err(_) => Err(Gone),
        }
    }

    /// Wipes what the last messages would tell.
    pub fn forget(&mut self) {
        self.out = Vec::new();
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A full buffer, or a signal: nothing that says that the other side has gone.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
        || error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (End, End) {
        let (one, other) = pair().expect("a pair");
        (End::new(one), End::new(other))
    }

    #[test]
    fn what_is_pushed_arrives_in_few_messages_and_whole() {
        let (mut one, other) = ends();
        for number in 0..100_u8 {
            one.push(&[number; 1_200], &RecvMeta::default()).expect("somebody there");
        }
        one.flush().expect("somebody there");
        let mut buffer = vec![0; PASSED_MESSAGE_BYTES];
        let (mut messages, mut next) = (0, 0);
        while let Some(length) = other.receive(&mut buffer).expect("somebody there") {
            messages += 1;
            let mut bytes = &buffer[..length];
            while let Some(wire::Record::Datagram(payload, _)) = wire::read(&mut bytes) {
                assert_eq!(payload, [next; 1_200]);
                next += 1;
            }
        }
        assert_eq!((next, messages), (100, 3), "{PASSED_MESSAGE_BYTES} bytes in each");
    }

    #[test]
    fn one_who_takes_nothing_costs_messages_and_no_memory() {
        let (mut one, _other) = ends();
        for _ in 0..100_000 {
            one.push(&[0; 1_200], &RecvMeta::default()).expect("somebody there");
            assert!(one.out.len() <= PASSED_MESSAGE_BYTES);
        }
    }

    #[test]
    fn each_side_notices_that_the_other_has_gone() {
        let (mut one, other) = ends();
        let copy = End::new(other.try_clone().expect("a descriptor"));
        let mut buffer = [0; 64];
        drop(other);
        assert!(matches!(one.receive(&mut buffer), Ok(None)), "one of its descriptors is left");
        drop(copy);
        assert!(one.receive(&mut buffer).is_err());
        one.push(b"x", &RecvMeta::default()).expect("it only collects");
        assert!(one.flush().is_err());
    }
}
