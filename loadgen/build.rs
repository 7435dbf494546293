//! Notes what the program was built from, so that a report can say it: the libraries that figures depend on, the
//! compiler, and the commit if there is one.

use std::process::Command;

/// What a figure may depend on.
const LIBRARIES: [&str; 5] = ["quinn-proto", "quinn-udp", "rustls", "aws-lc-rs", "hdrhistogram"];

fn main() {
    println!("cargo:rerun-if-changed=../Cargo.lock");
    println!("cargo:rerun-if-changed=build.rs");
    let lock = std::fs::read_to_string("../Cargo.lock").unwrap_or_default();
    let versions: Vec<String> = LIBRARIES.iter().filter_map(|name| locked(&lock, name)).collect();
    println!("cargo:rustc-env=LOADGEN_LIBRARIES={}", versions.join(", "));
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    println!("cargo:rustc-env=LOADGEN_COMPILER={}", output(&compiler, &["--version"]));
    println!("cargo:rustc-env=LOADGEN_PROFILE={}", std::env::var("PROFILE").unwrap_or_default());
}

/// `name version` of a package, from the lock file.
fn locked(lock: &str, name: &str) -> Option<String> {
    // Of several versions the last is the newest, which this crate uses.
    let (_, rest) = lock.rsplit_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(format!("{name} {}", rest.split('"').next()?))
}

fn output(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output();
    done.map_or(String::new(), |done| String::from_utf8_lossy(&done.stdout).trim().to_string())
}
