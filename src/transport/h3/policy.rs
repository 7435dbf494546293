//! Who may open a session: the Origins and the path of this server. Part of step 1.

/// The exact Origins that may open sessions, as browsers write them: `https://example.org`, `http://localhost:8080`.
pub type Origins = Vec<String>;

/// Where sessions are opened in this version of the protocol.
pub const SESSIONS_PATH: &str = "/v1";

/// What requests are checked against; shared by all sessions of a server.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Origins that may open a session. One that is longer than `limits::FIELD_VALUE_BYTES` matches nothing.
    pub origins: Origins,
    /// Whether a request without Origin may: browsers always send one, other programs usually do not.
    pub allow_missing_origin: bool,
    /// The one path of sessions.
    pub path: &'static str,
}

impl Policy {
    /// A policy for `origins` and the path of this protocol version.
    #[must_use]
    pub fn new(origins: Origins, allow_missing_origin: bool) -> Self {
        Self { origins, allow_missing_origin, path: SESSIONS_PATH }
    }

    /// Whether pages of this Origin may open a session.
    #[must_use]
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin)
    }
}
