//! The security headers of every answer.
//!
//! A page of this site runs its own scripts and nothing else, talks to its own server and nobody else, and uses camera,
//! microphone and loudspeaker and no other ability of the machine.

use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};

/// Abilities that the page uses.
const ALLOWED: [&str; 7] = [
    "autoplay",
    "camera",
    "fullscreen",
    "microphone",
    "picture-in-picture",
    "screen-wake-lock",
    "speaker-selection",
];

/// Abilities that are switched off: what could follow a person, sense the room, or ask for money.
const DENIED: [&str; 25] = [
    "accelerometer",
    "browsing-topics",
    "clipboard-read",
    "clipboard-write",
    "display-capture",
    "encrypted-media",
    "gamepad",
    "geolocation",
    "gyroscope",
    "hid",
    "identity-credentials-get",
    "idle-detection",
    "keyboard-map",
    "local-fonts",
    "magnetometer",
    "midi",
    "otp-credentials",
    "payment",
    "publickey-credentials-create",
    "publickey-credentials-get",
    "serial",
    "storage-access",
    "usb",
    "window-management",
    "xr-spatial-tracking",
];

/// The headers of every answer, made once at the start.
#[derive(Clone, Debug)]
pub(super) struct SecurityHeaders(Vec<(HeaderName, HeaderValue)>);

impl SecurityHeaders {
    /// Headers for a page that connects to `webtransport_origin`; with `https`, browsers are told to stay with it.
    pub fn new(webtransport_origin: &str, https: bool) -> Self {
        let policy = content_security_policy(webtransport_origin);
        let permissions = permissions_policy();
        let mut all = vec![
            (header::CONTENT_SECURITY_POLICY, value(&policy)),
            (HeaderName::from_static("permissions-policy"), value(&permissions)),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
            (
                HeaderName::from_static("cross-origin-embedder-policy"),
                HeaderValue::from_static("require-corp"),
            ),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                HeaderValue::from_static("same-origin"),
            ),
            (HeaderName::from_static("origin-agent-cluster"), HeaderValue::from_static("?1")),
        ];
        if https {
            all.push((header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000")));
        }
        Self(all)
    }

    /// Puts them on an answer.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            headers.insert(name, value.clone());
        }
    }
}

fn content_security_policy(webtransport_origin: &str) -> String {
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        &format!("connect-src 'self' {webtransport_origin}"),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        // No string becomes markup or code: a message of a stranger cannot run, whatever else goes wrong. The one
        // policy vouches for one address, that of the worker in client-js/src/work.js.
        "require-trusted-types-for 'script'",
        "trusted-types anoncam-work",
    ]
    .join("; ")
}

fn permissions_policy() -> String {
    let allowed = ALLOWED.iter().map(|name| format!("{name}=(self)"));
    let denied = DENIED.iter().map(|name| format!("{name}=()"));
    allowed.chain(denied).collect::<Vec<_>>().join(", ")
}

/// The policies are made of constants and of an origin that the configuration has checked to be plain ASCII.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}
