//! The certificate that a development server makes for itself.
//!
//! Browsers accept it by its hash (`serverCertificateHashes`), if it is ECDSA on P-256 and good for at most 14 days.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::limits;
use crate::privacy::Hidden;

/// What a [`SelfMade`] certificate is made of, for a process that takes over: pages know it by its hash.
#[derive(Clone, Debug)]
pub struct SelfMadeParts {
    /// In DER.
    pub certificate: Vec<u8>,
    /// In PKCS #8.
    pub private_key: Hidden<Vec<u8>>,
    /// When it was made.
    pub made: SystemTime,
}

/// A self-made certificate, its hash, and how long it is good.
#[derive(Clone, Debug)]
pub struct SelfMade {
    pub(super) key: Arc<CertifiedKey>,
    private_key: Hidden<Vec<u8>>,
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
        let certificate = params.self_signed(&pair)?.der().to_vec();
        Self::from_parts(SelfMadeParts {
            certificate,
            private_key: Hidden::new(pair.serialize_der()),
            made: now,
        })
    }

    /// The certificate that another process made.
    pub fn from_parts(parts: SelfMadeParts) -> Result<Self, rcgen::Error> {
        let SelfMadeParts { certificate, private_key, made } = parts;
        let expires = made + Duration::from_secs(limits::SELF_MADE_CERTIFICATE_S);
        // The copies on the way are wiped as they are freed, by the allocator (privacy::wipe) and by aws-lc, which clears
        // what it frees.
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(private_key.expose().clone()));
        let signing = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&private)
            .map_err(|_| rcgen::Error::KeyGenerationUnavailable)?;
        let mut hash = [0; 32];
        hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate).as_ref());
        let key = Arc::new(CertifiedKey::new(vec![CertificateDer::from(certificate)], signing));
        Ok(Self { key, private_key, hash, made, expires })
    }

    /// What it is made of.
    pub fn parts(&self) -> SelfMadeParts {
        let certificate = self.key.cert.first().map(|certificate| certificate.to_vec()).unwrap_or_default();
        SelfMadeParts { certificate, private_key: self.private_key.clone(), made: self.made }
    }
}
