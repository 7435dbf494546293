//! Step 1 of 6 for browsers without WebTransport and networks without UDP: the same channel over a WebSocket (PROTOCOL.md section 9).
//!
//! In: a request for `/v1` on the site's port. Out: a pipe to a shard ([`crate::transport::pipe`]), and a task that carries bytes both ways
//! until either side ends. Whoever may connect over WebTransport may connect here, and nobody else.

mod carry;
mod frame;

use std::sync::Arc;

use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::Answer;
use super::respond::plain;
use crate::transport::h3::Policy;

pub(super) use carry::carry;

/// Who may open a session at the moment.
pub struct PolicyNow(pub Box<dyn Fn() -> Arc<Policy> + Send + Sync>);

impl std::fmt::Debug for PolicyNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PolicyNow")
    }
}

/// Answers a request for the path of sessions: 101, or why not.
pub(super) fn answer<B>(request: &Request<B>, policy: &Policy) -> Answer {
    let mut origins = request.headers().get_all(header::ORIGIN).iter();
    let allowed = match (origins.next(), origins.next()) {
        (None, _) => policy.allow_missing_origin,
        (Some(origin), None) => policy.allows(origin.as_bytes()),
        (Some(_), Some(_)) => false,
    };
    if !allowed {
        return plain(StatusCode::FORBIDDEN, "Pages of this origin may not connect.\n");
    }
    if !request.headers().contains_key(header::UPGRADE) {
        return refusal(StatusCode::UPGRADE_REQUIRED, "Here is a WebSocket.\n");
    }
    match tungstenite::handshake::server::create_response_with_body(request, || ()) {
        Ok(response) => Response::from_parts(response.into_parts().0, http_body_util::Full::default()),
        Err(_) => refusal(StatusCode::BAD_REQUEST, "This is not the handshake of a WebSocket, version 13.\n"),
    }
}

/// A refusal that says what would be right (RFC 6455, section 4.4).
fn refusal(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = plain(status, text);
    let headers = answer.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    answer
}
