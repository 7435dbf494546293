//! What the guard does when many come, stay, and go.

use super::*;

const WHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn guard(people: u32) -> Arc<Guard> {
    let config = GuardConfig {
        limit_addresses: true,
        people_per_address: people,
        work_above: 1_000,
        max_sessions: 1_000,
    };
    Arc::new(Guard::new(Clock::start(), config).expect("random numbers"))
}

fn round(guard: &Guard, now: Time, during: impl Fn()) {
    guard.begin_sweep(now);
    let mut first = true;
    while guard.sweep(now) {
        if std::mem::take(&mut first) {
            during();
        }
    }
}

#[test]
fn the_key_goes_with_the_last_counter_and_not_before() {
    let guard = guard(10);
    let (_, now) = guard.clock().now();
    let before = guard.counting.prefixes(WHERE);
    round(&guard, now, || assert_eq!(guard.connected(now, WHERE), 0));
    assert_eq!(guard.counting.prefixes(WHERE), before, "somebody came while it swept");
    let ticket = guard.enter(now, WHERE, 0);
    let later = now.plus_ms(limits::COUNTER_S * 1_000);
    round(&guard, later, || {});
    assert_eq!(guard.counting.prefixes(WHERE), before, "somebody is there");
    drop(ticket);
    round(&guard, later, || {});
    assert_ne!(guard.counting.prefixes(WHERE), before);
}

#[test]
fn a_site_is_limited_as_a_whole_and_its_networks_take_no_places_past_that() {
    let guard = guard(10);
    let (_, now) = guard.clock().now();
    let network = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, n, 0, 0, 0, 1]);
    let welcome = (0..1_000).filter(|n| guard.connected(now, network(*n)) == 0).count();
    assert_eq!(welcome, 160, "eight times what a network may");
    assert!(guard.table.given() <= 161, "a place for each that was counted, and one for the site");
    assert!(guard.refuses(now, network(5_000)));
    assert!(!guard.refuses(now, WHERE));
}

#[test]
fn sessions_beyond_those_that_fit_are_told_when_to_come_again() {
    let guard = guard(10);
    let (_, now) = guard.clock().now();
    let tickets: Vec<_> = (0..11).map(|_| guard.enter(now, WHERE, 0)).collect();
    let hello = br#"{"v":1}"#;
    let refusal = |ticket: &Ticket| ticket.visitor(now, hello).0.refusal.map(|refusal| refusal.0);
    assert_eq!(refusal(&tickets[9]), None);
    assert_eq!(refusal(&tickets[10]), Some(CloseCode::TooMany));
    drop(tickets);
    assert_eq!(refusal(&guard.enter(now, WHERE, 0)), None);
}

#[test]
fn others_go_before_an_address_that_has_spent_a_quarter_of_what_it_may() {
    let guard = guard(100);
    let (_, now) = guard.clock().now();
    let ticket = guard.enter(now, WHERE, 0);
    let neighbour = IpAddr::from([192, 0, 2, 2]);
    for _ in 0..100 {
        assert_eq!(ticket.take(now, Kind::Finds, 1), Ok(()));
        assert!(!ticket.has_spent_much(now), "everybody there may press next once");
    }
    assert_eq!(ticket.take(now, Kind::Finds, 1), Ok(()));
    assert!(ticket.has_spent_much(now) && guard.defers(now, WHERE), "sessions and newcomers");
    assert!(!guard.enter(now, neighbour, 0).has_spent_much(now) && !guard.defers(now, neighbour));
    let later = now.plus_ms(100);
    assert!(!ticket.has_spent_much(later) && !guard.defers(later, WHERE), "it comes back");
}

#[test]
fn a_site_whose_networks_do_little_each_waits_as_a_whole() {
    let guard = guard(100);
    let (_, now) = guard.clock().now();
    let network = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, n, 0, 0, 0, 1]);
    let tickets: Vec<_> = (0..9).map(|n| guard.enter(now, network(n), 0)).collect();
    for ticket in &tickets {
        assert_eq!(ticket.take(now, Kind::Finds, 90), Ok(()));
    }
    assert!(tickets[0].has_spent_much(now) && guard.defers(now, network(77)));
    assert!(!guard.defers(now, WHERE));
}

#[test]
fn a_flood_of_newcomers_proves_work() {
    let guard = guard(10_000);
    let now = Time(5_000_000);
    let ticket = guard.enter(now, WHERE, 0);
    let visit = || ticket.visitor(now, br#"{"v":1}"#).0.refusal;
    let welcome = (0..1_500).take_while(|_| visit().is_none()).count();
    assert_eq!(welcome, 1_000);
    let (code, reason) = *visit().expect("a refusal");
    assert_eq!(code, CloseCode::TooMany);
    assert!(String::from_utf8_lossy(&reason).contains(r#""work":"8.13."#), "{reason:?}");
    guard.ask(Asking::Off);
    assert!(visit().is_none());
}

#[test]
fn whoever_asks_is_told_what_is_held_about_their_address_and_can_have_it_erased() {
    let guard = guard(10);
    let (_, now) = guard.clock().now();
    let nothing = guard.rights(now, WHERE, false);
    for line in [
        "sessions that are open: 0;",
        "counters: none",
        "reports about it: none",
        "under report: none",
        "mark: none",
    ] {
        assert!(nothing.contains(line), "{line} is missing in\n{nothing}");
    }
    assert_eq!(guard.connected(now, WHERE), 0);
    let ticket = guard.enter(now, WHERE, 0);
    guard.ledger.bar(now, ticket.mark, 600, random_code().expect("random numbers"));
    let held = guard.rights(now, WHERE, true);
    for line in [
        "sessions that are open: 1;",
        "counters: connections, gone in ",
        "mark: barred for 10 min",
        "erased: ",
    ] {
        assert!(held.contains(line), "{line} is missing in\n{held}");
    }
    assert!(!held.contains("192.0.2.1"), "the answer names nobody");
    let left = guard.rights(now, WHERE, false);
    assert_eq!(left, nothing.replace("open: 0;", "open: 1;"), "who is there still counts");
    drop(ticket);
    assert_eq!(guard.rights(now, WHERE, false), nothing);
}
