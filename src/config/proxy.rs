//! The settings of proxies in front of the site.

use std::sync::Arc;

use hyper::header::{self, HeaderName};

use super::draft::Draft;
use super::value::Value;
use crate::limits::MAX_PROXIES;
use crate::privacy::Prefixes;
use crate::site::TrustedProxies;

/// Proxies on this machine, and the header that all of them know.
pub(super) fn default() -> TrustedProxies {
    let from = Prefixes::parse("127.0.0.0/8\n::1").expect("ranges of loopback are ranges");
    TrustedProxies { from: Arc::new(from), header: HeaderName::from_static("x-forwarded-for") }
}

pub(super) fn give_addresses(draft: &mut Draft, value: &Value) -> Result<(), String> {
    const ALLOWED: &str = "IP or IP/BITS";
    let all = match value {
        Value::Text(one) => vec![one.clone()],
        value => value.list(MAX_PROXIES, ALLOWED)?,
    };
    let from = Prefixes::parse(&all.join("\n")).map_err(|wrong| {
        format!("\"{}\" is not allowed, allowed is {ALLOWED}", all.get(wrong - 1).map_or("", String::as_str))
    })?;
    draft.config.proxies.from = Arc::new(from);
    Ok(())
}

pub(super) fn give_header(draft: &mut Draft, value: &Value) -> Result<(), String> {
    let text = value.text("the name of a header")?;
    let header: HeaderName = text.parse().map_err(|_| format!("\"{text}\" is not the name of a header"))?;
    if header == header::FORWARDED {
        // Taken, it would say nothing of use, and every client would count as the proxy (RFC 7239 writes `for=192.0.2.1`).
        return Err(
            "\"forwarded\" is written in another way, allowed are headers with a list of addresses, such as \
                    x-forwarded-for"
                .to_owned(),
        );
    }
    draft.config.proxies.header = header;
    Ok(())
}
