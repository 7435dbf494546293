//! The server as its operator runs it: under a service manager, through upgrades, and when it is full.

#[path = "../support/http.rs"]
mod http;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/mod.rs"]
mod support;

mod coturn;
mod deploy;
mod doctor;
mod full;
mod monitor;
mod relay;
mod service;
mod sockets;
mod upgrade;
