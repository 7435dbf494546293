//! The thread of everything that is not a shard: the site, and the clockwork of the certificates.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::operator::Operator;
use crate::limits;
use crate::ops::control::ControlSocket;
use crate::site::{Metrics, Page, SiteSockets};
use crate::tls::CertificateStore;
use crate::transport::pipe::{Doors, Listener};

/// What the thread serves and looks after.
pub(super) struct SiteParts {
    pub page: (SiteSockets, Page, Option<Arc<rustls::ServerConfig>>),
    /// The way of WebSockets to the shards.
    pub doors: (Doors, Vec<Listener>),
    pub metrics: Option<(SiteSockets, Metrics)>,
    pub control: Option<(ControlSocket, Arc<Operator>)>,
    pub certificates: Arc<CertificateStore>,
}

/// A thread that serves until it is stopped or dropped.
pub(super) struct SiteThread {
    /// Its end is the order to stop.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl SiteThread {
    pub fn start(parts: SiteParts) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let SiteParts {
            page: (sockets, page, tls),
            doors: (doors, listeners),
            metrics,
            control,
            certificates,
        } = parts;
        let thread = std::thread::Builder::new().name("site".to_owned()).spawn(move || {
            runtime.block_on(async {
                for listener in listeners {
                    // Ends with its shard.
                    tokio::spawn(listener.run());
                }
                tokio::select! {
                    served = sockets.serve(page, tls, Some(doors)) => report("the page", served),
                    served = serve_metrics(metrics) => report("the metrics", served),
                    served = serve_control(control) => report("the control socket", served),
                    () = turn_certificates(&certificates) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread and what it is doing.
    pub fn stop(self) {
        drop(self.stop);
        // A panic of the site has been reported when it happened.
        let _ = self.thread.join();
    }
}

/// Never ends where there are no metrics to serve.
async fn serve_metrics(metrics: Option<(SiteSockets, Metrics)>) -> io::Result<()> {
    match metrics {
        Some((sockets, metrics)) => sockets.serve(metrics, None, None).await,
        None => std::future::pending().await,
    }
}

/// Never ends where no control socket is configured.
async fn serve_control(control: Option<(ControlSocket, Arc<Operator>)>) -> io::Result<()> {
    match control {
        Some((socket, operator)) => socket.serve(operator).await,
        None => std::future::pending().await,
    }
}

fn report(what: &str, served: io::Result<()>) {
    if let Err(error) = served {
        tracing::error!(what, %error, "cannot be served");
    }
}

/// Looks at the age of the certificate once a minute.
async fn turn_certificates(certificates: &CertificateStore) {
    let mut minute = tokio::time::interval(Duration::from_secs(limits::CERTIFICATE_CHECK_S));
    loop {
        minute.tick().await;
        if let Err(error) = certificates.turn(SystemTime::now()) {
            tracing::error!(%error, "no new certificate could be made; the old one stays in use");
        }
    }
}
