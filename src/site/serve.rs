//! The site's sockets: accepting, bounding and closing TCP connections.
//!
//! In: TCP connections. Out: answers of a [`Respond`]. One task a connection, at most [`limits::SITE_CONNECTIONS`]; a
//! connection has [`limits::SITE_HEAD_S`] seconds for a request and lives [`limits::SITE_CONNECTION_S`] at most.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::Respond;
use crate::limits;

/// Sockets that are bound and do not answer yet: the port is known before the rest of the server starts.
#[derive(Debug)]
pub struct SiteSockets {
    listeners: Vec<StdListener>,
    address: SocketAddr,
}

impl SiteSockets {
    /// Binds the address; for 127.0.0.1 also the same port of `::1` where it exists, since `localhost` may mean either.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let first = listen(address)?;
        let bound = first.local_addr()?;
        let mut listeners = vec![first];
        if bound.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            match listen(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), bound.port())) {
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

    /// Takes over listeners that were opened elsewhere, if they are what [`SiteSockets::bind`] would have opened: one at the
    /// address, and for 127.0.0.1 one at `::1` as well or not.
    pub fn given(address: SocketAddr, listeners: Vec<StdListener>) -> io::Result<Option<Self>> {
        let mut bound = None;
        for listener in &listeners {
            let local = listener.local_addr()?;
            let same_port = local.port() == address.port() || address.port() == 0;
            let twin = address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)
                && local.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST);
            match local.ip() == address.ip() {
                _ if !same_port => return Ok(None),
                true => bound = Some(local),
                false if twin => {}
                false => return Ok(None),
            }
        }
        Ok(bound.map(|address| Self { listeners, address }))
    }

    /// The address with its actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until dropped. Runs on the current tokio runtime.
    pub async fn serve(
        self,
        responder: impl Respond,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> io::Result<()> {
        let site = Arc::new(Site {
            responder,
            tls: tls.map(TlsAcceptor::from),
            places: Arc::new(Semaphore::new(limits::SITE_CONNECTIONS)),
        });
        let mut accepting = tokio::task::JoinSet::new();
        for listener in self.listeners {
            let listener = TcpListener::from_std(listener)?;
            accepting.spawn(accept(listener, Arc::clone(&site)));
        }
        while accepting.join_next().await.is_some() {}
        Ok(())
    }
}

struct Site<R> {
    responder: R,
    tls: Option<TlsAcceptor>,
    places: Arc<Semaphore>,
}

fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn accept<R: Respond>(listener: TcpListener, site: Arc<Site<R>>) {
    loop {
        // A place first: who finds none waits in the kernel's backlog, which is bounded too.
        let Ok(place) = Arc::clone(&site.places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    let life = Duration::from_secs(limits::SITE_CONNECTION_S);
                    // How a connection ended is nobody's business: no access log, not even of failures.
                    let _ = tokio::time::timeout(life, connection(stream, &site)).await;
                    drop(place);
                });
            }
            // Out of descriptors, or a connection that was gone before it was taken: go on, but not in a hot loop.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection<R: Respond>(stream: TcpStream, site: &Site<R>) {
    // Answers are one write each: waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    match &site.tls {
        None => serve_http(stream, site).await,
        Some(acceptor) => {
            let handshake = Duration::from_secs(limits::SITE_HEAD_S);
            if let Ok(Ok(stream)) = tokio::time::timeout(handshake, acceptor.accept(stream)).await {
                serve_http(stream, site).await;
            }
        }
    }
}

async fn serve_http<R: Respond>(stream: impl AsyncRead + AsyncWrite + Unpin, site: &Site<R>) {
    let service = service_fn(|request| {
        let answer = site.responder.respond(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits::SITE_HEAD_S))
        .max_buf_size(limits::SITE_HEAD_BYTES)
        .max_headers(limits::SITE_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
