//! The site's sockets: accepting, bounding and closing TCP connections.
//!
//! In: TCP connections. Out: answers of a [`Respond`]. One task a connection, at most [`limits::SITE_CONNECTIONS`]; a
//! connection has [`limits::SITE_HEAD_S`] seconds for a request and lives [`limits::SITE_CONNECTION_S`] at most. One that becomes a
//! WebSocket gives its place back and lives as long as its session.

use std::convert::Infallible;
use std::future::{self, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use hyper::{HeaderMap, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Respond, websocket};
use crate::config::Addresses;
use crate::limits;
use crate::privacy::PeerAddress;
use crate::tls::ALPN_ACME;
use crate::transport::pipe::Doors;

/// Sockets that are bound and do not answer yet: the port is known before the rest of the server starts.
#[derive(Debug)]
pub struct SiteSockets {
    listeners: Vec<StdListener>,
    address: SocketAddr,
}

impl SiteSockets {
    /// Binds these addresses; for 127.0.0.1 also the same port of `::1` where it exists, since `localhost` may mean either. An error comes
    /// with the address.
    pub fn bind(addresses: &Addresses) -> Result<Self, (SocketAddr, io::Error)> {
        let mut all: Option<Self> = None;
        // As for UDP: beside an address of IPv4, one of IPv6 means IPv6 alone.
        let only_v6 = addresses.iter().any(|address| address.is_ipv4());
        for address in addresses.iter() {
            // Taken already as the other meaning of `localhost`.
            if all.as_ref().is_some_and(|all| all.listens_on(address)) {
                continue;
            }
            let one = Self::bind_one(address, only_v6).map_err(|error| (address, error))?;
            match &mut all {
                Some(all) => all.listeners.extend(one.listeners),
                None => all = Some(one),
            }
        }
        all.ok_or_else(|| (addresses.first(), io::ErrorKind::InvalidInput.into()))
    }

    fn listens_on(&self, address: SocketAddr) -> bool {
        self.listeners.iter().any(|listener| listener.local_addr().is_ok_and(|local| local == address))
    }

    fn bind_one(address: SocketAddr, only_v6: bool) -> io::Result<Self> {
        let first = listen(address, only_v6)?;
        let bound = first.local_addr()?;
        let mut listeners = vec![first];
        if bound.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            match listen(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), bound.port()), only_v6) {
                Ok(second) => listeners.push(second),
                // Somebody else would answer to half of the browsers that open localhost.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && address.port() != 0 => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        Ok(Self { listeners, address: bound })
    }

    /// Takes over listeners that were opened elsewhere, if they are what [`SiteSockets::bind`] would have opened: one at each
    /// address, and for 127.0.0.1 one at `::1` as well or not.
    pub fn given(addresses: &Addresses, listeners: Vec<StdListener>) -> io::Result<Option<Self>> {
        let bound: Vec<_> = listeners.iter().map(StdListener::local_addr).collect::<Result<_, _>>()?;
        let same_port =
            |local: SocketAddr, wanted: SocketAddr| wanted.port() == 0 || local.port() == wanted.port();
        let is_at =
            |local: SocketAddr, wanted: SocketAddr| local.ip() == wanted.ip() && same_port(local, wanted);
        let is_twin = |local: SocketAddr, wanted: SocketAddr| {
            wanted.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)
                && local.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST)
                && same_port(local, wanted)
        };
        let all_wanted = bound
            .iter()
            .all(|local| addresses.iter().any(|wanted| is_at(*local, wanted) || is_twin(*local, wanted)));
        let all_there = addresses.iter().all(|wanted| bound.iter().any(|local| is_at(*local, wanted)));
        let first = bound.iter().find(|local| is_at(**local, addresses.first())).copied();
        Ok(first.filter(|_| all_wanted && all_there).map(|address| Self { listeners, address }))
    }

    /// The sockets themselves.
    pub fn listeners(&self) -> &[StdListener] {
        &self.listeners
    }

    /// The address with its actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until dropped, or until `rests` says that another process accepts connections; then until the last connection
    /// is over. Runs on the current tokio runtime. What is answered with 101 becomes a WebSocket behind `doors`.
    pub async fn serve(
        self,
        responder: impl Respond,
        tls: Option<Arc<rustls::ServerConfig>>,
        doors: Option<Doors>,
        rests: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let site = Arc::new(Site {
            responder,
            tls: tls.map(TlsAcceptor::from),
            doors,
            places: Arc::new(Semaphore::new(limits::SITE_CONNECTIONS)),
            rests,
        });
        let mut accepting = tokio::task::JoinSet::new();
        for listener in self.listeners {
            let listener = TcpListener::from_std(listener)?;
            accepting.spawn(accept(listener, Arc::clone(&site)));
        }
        while accepting.join_next().await.is_some() {}
        // All places are free when nobody has one.
        let _ = site.places.acquire_many(limits::SITE_CONNECTIONS as u32).await;
        Ok(())
    }
}

struct Site<R> {
    responder: R,
    tls: Option<TlsAcceptor>,
    doors: Option<Doors>,
    places: Arc<Semaphore>,
    /// Whether another process accepts connections instead.
    rests: watch::Receiver<bool>,
}

impl<R> Site<R> {
    /// Ends when another process accepts connections instead.
    async fn rest(&self) {
        // An error means that nobody is there to say so, and the site is about to be stopped.
        let _ = self.rests.clone().wait_for(|rests| *rests).await;
    }
}

/// What a connection is made of, under or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

fn listen(address: SocketAddr, only_v6: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Whatever the system's own default is. What it does not allow is no error: `[::1]` alone works in any case.
        let _ = socket.set_only_v6(only_v6);
    }
    // A restart does not wait for connections of before that are still being closed.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::SITE_BACKLOG)?;
    Ok(socket.into())
}

async fn accept<R: Respond>(listener: TcpListener, site: Arc<Site<R>>) {
    tokio::select! {
        () = accept_all(listener, &site) => {}
        () = site.rest() => {}
    }
}

async fn accept_all<R: Respond>(listener: TcpListener, site: &Arc<Site<R>>) {
    loop {
        // A place first: who finds none waits in the kernel's backlog, which is bounded too.
        let Ok(place) = Arc::clone(&site.places).acquire_owned().await else { return };
        let mut place = Some(place);
        let accepted = poll_fn(|context| {
            // Here, and not when it is awaited: this task never ends, and what it awaits stays in it until the next comes.
            Poll::Ready(match (ready!(listener.poll_accept(context)), place.take()) {
                (Ok((stream, peer)), Some(place)) => {
                    begin(stream, peer, site, place);
                    true
                }
                _ => false,
            })
        });
        if !accepted.await {
            // Out of descriptors, or a connection that was gone before it was taken: go on, but not in a hot loop.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn begin<R: Respond>(stream: TcpStream, peer: SocketAddr, site: &Arc<Site<R>>, place: OwnedSemaphorePermit) {
    let (site, peer) = (Arc::clone(site), PeerAddress::new(peer.ip()));
    tokio::spawn(async move { connection(stream, &site, peer, place).await });
}

/// How a connection ended is nobody's business: no access log, not even of failures.
async fn connection<R: Respond>(
    stream: TcpStream,
    site: &Site<R>,
    peer: PeerAddress,
    place: OwnedSemaphorePermit,
) {
    // Answers are one write each: waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let life = Instant::now() + Duration::from_secs(limits::SITE_CONNECTION_S);
    let Some(acceptor) = &site.tls else { return serve_http(stream, site, peer, life, place).await };
    let handshake = Duration::from_secs(limits::SITE_HEAD_S);
    let accept = acceptor.accept_with(stream, |tls| tls.set_buffer_limit(Some(limits::SITE_TLS_BYTES)));
    if let Ok(Ok(stream)) = timeout(handshake, accept).await {
        if stream.get_ref().1.alpn_protocol() == Some(ALPN_ACME) {
            // An authority has seen what it wanted to see.
            return;
        }
        serve_http(stream, site, peer, life, place).await;
    }
}

async fn serve_http<R: Respond>(
    stream: impl Stream,
    site: &Site<R>,
    peer: PeerAddress,
    life: Instant,
    place: OwnedSemaphorePermit,
) {
    let upgraded = AtomicBool::new(false);
    // Where a proxy says that a WebSocket comes from.
    let forwarded = OnceLock::new();
    let service = service_fn(|request| {
        let responder = &site.responder;
        let welcome = responder.serves(&responder.client(&peer, request.headers()));
        let answer = if welcome { responder.respond(&request) } else { responder.turn_away(&request) };
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let _ = forwarded.set(forwarded_for(request.headers()));
            upgraded.store(true, Relaxed);
        }
        future::ready(Ok::<_, Infallible>(answer))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits::SITE_HEAD_S))
        .max_buf_size(limits::SITE_HEAD_BYTES)
        .max_headers(limits::SITE_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let served = timeout_at(life, async {
        tokio::select! {
            served = poll_fn(|context| connection.poll_without_shutdown(context)) => return served,
            () = site.rest() => Pin::new(&mut connection).graceful_shutdown(),
        }
        poll_fn(|context| connection.poll_without_shutdown(context)).await
    });
    let Ok(Ok(())) = served.await else { return };
    let Parts { io, read_buf, .. } = connection.into_parts();
    let mut stream = io.into_inner();
    match &site.doors {
        Some(doors) if upgraded.load(Relaxed) => {
            drop(place);
            // What the client does not take shall wait in its session's queue, where it is counted. Best effort.
            let _ = SockRef::from(stream.tcp()).set_tcp_notsent_lowat(limits::WEBSOCKET_UNSENT_BYTES);
            let peer = stream.tcp().peer_addr().map(|peer| PeerAddress::new(peer.ip())).ok();
            let pipe = peer.and_then(|peer| doors.open(&client_address(peer, forwarded.get())));
            websocket::carry(stream, read_buf, pipe).await;
        }
        _ => drop(timeout_at(life, stream.shutdown()).await),
    }
}

/// Where a proxy in front says that a request comes from: what it has added to the end of X-Forwarded-For.
fn forwarded_for(headers: &HeaderMap) -> Option<PeerAddress> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok().map(PeerAddress::new)
}

/// Where a client comes from. Only a proxy on this machine is believed: others could say anything.
fn client_address(peer: PeerAddress, forwarded: Option<&Option<PeerAddress>>) -> PeerAddress {
    match forwarded {
        Some(Some(forwarded)) if peer.expose().is_loopback() => forwarded.clone(),
        _ => peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_on_this_machine_says_where_clients_are_and_nobody_else_does() {
        let address = |text: &str| PeerAddress::new(text.parse().expect("an address"));
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "192.0.2.1".parse().expect("a value"));
        headers.append("x-forwarded-for", "198.51.100.1, 2001:db8::1".parse().expect("a value"));
        let told = forwarded_for(&headers);
        let seen =
            |peer: &str, told: &Option<PeerAddress>| client_address(address(peer), Some(told)).expose();
        assert_eq!(seen("127.0.0.1", &told), address("2001:db8::1").expose(), "what the nearest has added");
        assert_eq!(seen("::1", &told), address("2001:db8::1").expose());
        assert_eq!(
            seen("192.0.2.9", &told),
            address("192.0.2.9").expose(),
            "a client that makes something up"
        );
        headers.append("x-forwarded-for", "unknown".parse().expect("a value"));
        assert_eq!(seen("127.0.0.1", &forwarded_for(&headers)), address("127.0.0.1").expose());
    }
}
