//! The thread of everything that is not a shard: the site, and the clockwork of the certificates.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{oneshot, watch};

use super::operator::Operator;
use crate::limits;
use crate::ops::control::ControlSocket;
use crate::privacy::wipe_dead_frames;
use crate::site::{Metrics, Page, Redirect, SiteSockets};
use crate::tls::CertificateStore;
use crate::tls::acme::{self, Acme};
use crate::transport::pipe::{Doors, Listener};

/// What the thread serves and looks after.
pub(super) struct SiteParts {
    pub page: (SiteSockets, Page, Option<Arc<rustls::ServerConfig>>),
    /// The way of WebSockets to the shards.
    pub doors: (Doors, Vec<Listener>),
    pub redirect: Option<(SiteSockets, Redirect)>,
    pub metrics: Option<(SiteSockets, Metrics)>,
    pub control: Option<(ControlSocket, Arc<Operator>)>,
    pub certificates: Arc<CertificateStore>,
    pub acme: Option<Acme>,
    /// How often it wipes what its stack still shows of visitors.
    pub forget: Duration,
}

/// A thread that serves until it is stopped or dropped.
pub(super) struct SiteThread {
    /// Its end is the order to begin.
    begin: Option<oneshot::Sender<()>>,
    /// Its end is the order to stop.
    stop: oneshot::Sender<()>,
    /// Whether a newer process accepts connections instead.
    resting: watch::Sender<bool>,
    /// Whether it rests and the last connection is over.
    rested: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl SiteThread {
    /// Prepares everything and waits for [`SiteThread::begin`].
    pub fn start(mut parts: SiteParts) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (begin, begun) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let (resting, rests) = watch::channel(false);
        let rested = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&rested);
        let certificates = Arc::clone(&parts.certificates);
        let acme = parts.acme.take();
        let thread = std::thread::Builder::new().name("site".to_owned()).spawn(move || {
            runtime.block_on(async {
                for listener in std::mem::take(&mut parts.doors.1) {
                    // Ends with its shard.
                    tokio::spawn(listener.run());
                }
                tokio::spawn(forget_visitors(parts.forget));
                if let Some(acme) = acme {
                    tokio::spawn(acme::renew(acme, Arc::clone(&certificates)));
                }
                let serving = async {
                    // Its end, however it comes.
                    let _ = begun.await;
                    serve(parts, rests).await;
                    done.store(true, Relaxed);
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = serving => {}
                    () = turn_certificates(&certificates) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { begin: Some(begin), stop, resting, rested, thread })
    }

    /// Begins to serve.
    pub fn begin(&mut self) {
        self.begin = None;
    }

    /// Accepts no more connections: a newer process does. Those that there are go on.
    pub fn rest(&self) {
        self.resting.send_replace(true);
    }

    /// After [`SiteThread::rest`]: gives its connections a moment to end, and stops.
    pub fn finish(self) {
        // Whoever takes longer asks again, and the newer process answers.
        let deadline = Instant::now() + Duration::from_secs(limits::SITE_FINISH_S);
        while !self.rested.load(Relaxed) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.stop();
    }

    /// Ends the thread and what it is doing.
    pub fn stop(self) {
        drop(self.stop);
        // A panic of the site has been reported when it happened.
        let _ = self.thread.join();
    }
}

/// Serves all there is. Each part ends when the thread rests and its connections are over.
async fn serve(parts: SiteParts, rests: watch::Receiver<bool>) {
    let SiteParts { page: (sockets, page, tls), doors: (doors, _), redirect, metrics, control, .. } = parts;
    let page = async { report("the page", sockets.serve(page, tls, Some(doors), rests.clone()).await) };
    let redirect = async {
        if let Some((sockets, redirect)) = redirect {
            report("the redirect", sockets.serve(redirect, None, None, rests.clone()).await);
        }
    };
    let metrics = async {
        if let Some((sockets, metrics)) = metrics {
            report("the metrics", sockets.serve(metrics, None, None, rests.clone()).await);
        }
    };
    let control = async {
        if let Some((socket, operator)) = control {
            report("the control socket", socket.serve(operator, rests.clone()).await);
        }
    };
    tokio::join!(page, redirect, metrics, control);
}

fn report(what: &str, served: io::Result<()>) {
    if let Err(error) = served {
        tracing::error!(what, %error, "cannot be served");
    }
}

/// Wipes the dead frames of the other tasks, which run at the same depth. What they keep on the heap is wiped when it is freed.
async fn forget_visitors(every: Duration) {
    let mut round = tokio::time::interval(every);
    loop {
        round.tick().await;
        wipe_dead_frames();
    }
}

/// Looks at the certificate every few seconds: whether the operator's has changed, or a self-made one is old.
async fn turn_certificates(certificates: &CertificateStore) {
    let mut look = tokio::time::interval(Duration::from_secs(limits::CERTIFICATE_CHECK_S));
    loop {
        look.tick().await;
        match certificates.watch() {
            Ok(true) => {
                tracing::info!("the certificate has changed and was read again");
                if let Some(warning) = certificates.warning() {
                    tracing::warn!("{warning}");
                }
            }
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "the certificate has changed and cannot be used; the old one stays");
            }
        }
        if let Err(error) = certificates.turn(SystemTime::now()) {
            tracing::error!(%error, "no new certificate could be made; the old one stays in use");
        }
    }
}
