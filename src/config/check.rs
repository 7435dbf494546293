//! The rules between settings, and the files that they name.
//!
//! In: a draft in which every value is right by itself. Out: a [`Config`], or the problems with their places.

use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use super::settings::Draft;
use super::{CertificateFiles, Config, Place, Problem, Turn};
use crate::privacy::Hidden;
use crate::{limits, tls};

/// Checks what only shows when settings are seen together.
pub(super) fn check(draft: Draft) -> Result<Config, Vec<Problem>> {
    let mut problems = Vec::new();
    let certificate = certificate(&draft, &mut problems);
    let turn = turn(&draft, &mut problems);
    if draft.cert.is_none() && draft.key.is_none() {
        problems.extend(loopback_only(&draft));
    } else if draft.config.public_url.is_none() {
        problems.push(draft.problem(
            "public_url",
            "missing: with a certificate, browsers need the name to connect to, such as \"https://chat.example:4433\"",
        ));
    }
    if draft.config.dumpable_for_tests && draft.cert.is_some() {
        let place = Place::Flag("--dumpable-for-tests".to_owned());
        problems.push(Problem::at(
            place,
            "not in production: nobody reads the memory of a server with people in it",
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut config = Config { certificate, turn, ..draft.config };
    if let (true, Some(url)) = (config.origins.is_empty(), &config.public_url) {
        config.origins.push(site_origin(url, &config));
    }
    Ok(config)
}

/// Without a certificate everything stays on this machine: a certificate made on the spot proves nothing to strangers.
fn loopback_only(draft: &Draft) -> Vec<Problem> {
    [("listen", draft.config.listen), ("site", draft.config.site)]
        .into_iter()
        .filter(|(_, address)| !address.ip().is_loopback())
        .map(|(key, address)| {
            let message = format!(
                "{address} is not loopback, and without a certificate the server is for this machine alone; \
                 set cert, key and public_url, or use 127.0.0.1:{}",
                address.port()
            );
            draft.problem(key, message)
        })
        .collect()
}

fn certificate(draft: &Draft, problems: &mut Vec<Problem>) -> Option<CertificateFiles> {
    let (cert, key) = match (&draft.cert, &draft.key) {
        (None, None) => return None,
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => {
            problems.push(draft.problem("cert", "the key of the certificate is missing, set key too"));
            return None;
        }
        (None, Some(_)) => {
            problems.push(draft.problem("key", "the certificate of the key is missing, set cert too"));
            return None;
        }
    };
    let files = CertificateFiles { cert: cert.clone(), key: key.clone() };
    match tls::load_certificate(&files) {
        Ok(_) => Some(files),
        Err(error) => {
            let setting = if error.is_about_key() { "key" } else { "cert" };
            problems.push(draft.problem(setting, error.to_string()));
            None
        }
    }
}

fn turn(draft: &Draft, problems: &mut Vec<Problem>) -> Option<Turn> {
    let (urls, path) = match (&draft.turn_urls, &draft.turn_secret) {
        (None, None) => {
            if draft.is_given("turn.ttl_s") {
                problems.push(
                    draft.problem("turn.ttl_s", "has no effect without turn.urls and turn.secret_file"),
                );
            }
            return None;
        }
        (Some(urls), Some(path)) => (urls.clone(), path),
        (Some(_), None) => {
            problems
                .push(draft.problem("turn.urls", "the relay's secret is missing, set turn.secret_file too"));
            return None;
        }
        (None, Some(_)) => {
            problems.push(draft.problem("turn.secret_file", "the relay is missing, set turn.urls too"));
            return None;
        }
    };
    let ttl_s = if draft.turn_ttl_s == 0 { limits::DEFAULT_TURN_TTL_S } else { draft.turn_ttl_s };
    match read_secret(path) {
        Ok(secret) => Some(Turn { urls, secret, ttl: Duration::from_secs(ttl_s) }),
        Err(message) => {
            problems.push(draft.problem("turn.secret_file", message));
            None
        }
    }
}

fn read_secret(path: &Path) -> Result<Hidden<Vec<u8>>, String> {
    use std::io::Read;
    let mut secret = Zeroizing::new(Vec::with_capacity(limits::TURN_SECRET_BYTES as usize + 1));
    std::fs::File::open(path)
        .and_then(|file| file.take(limits::TURN_SECRET_BYTES + 1).read_to_end(&mut secret))
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let trimmed = secret.trim_ascii().to_vec();
    match trimmed.len() as u64 {
        0 => Err(format!("{} is empty, it should hold the secret", path.display())),
        length if length > limits::TURN_SECRET_BYTES => {
            Err(format!("{} is too long, allowed are {} bytes", path.display(), limits::TURN_SECRET_BYTES))
        }
        _ => Ok(Hidden::new(trimmed)),
    }
}

/// The page's origin when only the WebTransport URL is known: the same host, on the site's port.
fn site_origin(public_url: &str, config: &Config) -> String {
    let authority = public_url.trim_start_matches("https://");
    let host_end =
        authority.rfind(':').filter(|at| !authority[*at..].contains(']')).unwrap_or(authority.len());
    let host = &authority[..host_end];
    match config.site.port() {
        port if config.site_is_https() && port != 443 => format!("https://{host}:{port}"),
        _ => format!("https://{host}"),
    }
}
