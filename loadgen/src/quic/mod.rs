//! QUIC from the client's side: quinn-proto driven directly, few sockets, little memory a connection.

mod cold;
pub mod conn;
pub mod crypto;
pub mod net;
pub mod pages;
pub mod socket;
pub mod verify;
pub mod wheel;
