//! What a datagram costs to send: one system call each, a batch to many addresses, or segments to one address.
//!
//! `cargo run --release -p anoncam-baseline --example sendmmsg`
//!
//! 64 receivers on loopback, emptied outside of the measured time. The ways take turns, so that a noisy machine is noisy
//! for all of them; the median of the rounds is printed with the lowest and the highest.

#![allow(unsafe_code, reason = "sendmmsg and UDP_SEGMENT have no safe wrapper here")]
#![allow(clippy::print_stdout, reason = "a report")]
#![cfg_attr(not(target_os = "linux"), allow(unused))]

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::mem::zeroed;
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::time::Instant;

    /// A relayed frame of 100 bytes with its QUIC packet around it.
    const DATAGRAM_BYTES: usize = 140;
    const RECEIVERS: usize = 64;
    const ROUNDS: usize = 15;
    /// Datagrams to each receiver in a round; all fit into its socket's buffer.
    const REPEATS: usize = 64;

    #[derive(Clone, Copy)]
    enum Way {
        /// sendmsg, one datagram each.
        Single,
        /// sendmmsg, this many datagrams, each to another address.
        Batch(usize),
        /// sendmsg with `UDP_SEGMENT`, this many datagrams to one address.
        Segments(usize),
    }

    struct Bench {
        sender: UdpSocket,
        receivers: Vec<UdpSocket>,
        addresses: Vec<libc::sockaddr_in>,
        payload: Vec<u8>,
    }

    impl Bench {
        fn new() -> io::Result<Self> {
            let receivers: Vec<_> =
                (0..RECEIVERS).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
            let addresses = receivers
                .iter()
                .map(|receiver| {
                    receiver.set_nonblocking(true)?;
                    let SocketAddr::V4(address) = receiver.local_addr()? else {
                        return Err(io::ErrorKind::Unsupported.into());
                    };
                    // SAFETY: all-zero bytes are a valid sockaddr_in.
                    let mut raw: libc::sockaddr_in = unsafe { zeroed() };
                    raw.sin_family = libc::AF_INET as u16;
                    raw.sin_port = address.port().to_be();
                    raw.sin_addr.s_addr = u32::from(*address.ip()).to_be();
                    Ok(raw)
                })
                .collect::<io::Result<_>>()?;
            let payload = vec![7; DATAGRAM_BYTES * RECEIVERS];
            Ok(Self { sender: UdpSocket::bind("127.0.0.1:0")?, receivers, addresses, payload })
        }

        /// Sends `REPEATS` datagrams to everybody. Returns nanoseconds a datagram.
        fn round(&mut self, way: Way) -> io::Result<f64> {
            let started = Instant::now();
            match way {
                Way::Single => self.send_calls(1, 1)?,
                Way::Batch(size) => self.send_calls(size, 1)?,
                Way::Segments(size) => self.send_calls(1, size)?,
            }
            let nanoseconds = started.elapsed().as_nanos() as f64;
            self.drain()?;
            Ok(nanoseconds / (REPEATS * RECEIVERS) as f64)
        }

        /// Calls with `batch` messages of `segments` datagrams each; one message goes by sendmsg, more by sendmmsg.
        fn send_calls(&mut self, batch: usize, segments: usize) -> io::Result<()> {
            for _ in 0..REPEATS / segments {
                for first in (0..RECEIVERS).step_by(batch) {
                    self.send(first, batch, segments)?;
                }
            }
            Ok(())
        }

        fn send(&mut self, first: usize, batch: usize, segments: usize) -> io::Result<()> {
            let bytes = DATAGRAM_BYTES * segments;
            let mut control = [0_u64; 4];
            // SAFETY: all-zero bytes are a valid iovec and mmsghdr.
            let mut slices: [libc::iovec; RECEIVERS] = unsafe { zeroed() };
            let mut messages: [libc::mmsghdr; RECEIVERS] = unsafe { zeroed() };
            for index in 0..batch {
                slices[index].iov_base = self.payload[DATAGRAM_BYTES * index..].as_mut_ptr().cast();
                slices[index].iov_len = bytes;
                let header = &mut messages[index].msg_hdr;
                header.msg_name = (&raw mut self.addresses[first + index]).cast();
                header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
                header.msg_iov = &raw mut slices[index];
                header.msg_iovlen = 1;
                if segments > 1 {
                    set_segment_size(header, &mut control);
                }
            }
            let fd = self.sender.as_raw_fd();
            // SAFETY: the first `batch` headers point to live addresses, slices and control data of the lengths given.
            let sent = unsafe {
                if batch == 1 {
                    i32::from(libc::sendmsg(fd, &raw const messages[0].msg_hdr, 0) == bytes.cast_signed())
                } else {
                    libc::sendmmsg(fd, messages.as_mut_ptr(), batch as u32, 0)
                }
            };
            if usize::try_from(sent) == Ok(batch) { Ok(()) } else { Err(io::Error::last_os_error()) }
        }

        /// Empties all receivers and checks that nothing was lost.
        fn drain(&self) -> io::Result<()> {
            let mut buffer = [0; DATAGRAM_BYTES];
            for receiver in &self.receivers {
                for _ in 0..REPEATS {
                    receiver.recv(&mut buffer)?;
                }
            }
            Ok(())
        }
    }

    fn set_segment_size(header: &mut libc::msghdr, control: &mut [u64; 4]) {
        header.msg_control = control.as_mut_ptr().cast();
        // SAFETY: `control` is aligned as a cmsghdr is and has room for one with two bytes.
        unsafe {
            header.msg_controllen = libc::CMSG_SPACE(2) as usize;
            let message = libc::CMSG_FIRSTHDR(header);
            (*message).cmsg_level = libc::SOL_UDP;
            (*message).cmsg_type = libc::UDP_SEGMENT;
            (*message).cmsg_len = libc::CMSG_LEN(2) as usize;
            libc::CMSG_DATA(message).cast::<u16>().write_unaligned(DATAGRAM_BYTES as u16);
        }
    }

    pub fn run() -> io::Result<()> {
        let ways = [
            ("sendmsg, one datagram each", Way::Single),
            ("sendmmsg, batches of 4", Way::Batch(4)),
            ("sendmmsg, batches of 16", Way::Batch(16)),
            ("sendmmsg, batches of 64", Way::Batch(64)),
            ("sendmsg + UDP_SEGMENT, 8 to one address", Way::Segments(8)),
        ];
        let mut bench = Bench::new()?;
        let mut figures = vec![Vec::new(); ways.len()];
        for (_, way) in ways {
            bench.round(way)?;
        }
        for _ in 0..ROUNDS {
            for (figures, (_, way)) in figures.iter_mut().zip(ways) {
                figures.push(bench.round(way)?);
            }
        }
        for (figures, (name, _)) in figures.iter_mut().zip(ways) {
            figures.sort_by(f64::total_cmp);
            let (low, median, high) = (figures[0], figures[ROUNDS / 2], figures[ROUNDS - 1]);
            println!("{name:<42} {median:6.0} ns a datagram ({low:.0} to {high:.0})");
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
