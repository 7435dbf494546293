//! Every bound in the program, each with its reason and, where it holds memory, its worst case.
//!
//! Bounds are compile-time ceilings. Configuration can tighten some of them, never loosen one.

// ---------------------------------------------------------------------------------------------- frames (steps 2 and 5)

/// Bytes of a frame's header: type and length.
pub const FRAME_HEADER_BYTES: usize = 4;
/// Longest JSON payload of a control frame, in bytes (PROTOCOL.md section 2).
pub const CONTROL_PAYLOAD_BYTES: usize = 4_096;
/// Longest payload of a SIGNAL frame, in bytes.
pub const SIGNAL_PAYLOAD_BYTES: usize = 32_768;
/// Longest payload of a TEXT frame, in bytes.
pub const TEXT_PAYLOAD_BYTES: usize = 8_192;
/// A chunk below this is copied instead of sliced: copying costs less than what a slice would pin of its datagram.
/// Worst case: a slice of 1,024 bytes pins a receive buffer of [`RECEIVE_BUFFER_BYTES`], twice its length.
pub const COPY_BELOW_BYTES: usize = 1_024;
/// What one slice of a received datagram pins at the worst, in bytes: accounting counts this for each.
pub const RECEIVE_BUFFER_BYTES: usize = 2_048;

// ---------------------------------------------------------------------------------------------- core (steps 2 to 6)

/// What the server holds for a stranger who reads slowly, in bytes; past it the sender is not read (PROTOCOL.md section 5).
pub const HOLD_BYTES: usize = 65_536;

// ---------------------------------------------------------------------------------------------- session layer (steps 1 and 6)

/// Longest reason in a close capsule, in bytes (draft-ietf-webtrans-http3, section 6).
pub const CLOSE_REASON_BYTES: usize = 1_024;

// ---------------------------------------------------------------------------------------------- transport (steps 1 and 5)

// ---------------------------------------------------------------------------------------------- site, configuration, operations
