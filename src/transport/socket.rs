//! Step 1 of 6: one UDP socket a shard, all bound to one port.
//!
//! In: the address to listen on and the number of shards. Out: the sockets in the order of the shards, steered by a
//! classic BPF filter that reads the connection ID of each datagram; and [`Datagrams`], batched receiving and
//! sending on one of them.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::config::Addresses;
use crate::limits::SOCKET_BUFFER_BYTES;

/// Binds a group to each address: `shards` sockets for the first, then for the next. An error comes with the address.
pub fn bind_groups(listen: &Addresses, shards: u16) -> Result<Vec<UdpSocket>, (SocketAddr, io::Error)> {
    // Beside an address of IPv4, one of IPv6 means IPv6 alone.
    let only_v6 = listen.iter().any(|address| address.is_ipv4());
    let mut sockets = Vec::new();
    for address in listen.iter() {
        sockets.extend(bind_group(address, shards, only_v6).map_err(|error| (address, error))?);
    }
    Ok(sockets)
}

/// Binds `shards` sockets to `listen`. With port 0 the system picks the port of all of them.
///
/// The order of binding is the index by which the filter steers, so the sockets stay open for the life of the port.
fn bind_group(listen: SocketAddr, shards: u16, only_v6: bool) -> io::Result<Vec<UdpSocket>> {
    // Alone at first: the group's option, set before, would let this server join another's port unnoticed, also one that
    // the system picks (Linux takes the ports of the same user's groups for free).
    let first = bind_one(listen, false, only_v6)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    if shards > 1 {
        set_reuse_port(&SockRef::from(&sockets[0]))?;
    }
    for _ in 1..shards {
        sockets.push(bind_one(address, true, only_v6)?);
    }
    if shards > 1 {
        steer_by_connection_id(&sockets[0], shards)?;
    }
    Ok(sockets)
}

/// The kernel's receive buffer of a socket, in bytes: less than [`SOCKET_BUFFER_BYTES`] where the system allows no more
/// (Linux: `net.core.rmem_max`).
pub fn receive_buffer_bytes(socket: &UdpSocket) -> io::Result<usize> {
    let bytes = SockRef::from(socket).recv_buffer_size()?;
    // Linux reports the double: half is for its own bookkeeping.
    Ok(if cfg!(target_os = "linux") { bytes / 2 } else { bytes })
}

fn bind_one(address: SocketAddr, shared: bool, only_v6: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // A dual-stack socket where the system allows it; `[::1]` alone works in any case.
        let _ = socket.set_only_v6(only_v6);
    }
    if shared {
        set_reuse_port(&socket)?;
    }
    socket.set_nonblocking(true)?;
    // Larger than the default where the system allows it; what it does not allow is no error.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(target_os = "linux")]
fn set_reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(target_os = "linux"))]
fn set_reuse_port(_: &Socket) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "more than one shard needs Linux"))
}

/// Attaches the filter: the two bytes at offset 6 of a long header (first bit set), else at offset 1, modulo the
/// number of shards, are the index of the socket. The program sees the UDP payload.
#[cfg(target_os = "linux")]
fn steer_by_connection_id(socket: &UdpSocket, shards: u16) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
    const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
    const JUMP_IF_SET: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
    const MODULO: u16 = 0x94; // BPF_ALU | BPF_MOD | BPF_K
    const RETURN_A: u16 = 0x16; // BPF_RET | BPF_A
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        step(LOAD_BYTE, 0, 0, 0),
        step(JUMP_IF_SET, 0, 2, 0x80),
        step(LOAD_HALF, 0, 0, 6),
        step(0x05, 0, 0, 1), // BPF_JMP | BPF_JA: skip the next
        step(LOAD_HALF, 0, 0, 1),
        step(MODULO, 0, 0, u32::from(shards)),
        step(RETURN_A, 0, 0, 0),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the option takes a `sock_fprog` whose pointer is valid for the call; the kernel copies the program.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            std::ptr::from_ref(&filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn steer_by_connection_id(_: &UdpSocket, _: u16) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "more than one shard needs Linux"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    #[test]
    fn one_shard_has_the_port_to_itself() {
        let group = bind_group(loopback(), 1, false).unwrap();
        let taken = bind_group(group[0].local_addr().unwrap(), 1, false);
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_second_server_does_not_join_the_group() {
        let group = bind_group(loopback(), 2, false).unwrap();
        let taken = bind_group(group[0].local_addr().unwrap(), 2, false);
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn every_group_has_a_port_of_its_own() {
        let groups: Vec<_> = (0..300).map(|_| bind_group(loopback(), 2, false).unwrap()).collect();
        let mut ports: Vec<_> = groups.iter().map(|group| group[0].local_addr().unwrap().port()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), groups.len());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_filter_sends_each_connection_id_to_the_shard_it_names() {
        let shards = 4_u16;
        let group = bind_group(loopback(), shards, false).unwrap();
        let address = group[0].local_addr().unwrap();
        for steer in [0_u16, 1, 2, 3, 258, 40_003, u16::MAX] {
            for long in [true, false] {
                let mut datagram = [0_u8; 40];
                datagram[0] = if long { 0xc0 } else { 0x40 };
                let at = if long { 6 } else { 1 };
                datagram[at..at + 2].copy_from_slice(&steer.to_be_bytes());
                // A new port each time: nothing but the connection ID decides.
                UdpSocket::bind(loopback()).unwrap().send_to(&datagram, address).unwrap();
                let socket = &group[usize::from(steer % shards)];
                let mut received = [0; 64];
                socket.set_nonblocking(false).unwrap();
                socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
                assert_eq!(socket.recv(&mut received).unwrap(), datagram.len());
                assert_eq!(received[at..at + 2], steer.to_be_bytes());
            }
        }
    }
}
