//! The floor of a network round trip: two threads, two blocking sockets on loopback.

use std::io;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use super::PAYLOAD_BYTES;
use crate::stats::recorder::Hist;
use crate::time::{Nanos, now};

/// Sends and waits for the answer, again and again.
pub fn ping_pong(span: Nanos, values: &mut Hist) -> Result<(), String> {
    inner(span, values).map_err(|error| format!("UDP on loopback: {error}"))
}

fn inner(span: Nanos, values: &mut Hist) -> io::Result<()> {
    let (here, there) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    here.connect(there.local_addr()?)?;
    there.connect(here.local_addr()?)?;
    for socket in [&here, &there] {
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    }
    let echo = thread::spawn(move || {
        let mut buffer = [0; PAYLOAD_BYTES];
        // Ends when nothing has come for a while.
        while let Ok(length) = there.recv(&mut buffer) {
            if length == 1 || there.send(&buffer[..length]).is_err() {
                return;
            }
        }
    });
    let (mut buffer, end) = ([7; PAYLOAD_BYTES], now() + span);
    while now() < end {
        let began = now();
        here.send(&buffer)?;
        here.recv(&mut buffer)?;
        values.saturating_record(now() - began);
    }
    here.send(&[0])?;
    let _ = echo.join();
    Ok(())
}
