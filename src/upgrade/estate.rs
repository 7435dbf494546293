//! What an heir gets: descriptors, keys, and what the operator of the elder has set.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::channel::Channel;
use crate::ops::Pausable;
use crate::privacy::Hidden;
use crate::tls::SelfMadeParts;
use crate::transport::cid::Generation;
use crate::transport::keys::{KEY_BYTES, QuicKeys};

/// Everything that passes from an elder to its heir.
#[derive(Debug)]
pub struct Estate {
    /// The heir's number.
    pub generation: Generation,
    /// Keys of the QUIC endpoints.
    pub keys: QuicKeys,
    /// Addresses that the UDP sockets are bound to.
    pub groups: usize,
    /// UDP sockets: one a shard for the first address, then for the next.
    pub sockets: Vec<OwnedFd>,
    /// The heir's elders, each with the ends of the ways to its shards.
    pub elders: Vec<(Generation, Vec<OwnedFd>)>,
    /// Listening TCP sockets, each with the name of the setting that it is for.
    pub tcp: Vec<(String, OwnedFd)>,
    /// The control socket.
    pub control: Option<ControlEstate>,
    /// Certificates that the elder made for itself, which pages know by their hashes.
    pub certificates: Vec<SelfMadeParts>,
    /// What is paused.
    pub paused: Vec<Pausable>,
    /// The message to everybody.
    pub message: Option<String>,
}

/// The control socket, and where it lies.
#[derive(Debug)]
pub struct ControlEstate {
    /// Its file.
    pub path: PathBuf,
    /// The listener.
    pub listener: OwnedFd,
}

/// The part that is written down; the descriptors follow in the order of the fields.
#[derive(Serialize, Deserialize)]
struct Will {
    generation: Generation,
    reset_key: Zeroizing<String>,
    token_key: Zeroizing<String>,
    shards: usize,
    groups: usize,
    elders: Vec<Generation>,
    tcp: Vec<String>,
    control: Option<PathBuf>,
    certificates: Vec<CertificateWill>,
    paused: Vec<Pausable>,
    message: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct CertificateWill {
    certificate: String,
    private_key: Zeroizing<String>,
    made_unix_s: u64,
}

impl Estate {
    /// Gives all of it to the heir.
    pub(super) fn give(&self, channel: &Channel) -> std::io::Result<()> {
        channel.say(&self.will())?;
        channel.give(&self.descriptors())
    }

    /// Takes all of it from the elder.
    pub(super) fn take(channel: &Channel, within: Duration) -> std::io::Result<Self> {
        let will: Will = channel.hear(within)?;
        let count = will.shards * (will.groups + will.elders.len())
            + will.tcp.len()
            + usize::from(will.control.is_some());
        let mut descriptors = channel.take(count, within)?.into_iter();
        let mut next = |count: usize| descriptors.by_ref().take(count).collect::<Vec<_>>();
        Ok(Self {
            generation: will.generation,
            keys: QuicKeys { reset: key(&will.reset_key)?, token: key(&will.token_key)? },
            groups: will.groups,
            sockets: next(will.shards * will.groups),
            elders: will.elders.into_iter().map(|generation| (generation, next(will.shards))).collect(),
            tcp: will.tcp.iter().cloned().zip(next(will.tcp.len())).collect(),
            control: will.control.and_then(|path| Some(ControlEstate { path, listener: next(1).pop()? })),
            certificates: will.certificates.iter().map(certificate).collect::<Result<_, _>>()?,
            paused: will.paused,
            message: will.message,
        })
    }

    fn will(&self) -> Will {
        let encode = |bytes: &[u8]| Zeroizing::new(BASE64.encode(bytes));
        Will {
            generation: self.generation,
            reset_key: encode(self.keys.reset.expose()),
            token_key: encode(self.keys.token.expose()),
            shards: self.sockets.len() / self.groups.max(1),
            groups: self.groups,
            elders: self.elders.iter().map(|(generation, _)| *generation).collect(),
            tcp: self.tcp.iter().map(|(name, _)| name.clone()).collect(),
            control: self.control.as_ref().map(|control| control.path.clone()),
            certificates: self
                .certificates
                .iter()
                .map(|parts| CertificateWill {
                    certificate: BASE64.encode(&parts.certificate),
                    private_key: encode(parts.private_key.expose()),
                    made_unix_s: parts
                        .made
                        .duration_since(SystemTime::UNIX_EPOCH)
                        .map_or(0, |made| made.as_secs()),
                })
                .collect(),
            paused: self.paused.clone(),
            message: self.message.clone(),
        }
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let elders = self.elders.iter().flat_map(|(_, ends)| ends);
        let tcp = self.tcp.iter().map(|(_, listener)| listener);
        let control = self.control.iter().map(|control| &control.listener);
        self.sockets.iter().chain(elders).chain(tcp).chain(control).map(|one| one.as_fd()).collect()
    }
}

fn key(text: &str) -> std::io::Result<Hidden<[u8; KEY_BYTES]>> {
    let bytes = Zeroizing::new(BASE64.decode(text).map_err(std::io::Error::other)?);
    let key = bytes[..].try_into().map_err(|_| std::io::Error::other("a key of the wrong length"))?;
    Ok(Hidden::new(key))
}

fn certificate(will: &CertificateWill) -> std::io::Result<SelfMadeParts> {
    Ok(SelfMadeParts {
        certificate: BASE64.decode(&will.certificate).map_err(std::io::Error::other)?,
        private_key: Hidden::new(BASE64.decode(&*will.private_key).map_err(std::io::Error::other)?),
        made: SystemTime::UNIX_EPOCH + Duration::from_secs(will.made_unix_s),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::generations;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn an_estate_arrives_as_it_was_given() {
        // Two shards with two addresses.
        let sockets: Vec<_> = (0..4).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
        let site = TcpListener::bind("127.0.0.1:0").expect("a port");
        let end = || generations::pair().expect("a pair").0;
        let control = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        let given = Estate {
            generation: Generation(9),
            keys: QuicKeys::new().expect("random bytes"),
            groups: 2,
            sockets: sockets.iter().map(|socket| socket.try_clone().expect("a descriptor").into()).collect(),
            elders: vec![(Generation(7), vec![end(), end()]), (Generation(8), vec![end(), end()])],
            tcp: vec![("site".to_owned(), site.try_clone().expect("a descriptor").into())],
            control: Some(ControlEstate { path: "/run/x".into(), listener: control.into() }),
            certificates: vec![SelfMadeParts {
                certificate: vec![1, 2, 3],
                private_key: Hidden::new(vec![4, 5]),
                made: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            }],
            paused: vec![Pausable::Video],
            message: Some("Back at 10".to_owned()),
        };
        let (one, other) = Channel::pair().expect("a pair");
        given.give(&one).expect("room");
        let taken = Estate::take(&Channel::over(other), Duration::from_secs(30)).expect("all of it");
        assert_eq!(taken.generation, Generation(9));
        assert_eq!(taken.keys.reset.expose(), given.keys.reset.expose());
        assert_eq!(taken.keys.token.expose(), given.keys.token.expose());
        for (socket, taken) in sockets.iter().zip(taken.sockets) {
            let taken = UdpSocket::from(taken);
            assert_eq!(taken.local_addr().expect("an address"), socket.local_addr().expect("an address"));
        }
        let elders: Vec<_> =
            taken.elders.iter().map(|(generation, ends)| (generation.0, ends.len())).collect();
        assert_eq!(elders, [(7, 2), (8, 2)]);
        let (name, listener) = taken.tcp.into_iter().next().expect("the site");
        let listener = TcpListener::from(listener);
        assert_eq!((name.as_str(), listener.local_addr().ok()), ("site", site.local_addr().ok()));
        assert_eq!(taken.control.expect("a control socket").path, PathBuf::from("/run/x"));
        assert_eq!(taken.certificates[0].private_key.expose(), &[4, 5]);
        assert_eq!(taken.certificates[0].made, given.certificates[0].made);
        assert_eq!((taken.paused, taken.message), (given.paused, given.message));
    }
}
