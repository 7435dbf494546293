//! Sleeping until a socket has something, to the microsecond.

use std::os::fd::RawFd;
use std::time::Duration;

/// Sleeps until one of `events` (as of poll(2)) is there, at most `limit`.
pub fn until_ready(fd: RawFd, events: libc::c_short, limit: Duration) {
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    let timeout =
        libc::timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: i64::from(limit.subsec_nanos()) };
    // SAFETY: `poll` and `timeout` live across the call, the count is 1, and a null mask leaves signals alone.
    #[allow(unsafe_code)]
    unsafe {
        libc::ppoll(&raw mut poll, 1, &raw const timeout, std::ptr::null());
    }
}
