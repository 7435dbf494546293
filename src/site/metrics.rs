//! The monitor's own listener: counts in Prometheus's text format, for this machine alone.

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::{Request, StatusCode};

use super::respond::{plain, refusal, with_type};
use super::{Answer, Respond};
use crate::ops::{Counters, metrics};
use crate::tls::CertificateStore;

/// `/metrics` as a function.
#[derive(Debug)]
pub struct Metrics {
    counters: Arc<Counters>,
    certificates: Arc<CertificateStore>,
    hosts: Vec<String>,
}

impl Metrics {
    /// Tells `counters`, and when the certificate ends, to whoever asks by one of these names.
    pub fn new(counters: Arc<Counters>, certificates: Arc<CertificateStore>, hosts: Vec<String>) -> Self {
        Self { counters, certificates, hosts }
    }
}

impl Respond for Metrics {
    fn respond<B>(&self, request: &Request<B>) -> Answer {
        if let Some(refusal) = refusal(request, &self.hosts) {
            return refusal;
        }
        if request.uri().path() != "/metrics" {
            return plain(StatusCode::NOT_FOUND, "Only /metrics is here.\n");
        }
        let text = Bytes::from(metrics::text(&self.counters, self.certificates.ends()));
        with_type(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
    }
}
