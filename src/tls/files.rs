//! The operator's certificate: read from PEM files, checked against its key.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::crypto_provider;
use crate::config::CertificateFiles;
use crate::limits;

/// Why a certificate cannot be served, in words for the operator.
#[derive(Debug)]
pub struct CertificateError {
    about_key: bool,
    message: String,
}

impl CertificateError {
    /// Whether the key's file is at fault rather than the certificate's.
    pub fn is_about_key(&self) -> bool {
        self.about_key
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CertificateError {}

/// Reads both files and checks that they belong together.
pub fn load_certificate(files: &CertificateFiles) -> Result<CertifiedKey, CertificateError> {
    let cert_error = |message: String| CertificateError { about_key: false, message };
    let key_error = |message: String| CertificateError { about_key: true, message };
    let (cert, key) = (files.cert.display(), files.key.display());

    let pem = read(&files.cert).map_err(cert_error)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| cert_error(format!("{cert} is not a PEM file with certificates")))?;
    if chain.is_empty() {
        return Err(cert_error(format!("{cert} holds no certificate, it should hold the chain as PEM")));
    }
    let pem = read(&files.key).map_err(key_error)?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        key_error(format!("{key} holds no private key, it should hold one as PEM without a passphrase"))
    })?;
    let signing = crypto_provider(false).key_provider.load_private_key(private).map_err(|_| {
        key_error(format!("{key} is not a key that can sign, allowed are ECDSA, RSA and Ed25519"))
    })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(key_error(format!("{key} is not the key of the certificate in {cert}")))
        }
        Err(_) => Err(cert_error(format!("{cert} does not hold a valid certificate"))),
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(limits::PEM_FILE_BYTES).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(bytes)
}

/// What tells one version of the files from the next without reading them: moment of change, length and inode of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Version([Option<(SystemTime, u64, u64)>; 2]);

impl Version {
    /// Of the files as they are now.
    pub fn of(files: &CertificateFiles) -> Self {
        Self([&files.cert, &files.key].map(|path| {
            let data = std::fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len(), data.ino()))
        }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn pem(label: &str, der: &[u8]) -> String {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    fn written(directory: &Path, name: &str, cert: &str, key: &str) -> CertificateFiles {
        let files = CertificateFiles {
            cert: directory.join(format!("{name}.cert.pem")),
            key: directory.join(format!("{name}.key.pem")),
        };
        std::fs::write(&files.cert, cert).expect("a temporary file");
        std::fs::write(&files.key, key).expect("a temporary file");
        files
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["chat.example".into()]).expect("a certificate");
        (pem("CERTIFICATE", made.cert.der()), pem("PRIVATE KEY", &made.signing_key.serialize_der()))
    }

    #[test]
    fn a_pair_that_belongs_together_is_taken() {
        let directory = tempfile::tempdir().expect("a directory");
        let (cert, key) = pair();
        let loaded = load_certificate(&written(directory.path(), "right", &cert, &key)).expect("a match");
        assert_eq!(loaded.cert.len(), 1);
    }

    #[test]
    fn each_way_to_be_wrong_says_which_file_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let ((cert, key), (_, other)) = (pair(), pair());
        let wrong = |name: &str, cert: &str, key: &str| {
            let error = load_certificate(&written(directory.path(), name, cert, key)).expect_err("a refusal");
            (error.is_about_key(), error.to_string())
        };
        let (about_key, message) = wrong("stranger", &cert, &other);
        assert!(about_key && message.contains("is not the key of the certificate"), "{message}");
        let (about_key, message) = wrong("empty", "", &key);
        assert!(!about_key && message.contains("holds no certificate"), "{message}");
        let (about_key, message) = wrong("no-key", &cert, &cert);
        assert!(about_key && message.contains("holds no private key"), "{message}");
        let missing = CertificateFiles { cert: "/nowhere/cert.pem".into(), key: "/nowhere/key.pem".into() };
        let message = load_certificate(&missing).expect_err("a refusal").to_string();
        assert!(message.starts_with("cannot read /nowhere/cert.pem"), "{message}");
    }
}
