//! Whether a certificate chain fits into what QUIC may send before the client's address is proven.
//!
//! RFC 9000, section 8.1: until then a server sends three times what it has received, and a client's first datagram has 1,200 bytes. A
//! handshake that does not fit waits for a round trip more, each time.

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

/// What a server may send to a client whose first flight is one datagram.
const BUDGET_BYTES: usize = 3 * 1_200;
/// Everything in the first flight but certificates and signature: `ServerHello` with an X25519 share (about 120), `EncryptedExtensions` with
/// transport parameters (about 160), Finished (52 with SHA-384), headers of messages and frames, and of three packets with their tags. A client
/// that sends a share of X25519MLKEM768 needs two datagrams for it, which doubles the budget, and gets 1,120 bytes more.
const OTHER_BYTES: usize = 560;
/// Around each certificate: its length, and its empty list of extensions.
const ENTRY_BYTES: usize = 5;

/// By how many bytes the first flight with this certificate exceeds what may be sent; `None` when it fits.
fn excess_bytes(key: &CertifiedKey) -> Option<usize> {
    let chain: usize = key.cert.iter().map(|certificate| certificate.len() + ENTRY_BYTES).sum();
    let flight = OTHER_BYTES + chain + signature_bytes(key) + key.ocsp.as_ref().map_or(0, Vec::len);
    flight.checked_sub(BUDGET_BYTES).filter(|excess| *excess > 0)
}

/// What an operator is told whose chain does not fit.
pub fn excess_warning(key: &CertifiedKey) -> Option<String> {
    let excess = excess_bytes(key)?;
    Some(format!(
        "the certificate chain is {excess} bytes too long for QUIC's first answer, so each connection takes one round trip \
         more; an ECDSA certificate with a short chain, without the root, fits"
    ))
}

/// The longest signature that the key makes.
fn signature_bytes(key: &CertifiedKey) -> usize {
    const SCHEMES: [(SignatureScheme, usize); 4] = [
        (SignatureScheme::ECDSA_NISTP256_SHA256, 72),
        (SignatureScheme::ECDSA_NISTP384_SHA384, 104),
        (SignatureScheme::ED25519, 64),
        // As long as the key, of which 3,072 bits are common and 4,096 not rare.
        (SignatureScheme::RSA_PSS_SHA256, 512),
    ];
    let known = SCHEMES.iter().find(|(scheme, _)| key.key.choose_scheme(&[*scheme]).is_some());
    known.map_or(512, |(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::CertificateStore;

    #[test]
    fn one_small_certificate_fits_and_a_chain_of_large_ones_does_not() {
        let now = std::time::SystemTime::now();
        let one = CertificateStore::self_made(now).expect("a certificate").current();
        assert_eq!(excess_bytes(&one), None);
        let mut many = CertifiedKey::clone(&one);
        while many.cert.iter().map(|certificate| certificate.len()).sum::<usize>() < 4_000 {
            many.cert.push(one.cert[0].clone());
        }
        assert!(excess_bytes(&many).is_some_and(|excess| (1_000..1_600).contains(&excess)));
        let told = excess_warning(&many).expect("a warning");
        assert!(told.contains(" bytes too long for QUIC's first answer"), "{told}");
    }
}
