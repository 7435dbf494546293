//! The rules between settings, and the files that they name.
//!
//! In: a draft in which every value is right by itself. Out: a [`Config`], or the problems with their places.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::draft::Draft;
use super::{CertificateFiles, Config, Place, Problem, acme, imprint, turn};
use crate::tls::{self, acme::Acme};

/// Checks what only shows when settings are seen together.
pub(super) fn check(mut draft: Draft) -> Result<Config, Vec<Problem>> {
    let mut problems = Vec::new();
    let acme = acme::check(&draft, &mut problems);
    let certificate = match &acme {
        Some((files, _)) => Some(files.clone()),
        None => certificate(&mut draft, &mut problems),
    };
    let turn = turn::check(&draft, &mut problems);
    let secured = draft.cert.is_some() || draft.key.is_some() || acme.is_some();
    if !secured {
        problems.extend(loopback_only(&draft));
    } else if draft.config.public_url.is_none() {
        problems.push(draft.problem(
            "public_url",
            "missing: with a certificate, browsers need the name to connect to, such as \"https://chat.example:4433\"",
        ));
    }
    problems.extend(addresses(&draft, secured));
    problems.extend(imprint::check(&mut draft));
    if draft.config.access_log && draft.config.log_dir.is_none() {
        let message = "needs log_dir: what is written about people has to be deleted in time, which the server does there";
        problems.push(draft.problem("access_log", message));
    }
    if draft.config.dumpable_for_tests && secured {
        let place = Place::Flag("--dumpable-for-tests".to_owned());
        problems.push(Problem::at(
            place,
            "not in production: nobody reads the memory of a server with people in it",
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut config = Config { certificate, turn, ..std::mem::take(&mut draft.config) };
    let secrets = draft.turn_secret.iter().chain(draft.key.as_ref());
    config.warnings.extend(secrets.filter_map(|path| readable_by_everybody(path)));
    if let (true, Some(url)) = (config.origins.is_empty(), &config.public_url) {
        config.origins.push(site_origin(url, &config));
    }
    if let Some((_, acme)) = acme {
        config.acme = Some(Acme { names: acme::names(&config), ..acme });
    }
    match imprint::complete(&draft, &mut config) {
        None => Ok(config),
        Some(problem) => Err(vec![problem]),
    }
}

/// Without a certificate everything stays on this machine: a certificate made on the spot proves nothing to strangers.
fn loopback_only(draft: &Draft) -> Vec<Problem> {
    let listen = draft.config.listen.iter().map(|address| ("listen", address));
    let site = draft.config.site.iter().map(|address| ("site", address));
    listen
        .chain(site)
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

/// What addresses exclude each other.
fn addresses(draft: &Draft, secured: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let ips: Vec<_> = draft.config.listen.iter().map(|address| address.ip()).collect();
    // What is sent leaves from the address that it was asked at, which the IP alone tells.
    if let Some(twice) = ips.iter().enumerate().find(|(index, ip)| ips[..*index].contains(ip)) {
        let message = format!("{} is there twice, allowed is one port of each address", twice.1);
        problems.push(draft.problem("listen", message));
    }
    if draft.config.redirect.is_some() && (!secured || draft.config.site.are_loopback()) {
        let message = "there is no HTTPS to send browsers to; it needs cert and key, and a site that is not on loopback";
        problems.push(draft.problem("redirect", message));
    }
    problems
}

/// What an operator is told whose secret file is open to all users of the machine.
fn readable_by_everybody(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| format!("everybody can read {}: chmod o-r {0}", path.display()))
}

fn certificate(draft: &mut Draft, problems: &mut Vec<Problem>) -> Option<CertificateFiles> {
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
        Ok(key) => {
            draft.config.warnings.extend(tls::excess_warning(&key));
            Some(files)
        }
        Err(error) => {
            let setting = if error.is_about_key() { "key" } else { "cert" };
            problems.push(draft.problem(setting, error.to_string()));
            None
        }
    }
}

/// The page's origin when only the WebTransport URL is known: the same host, on the site's port.
fn site_origin(public_url: &str, config: &Config) -> String {
    let authority = public_url.trim_start_matches("https://");
    let host_end =
        authority.rfind(':').filter(|at| !authority[*at..].contains(']')).unwrap_or(authority.len());
    let host = &authority[..host_end];
    match config.site.first().port() {
        port if config.site_is_https() && port != 443 => format!("https://{host}:{port}"),
        _ => format!("https://{host}"),
    }
}
