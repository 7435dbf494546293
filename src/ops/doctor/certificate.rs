//! The operator's certificate as a browser judges it: whom it is for, who vouches for it, until when.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

use super::Finding;
use crate::config::Config;
use crate::tls;

const ABOUT: &str = "certificate";
/// A certificate that ends within this time should have been renewed: authorities that issue for 90 days suggest a third.
const RENEW_BEFORE: Duration = Duration::from_secs(14 * 86_400);

/// Whether browsers take the certificate, now and in two weeks.
pub fn certificate(config: &Config, roots: &Arc<RootCertStore>, now: SystemTime) -> Finding {
    let Some(files) = &config.certificate else {
        return Finding::well(ABOUT, "self-made, for this machine alone; the server replaces it by itself");
    };
    let key = match tls::load_certificate(files) {
        Ok(key) => key,
        Err(error) if config.acme.is_some() => {
            let what = format!("the authority has not issued one yet: {error}");
            return Finding::ill(
                ABOUT,
                what,
                "start the server and read what the authority says: journalctl -u anoncam",
            );
        }
        Err(error) => return Finding::ill(ABOUT, error.to_string(), "set cert and key"),
    };
    let name = config.public_url.as_deref().map_or("", host);
    let Ok(server) = ServerName::try_from(name.to_owned()) else {
        return Finding::ill(
            ABOUT,
            format!("\"{name}\" is no name that a certificate can be for"),
            "set public_url",
        );
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider).build();
    let Ok(verifier) = verifier else {
        return Finding::unknown(ABOUT, "this system has no list of authorities to judge by");
    };
    let judge = |at: SystemTime| {
        let since_1970 = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(since_1970);
        let Some((own, others)) = key.cert.split_first() else { return Err(CertificateError::BadEncoding) };
        match verifier.verify_server_cert(own, others, &server, &[], at) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(error)) => Err(error),
            Err(_) => Err(CertificateError::BadEncoding),
        }
    };
    match judge(now) {
        Ok(()) if judge(now + RENEW_BEFORE).is_ok() => {
            Finding::well(ABOUT, format!("browsers take it for {name}, for two weeks and longer"))
        }
        Ok(()) => Finding::ill(ABOUT, "it ends within two weeks", RENEW),
        Err(error) => refused(name, &error),
    }
}

const RENEW: &str = "certbot renew && anoncam reload";

fn refused(name: &str, error: &CertificateError) -> Finding {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        UnknownIssuer,
    };
    match error {
        Expired | ExpiredContext { .. } => Finding::ill(ABOUT, "it has expired: nobody can connect", RENEW),
        NotValidYet | NotValidYetContext { .. } => {
            Finding::ill(ABOUT, "it is not valid yet, or the clock is behind", "timedatectl; date -u")
        }
        NotValidForName | NotValidForNameContext { .. } => Finding::ill(
            ABOUT,
            format!("it is not for {name}, where browsers connect to"),
            format!("certbot certonly --standalone -d {name}, or correct public_url"),
        ),
        UnknownIssuer => Finding::ill(
            ABOUT,
            "nobody vouches for it that browsers know: the chain is incomplete, or it is self-signed",
            "let cert name the file with the whole chain, such as fullchain.pem",
        ),
        other => Finding::ill(ABOUT, format!("browsers refuse it: {other}"), RENEW),
    }
}

/// The host of `https://HOST[:PORT]`, an IPv6 address without its brackets.
fn host(url: &str) -> &str {
    let authority = url.trim_start_matches("https://");
    let end = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    authority[..end.unwrap_or(authority.len())].trim_matches(['[', ']'])
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;
    use crate::config::CertificateFiles;

    const DAY: Duration = Duration::from_secs(86_400);

    /// An authority, a certificate of it for this name and these days from now, and what the doctor says.
    fn judged(name: &str, days: std::ops::Range<i64>, knows_the_authority: bool) -> Finding {
        let directory = tempfile::tempdir().expect("a directory");
        let (issuer, issuer_key, root) = authority("one");
        let key = KeyPair::generate().expect("a key");
        let mut own = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let now = SystemTime::now();
        let long_ago = now - DAY * 1_000;
        let day = |day: i64| long_ago + DAY * u32::try_from(1_000 + day).expect("a day since then");
        (own.not_before, own.not_after) = (day(days.start).into(), day(days.end).into());
        let certificate = own.signed_by(&key, &Issuer::new(issuer, issuer_key)).expect("a certificate");
        let files = CertificateFiles { cert: directory.path().join("c"), key: directory.path().join("k") };
        std::fs::write(&files.cert, tls::test_pem("CERTIFICATE", certificate.der())).expect("a file");
        std::fs::write(&files.key, tls::test_pem("PRIVATE KEY", &key.serialize_der())).expect("a file");
        let mut roots = RootCertStore::empty();
        let known = if knows_the_authority { root } else { authority("another").2 };
        roots.add(known.der().clone()).expect("a root");
        let config = Config {
            certificate: Some(files),
            public_url: Some("https://chat.example:4433".to_owned()),
            ..Config::default()
        };
        super::certificate(&config, &Arc::new(roots), now)
    }

    fn authority(name: &str) -> (CertificateParams, KeyPair, rcgen::Certificate) {
        let mut params = CertificateParams::new(vec![]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        (params, key, certificate)
    }

    #[test]
    fn what_a_browser_would_refuse_is_found() {
        assert!(!judged("chat.example", -1..60, true).is_ill());
        for (name, days, known, words) in [
            ("chat.example", -60..-1, true, "it has expired"),
            ("chat.example", -60..10, true, "within two weeks"),
            ("chat.example", 1..60, true, "not valid yet"),
            ("other.example", -1..60, true, "certbot certonly --standalone -d chat.example"),
            ("chat.example", -1..60, false, "fullchain.pem"),
        ] {
            let found = judged(name, days, known);
            assert!(found.is_ill() && found.to_string().contains(words), "{words}: {found}");
        }
    }

    #[test]
    fn where_nobody_is_believed_nothing_is_claimed() {
        let directory = tempfile::tempdir().expect("a directory");
        let nowhere = directory.path().join("nothing");
        let config = Config {
            certificate: Some(CertificateFiles { cert: nowhere.clone(), key: nowhere }),
            ..Config::default()
        };
        let roots = Arc::new(RootCertStore::empty());
        assert!(super::certificate(&config, &roots, SystemTime::now()).is_ill(), "a file that is not there");
        assert!(!super::certificate(&Config::default(), &roots, SystemTime::now()).is_ill());
    }
}
