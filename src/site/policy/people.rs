//! Sections 7 to 13: who else takes part, and what people can ask for.

use super::facts::{Facts, span};
use super::{Section, says};
use crate::config::Relay;
use crate::limits;

pub(super) fn sections(facts: &Facts) -> [Section; 7] {
    [
        third_parties(facts),
        security(),
        children(facts),
        rights(facts),
        changes(),
        countries(facts),
        contact(facts),
    ]
}

fn third_parties(facts: &Facts) -> Section {
    let credential = span(facts.credential);
    let mut parts = vec![says(
        "others.page",
        "The page loads nothing from anybody else: no scripts, fonts, pictures, maps, analytics or advertisements.",
    )];
    parts.push(match &facts.relay {
        Relay::None => says("others.relay", "We use no relay for video."),
        Relay::Own => says(
            "others.relay",
            format!(
                "Hidden video goes through a relay that we run. It forwards encrypted packets that it cannot read, knows your address while \
                 the call lasts, and keeps no log of it. You are known to it by a random name that is good for {credential}."
            ),
        ),
        Relay::Other(who) => says(
            "others.relay",
            format!(
                "Hidden video goes through a relay that {who}, runs for us. It forwards encrypted packets that it cannot read, and can see \
                 your address, and when and how much you send, while the call lasts. You are known to it by a random name that \
                 is good for {credential}."
            ),
        ),
    });
    if facts.stun {
        parts.push(says(
            "others.stun",
            "Before a direct video chat your browser asks a STUN server what its address looks like from outside; that server sees it.",
        ));
    }
    parts.push(says(
        "others.networks",
        "The networks between you and us, and the company in whose building the server stands, can see that your address exchanges encrypted \
         packets with ours.",
    ));
    parts.push(says(
        "others.authorities",
        "If an authority asks us about you, we can give what this policy says is there at that moment, which is usually nothing. We do not keep \
         more because somebody asks.",
    ));
    Section { title: "Third parties", parts }
}

fn security() -> Section {
    Section {
        title: "Security",
        parts: vec![
            says(
                "security.sealed",
                "All connections are encrypted (TLS, QUIC). What you write, and what sets up a call, is also sealed between the two browsers with \
                 keys made anew for each chat, and a safety code shows whether somebody sits between.",
            ),
            says(
                "security.server",
                "The server overwrites memory that it frees, writes no core dumps, and can be checked: it is published as source, with a test \
                 for each of these promises.",
            ),
            says(
                "security.limits",
                "Nobody can promise perfect security. Who controls the server or your device while you chat can learn more than this policy \
                 says; what has been wiped before that is gone.",
            ),
        ],
    }
}

fn children(facts: &Facts) -> Section {
    Section {
        title: "Children under 18",
        parts: vec![
            says(
                "children.adults",
                "This site is for adults. If you are under 18 you may not use it. We ask for no age that we could store, and knowingly handle no \
                 data of children.",
            ),
            says(
                "children.report",
                format!(
                    "If the stranger seems to be under 18, leave and report it: such reports weigh more than others. If you know of a child who \
                     uses this site, write to {}.",
                    facts.contact
                ),
            ),
        ],
    }
}

fn rights(facts: &Facts) -> Section {
    Section {
        title: "Your rights and choices",
        parts: vec![
            says(
                "rights.choices",
                "You choose whether to name interests and languages, whether to use video, and whether it goes directly or through a relay. Leaving \
                 ends what we handle.",
            ),
            says(
                "rights.law",
                "Depending on where you live, you may have the right to see what we hold about you, to have it corrected, erased, restricted or \
                 handed over, and to object. We treat everybody alike who uses a right, and sell or share nothing that you could opt out of.",
            ),
            says(
                "rights.ask",
                format!(
                    "Write to {}. All that we can look up is an IP address, so tell us the one that you use now; we answer what is held about it \
                     at that moment and erase it if you want, usually within days and at the latest within a month. Usually nothing is there. If \
                     your address was kept out, name the code that you were shown.",
                    facts.contact
                ),
            ),
            says(
                "rights.authority",
                "You may complain to a data protection authority, such as that of the country where you live.",
            ),
        ],
    }
}

fn changes() -> Section {
    let days = limits::NOTICE_DAYS;
    Section {
        title: "Changes",
        parts: vec![
            says(
                "changes.date",
                "The date above is the day on which the last change of this text took effect, our name and address included.",
            ),
            says(
                "changes.notice",
                format!(
                    "For {days} days after a change the first page says so. We do not make this policy weaker without saying there what \
                     becomes weaker; what you did before stays under the policy of its day, since nothing of it is kept."
                ),
            ),
        ],
    }
}

fn countries(facts: &Facts) -> Section {
    let Facts { country, server_country, .. } = facts;
    let relay = match &facts.relay {
        Relay::Other(who) => {
            format!(" In hidden video, encrypted packets also pass through the relay of {who}.")
        }
        Relay::None | Relay::Own => String::new(),
    };
    let mut parts = vec![says(
        "countries.transfer",
        format!(
            "We are in {country}, and the server stands in {server_country}. If you are elsewhere, your address and your sealed messages come \
             there because you connect to it. We pass nothing on to other countries, but for the stranger you talk to, wherever they are.{relay}"
        ),
    )];
    if !facts.not_served.is_empty() {
        let names = facts.not_served.join(", ");
        let how = if facts.refused {
            " Connections from ranges of addresses that are registered there are refused before anything about them is kept. The list of ranges \
             lies on our server, so nobody is asked where you are."
        } else {
            ""
        };
        parts.push(says(
            "countries.not_served",
            format!("This site is not offered to people in: {names}.{how}"),
        ));
    }
    Section { title: "International transfer", parts }
}

fn contact(facts: &Facts) -> Section {
    let Facts { name, country, contact, .. } = facts;
    Section {
        title: "Contact",
        parts: vec![says("contact.who", format!("{name}, {country}. Write to {contact}."))],
    }
}
