//! One end of the way between an elder and an heir: whole messages, with descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most descriptors in one message: Linux allows 253.
const DESCRIPTORS: usize = 200;
/// Longest message, in bytes: an estate has a few KiB.
const MESSAGE_BYTES: usize = 65_536;

/// An end. Closing it ends the other side's waiting.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Both ends of a new way; programs that are started do not get them unless they are given one.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), other))
    }

    /// The end that another process made.
    pub fn over(end: OwnedFd) -> Self {
        Self(end)
    }

    /// Says something.
    pub fn say(&self, what: &impl Serialize) -> io::Result<()> {
        self.send(&serde_json::to_vec(what)?, &[])
    }

    /// Hears something, or an error after this time.
    pub fn hear<T: DeserializeOwned>(&self, within: Duration) -> io::Result<T> {
        let (bytes, _) = self.receive(within)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Gives descriptors, in as many messages as it takes.
    pub fn give(&self, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        descriptors.chunks(DESCRIPTORS).try_for_each(|some| self.send(b"{}", some))
    }

    /// Takes exactly so many descriptors.
    pub fn take(&self, count: usize, within: Duration) -> io::Result<Vec<OwnedFd>> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let (_, some) = self.receive(within)?;
            if some.is_empty() {
                return Err(io::Error::other("descriptors are missing; raise the limit of open files"));
            }
            taken.extend(some);
        }
        if taken.len() == count {
            Ok(taken)
        } else {
            Err(io::Error::other("more descriptors than were told"))
        }
    }

    fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        rustix::net::sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn receive(&self, within: Duration) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        // Zero would mean for ever.
        set_socket_timeout(&self.0, Timeout::Recv, Some(within.max(Duration::from_millis(1))))?;
        let mut bytes = vec![0; MESSAGE_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let slots = &mut [IoSliceMut::new(&mut bytes)];
        let received = loop {
            match rustix::net::recvmsg(&self.0, slots, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                received => break received?,
            }
        };
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let descriptors = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            .collect();
        bytes.truncate(received.bytes);
        Ok((bytes, descriptors))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    const SOON: Duration = Duration::from_secs(30);

    fn ends() -> (Channel, Channel) {
        let (one, other) = Channel::pair().expect("a pair");
        (one, Channel::over(other))
    }

    #[test]
    fn more_descriptors_than_a_message_takes_arrive_in_order() {
        let (one, other) = ends();
        let sockets: Vec<_> = (0..450).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
        let descriptors: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        one.give(&descriptors).expect("room");
        let taken = other.take(sockets.len(), SOON).expect("all of them");
        for (socket, taken) in sockets.iter().zip(taken) {
            let taken = UdpSocket::from(taken);
            assert_eq!(taken.local_addr().expect("an address"), socket.local_addr().expect("an address"));
        }
    }

    #[test]
    fn silence_and_the_end_are_told_apart() {
        let (one, other) = ends();
        let error = one.hear::<String>(Duration::from_millis(10)).expect_err("nothing was said");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        other.say(&"last words").expect("room");
        drop(other);
        assert_eq!(one.hear::<String>(SOON).expect("a word"), "last words");
        let error = one.hear::<String>(SOON).expect_err("nobody is there");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(one.say(&"hello?").is_err());
    }

    #[test]
    fn fewer_descriptors_than_were_told_are_an_error() {
        let (one, other) = ends();
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        one.give(&[socket.as_fd()]).expect("room");
        drop(one);
        assert!(other.take(2, SOON).is_err());
    }
}
