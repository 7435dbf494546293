//! Where the load goes: from options and client-config.json to a checked [`Target`].

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::http::{self, Url};
use crate::net::{Target, Transport};
use crate::options::{Options, source_addresses};
use crate::quic::verify::{CertHash, Trust};
use crate::span::Span;
use crate::tcp::matchbox::PATH;
use crate::wt::session::Request;

/// Highest protocol version that this client speaks.
const PROTOCOL: u32 = 1;
/// Idle timeout that Chromium and Firefox offer.
const BROWSER_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// For a server to take a connection, before the run.
const PATIENCE: Duration = Duration::from_secs(5);
const DEFAULT_SITE: &str = "http://127.0.0.1:8080";
const DEFAULT_MATCHBOX: &str = "http://127.0.0.1:3536";

/// Value of `--transport` for the peer.
const MATCHBOX: &str = "ws-matchbox";

#[derive(Deserialize)]
struct ClientConfig {
    protocol: u32,
    webtransport: WebTransport,
    websocket: Option<WebSocket>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebTransport {
    url: String,
    #[serde(default)]
    server_certificate_hashes: Vec<String>,
}

#[derive(Deserialize)]
struct WebSocket {
    url: String,
}

/// What is known of a server before anybody connects.
struct Found {
    url: Url,
    hashes: Vec<CertHash>,
    origin: Option<String>,
}

/// Finds the server. Errors are sentences that say what to do.
pub fn resolve(options: &Options) -> Result<Target, String> {
    let insecure = options.insecure.unwrap_or(false);
    let found = match options.transport.as_deref() {
        None | Some("wt") => webtransport(options, insecure)?,
        Some("ws") => websocket(options, insecure)?,
        Some(MATCHBOX) => matchbox(options)?,
        Some(other) => return Err(format!("--transport {other} is not known: wt, ws or {MATCHBOX}")),
    };
    let transport = match options.transport.as_deref() {
        Some(MATCHBOX) => Transport::Matchbox,
        Some("ws") => Transport::WebSocket { tls: found.url.https },
        _ => Transport::WebTransport,
    };
    let Found { url, mut hashes, origin } = found;
    if let Some(given) = &options.cert_hash {
        hashes = given.iter().map(|hash| cert_hash(hash)).collect::<Result<_, _>>()?;
    }
    let trust = match () {
        () if insecure => Trust::Anything,
        () if !hashes.is_empty() => Trust::Hashes(hashes),
        () => Trust::System,
    };
    let address = url.resolve()?;
    allow(address, options)?;
    if transport != Transport::WebTransport {
        TcpStream::connect_timeout(&address, PATIENCE)
            .map_err(|error| format!("no server answers at {address}: {error}"))?;
    }
    let span = |span: Span| Duration::from_secs_f64(span.as_seconds());
    Ok(Target {
        transport,
        address,
        server_name: url.host.clone(),
        request: Request {
            authority: url.authority(),
            path: url.path.clone(),
            origin: options.origin.clone().or(origin).unwrap_or_else(|| url.origin()),
        },
        trust,
        sources: sources(options)?,
        idle_timeout: options.idle_timeout.map_or(BROWSER_IDLE_TIMEOUT, span),
        keep_alive: options.keep_alive.map(span),
    })
}

/// Addresses to connect from; each has to be one of this machine, since what is sent from another goes nowhere.
fn sources(options: &Options) -> Result<Vec<IpAddr>, String> {
    let sources = source_addresses(options.source_addr.as_deref().unwrap_or_default())?;
    for source in &sources {
        UdpSocket::bind((*source, 0))
            .map_err(|error| format!("--source-addr: cannot send from {source}: {error}"))?;
    }
    Ok(sources)
}

fn webtransport(options: &Options, insecure: bool) -> Result<Found, String> {
    let found = if let Some(url) = &options.webtransport_url {
        Found { url: Url::parse(url)?, hashes: Vec::new(), origin: None }
    } else {
        let (config, hashes, origin) = ask_site(options, insecure)?;
        Found { url: Url::parse(&config.webtransport.url)?, hashes, origin: Some(origin) }
    };
    if !found.url.https {
        return Err(format!("the WebTransport URL {} has to be https", found.url.origin()));
    }
    Ok(found)
}

fn websocket(options: &Options, insecure: bool) -> Result<Found, String> {
    if let Some(url) = &options.websocket_url {
        return Ok(Found { url: Url::parse(url)?, hashes: Vec::new(), origin: None });
    }
    let (config, hashes, origin) = ask_site(options, insecure)?;
    let url = config.websocket.map(|websocket| websocket.url).ok_or_else(|| {
        format!("the server at {origin} offers no WebSocket: its client-config.json has no \"websocket\"")
    })?;
    Ok(Found { url: Url::parse(&url)?, hashes, origin: Some(origin) })
}

/// A peer without a site and without TLS.
fn matchbox(options: &Options) -> Result<Found, String> {
    let url = Url::parse(options.url.as_deref().unwrap_or(DEFAULT_MATCHBOX))?;
    Ok(Found { url: Url { path: PATH.into(), ..url }, hashes: Vec::new(), origin: Some(String::new()) })
}

/// Reads client-config.json from the site: where to connect, which certificates, and the site's origin.
fn ask_site(options: &Options, insecure: bool) -> Result<(ClientConfig, Vec<CertHash>, String), String> {
    let site = Url::parse(options.url.as_deref().unwrap_or(DEFAULT_SITE))?;
    allow(site.resolve()?, options)?;
    let trust = if insecure { Trust::Anything } else { Trust::System };
    let page =
        Url { path: format!("{}/client-config.json", site.path.trim_end_matches('/')), ..site.clone() };
    let text = http::get(&page, &trust)
        .map_err(|why| format!("{why} (is the server running, is --url its site?)"))?;
    let config: ClientConfig = serde_json::from_slice(&text)
        .map_err(|error| format!("{}{} is not a client-config.json: {error}", site.origin(), page.path))?;
    if config.protocol != PROTOCOL {
        return Err(format!(
            "the server speaks version {} of the protocol and this generator version {PROTOCOL}: use the generator \
             of the server's release",
            config.protocol
        ));
    }
    let hashes = config.webtransport.server_certificate_hashes.iter().map(|hash| cert_hash(hash));
    let hashes = hashes.collect::<Result<_, _>>()?;
    Ok((config, hashes, site.origin()))
}

fn cert_hash(text: &str) -> Result<CertHash, String> {
    let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).unwrap_or_default();
    bytes.try_into().map_err(|_| format!("\"{text}\" is not the base64 of a SHA-256 hash"))
}

fn allow(address: SocketAddr, options: &Options) -> Result<(), String> {
    if address.ip().to_canonical().is_loopback() || options.allow_remote.unwrap_or(false) {
        return Ok(());
    }
    Err(format!(
        "{address} is not this machine: with --allow-remote you say that you are entitled to put load on it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(url: &str) -> Options {
        Options { webtransport_url: Some(url.into()), ..Options::default() }
    }

    #[test]
    fn another_machine_has_to_be_allowed() {
        let remote = direct("https://192.0.2.1:4433/v1");
        assert!(resolve(&remote).unwrap_err().contains("--allow-remote"));
        assert!(resolve(&Options { allow_remote: Some(true), ..remote }).is_ok());
        assert!(resolve(&direct("https://127.9.9.9:4433/v1")).is_ok());
        assert!(resolve(&direct("https://[::ffff:127.0.0.1]:4433/v1")).is_ok());
    }

    #[test]
    fn trust_follows_from_what_is_known_of_the_certificate() {
        let url = direct("https://127.0.0.1:4433/v1");
        assert_eq!(resolve(&url).unwrap().trust, Trust::System);
        assert_eq!(resolve(&Options { insecure: Some(true), ..url.clone() }).unwrap().trust, Trust::Anything);
        let hash = STANDARD.encode([7; 32]);
        let pinned = resolve(&Options { cert_hash: Some(vec![hash]), ..url.clone() }).unwrap();
        assert_eq!(pinned.trust, Trust::Hashes(vec![[7; 32]]));
        let short = Options { cert_hash: Some(vec!["AAAA".into()]), ..url };
        assert!(resolve(&short).unwrap_err().contains("SHA-256"));
    }

    #[test]
    fn a_websocket_url_says_by_its_scheme_whether_there_is_tls() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for (scheme, tls, origin) in [("ws", false, "http"), ("wss", true, "https")] {
            let options = Options {
                websocket_url: Some(format!("{scheme}://127.0.0.1:{port}/v1")),
                transport: Some("ws".into()),
                ..Options::default()
            };
            let target = resolve(&options).unwrap();
            assert_eq!(target.transport, Transport::WebSocket { tls });
            assert_eq!(target.request.origin, format!("{origin}://127.0.0.1:{port}"));
        }
        let unknown = Options { transport: Some("carrier pigeon".into()), ..Options::default() };
        assert!(resolve(&unknown).unwrap_err().contains("wt, ws or ws-matchbox"));
    }

    #[test]
    fn no_server_is_said_plainly() {
        // Port 9 (discard) of a loopback address that nothing listens on.
        let options = Options { url: Some("http://127.254.254.254:9".into()), ..Options::default() };
        let error = resolve(&options).unwrap_err();
        assert!(error.contains("no server answers") && error.contains("--url"), "{error}");
    }
}
