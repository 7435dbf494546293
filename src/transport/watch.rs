//! Steps 1 and 6: what an operator who looks for a fault sees of connections.
//!
//! Only of connections that begin while somebody looks, under numbers that are made up for it (`ops::log::events`). Else
//! this costs one look at a number when a connection begins.

use quinn_proto::ConnectionError;

use crate::ops::log::events;

/// Says that a connection was not let in.
pub(super) fn tell_refused(why: &'static str) {
    if events::watched() {
        events::connection(0, why, None);
    }
}

/// How a connection ended, in words of this program, and the code of whoever ended it.
pub(super) fn ending(error: &ConnectionError) -> (&'static str, Option<u64>) {
    match error {
        ConnectionError::ApplicationClosed(close) => ("ended by the client", Some(close.error_code.into())),
        ConnectionError::ConnectionClosed(close) => {
            ("ended by the client's QUIC", Some(close.error_code.into()))
        }
        ConnectionError::TransportError(error) => ("the client broke QUIC", Some(error.code.into())),
        ConnectionError::Reset => ("reset by the client", None),
        ConnectionError::TimedOut => ("silent for too long", None),
        ConnectionError::LocallyClosed => ("ended by the server", None),
        _ => ("ended", None),
    }
}
