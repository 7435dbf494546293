//! Rules of RFC 9114.
