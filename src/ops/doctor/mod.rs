//! `anoncam doctor`: what keeps a server from its best on this machine, and the command that mends it.
//!
//! In: a checked configuration. Out: a [`Finding`] for each thing that was looked at. Every check does what the server does and
//! looks what comes of it; none of them changes anything, and it may be run beside a server that serves.

mod certificate;
mod clock;
mod kernel;
mod ports;
pub mod relay;
pub mod stun;

use std::fmt;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;

pub use certificate::certificate;
pub use clock::clock;
pub use kernel::{buffers, descriptors, offload, steering};
pub use ports::{Running, ports};
pub use relay::relays;

use crate::config::Config;
use crate::limits;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub about: &'static str,
    /// How it is.
    pub verdict: Verdict,
}

/// How something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Well(String),
    /// Not as it should be.
    Ill {
        /// What is wrong and what comes of it.
        what: String,
        /// The command, or the setting, that mends it.
        mend: String,
    },
    /// It could not be looked at, and why.
    Unknown(String),
}

impl Finding {
    fn well(about: &'static str, what: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Well(what.into()) }
    }

    fn ill(about: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Ill { what: what.into(), mend: mend.into() } }
    }

    fn unknown(about: &'static str, why: impl fmt::Display) -> Self {
        Self { about, verdict: Verdict::Unknown(why.to_string()) }
    }

    /// Whether something has to be mended.
    pub fn is_ill(&self) -> bool {
        matches!(self.verdict, Verdict::Ill { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = self.about;
        match &self.verdict {
            Verdict::Well(what) => write!(f, "ok    {about:13} {what}"),
            Verdict::Ill { what, mend } => write!(f, "MEND  {about:13} {what}\n{:20}{mend}", ""),
            Verdict::Unknown(why) => write!(f, "?     {about:13} {why}"),
        }
    }
}

/// Looks at everything that a server with this configuration needs.
pub fn examine(config: &Config) -> Vec<Finding> {
    let running = Running::find(config);
    let roots = system_roots();
    let mut findings = vec![
        descriptors(config, running.as_ref()),
        buffers(limits::SOCKET_BUFFER_BYTES),
        match (loopback(), loopback()) {
            (Ok(sender), Ok(receiver)) => offload(&sender, &receiver),
            (Err(error), _) | (_, Err(error)) => Finding::unknown("GSO and GRO", error),
        },
        steering(config.shards),
        clock(clock::is_synchronised(), SystemTime::now()),
        certificate(config, &roots, SystemTime::now()),
    ];
    findings.extend(ports(config, running.as_ref()));
    findings.extend(relays(config, &roots));
    findings
}

/// Whom this machine believes. None where the system has no such list: then a certificate cannot be judged, and that is said.
fn system_roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
}

fn loopback() -> std::io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
}
