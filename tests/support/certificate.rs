//! A certificate as an operator would have one.

use std::path::Path;

use anoncam::config::CertificateFiles;
use base64::Engine as _;
use rustls::pki_types::CertificateDer;

/// Where the files lie.
pub fn files(directory: &Path) -> CertificateFiles {
    CertificateFiles { cert: directory.join("cert.pem"), key: directory.join("key.pem") }
}

/// Puts a new certificate for `name` into the files; returns it.
pub fn issue(files: &CertificateFiles, name: &str) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    let pem = |label: &str, der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    std::fs::write(&files.cert, pem("CERTIFICATE", made.cert.der())).expect("a file");
    std::fs::write(&files.key, pem("PRIVATE KEY", &made.signing_key.serialize_der())).expect("a file");
    made.cert.der().clone()
}
