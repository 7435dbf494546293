//! Certificates from an authority that speaks ACME (RFC 8555): got at the start if there is none, and renewed while the server runs.
//!
//! In: what the operator has set, and the passing of time. Out: a file with the key and the chain in the state directory, which the
//! [`CertificateStore`] serves over TCP and UDP. The authority looks at the site's own port (TLS-ALPN-01, RFC 8737), so no other has to be open.

mod order;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::sign::CertifiedKey;
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::CertificateStore;
use super::validity::{read, validity};
use crate::limits::{ACME_LONGEST_PAUSE_S, ACME_ORDER_S, ACME_SHORTEST_PAUSE_S};

use state::State;
pub use state::StateError;

/// Whom to ask for a certificate, and how.
#[derive(Clone, Debug)]
pub struct Acme {
    /// The authority's directory.
    pub directory: String,
    /// Where the authority can reach the operator, such as `mailto:admin@chat.example`.
    pub contact: Option<String>,
    /// PEM file with the root that the authority's own certificate goes back to; `None` means those of the system.
    pub root: Option<PathBuf>,
    /// Where key, chain and account are kept, in a folder for each authority.
    pub state: PathBuf,
    /// The names that the certificate is for.
    pub names: Vec<String>,
}

impl Acme {
    /// The file with the certificate's key and chain.
    pub fn certificate_file(&self) -> PathBuf {
        state::certificate_file(&self.folder())
    }

    /// What another authority gave is not taken for this one's: a certificate of a test authority, for instance.
    fn folder(&self) -> PathBuf {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
        let url = self.directory.trim_start_matches("https://");
        self.state.join(url.chars().map(plain).take(200).collect::<String>().trim_matches(['.', '-']))
    }

    fn open(&self) -> Result<State, StateError> {
        State::open(&self.state)?;
        State::open(&self.folder())
    }
}

/// Why there is no new certificate, in words for the operator.
#[derive(Debug)]
pub struct AcmeError(String);

impl std::fmt::Display for AcmeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for AcmeError {
    fn from(error: E) -> Self {
        // The cause says more than the library's word for it.
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self(text)
    }
}

/// Gets and renews certificates as long as it is polled.
pub async fn renew(acme: Acme, store: Arc<CertificateStore>) {
    // The library takes the process's cryptography, which two builds of rustls in one program leave undecided. An error means that it is set.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut pause = Duration::from_secs(ACME_SHORTEST_PAUSE_S);
    loop {
        if let Ok(wait) = due(&acme, &store).duration_since(SystemTime::now()) {
            // Looked at anew every hour at least: the clock may be set, or the operator may have put another file there.
            tokio::time::sleep(
                wait.min(Duration::from_secs(ACME_LONGEST_PAUSE_S)).max(Duration::from_secs(1)),
            )
            .await;
            continue;
        }
        match tokio::time::timeout(Duration::from_secs(ACME_ORDER_S), order_one(&acme, &store)).await {
            Ok(Ok(())) => {
                tracing::info!("a new certificate was issued");
                if let Some(warning) = store.warning() {
                    tracing::warn!("{warning}");
                }
                if due(&acme, &store) > SystemTime::now() {
                    pause = Duration::from_secs(ACME_SHORTEST_PAUSE_S);
                    continue;
                }
                tracing::error!(
                    retry_s = pause.as_secs(),
                    "the new certificate has expired already, or lacks a name; is the clock right?"
                );
            }
            Ok(Err(error)) => {
                tracing::error!(%error, retry_s = pause.as_secs(), "no new certificate; the one in use stays");
            }
            Err(_) => tracing::error!(
                retry_s = pause.as_secs(),
                "the authority took too long; the certificate in use stays"
            ),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(ACME_LONGEST_PAUSE_S));
    }
}

async fn order_one(acme: &Acme, store: &CertificateStore) -> Result<(), AcmeError> {
    let state = acme.open()?;
    let certificate = order::order(acme, &state, store).await?;
    state.write_certificate(&certificate)?;
    store.reload(None)?;
    Ok(())
}

/// When there is to be another certificate.
fn due(acme: &Acme, store: &CertificateStore) -> SystemTime {
    if store.is_stopgap() { SystemTime::UNIX_EPOCH } else { renewal_due(&store.current(), &acme.names) }
}

/// When a certificate is to be renewed: when a third of its life is left. One that cannot be read, or lacks one of these names, is due.
fn renewal_due(key: &CertifiedKey, names: &[String]) -> SystemTime {
    let Some(certificate) = read(key) else { return SystemTime::UNIX_EPOCH };
    if !names.iter().all(|name| has_name(&certificate, name)) {
        return SystemTime::UNIX_EPOCH;
    }
    let good = validity(&certificate);
    good.end - good.end.duration_since(good.start).unwrap_or_default() / 3
}

fn has_name(certificate: &X509Certificate<'_>, name: &str) -> bool {
    let names = certificate.subject_alternative_name().ok().flatten();
    let mut names = names.iter().flat_map(|names| &names.value.general_names);
    names.any(|one| matches!(one, GeneralName::DNSName(dns) if dns.eq_ignore_ascii_case(name)))
}

/// A state directory that can be used, or what is wrong with it.
pub fn check_state(directory: &Path) -> Result<(), StateError> {
    State::open(directory).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_when_a_third_of_its_life_is_left_or_a_name_is_missing() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let store = CertificateStore::self_made(now).expect("a certificate");
        // From an hour ago for ten days.
        let due = renewal_due(&store.current(), &["LocalHost".to_owned()]);
        let life = 10 * 86_400 + 3_600;
        let in_s = due.duration_since(now).expect("later").as_secs();
        assert!(in_s.abs_diff(10 * 86_400 - life / 3) <= 1, "{in_s}");
        let names = ["localhost".to_owned(), "chat.example".to_owned()];
        assert_eq!(renewal_due(&store.current(), &names), SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn each_authority_has_a_folder_in_the_state_directory() {
        let folder = |directory: &str| {
            let acme = Acme {
                directory: directory.to_owned(),
                contact: None,
                root: None,
                state: "state".into(),
                names: Vec::new(),
            };
            acme.folder().display().to_string()
        };
        assert_eq!(
            folder("https://acme-v02.api.letsencrypt.org/directory"),
            "state/acme-v02.api.letsencrypt.org-directory"
        );
        assert_eq!(folder("https://localhost:14000/dir"), "state/localhost-14000-dir");
        assert_eq!(folder("https://../../etc"), "state/etc", "it stays in the state directory");
    }
}
