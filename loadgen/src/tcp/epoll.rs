//! Waiting for many TCP sockets at once.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::sleep;

/// Events taken in one go; the rest come with the next.
const BATCH: i32 = 256;

/// A set of sockets, each known by a number.
pub struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes flags and returns a descriptor of its own, or -1.
        #[allow(unsafe_code)]
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and nobody else has it.
        #[allow(unsafe_code)]
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// Adds a socket: it comes up once whenever it becomes readable or writable. Closing it takes it out.
    pub fn add(&self, socket: RawFd, number: u64) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET | libc::EPOLLRDHUP) as u32;
        let mut event = libc::epoll_event { events, u64: number };
        // SAFETY: `event` lives across the call, which copies it.
        #[allow(unsafe_code)]
        let result =
            unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, socket, &raw mut event) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Appends the number of every socket that has come up, one batch of them.
    pub fn take(&self, ready: &mut Vec<u64>) {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH as usize];
        // SAFETY: `events` has room for BATCH entries and lives across the call; no time to wait is given.
        #[allow(unsafe_code)]
        let count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.as_mut_ptr(), BATCH, 0) };
        ready.extend(events[..usize::try_from(count).unwrap_or(0)].iter().map(|event| event.u64));
    }

    /// Sleeps until a socket comes up, at most `limit`: finer than epoll's own milliseconds.
    pub fn wait(&self, limit: Duration) {
        sleep::until_ready(self.fd.as_raw_fd(), libc::POLLIN, limit);
    }
}
