//! What the system allows: descriptors, socket buffers, batches of datagrams, steering by connection ID.

use std::fs;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::process::{Resource, getrlimit};

use super::{Finding, Running};
use crate::config::Config;
use crate::limits;
use crate::transport::socket;

/// Descriptors of a shard: its socket, its poll, its waker, and one to spare.
const SHARD_DESCRIPTORS: u64 = 4;
/// Descriptors of everything else: the log, the control socket, certificates while they are read.
const OTHER_DESCRIPTORS: u64 = 64;
/// How long loopback may take, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether as many connections may be open as are configured. Of a server that runs its own limit counts, else this shell's.
pub fn descriptors(config: &Config, running: Option<&Running>) -> Finding {
    let about = "descriptors";
    let shards = u64::from(config.shards) * SHARD_DESCRIPTORS;
    let tcp = u64::from(config.max_websockets) + limits::SITE_CONNECTIONS as u64;
    let needed = tcp + shards + OTHER_DESCRIPTORS;
    let of_server = running.and_then(|running| limit_of(running.process));
    let whose = if of_server.is_some() { "the running server" } else { "this shell" };
    let allowed = of_server.or_else(|| getrlimit(Resource::Nofile).current).unwrap_or(u64::MAX);
    if allowed >= needed {
        return Finding::well(about, format!("{whose} may open {allowed}, {needed} are needed at most"));
    }
    Finding::ill(
        about,
        format!(
            "{whose} may open {allowed}, and {needed} are needed when all of the site's places are taken"
        ),
        format!("LimitNOFILE={needed} in anoncam.service, or: ulimit -n {needed}"),
    )
}

/// The limit of another process (Linux).
fn limit_of(process: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Whether the system gives a socket buffers of this size.
pub fn buffers(wanted_bytes: usize) -> Finding {
    let about = "UDP buffers";
    let given = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|udp| {
        let socket = socket2::SockRef::from(&udp);
        // What is not allowed is no error: the size that is read back says it.
        let _ = socket.set_recv_buffer_size(wanted_bytes);
        let _ = socket.set_send_buffer_size(wanted_bytes);
        // Linux reports the double: half is for its own bookkeeping.
        let half = if cfg!(target_os = "linux") { 2 } else { 1 };
        Ok((socket.recv_buffer_size()? / half, socket.send_buffer_size()? / half))
    });
    match given {
        Err(error) => Finding::unknown(about, error),
        Ok((receive, send)) if receive.min(send) >= wanted_bytes => {
            Finding::well(about, format!("{} KiB each way", receive.min(send) / 1_024))
        }
        Ok((receive, send)) => Finding::ill(
            about,
            format!(
                "{} KiB to receive and {} KiB to send, where a busy shard wants {}: bursts lose datagrams",
                receive / 1_024,
                send / 1_024,
                wanted_bytes / 1_024
            ),
            format!("sysctl -w net.core.rmem_max={wanted_bytes} net.core.wmem_max={wanted_bytes}"),
        ),
    }
}

/// Whether several datagrams leave with one call (GSO) and arrive with one (GRO): some of them are sent, and counted.
pub fn offload(sender: &UdpSocket, receiver: &UdpSocket) -> Finding {
    const ABOUT: &str = "GSO and GRO";
    let told = UdpSocketState::new(UdpSockRef::from(receiver)).and_then(|at_receiver| {
        let at_sender = UdpSocketState::new(UdpSockRef::from(sender))?;
        batch((sender, &at_sender), (receiver, &at_receiver))
    });
    offload_told(ABOUT, told)
}

fn offload_told(about: &'static str, told: io::Result<(bool, bool)>) -> Finding {
    let cost = "each datagram costs a system call of its own";
    let mend = "a kernel of Linux 5.0 or later without a filter that splits batches: uname -r; ethtool -k lo";
    match told {
        Err(error) => Finding::unknown(about, error),
        Ok((true, true)) => Finding::well(about, "datagrams leave and arrive in batches"),
        Ok((false, _)) => Finding::ill(about, format!("no batches leave: {cost}"), mend),
        Ok((true, false)) => Finding::ill(about, format!("no batches arrive: {cost}"), mend),
    }
}

type Socket<'a> = (&'a UdpSocket, &'a UdpSocketState);

/// Whether a batch left in one piece, and whether it arrived in one.
fn batch((sender, at_sender): Socket<'_>, (receiver, at_receiver): Socket<'_>) -> io::Result<(bool, bool)> {
    const SEGMENTS: usize = 4;
    const SEGMENT_BYTES: usize = 100;
    if at_sender.max_gso_segments() < SEGMENTS {
        return Ok((false, true));
    }
    let contents = [7; SEGMENTS * SEGMENT_BYTES];
    let transmit = Transmit {
        destination: receiver.local_addr()?,
        ecn: None,
        contents: &contents,
        segment_size: Some(SEGMENT_BYTES),
        src_ip: None,
    };
    if at_sender.try_send(UdpSockRef::from(sender), &transmit).is_err() {
        return Ok((false, true));
    }
    // quinn-udp makes its sockets non-blocking.
    receiver.set_nonblocking(false)?;
    receiver.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = [0; 2 * SEGMENTS * SEGMENT_BYTES];
    let mut meta = [RecvMeta::default()];
    let received =
        at_receiver.recv(UdpSockRef::from(receiver), &mut [IoSliceMut::new(&mut buffer)], &mut meta);
    match received {
        Ok(_) => Ok((true, meta[0].len == contents.len() && meta[0].stride == SEGMENT_BYTES)),
        Err(error) => Err(error),
    }
}

/// Whether the kernel steers datagrams to their shard by the connection ID: some are sent, and looked for.
pub fn steering(shards: u16) -> Finding {
    let group = socket::bind_groups(&(Ipv4Addr::LOCALHOST, 0).into(), shards.max(2));
    steering_of(group.as_deref().map_err(|(_, error)| error))
}

fn steering_of(group: Result<&[UdpSocket], &io::Error>) -> Finding {
    const ABOUT: &str = "BPF steering";
    let mend = "a kernel of Linux 4.5 or later, and no seccomp rule against setsockopt(SO_ATTACH_REUSEPORT_CBPF); \
                or: shards = 1";
    let group = match group {
        Ok(group) => group,
        Err(error) => {
            return Finding::ill(ABOUT, format!("several shards cannot share a port: {error}"), mend);
        }
    };
    match reaches_each(group) {
        Ok(true) => Finding::well(ABOUT, format!("each of {} shards gets what is meant for it", group.len())),
        Ok(false) => Finding::ill(ABOUT, "datagrams reach a shard that does not know their connection", mend),
        Err(error) => Finding::unknown(ABOUT, error),
    }
}

/// Sends a short-header packet that names each socket, from several ports, and looks whether it is there.
fn reaches_each(group: &[UdpSocket]) -> io::Result<bool> {
    let address: SocketAddr = group.first().ok_or(io::ErrorKind::NotFound)?.local_addr()?;
    for (index, socket) in (0_u16..).zip(group) {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        for _ in 0..4 {
            let [high, low] = index.to_be_bytes();
            let datagram = [0x40, high, low, 0, 0, 0, 0, 0];
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.send_to(&datagram, address)?;
            let mut received = [0; 16];
            match socket.recv(&mut received) {
                Ok(length) if received[..length] == datagram => {}
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    /// Sets an option that no library has a name for, since nobody wants it but to break something.
    fn set(socket: &UdpSocket, level: i32, option: i32, value: i32) {
        // SAFETY: the option takes an integer, which lives as long as the call.
        #[allow(unsafe_code)]
        let result = unsafe {
            let value = std::ptr::from_ref(&value).cast();
            libc::setsockopt(socket.as_raw_fd(), level, option, value, size_of::<i32>() as libc::socklen_t)
        };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
    }

    fn pair() -> (UdpSocket, UdpSocket) {
        let socket = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        (socket(), socket())
    }

    #[test]
    fn too_few_descriptors_are_found() {
        let modest = Config { max_websockets: 10, shards: 1, ..Config::default() };
        let enough = getrlimit(Resource::Nofile).current.is_none_or(|limit| limit > 1_200);
        assert_eq!(descriptors(&modest, None).is_ill(), !enough);
        let running = Running { process: std::process::id() };
        let greedy = Config { max_websockets: u32::MAX, ..Config::default() };
        let found = descriptors(&greedy, Some(&running));
        assert!(found.is_ill() && found.to_string().contains("LimitNOFILE=42949"), "{found}");
    }

    #[test]
    fn small_buffers_are_found() {
        assert!(!buffers(4_096).is_ill());
        let found = buffers(1 << 30);
        assert!(
            found.is_ill() && found.to_string().contains("sysctl -w net.core.rmem_max=1073741824"),
            "{found}"
        );
    }

    #[test]
    fn a_socket_that_sends_no_batches_is_found() {
        let (sender, receiver) = pair();
        assert!(!offload(&sender, &receiver).is_ill(), "{}", offload(&sender, &receiver));
        // The kernel leaves checksums of batches to itself: without any it refuses to cut them.
        set(&sender, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1);
        let found = offload(&sender, &receiver);
        assert!(found.is_ill() && found.to_string().contains("no batches leave"), "{found}");
    }

    #[test]
    fn a_socket_that_receives_no_batches_is_found() {
        let (sender, receiver) = pair();
        let states = [&sender, &receiver]
            .map(|socket| UdpSocketState::new(UdpSockRef::from(socket)).expect("a state"));
        set(&receiver, libc::SOL_UDP, libc::UDP_GRO, 0);
        let told = batch((&sender, &states[0]), (&receiver, &states[1]));
        let found = offload_told("GSO and GRO", told);
        assert!(found.is_ill() && found.to_string().contains("no batches arrive"), "{found}");
    }

    #[test]
    fn a_group_that_is_not_steered_is_found() {
        assert!(!steering(4).is_ill(), "{}", steering(4));
        let group = socket::bind_groups(&(Ipv4Addr::LOCALHOST, 0).into(), 4).expect("a group");
        set(&group[0], libc::SOL_SOCKET, libc::SO_DETACH_REUSEPORT_BPF, 0);
        let found = steering_of(Ok(&group));
        assert!(found.is_ill() && found.to_string().contains("shards = 1"), "{found}");
        let refused = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(steering_of(Err(&refused)).is_ill());
    }
}
