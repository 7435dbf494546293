//! The one table of settings: each with its key, its default, what it can cost, and how a value gets into the draft.

use std::fmt;

use super::acme;
use super::draft::Draft;
use super::turn::IceUrl;
use super::value::{LogLevel, Value};
use super::{imprint, proxy};
use crate::limits;

/// One thing that can be set, by file, by environment, and in part by flag.
pub struct Setting {
    /// The key in the file; a dot stands for a table. The variable is `ANONCAM_` and the key in capitals, `_` for the dot.
    pub key: &'static str,
    /// What it does, its default, and what it can cost.
    pub about: &'static str,
    pub(super) apply: fn(&mut Draft, &Value) -> Result<(), String>,
}

impl Setting {
    /// The environment variable of this setting.
    pub fn variable(&self) -> String {
        format!("ANONCAM_{}", self.key.to_uppercase().replace('.', "_"))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})\n    {}", self.key, self.variable(), self.about)
    }
}

/// Every setting, in the order in which the documentation shows them.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "listen",
        about: "UDP address of WebTransport, or a list of them. Default 127.0.0.1:4433. Any other than loopback needs `cert` \
                and `key`. [::] is IPv6 and IPv4.",
        apply: |draft, value| value.addresses().map(|addresses| draft.config.listen = addresses),
    },
    Setting {
        key: "site",
        about: "TCP address of the page, or a list of them. Default 127.0.0.1:8080. Plain HTTP on loopback alone, else HTTPS.",
        apply: |draft, value| value.addresses().map(|addresses| draft.config.site = addresses),
    },
    Setting {
        key: "redirect",
        about: "TCP address, or a list of them, where browsers that come without TLS are sent to the site, such as 0.0.0.0:80. \
                Default none. Only for a site with HTTPS.",
        apply: |draft, value| value.addresses().map(|addresses| draft.config.redirect = Some(addresses)),
    },
    Setting {
        key: "shards",
        about: "Threads that own a socket each. Default: one a core. More than cores cost cache misses.",
        apply: |draft, value| {
            value.integer(1..=u64::from(limits::MAX_SHARDS)).map(|count| draft.config.shards = count as u16)
        },
    },
    Setting {
        key: "log",
        about: "off, error, warn, info, debug or trace. Default info. Nothing about a person at any level.",
        apply: |draft, value| value.level().map(|level: LogLevel| draft.config.log = level),
    },
    Setting {
        key: "log_format",
        about: "text or json: how a line of a log is written. Default text.",
        apply: |draft, value| value.format().map(|format| draft.config.log_format = format),
    },
    Setting {
        key: "log_dir",
        about: "Folder for log files, which the server deletes before they are too old. Default none: stderr, whose reader \
                has to delete. 256 MiB at most, 2 GiB more with `access_log` and `anoncam debug`.",
        apply: |draft, value| {
            let path = value.text("the path of a folder")?;
            draft.config.log_dir = Some(draft.directory.join(path));
            Ok(())
        },
    },
    Setting {
        key: "access_log",
        about: "true or false: whether requests to the page are written down, without address, session and browser. \
                Default false. Needs `log_dir`.",
        apply: |draft, value| value.boolean().map(|on| draft.config.access_log = on),
    },
    Setting {
        key: "lock_memory",
        about: "true or false: whether memory is kept out of swap. Default false. Needs LimitMEMLOCK=infinity; \
                the server says so when it may not.",
        apply: |draft, value| value.boolean().map(|lock| draft.config.lock_memory = lock),
    },
    Setting {
        key: "metrics",
        about: "TCP address of /metrics for Prometheus, on loopback. Default none. Counts only, no label but the shard.",
        apply: |draft, value| match value.address()? {
            address if address.ip().is_loopback() => {
                draft.config.metrics = Some(address);
                Ok(())
            }
            address => Err(format!("{address} is not loopback, allowed is 127.0.0.1:PORT or [::1]:PORT")),
        },
    },
    Setting {
        key: "control",
        about: "Path of the Unix socket by which `anoncam status`, `drain` and the like reach a running server. \
                Default none. Only the server's user and root can use it.",
        apply: |draft, value| {
            let path = value.text("the path of a socket")?;
            draft.config.control = Some(draft.directory.join(path));
            Ok(())
        },
    },
    Setting {
        key: "max_sessions",
        about: "Sessions at once. Default 1000000. Each idle one costs about 24 KiB of memory.",
        apply: |draft, value| value.count(1..=limits::MAX_SESSIONS).map(|n| draft.config.max_sessions = n),
    },
    Setting {
        key: "max_websockets",
        about: "Sessions over WebSocket at once, for people without WebTransport. Default 10000. 0 turns the fallback off. \
                Each idle one costs about 35 KiB of memory.",
        apply: |draft, value| {
            value.count(0..=limits::MAX_WEBSOCKETS).map(|n| draft.config.max_websockets = n)
        },
    },
    Setting {
        key: "drain_seconds",
        about: "How long chats may go on after SIGTERM. Default 30. An upgrade takes this much longer.",
        apply: |draft, value| {
            let drain = value.integer(0..=limits::MAX_DRAIN_S)?;
            draft.config.drain = std::time::Duration::from_secs(drain);
            Ok(())
        },
    },
    Setting {
        key: "retry_above",
        about: "Half-open handshakes above which a client has to prove its address. Default 1000. \
                Costs new clients one round trip while it lasts.",
        apply: |draft, value| value.count(0..=limits::MAX_RETRY_ABOVE).map(|n| draft.config.retry_above = n),
    },
    Setting {
        key: "people_per_address",
        about: "People that one address (IPv4 /32, IPv6 /64) may stand for; sessions, connections, searches, text and \
                reports from it are limited to what so many do. Default 500. In production alone. Less shuts out \
                offices and phone networks, more lets one attacker do more.",
        apply: |draft, value| {
            let people = limits::MIN_PEOPLE_PER_ADDRESS..=limits::MAX_PEOPLE_PER_ADDRESS;
            value.count(people).map(|people| draft.config.people_per_address = people)
        },
    },
    Setting {
        key: "work_above",
        about: "Newcomers a second above which each has to prove work. Default 1000, 0 for never. In production \
                alone. Costs a newcomer about a second of computing while it lasts.",
        apply: |draft, value| value.count(0..=limits::MAX_WORK_ABOVE).map(|n| draft.config.work_above = n),
    },
    Setting {
        key: "shard_buffer_mib",
        about: "Cap on all buffers of one shard, in MiB. Default 256. Past it the heaviest session is closed.",
        apply: |draft, value| {
            let range = limits::MIN_SHARD_BUFFER_MIB..=limits::MAX_SHARD_BUFFER_MIB;
            value.integer(range).map(|mib| draft.config.shard_buffer_bytes = (mib as usize) << 20)
        },
    },
    Setting {
        key: "origins",
        about: "Origins of pages that may connect, such as [\"https://chat.example\"]. Default: the host of \
                `public_url`; in development the server's own site.",
        apply: |draft, value| {
            let origins = value.list(limits::MAX_ORIGINS, "origins such as \"https://chat.example\"")?;
            let wrong = origins.iter().find(|origin| !is_origin(origin));
            if let Some(wrong) = wrong {
                return Err(format!(
                    "\"{wrong}\" is not an origin, allowed is SCHEME://HOST or SCHEME://HOST:PORT"
                ));
            }
            draft.config.origins = origins;
            Ok(())
        },
    },
    Setting {
        key: "proxy.addresses",
        about: "Proxies in front of the site, as IP or IP/BITS, or a list of them: what they say about where a client comes from is \
                believed. Default [\"127.0.0.0/8\", \"::1\"]. Whoever is in it by mistake can pretend to be anybody.",
        apply: proxy::give_addresses,
    },
    Setting {
        key: "proxy.header",
        about: "Header to whose end a proxy adds whom it saw. Default x-forwarded-for.",
        apply: proxy::give_header,
    },
    Setting {
        key: "public_url",
        about: "What browsers connect to, https://HOST or https://HOST:PORT. Needed with `cert`; default: the \
                listen address.",
        apply: |draft, value| {
            let url = value.text("https://HOST or https://HOST:PORT")?.trim_end_matches('/');
            if !url.starts_with("https://") || !is_origin(url) {
                return Err(format!(
                    "\"{url}\" is not allowed, allowed is https://HOST or https://HOST:PORT"
                ));
            }
            draft.config.public_url = Some(url.to_owned());
            Ok(())
        },
    },
    Setting {
        key: "cert",
        about: "PEM file with the certificate chain. Default none: development mode. Read again when it changes, and on SIGHUP.",
        apply: |draft, value| {
            value.text("the path of a PEM file").map(|path| draft.cert = Some(draft.directory.join(path)))
        },
    },
    Setting {
        key: "key",
        about: "PEM file with the private key of `cert`.",
        apply: |draft, value| {
            value.text("the path of a PEM file").map(|path| draft.key = Some(draft.directory.join(path)))
        },
    },
    Setting {
        key: "operator.name",
        about: "Legal name of who runs this server, for the privacy policy. Needed in production.",
        apply: |draft, value| imprint::words(value).map(|name| draft.config.imprint.name = Some(name)),
    },
    Setting {
        key: "operator.site",
        about: "Name of the site in the privacy policy. Default: the host of the first of `origins`.",
        apply: |draft, value| imprint::words(value).map(|site| draft.config.imprint.site = Some(site)),
    },
    Setting {
        key: "operator.country",
        about: "Country of who runs this server, for the privacy policy. Needed in production.",
        apply: |draft, value| {
            imprint::words(value).map(|country| draft.config.imprint.country = Some(country))
        },
    },
    Setting {
        key: "operator.contact",
        about: "Mail address or page where people can ask about their data. Needed in production.",
        apply: |draft, value| {
            imprint::words(value).map(|contact| draft.config.imprint.contact = Some(contact))
        },
    },
    Setting {
        key: "operator.server_country",
        about: "Country in which the server stands. Default: that of `operator.country`.",
        apply: |draft, value| {
            imprint::words(value).map(|country| draft.config.imprint.server_country = Some(country))
        },
    },
    Setting {
        key: "operator.turn",
        about: "Who runs the relay of `turn.urls`: none, self, or \"NAME, COUNTRY\". Default none; needed with a relay.",
        apply: |draft, value| imprint::relay(value).map(|relay| draft.config.imprint.relay = Some(relay)),
    },
    Setting {
        key: "operator.not_served",
        about: "Names of countries that the site is not offered in, for the privacy policy. Default none.",
        apply: |draft, value| imprint::countries(value).map(|names| draft.config.imprint.not_served = names),
    },
    Setting {
        key: "operator.not_served_prefixes",
        about: "File with the ranges of addresses of these countries, one a line. Connections from there are refused before \
                anything is kept. Default none. 32 bytes of memory a range.",
        apply: |draft, value| {
            let path = value.text("the path of a file")?;
            draft.not_served_prefixes = Some(draft.directory.join(path));
            Ok(())
        },
    },
    Setting {
        key: "operator.policy",
        about: "The day and the fingerprint of the privacy policy that you have read, as `anoncam policy FILE` prints them. \
                Needed in production, anew whenever the text changes.",
        apply: |draft, value| {
            imprint::adopted(value).map(|adopted| draft.config.imprint.adopted = Some(adopted))
        },
    },
    Setting {
        key: "retention.resume_s",
        about: "Seconds that a session without a connection is kept. Default 60. Shorter means more chats that end when a \
                phone changes its network.",
        apply: |draft, value| {
            let resume = value.integer(1..=limits::RESUME_S)?;
            draft.config.retention.resume = std::time::Duration::from_secs(resume);
            Ok(())
        },
    },
    Setting {
        key: "retention.forget_s",
        about: "Seconds between two rounds of wiping what people who have gone left in memory. Default 60. A round costs \
                a shard about 4 us for each connection that was there.",
        apply: |draft, value| {
            let forget = value.integer(1..=limits::FORGET_MS / 1_000)?;
            draft.config.retention.forget = std::time::Duration::from_secs(forget);
            Ok(())
        },
    },
    Setting {
        key: "retention.access_log_h",
        about: "Hours that lines about requests and connections are kept. Default 24.",
        apply: |draft, value| {
            let hours = value.integer(1..=limits::ACCESS_LOG_S / 3_600)?;
            draft.config.retention.access_log = std::time::Duration::from_secs(hours * 3_600);
            Ok(())
        },
    },
    Setting {
        key: "retention.server_log_h",
        about: "Hours that lines about the server are kept in `log_dir`. Default 168, a week.",
        apply: |draft, value| {
            let hours = value.integer(1..=limits::SERVER_LOG_S / 3_600)?;
            draft.config.retention.server_log = std::time::Duration::from_secs(hours * 3_600);
            Ok(())
        },
    },
    Setting {
        key: "acme.state",
        about: "Directory where the account and the certificate are kept, mode 0700. Turns ACME on: the server gets its \
                certificate itself, for the hosts of public_url and origins, and renews it. In place of cert and key. Default none.",
        apply: acme::give_state,
    },
    Setting {
        key: "acme.agree",
        about: "true: you agree to the terms of the authority. Needed for ACME. Default false.",
        apply: |draft, value| value.boolean().map(|agree| draft.acme.agree = agree),
    },
    Setting {
        key: "acme.directory",
        about: "URL of the authority's directory. Default https://acme-v02.api.letsencrypt.org/directory.",
        apply: acme::give_directory,
    },
    Setting {
        key: "acme.contact",
        about: "Where the authority can reach you, such as mailto:admin@chat.example. Default none.",
        apply: acme::give_contact,
    },
    Setting {
        key: "acme.root",
        about: "PEM file with the root of the authority's own certificate, for an authority of your own. Default: the system's roots.",
        apply: acme::give_root,
    },
    Setting {
        key: "post_quantum",
        about: "true or false: whether X25519MLKEM768 is offered to browsers that know it. Default true. Costs a handshake \
                17 us of CPU and 2.3 KiB of traffic; without it what is recorded today may be read by a quantum computer later.",
        apply: |draft, value| value.boolean().map(|offered| draft.config.post_quantum = offered),
    },
    Setting {
        key: "turn.urls",
        about: "TURN and STUN URLs for video, such as [\"turn:relay.example:3478\"]. Default none. \
                A relayed call costs the relay both directions of its video.",
        apply: |draft, value| {
            let allowed =
                "turn:, turns:, stun: or stuns: URLs such as \"turn:relay.example:3478?transport=udp\"";
            let urls = value.list(limits::MAX_TURN_URLS, allowed)?;
            if let Some(wrong) =
                urls.iter().find(|url| url.len() > limits::TURN_URL_BYTES || IceUrl::parse(url).is_none())
            {
                return Err(format!(
                    "\"{wrong}\" is not allowed, allowed are {allowed} of at most 120 bytes"
                ));
            }
            draft.turn_urls = Some(urls);
            Ok(())
        },
    },
    Setting {
        key: "turn.secret_file",
        about: "File with the secret shared with the relay (coturn: static-auth-secret), or two, a line each: both make \
                credentials while one follows the other.",
        apply: |draft, value| {
            value.text("the path of a file").map(|path| draft.turn_secret = Some(draft.directory.join(path)))
        },
    },
    Setting {
        key: "turn.ttl_s",
        about: "Seconds that a TURN credential is good. Default 600. Shorter means more ICE frames in long calls.",
        apply: |draft, value| {
            value.integer(limits::MIN_TURN_TTL_S..=limits::MAX_TURN_TTL_S).map(|ttl| draft.turn_ttl_s = ttl)
        },
    },
];

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let host_bytes =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
    matches!(scheme, "https" | "http") && !authority.is_empty() && authority.bytes().all(host_bytes)
}
