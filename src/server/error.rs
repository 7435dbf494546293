//! Why a server did not start: one line for the operator that says what to do.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::ops::control::ControlError;
use crate::tls::CertificateError;

/// Why a server did not start. Exit status 1.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be bound.
    Bind {
        /// The protocol, and what it is for.
        what: &'static str,
        /// What names another address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
    /// The service manager handed over sockets that do not fit the configuration.
    Given(String),
    /// An older process left what does not fit the configuration.
    Changed {
        /// The setting.
        setting: &'static str,
        /// What it was for the older process.
        before: String,
        /// What it is now.
        now: String,
    },
    /// The control socket could not be bound.
    Control(PathBuf, ControlError),
    /// The operator's certificate has changed since the configuration was checked.
    Certificate(CertificateError),
    /// No certificate could be made, or the cryptography could not be set up.
    Crypto(String),
    /// The operating system gave no more descriptors.
    Descriptors(io::Error),
    /// The operating system gave no thread.
    Thread(io::Error),
}

impl StartError {
    pub(super) fn site(address: SocketAddr, error: io::Error) -> Self {
        Self::Bind { what: "TCP, the page", flag: "--site", address, error }
    }

    pub(super) fn redirect(address: SocketAddr, error: io::Error) -> Self {
        Self::Bind { what: "TCP, redirect", flag: "the setting redirect", address, error }
    }

    pub(super) fn metrics(address: SocketAddr, error: io::Error) -> Self {
        Self::Bind { what: "TCP, metrics", flag: "the setting metrics", address, error }
    }

    pub(super) fn changed(setting: &'static str, before: &str, now: &str) -> Self {
        Self::Changed { setting, before: before.to_owned(), now: now.to_owned() }
    }

    pub(super) fn listen(address: SocketAddr, error: io::Error) -> Self {
        Self::Bind { what: "UDP, WebTransport", flag: "--listen", address, error }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { what, flag, address, error } => {
                write!(f, "cannot listen on {address} ({what}): ")?;
                match error.kind() {
                    ErrorKind::AddrInUse => write!(
                        f,
                        "the port is in use; stop the program that uses it, or choose another port with {flag}"
                    ),
                    ErrorKind::PermissionDenied => write!(
                        f,
                        "not permitted; ports below 1024 need CAP_NET_BIND_SERVICE, or choose another with {flag}"
                    ),
                    ErrorKind::AddrNotAvailable => {
                        write!(f, "this machine does not have that address; choose another with {flag}")
                    }
                    _ => write!(f, "{error}; choose another address with {flag}"),
                }
            }
            Self::Given(why) => write!(f, "{why}; let the socket unit and the configuration say the same"),
            Self::Changed { setting, before, now } => write!(
                f,
                "{setting} is {now}, and was {before} when the running server started: an upgrade needs the same; \
                 set it back, or restart"
            ),
            Self::Control(path, error) => write!(f, "no control socket at {}: {error}", path.display()),
            Self::Certificate(error) => write!(f, "the certificate cannot be used: {error}"),
            Self::Crypto(error) => write!(f, "the cryptography cannot be set up: {error}"),
            Self::Descriptors(error) => {
                write!(f, "no more open files: {error}; raise their limit (LimitNOFILE=)")
            }
            Self::Thread(error) => write!(f, "no thread for the site: {error}; raise the limit of processes"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<CertificateError> for StartError {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(error)
    }
}

impl From<rcgen::Error> for StartError {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}

impl From<getrandom::Error> for StartError {
    fn from(error: getrandom::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}

impl From<rustls::Error> for StartError {
    fn from(error: rustls::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}
