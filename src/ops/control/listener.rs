//! The server's end of the control socket.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use super::{Answer, Obey, Order};
use crate::limits::{CONTROL_CONNECTIONS, CONTROL_ORDER_BYTES, CONTROL_S};

/// A socket that is bound and does not answer yet. Its file goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
    /// Whether its file goes with it.
    owns_file: bool,
}

/// Why there is no control socket.
#[derive(Debug)]
pub enum ControlError {
    /// Another server answers on it.
    InUse,
    /// Something that is no socket lies there.
    NotASocket,
    /// What the operating system said.
    Io(io::Error),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another server answers on it; give each its own path"),
            Self::NotASocket => f.write_str("something that is not a socket lies there; choose another path"),
            Self::Io(error) => write!(f, "{error}; the folder has to exist and be writable for this user"),
        }
    }
}

impl From<io::Error> for ControlError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl ControlSocket {
    /// Binds the socket for this user alone. What a server that was killed left behind is replaced.
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(ControlError::NotASocket);
            }
            if StdStream::connect(path).is_ok() {
                return Err(ControlError::InUse);
            }
            fs::remove_file(path)?;
        }
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        let socket = Self { listener, path: path.to_owned(), owns_file: true };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        socket.listener.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Goes on with the socket that an older process has bound at this path. The file is that one's until this one serves.
    pub fn inherited(listener: std::os::unix::net::UnixListener, path: &Path) -> Result<Self, ControlError> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path: path.to_owned(), owns_file: false })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket itself.
    pub fn listener(&self) -> &std::os::unix::net::UnixListener {
        &self.listener
    }

    /// Answers until dropped, or until `rests` says that another process does; then until the last order has been answered. Runs on
    /// the current tokio runtime.
    pub async fn serve(mut self, obey: Arc<impl Obey>, rests: watch::Receiver<bool>) -> io::Result<()> {
        self.owns_file = true;
        let listener = UnixListener::from_std(self.listener.try_clone()?)?;
        let places = Arc::new(Semaphore::new(CONTROL_CONNECTIONS));
        tokio::select! {
            () = accept(&listener, &obey, &places, &rests) => {}
            () = rest(&rests) => self.owns_file = false,
        }
        drop(listener);
        let _ = places.acquire_many(CONTROL_CONNECTIONS as u32).await;
        Ok(())
    }
}

/// Ends when another process answers instead.
async fn rest(rests: &watch::Receiver<bool>) {
    // An error means that nobody is there to say so, and the server is about to stop.
    let _ = rests.clone().wait_for(|rests| *rests).await;
}

async fn accept(
    listener: &UnixListener,
    obey: &Arc<impl Obey>,
    places: &Arc<Semaphore>,
    rests: &watch::Receiver<bool>,
) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if !is_trusted(&stream) {
            continue;
        }
        let (obey, rests) = (Arc::clone(obey), rests.clone());
        tokio::spawn(async move {
            let _ = connection(stream, &*obey, &rests).await;
            drop(place);
        });
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if self.owns_file {
            // Best effort: a file that stays is replaced at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The server's own user or root. The file's mode says the same; this holds even if the mode was changed.
fn is_trusted(stream: &UnixStream) -> bool {
    // SAFETY: geteuid has no arguments, touches no memory and cannot fail.
    #[allow(unsafe_code)]
    let own = unsafe { libc::geteuid() };
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

/// Orders one after the other, each within a time, until the other side closes or another process answers.
async fn connection(
    mut stream: UnixStream,
    obey: &impl Obey,
    rests: &watch::Receiver<bool>,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        let within = Duration::from_secs(CONTROL_S);
        let read = tokio::time::timeout(within, read_line(&mut stream, &mut line));
        tokio::select! {
            read = read => match read {
                Ok(Ok(true)) => {}
                _ => return Ok(()),
            },
            () = rest(rests) => return Ok(()),
        }
        let answer = match serde_json::from_slice::<Order>(&line) {
            Ok(order) => match obey.obey_later(&order) {
                Some(later) => later.await.unwrap_or_else(|_| Err("the server is stopping".to_owned())),
                None => obey.obey(order),
            },
            Err(error) => Err(format!("not an order that this server knows: {error}")),
        };
        let answer = write_answer(&answer);
        tokio::time::timeout(within, stream.write_all(&answer)).await??;
    }
}

/// A line without its end; `false` when there is no more, or it is too long.
async fn read_line(stream: &mut UnixStream, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    loop {
        match stream.read_u8().await {
            Ok(b'\n') => return Ok(true),
            Ok(byte) if line.len() < CONTROL_ORDER_BYTES => line.push(byte),
            Ok(_) | Err(_) => return Ok(false),
        }
    }
}

fn write_answer(answer: &Answer) -> Vec<u8> {
    let value = match answer {
        Ok(text) => serde_json::json!({ "ok": text }),
        Err(text) => serde_json::json!({ "error": text }),
    };
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::super::client;
    use super::*;

    struct Echo;

    impl Obey for Echo {
        fn obey(&self, order: Order) -> Answer {
            match order {
                Order::Status => Ok("well\nand alive".to_owned()),
                _ => Err("not today".to_owned()),
            }
        }
    }

    /// Serves in a thread of its own as long as the test runs.
    fn serve(path: &Path) {
        let socket = ControlSocket::bind(path).expect("a socket");
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (_stays, rests) = watch::channel(false);
            runtime.block_on(socket.serve(Arc::new(Echo), rests))
        });
    }

    #[test]
    fn orders_are_answered_and_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        serve(&path);
        assert_eq!(client::ask(&path, &Order::Status).expect("an answer"), Ok("well\nand alive".to_owned()));
        assert_eq!(client::ask(&path, &Order::Drain).expect("an answer"), Err("not today".to_owned()));
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        assert!(matches!(ControlSocket::bind(&path), Err(ControlError::InUse)));
    }

    #[test]
    fn what_was_left_behind_is_replaced_and_what_is_not_a_socket_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
        drop(ControlSocket::bind(&path).expect("it is replaced"));
        assert!(!path.exists(), "the file goes with the socket");
        fs::write(&path, "mine").expect("a file");
        assert!(matches!(ControlSocket::bind(&path), Err(ControlError::NotASocket)));
        assert_eq!(fs::read(&path).expect("a file"), b"mine");
    }

    #[test]
    fn a_line_that_is_no_order_is_refused_and_an_endless_one_ends() {
        use std::io::{BufRead, BufReader, Write};
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        serve(&path);
        let mut stream = StdStream::connect(&path).expect("a connection");
        stream.write_all(b"{\"do\":\"dance\"}\n").expect("written");
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).expect("an answer");
        assert!(line.starts_with("{\"error\":\"not an order"), "{line}");
        let _ = stream.write_all(&vec![b'x'; CONTROL_ORDER_BYTES + 1]);
        line.clear();
        // Closed or reset, as the kernel has it.
        assert!(matches!(BufReader::new(&stream).read_line(&mut line), Ok(0) | Err(_)), "{line}");
    }
}
