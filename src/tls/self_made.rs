//! The certificate that a development server makes for itself.
//!
//! Browsers accept it by its hash (`serverCertificateHashes`), if it is ECDSA on P-256 and good for at most 14 days.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::limits;

/// A self-made certificate, its hash, and how long it is good.
#[derive(Clone, Debug)]
pub struct SelfMade {
    pub(super) key: Arc<CertifiedKey>,
    /// SHA-256 of the DER certificate.
    pub hash: [u8; 32],
    /// When it was made.
    pub made: SystemTime,
    /// The moment after which no client accepts it.
    pub expires: SystemTime,
}

impl SelfMade {
    /// Makes a certificate for localhost, good from an hour before `now` for ten days.
    pub fn new(now: SystemTime) -> Result<Self, rcgen::Error> {
        let expires = now + Duration::from_secs(limits::SELF_MADE_CERTIFICATE_S);
        let begins = now - Duration::from_secs(limits::SELF_MADE_CERTIFICATE_BACKDATED_S);
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.not_before = begins.into();
        params.not_after = expires.into();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "AnonCam development");
        params.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into()?),
            SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
            SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()),
        ];
        let certificate = params.self_signed(&pair)?;
        // rustls owns the one copy of the key from here on. The copies on the way are wiped as they are freed, by
        // the allocator (privacy::wipe) and by aws-lc, which clears what it frees.
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let signing = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&private)
            .map_err(|_| rcgen::Error::KeyGenerationUnavailable)?;
        let mut hash = [0; 32];
        hash.copy_from_slice(
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der()).as_ref(),
        );
        let key = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing));
        Ok(Self { key, hash, made: now, expires })
    }
}
