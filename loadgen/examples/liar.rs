//! The server that lies, to try the generator on: `cargo run --release -p anoncam-loadgen --example liar`.
//!
//! Prints the URL of its site and tells the truth until it is stopped.

#[path = "../tests/liar/mod.rs"]
mod liar;

use std::io::Write;

fn main() {
    let server = liar::Liar::start(liar::Lies::default());
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{}", server.url()).and_then(|()| out.flush());
    loop {
        std::thread::park();
    }
}
