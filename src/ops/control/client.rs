//! The operator's end of the control socket: asks a running server and waits for its answer.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{Answer, Order};
use crate::limits::CONTROL_S;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    Ok(String),
    Error(String),
}

/// A connection to a running server, for one order after the other.
#[derive(Debug)]
pub struct Operator {
    stream: BufReader<UnixStream>,
}

impl Operator {
    /// Connects to the socket at `path`.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_write_timeout(Some(Duration::from_secs(CONTROL_S)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Gives an order. An error means that the server could not be heard.
    pub fn ask(&mut self, order: &Order) -> io::Result<Answer> {
        let within = order.takes() + Duration::from_secs(CONTROL_S);
        self.stream.get_ref().set_read_timeout(Some(within))?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line)?;
        let mut answer = String::new();
        if self.stream.read_line(&mut answer)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        Ok(match serde_json::from_str(&answer)? {
            Told::Ok(text) => Ok(text),
            Told::Error(text) => Err(text),
        })
    }
}

/// Connects, and gives one order.
pub fn ask(path: &Path, order: &Order) -> io::Result<Answer> {
    Operator::connect(path)?.ask(order)
}
