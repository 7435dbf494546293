//! From when and until when a certificate is good, by its own word.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The first certificate of the chain; `None` if there is none that can be read.
pub fn read(key: &CertifiedKey) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(key.cert.first()?).ok().map(|(_, certificate)| certificate)
}

/// When the certificate is good.
pub fn validity(certificate: &X509Certificate<'_>) -> Range<SystemTime> {
    let moment = |time: x509_parser::time::ASN1Time| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
    };
    moment(certificate.validity().not_before)..moment(certificate.validity().not_after)
}
