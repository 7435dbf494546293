//! Around the six steps: listening sockets that the service manager has opened (`sd_listen_fds(3)`).
//!
//! In: `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES`, and the descriptors from 3 on that they speak of. Out: listeners
//! with their names. So the server needs no right to open ports below 1024 for its site.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use rustix::net::sockopt::{socket_acceptconn, socket_type};

/// Where the descriptors begin.
const FIRST: RawFd = 3;
/// More of them than any server listens on: a larger number is a mistake.
const MOST: usize = 64;

/// The listeners that were handed to this process, with their names. Call it once, before anything else opens files: it takes
/// the descriptors.
pub fn take() -> Result<Vec<(String, TcpListener)>, String> {
    let names = names(|name| std::env::var_os(name), std::process::id())?;
    // Claimed before any is looked at, so that none is left open if one is wrong.
    let claimed: Vec<_> = names.into_iter().zip(FIRST..).map(|(name, fd)| (name, claim(fd))).collect();
    claimed.into_iter().map(|(name, fd)| listener(&name, fd?).map(|listener| (name, listener))).collect()
}

/// One name a descriptor; none at all if the variables are meant for another process.
fn names(variable: impl Fn(&str) -> Option<OsString>, own_id: u32) -> Result<Vec<String>, String> {
    let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
    if text("LISTEN_PID").and_then(|id| id.parse().ok()) != Some(own_id) {
        return Ok(Vec::new());
    }
    let count = text("LISTEN_FDS").and_then(|count| count.parse::<usize>().ok());
    let Some(count) = count.filter(|count| *count <= MOST) else {
        return Err("LISTEN_FDS is not a number of sockets".to_owned());
    };
    let names = text("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<String> = names.split(':').map(ToOwned::to_owned).collect();
    if count > 0 && names.len() != count {
        return Err(format!("LISTEN_FDNAMES has {} names for {count} sockets", names.len()));
    }
    Ok(names.into_iter().take(count).collect())
}

/// The owner of a descriptor, which programs started from here do not get.
fn claim(fd: RawFd) -> Result<OwnedFd, String> {
    // SAFETY: fcntl reads or sets the flags of a descriptor and fails if that is not open.
    #[allow(unsafe_code)]
    let set = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    if set != 0 {
        return Err(format!("descriptor {fd} is not open"));
    }
    // SAFETY: it is open, and by sd_listen_fds(3) it was left to this process alone, which claims it once, at its start.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn listener(name: &str, fd: OwnedFd) -> Result<TcpListener, String> {
    let stream = socket_type(&fd).is_ok_and(|kind| kind == rustix::net::SocketType::STREAM);
    let listens = stream && socket_acceptconn(&fd).unwrap_or(false);
    let listener = TcpListener::from(fd);
    if !listens || listener.local_addr().is_err() {
        return Err(format!("the socket {name} is not a listening TCP socket"));
    }
    listener.set_nonblocking(true).map_err(|error| format!("the socket {name}: {error}"))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
        names(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()), 7)
    }

    #[test]
    fn each_descriptor_has_a_name() {
        let given = [("LISTEN_PID", "7"), ("LISTEN_FDS", "3"), ("LISTEN_FDNAMES", "site:site:metrics")];
        assert_eq!(names_of(&given), Ok(vec!["site".into(), "site".into(), "metrics".into()]));
    }

    #[test]
    fn what_is_meant_for_another_process_is_left_alone() {
        let given = [("LISTEN_PID", "8"), ("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "site")];
        assert_eq!(names_of(&given), Ok(vec![]));
        assert_eq!(names_of(&[]), Ok(vec![]));
    }

    #[test]
    fn a_number_that_cannot_be_is_refused_in_words() {
        for count in ["", "-1", "65", "many"] {
            assert!(names_of(&[("LISTEN_PID", "7"), ("LISTEN_FDS", count)]).is_err());
        }
        let names = [("LISTEN_PID", "7"), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "site")];
        assert_eq!(names_of(&names), Err("LISTEN_FDNAMES has 1 names for 2 sockets".to_owned()));
        assert_eq!(names_of(&[("LISTEN_PID", "7"), ("LISTEN_FDS", "0")]), Ok(vec![]));
    }
}
