//! The settings of ACME, and the rules between them.

use std::path::PathBuf;

use super::draft::Draft;
use super::value::Value;
use super::{CertificateFiles, Config, Problem};
use crate::tls::acme::{self, Acme};

/// The authority unless configured.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// What was given of `[acme]`.
#[derive(Default)]
pub(super) struct AcmeDraft {
    pub state: Option<PathBuf>,
    pub agree: bool,
    pub directory: Option<String>,
    pub contact: Option<String>,
    pub root: Option<PathBuf>,
}

pub(super) fn give_state(draft: &mut Draft, value: &Value) -> Result<(), String> {
    let path = value.text("the path of a directory")?;
    draft.acme.state = Some(draft.directory.join(path));
    Ok(())
}

pub(super) fn give_root(draft: &mut Draft, value: &Value) -> Result<(), String> {
    let path = value.text("the path of a PEM file")?;
    draft.acme.root = Some(draft.directory.join(path));
    Ok(())
}

pub(super) fn give_directory(draft: &mut Draft, value: &Value) -> Result<(), String> {
    draft.acme.directory = Some(beginning_with("https://", value, "https://HOST/PATH")?);
    Ok(())
}

pub(super) fn give_contact(draft: &mut Draft, value: &Value) -> Result<(), String> {
    draft.acme.contact = Some(beginning_with("mailto:", value, "mailto:ADDRESS")?);
    Ok(())
}

fn beginning_with(scheme: &str, value: &Value, allowed: &str) -> Result<String, String> {
    let text = value.text(allowed)?;
    let wrong = || format!("\"{text}\" is not allowed, allowed is {allowed}");
    if text.starts_with(scheme) { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// Checks `[acme]` beside the other settings; the names of the certificate come later, with the origins.
pub(super) fn check(draft: &Draft, problems: &mut Vec<Problem>) -> Option<(CertificateFiles, Acme)> {
    let AcmeDraft { state, agree, directory, contact, root } = &draft.acme;
    let Some(state) = state else {
        for key in ["acme.agree", "acme.directory", "acme.contact", "acme.root"] {
            if draft.is_given(key) {
                problems.push(draft.problem(key, "has no effect without acme.state"));
            }
        }
        return None;
    };
    if draft.cert.is_some() || draft.key.is_some() {
        problems.push(
            draft.problem(
                "acme.state",
                "the certificate comes from cert and key already; set one or the other",
            ),
        );
    }
    if !agree {
        let message = "the authority has terms; read them, and set agree = true beside it if you agree";
        problems.push(draft.problem("acme.state", message));
    }
    if draft.config.site.are_loopback() {
        let message =
            "the authority has to reach the site over TLS, and it is on loopback; set site, such as [::]:443";
        problems.push(draft.problem("acme.state", message));
    }
    if let Err(error) = acme::check_state(state) {
        problems.push(draft.problem("acme.state", error.to_string()));
    }
    let acme = Acme {
        directory: directory.clone().unwrap_or_else(|| LETS_ENCRYPT.to_owned()),
        contact: contact.clone(),
        root: root.clone(),
        state: state.clone(),
        names: Vec::new(),
    };
    let file = acme.certificate_file();
    Some((CertificateFiles { cert: file.clone(), key: file }, acme))
}

/// The names that a certificate has to have: those by which browsers come.
pub(super) fn names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for url in config.public_url.iter().chain(&config.origins) {
        let authority = url.split_once("://").map_or(url.as_str(), |(_, authority)| authority);
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        if !names.iter().any(|name| name == host) {
            names.push(host.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn acme_needs_an_agreement_a_name_and_a_site_that_can_be_reached() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("anoncam.toml");
        let check = |text: &str| {
            std::fs::write(&file, text).expect("a file");
            Config::read_policy(&file).map_err(|error| error.to_string())
        };
        let whole = "listen = \"[::]:4433\"\nsite = \"[::]:443\"\npublic_url = \"https://chat.example:4433\"\n\
                     origins = [\"https://www.chat.example\"]\n\
                     [operator]\nname = \"Example Ltd\"\ncountry = \"Ireland\"\ncontact = \"a@chat.example\"\n[acme]\nstate = \"state\"\nagree = true\n";
        let config = check(whole).expect("a configuration");
        let acme = config.acme.as_ref().expect("ACME");
        assert_eq!(acme.names, ["chat.example", "www.chat.example"]);
        assert_eq!(acme.directory, super::LETS_ENCRYPT);
        assert!(config.site_is_https() && config.to_string().contains("by ACME, for chat.example"));
        let wrong = [
            (whole.replace("agree = true", "agree = false"), "acme.state: the authority has terms"),
            (
                whole.replace("[::]:443\"", "127.0.0.1:443\""),
                "acme.state: the authority has to reach the site",
            ),
            (whole.replace("public_url = \"https://chat.example:4433\"\n", ""), "public_url: missing"),
            (
                format!("cert = \"c\"\nkey = \"k\"\n{whole}"),
                "acme.state: the certificate comes from cert and key",
            ),
            ("[acme]\nagree = true\n".to_owned(), "acme.agree: has no effect without acme.state"),
        ];
        for (text, expected) in wrong {
            let told = check(&text).expect_err("a refusal");
            assert!(told.contains(expected), "{text}\n gives    {told}\n expected {expected}");
        }
    }
}
