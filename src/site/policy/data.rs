//! The short version, and sections 1 to 6: what is handled, what for and for how long.

use super::facts::{Facts, address_gone, seconds, span};
use super::{Part, Section, Statement, item, says};
use crate::config::Relay;
use crate::limits;

/// The short version. The page has it in seven languages, by the last word of each name (client-js/app/i18n/pages).
pub(super) fn short() -> Vec<Statement> {
    let marks = seconds(limits::MARK_GONE_S);
    vec![
        item(
            "short.p_sealed",
            "What you write, and what sets up your video, is sealed between the two browsers. The server passes it on, keeps \
             nothing and, as published, cannot read it.",
        ),
        item(
            "short.p_address",
            format!(
                "Your address is in the server's memory while you are connected, and gone at most {} after. It is in no log.",
                address_gone()
            ),
        ),
        item(
            "short.p_wishes",
            "Interests and languages are in memory while you search or chat, and wiped with it.",
        ),
        item(
            "short.p_browser",
            "No cookie, nothing stored in your browser, nothing loaded from anybody else.",
        ),
        item(
            "short.p_bans",
            format!(
                "When several people report an address, a keyed mark of it is kept in memory for at most {marks}, never on disk."
            ),
        ),
        item(
            "short.p_video",
            "In direct video the stranger can learn your IP address. Hidden video goes through a relay and never anywhere else.",
        ),
        item(
            "short.p_stranger",
            "The stranger is free to remember, copy or record what you say and show. No software can prevent that.",
        ),
    ]
}

pub(super) fn sections(facts: &Facts) -> [Section; 6] {
    [covers(facts), handled(), used(), kept(facts), strangers(facts), tracking()]
}

fn covers(facts: &Facts) -> Section {
    let Facts { site, name, country, .. } = facts;
    Section {
        title: "What this policy covers",
        parts: vec![
            says(
                "covers.service",
                format!(
                    "This policy covers {site} and the chat server behind it. They are run by {name}, {country} (\"we\")."
                ),
            ),
            says(
                "covers.not",
                "It does not cover what the stranger you talk to does, sites that somebody tells you about, or your browser, its \
                 extensions and your keyboard.",
            ),
        ],
    }
}

fn handled() -> Section {
    Section {
        title: "What we handle, and what we do not collect",
        parts: vec![
            Part::List(vec![
                item(
                    "handled.address",
                    "Your IP address and port: without them nothing could be sent to you.",
                ),
                item(
                    "handled.headers",
                    "What your browser says about itself (User-Agent, languages and the like). It arrives with every request; nothing of it is \
                     used, and it is dropped as the request is read.",
                ),
                item(
                    "handled.session",
                    "A random session identifier, made anew for each visit. It brings you back after a lost connection and stands \
                     nowhere else.",
                ),
                item(
                    "handled.wishes",
                    "Interests and languages, if you name any, to find somebody who shares them.",
                ),
                item(
                    "handled.messages",
                    "Messages, and in video chats the session descriptions (SDP) and network addresses by which the browsers find each \
                     other. They reach us sealed with keys that only the two browsers have. The server, as published, passes them on, \
                     cannot read them and does not store them.",
                ),
                item(
                    "handled.media",
                    "Pictures and sound go from browser to browser, or through a relay, encrypted. They do not pass through our chat \
                     server.",
                ),
                item(
                    "handled.reports",
                    "Reports: that somebody was reported, for what kind of reason, how often and by how many. Never what was said or shown.",
                ),
                item(
                    "handled.marks",
                    "Counters of requests, and marks of addresses that were reported, both under a keyed hash of the address whose key is \
                     random and in memory only.",
                ),
            ]),
            says(
                "handled.not",
                "We do not collect names, mail addresses, telephone numbers, accounts, ages, places, contacts, identifiers of devices, \
                 fingerprints of browsers, or anything about what you do elsewhere.",
            ),
        ],
    }
}

fn used() -> Section {
    Section {
        title: "How we use it, and what we do not do",
        parts: vec![
            says(
                "use.purposes",
                "We use it to bring you together with a stranger, to bring you back after a lost connection, to keep the server from being \
                 overrun, and to act on reports. We use it for nothing else.",
            ),
            says(
                "use.law",
                "Where the GDPR applies, this rests on Article 6(1)(b), to provide what you ask for, and on Article 6(1)(f), our \
                 legitimate interest in a service that works and in people's safety.",
            ),
            says(
                "use.automatic",
                "When an address asks for too much, or several people report it, the server limits it or keeps it out for a while \
                 without anybody deciding it. You can ask us to look at that (section 10).",
            ),
            says(
                "use.never",
                "We do not sell, rent or share data, show advertisements, make profiles, measure audiences or train models. We do not \
                 read, listen to, watch or record what you say and show.",
            ),
        ],
    }
}

fn kept(facts: &Facts) -> Section {
    let row =
        |id, what: &str, how_long: String, place: &str| item(id, format!("{what}\t{how_long}\t{place}"));
    let gone = address_gone();
    let resume = span(facts.resume);
    let token = seconds(limits::TOKEN_GONE_S);
    let mut rows = vec![
        row(
            "kept.messages",
            "Messages, and what sets up a call",
            "not at all: passed on, or held for a stranger who reads slowly until they have read or the chat ends".into(),
            "memory",
        ),
        row(
            "kept.address",
            "IP address and port",
            format!("while you are connected, and at most {gone} after"),
            "memory",
        ),
        row("kept.headers", "User-Agent, languages and other headers", "not at all".into(), "nowhere"),
        row(
            "kept.session",
            "Session identifier",
            format!("while you are connected; it brings you back for {resume} after, and is gone at most {token} after"),
            "memory",
        ),
        row("kept.wishes", "Interests and languages", "while you search or chat".into(), "memory"),
        row(
            "kept.counters",
            "Counters of requests, under a keyed hash of the address",
            format!("at most {} after the last request", seconds(limits::COUNTER_GONE_S)),
            "memory",
        ),
        row(
            "kept.marks",
            "Marks of reported addresses, under a keyed hash",
            format!("at most {}", seconds(limits::MARK_GONE_S)),
            "memory",
        ),
        row("kept.reports", "Reports", "as long as the session of who was reported".into(), "memory"),
        row(
            "kept.metrics",
            "Numbers of connections, chats and the like",
            format!("they name nobody; a monitor keeps them for at most {}", seconds(limits::MONITOR_H * 3_600)),
            "memory",
        ),
    ];
    rows.extend(logs(facts).map(|(id, what, how_long)| match how_long {
        Some(how_long) => row(id, what, how_long, "disk"),
        None => row(id, what, "there is none".into(), "nowhere"),
    }));
    Section {
        title: "How long it is kept",
        parts: vec![
            Part::Table(rows),
            says(
                "kept.ceilings",
                "What the server itself keeps is not a matter of intentions: these limits are built into the published program, and we can shorten \
                 them and not lengthen them.",
            ),
            says(
                "kept.memory",
                "Memory is overwritten when it is freed, kept out of core dumps, and gone when the server stops. There is no database and no \
                 backup of it.",
            ),
        ],
    }
}

/// What is written to disk, and for how long, if it is written at all. Each names nobody.
fn logs(facts: &Facts) -> [(&'static str, &'static str, Option<String>); 3] {
    let access = span(facts.keep_access);
    let server = if facts.log_files {
        format!("at most {}, then deleted by the server", span(facts.keep_server))
    } else {
        let week = seconds(limits::SERVER_LOG_S);
        format!("at most {week}, then deleted by the system that collects it")
    };
    let debug = format!("at most {access}; written for at most {} at a time", seconds(limits::DEBUG_S));
    [
        (
            "kept.log",
            "The server's own log: its start, its faults, counts; nobody's address, session, words or wishes",
            Some(server),
        ),
        (
            "kept.access",
            "Access log: when which page was asked for; no address, no session, no browser",
            facts.access_log.then(|| format!("at most {access}")),
        ),
        (
            "kept.connections",
            "Recent connection log, while we look for a fault: when connections began and ended, and how, under throwaway numbers; no \
             address, no session",
            facts.log_files.then_some(debug),
        ),
    ]
}

fn strangers(facts: &Facts) -> Section {
    let hidden = match facts.relay {
        Relay::None => "This site has no relay, so hidden video is not offered.",
        Relay::Own | Relay::Other(_) => {
            "In a hidden video chat your browser uses only the relay, and the stranger learns the relay's address in place of yours; if \
             the relay does not work, there is no connection."
        }
    };
    Section {
        title: "What strangers see, and may record",
        parts: vec![
            says(
                "strangers.see",
                "The stranger sees what you write and show, the interests that you both named, that you type, and when you come and go.",
            ),
            says(
                "strangers.direct",
                format!(
                    "In a direct video chat the two browsers learn each other's IP addresses, and with them roughly where you are. {hidden}"
                ),
            ),
            says(
                "strangers.record",
                "The stranger can remember, copy, record and publish what you write, say and show, whether you notice it or not. Do not tell or \
                 show what must not be kept.",
            ),
        ],
    }
}

fn tracking() -> Section {
    Section {
        title: "Cookies and tracking",
        parts: vec![
            says(
                "tracking.none",
                "We set no cookie and store nothing in your browser: no local storage, no database, no cache of ours, no service worker. The \
                 site works with all of them blocked.",
            ),
            says(
                "tracking.visits",
                "Two visits of yours share no identifier that we could recognise: no TLS ticket, no QUIC token. There is nothing to \
                 opt out of, whatever Do Not Track or Global Privacy Control says.",
            ),
        ],
    }
}
