//! From a request's head to an answer: a function without sockets.
//!
//! In: method, path and headers. Out: a file of the page, client-config.json, or a refusal. Bodies are never read, nothing
//! is logged, and no header beside those named here is looked at.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::assets::{self, Asset};
use super::headers::SecurityHeaders;
use super::policy::Notice;
use super::{Answer, PolicyNow, Respond, TrustedProxies, websocket};
use crate::calendar::Date;
use crate::ops::log::events;
use crate::ops::{Counters, ServerState};
use crate::privacy::{PeerAddress, Prefixes};
use crate::tls::CertificateStore;
use crate::transport::h3::SESSIONS_PATH;

/// Where a page learns where to connect.
const CLIENT_CONFIG: &str = "/client-config.json";
/// Where a supervisor learns whether the server lives.
const HEALTH: &str = "/healthz";
/// Where a load balancer learns whether newcomers are let in.
const READINESS: &str = "/readyz";

/// The privacy policy, by its name and by that of its template.
const POLICY: &str = "/privacy";
const POLICY_FILE: &str = "/privacy.html";
/// What people are told whom the operator does not serve (RFC 7725).
const NOT_SERVED: &str = "This site is not offered in the country that your address belongs to. \
                          The privacy policy, at /privacy, says more and whom to ask.\n";

/// What the site says and to whom.
#[derive(Debug)]
pub struct SiteConfig {
    /// Names by which the site may be asked for, without port: a page of another name that an attacker points at this
    /// address (DNS rebinding) gets nothing.
    pub hosts: Vec<String>,
    /// Where browsers connect to, as `https://HOST:PORT`.
    pub webtransport_origin: String,
    /// Who may open a WebSocket; `None` where that fallback is not served.
    pub websocket: Option<PolicyNow>,
    /// The ranges of addresses from which nobody is served.
    pub not_served: Option<Arc<Prefixes>>,
    /// The privacy policy, rendered.
    pub policy: Bytes,
    /// What the first page says of a change of it.
    pub notice: Option<Notice>,
    /// Whose word about clients is taken.
    pub proxies: TrustedProxies,
    /// Whose hashes client-config.json lists.
    pub certificates: Arc<CertificateStore>,
    /// Where the number of people and the state of the server come from.
    pub counters: Arc<Counters>,
    /// Whether browsers reach the site over TLS: its own, or that of a proxy in front.
    pub https: bool,
}

/// The page as a function.
#[derive(Debug)]
pub struct Page {
    config: SiteConfig,
    security: SecurityHeaders,
}

impl Respond for Page {
    fn respond<B>(&self, request: &Request<B>) -> Answer {
        let mut answer = match request.uri().path() {
            // Asked for by programs, at whatever address they know the server by.
            HEALTH => self.health(),
            READINESS => self.readiness(),
            _ => refusal(request, &self.config.hosts).unwrap_or_else(|| self.answer(request)),
        };
        self.finish(request, &mut answer);
        answer
    }

    fn client(&self, peer: &PeerAddress, headers: &HeaderMap) -> PeerAddress {
        self.config.proxies.client(peer, headers)
    }

    fn serves(&self, address: &PeerAddress) -> bool {
        !self.config.not_served.as_ref().is_some_and(|prefixes| prefixes.contain(address))
    }

    /// Tells why, and the policy with who can be asked.
    fn turn_away<B>(&self, request: &Request<B>) -> Answer {
        let path = request.uri().path();
        let mut answer = if path == POLICY || is_dressing(path) {
            refusal(request, &self.config.hosts).unwrap_or_else(|| self.answer(request))
        } else {
            plain(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, NOT_SERVED)
        };
        self.finish(request, &mut answer);
        answer
    }
}

impl Page {
    /// What is on every answer; and, where that is switched on, a line about it.
    fn finish<B>(&self, request: &Request<B>, answer: &mut Answer) {
        let headers = answer.headers_mut();
        self.security.apply(headers);
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if events::access_is_on() {
            let (method, path) = (own_method(request.method()), own_path(request.uri().path()));
            events::access(method, path, answer.status().as_u16());
        }
    }

    /// The page and its companions.
    pub fn new(config: SiteConfig) -> Self {
        let security = SecurityHeaders::new(&config.webtransport_origin, config.https);
        Self { config, security }
    }

    fn answer<B>(&self, request: &Request<B>) -> Answer {
        match request.uri().path() {
            CLIENT_CONFIG => self.client_config(request.headers()),
            SESSIONS_PATH => self.websocket(request),
            POLICY | POLICY_FILE => html(self.config.policy.clone()),
            path => match Asset::find(path) {
                Some(asset) => file(asset, request.headers(), StatusCode::OK),
                None => not_found(request.headers()),
            },
        }
    }

    /// PROTOCOL.md section 1. No CORS header: pages of other origins have no business here, and programs need none.
    fn client_config(&self, asked: &HeaderMap) -> Answer {
        let Self { config, .. } = self;
        let mut webtransport = serde_json::json!({ "url": format!("{}/v1", config.webtransport_origin) });
        let hashes: Vec<String> =
            config.certificates.hashes().iter().map(|hash| STANDARD.encode(hash)).collect();
        if !hashes.is_empty() {
            webtransport["serverCertificateHashes"] = hashes.into();
        }
        let levers = config.counters.levers();
        let mut body = serde_json::json!({
            "protocol": 1,
            "online": config.counters.online_rounded(),
            "state": config.counters.state().as_str(),
            "paused": levers.paused_names(),
            "webtransport": webtransport,
        });
        if let (Some(_), Some(host)) = (&config.websocket, host(asked)) {
            // By the name under which the page was asked for: a page may only connect to where it came from.
            let scheme = if config.https { "wss" } else { "ws" };
            body["websocket"] = serde_json::json!({ "url": format!("{scheme}://{host}{SESSIONS_PATH}") });
        }
        let today = Date::of(SystemTime::now());
        if let Some(notice) = config.notice.as_ref().filter(|notice| notice.is_shown_on(today)) {
            body["policy_changed"] = notice.changed.to_string().into();
            if let Some(what) = notice.what {
                body["policy_notice"] = what.into();
            }
        }
        if let Some(message) = levers.message() {
            body["message"] = (*message).into();
        }
        with_type(StatusCode::OK, "application/json", Bytes::from(body.to_string()))
    }

    fn websocket<B>(&self, request: &Request<B>) -> Answer {
        match &self.config.websocket {
            Some(policy) => websocket::answer(request, &(policy.0)()),
            None => not_found(request.headers()),
        }
    }

    /// For a supervisor: the process is alive, and in which state.
    fn health(&self) -> Answer {
        plain(StatusCode::OK, self.config.counters.state().as_str())
    }

    /// For a load balancer: whether newcomers should be sent here.
    fn readiness(&self) -> Answer {
        let state = self.config.counters.state();
        if self.config.certificates.is_stopgap() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "no certificate yet");
        }
        let open = state == ServerState::Open;
        plain(if open { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, state.as_str())
    }
}

/// What every listener refuses, whatever the path: another name, a body, a method that changes things.
pub(super) fn refusal<B>(request: &Request<B>, hosts: &[String]) -> Option<Answer> {
    if !is_for(request, hosts) {
        return Some(plain(StatusCode::MISDIRECTED_REQUEST, "This server does not answer to that name.\n"));
    }
    if has_body(request.headers()) {
        let mut answer = plain(StatusCode::PAYLOAD_TOO_LARGE, "Nothing here takes a body.\n");
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return Some(answer);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(answer);
    }
    None
}

fn is_for<B>(request: &Request<B>, hosts: &[String]) -> bool {
    let Some(host) = host(request.headers()) else { return false };
    let target = request.uri().authority().map_or(host, hyper::http::uri::Authority::as_str);
    [host, target].iter().all(|name| {
        let name = without_port(name);
        hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    })
}

/// The one Host that a request names.
fn host(asked: &HeaderMap) -> Option<&str> {
    let mut named = asked.get_all(header::HOST).iter();
    let host = named.next().and_then(|host| host.to_str().ok());
    host.filter(|_| named.next().is_none())
}

fn file(asset: &'static Asset, asked: &HeaderMap, status: StatusCode) -> Answer {
    let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let form = asset.form(text(header::ACCEPT_ENCODING));
    let known = status == StatusCode::OK && assets::matches(text(header::IF_NONE_MATCH), &form.etag);
    let mut answer = if known {
        let mut answer = Response::new(Full::new(Bytes::new()));
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        with_type(status, asset.mime, Bytes::from_static(form.bytes))
    };
    let headers = answer.headers_mut();
    if let (Some(encoding), false) = (form.encoding, known) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(etag) = HeaderValue::from_str(&form.etag) {
        headers.insert(header::ETAG, etag);
    }
    // A page is not kept, so that Back on a shared computer shows no transcript. Scripts and styles hold nothing
    // of a person: they are kept, and asked about again with their tag.
    let caching = if asset.is_page() { "no-store" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    answer
}

/// Whether a path is what every page looks like, rather than the app.
fn is_dressing(path: &str) -> bool {
    !path.starts_with("/src/") && Asset::find(path).is_some_and(|asset| asset.path != "/index.html")
}

/// A method in words of this program: what a client made up is not written down.
fn own_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        _ => "another method",
    }
}

/// The path if it is one of the site's own, in words of this program.
fn own_path(path: &str) -> &'static str {
    let documents = [CLIENT_CONFIG, HEALTH, READINESS, SESSIONS_PATH];
    let document = documents.into_iter().find(|own| *own == path);
    document.or_else(|| Asset::find(path).map(|asset| asset.path)).unwrap_or("another path")
}

/// A page that is not among the files.
fn html(page: Bytes) -> Answer {
    with_type(StatusCode::OK, "text/html; charset=utf-8", page)
}

fn not_found(asked: &HeaderMap) -> Answer {
    match Asset::find("/404") {
        Some(page) => file(page, asked, StatusCode::NOT_FOUND),
        None => plain(StatusCode::NOT_FOUND, "There is nothing here.\n"),
    }
}

pub(super) fn plain(status: StatusCode, text: &'static str) -> Answer {
    with_type(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

pub(super) fn with_type(status: StatusCode, mime: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    answer
}

fn has_body(headers: &HeaderMap) -> bool {
    let announced = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    announced || headers.contains_key(header::TRANSFER_ENCODING)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        Page::new(SiteConfig {
            hosts: vec!["localhost".into(), "127.0.0.1".into(), "[::1]".into()],
            webtransport_origin: "https://127.0.0.1:4433".into(),
            websocket: None,
            proxies: crate::config::Config::default().proxies,
            not_served: None,
            policy: Bytes::new(),
            notice: None,
            certificates: Arc::new(
                CertificateStore::self_made(std::time::SystemTime::now()).expect("a certificate"),
            ),
            counters: Arc::new(Counters::new(1, 100)),
            https: false,
        })
    }

    fn asked(method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        page().respond(&request.body(()).expect("a request"))
    }

    #[test]
    fn another_name_that_points_here_gets_nothing() {
        let status = |host| asked("GET", "/client-config.json", &[("host", host)]).status();
        for host in ["localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"] {
            assert_eq!(status(host), StatusCode::OK, "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080", "", "localhost:8080:1"]
        {
            assert_eq!(status(host), StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
        let twice = asked("GET", "/", &[("host", "localhost"), ("host", "evil.example")]);
        assert_eq!(twice.status(), StatusCode::MISDIRECTED_REQUEST);
        assert_eq!(asked("GET", "/", &[]).status(), StatusCode::MISDIRECTED_REQUEST);
        let absolute = asked("GET", "http://evil.example/", &[("host", "localhost")]);
        assert_eq!(absolute.status(), StatusCode::MISDIRECTED_REQUEST);
    }

    #[test]
    fn bodies_and_other_methods_are_refused() {
        let post = asked("POST", "/", &[("host", "localhost")]);
        assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(post.headers()["allow"], "GET, HEAD");
        let body = asked("GET", "/", &[("host", "localhost"), ("content-length", "5")]);
        assert_eq!(body.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let chunked = asked("GET", "/", &[("host", "localhost"), ("transfer-encoding", "chunked")]);
        assert_eq!(chunked.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn every_answer_carries_the_security_headers_and_no_cookie() {
        for path in ["/", "/nothing", "/client-config.json", "/healthz", "/SHA256SUMS"] {
            for host in ["localhost", "evil.example"] {
                let answer = asked("GET", path, &[("host", host)]);
                let headers = answer.headers();
                assert!(headers.contains_key("content-security-policy"), "{path}");
                assert_eq!(headers["referrer-policy"], "no-referrer");
                assert!(headers.contains_key("cache-control"));
                assert!(!headers.contains_key("set-cookie"));
            }
        }
    }
}
