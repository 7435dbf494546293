//! The baseline: the same core behind three stacks that anybody would reach for, so that every claim can be run.
//!
//! `anoncam-baseline --stack h3|web-transport-quinn|wtransport --listen ADDR --site ADDR`
//!
//! - `h3`: quinn, h3 and h3-webtransport, the stack first named for this project and the measure to beat
//! - `web-transport-quinn` and `wtransport`: the two others that work in browsers
//!
//! A task for each connection, the core behind a mutex, one thread: as few lines as it takes. Certificate, ciphers, windows
//! and the number of streams are the server's own; the allocator is mimalloc without the server's wiping. Left out, because
//! the measurements do not need it: the Origin check, probes in a chat, shedding, Retry, drain.
//!
//! What h3-webtransport 0.1.2 on h3 0.0.8 cannot do, with whatever server around it:
//!
//! - accept a session whose CONNECT is read before the client's SETTINGS: it refuses the connection, 2 to 4 % under load
//! - close a session with a code and a reason, or tell that the client closed one: the CONNECT stream is out of reach.
//!   Here the connection is dropped instead, and codes 1 to 8 of the protocol do not reach the client
//! - accept a session while one silent stream waits for its first frame (hyperium/h3 issue 348)
//! - serve Safari, which needs a later draft's settings (hyperium/h3 issue 347)
//! - bound its memory: h3 buffers any frame but DATA whole, so 32 MiB sent on one stream are 37 to 46 MiB in the server

mod channel;
mod hub;
mod site;
mod stacks;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use anoncam::tls::CertificateStore;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str =
    "usage: anoncam-baseline --stack h3|web-transport-quinn|wtransport --listen ADDR --site ADDR";

struct Arguments {
    stack: String,
    listen: SocketAddr,
    site: SocketAddr,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut parsed = Arguments {
        stack: String::new(),
        listen: ([127, 0, 0, 1], 4434).into(),
        site: ([127, 0, 0, 1], 8081).into(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(flag) = given.next() {
        let value = given.next().ok_or(USAGE)?;
        match flag.as_str() {
            "--stack" => parsed.stack = value,
            "--listen" => parsed.listen = value.parse()?,
            "--site" => parsed.site = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(parsed)
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "whoever started it reads the ports from here")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let store = Arc::new(CertificateStore::self_made(SystemTime::now())?);
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let hub = Arc::new(hub::Hub::new(seed));
    let site = tokio::net::TcpListener::bind(arguments.site).await?;
    let config = stacks::server_config(Arc::clone(&store))?;
    let (listen, serving) = stacks::start(&arguments.stack, arguments.listen, config, Arc::clone(&hub))?;
    println!("webtransport https://{listen}/v1");
    println!("site http://{}", site.local_addr()?);
    tokio::spawn(site::serve(site, site::client_config(listen, &store.hashes())));
    tokio::spawn(async move { hub.run_timers().await });
    serving.await;
    Ok(())
}
