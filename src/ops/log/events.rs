//! What is written about requests and connections, where an operator wants it: in files that are gone in a day.
//!
//! By its types nothing can get here that names a person: words that stand in this program, codes, and a number that is made up for
//! one connection and means nothing anywhere else.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tracing::Level;

use super::line::Line;
use super::{Kind, LOG, Log};

/// Until when connections are looked at, in ms since the log was started; 0 if they are not.
static WATCH_UNTIL_MS: AtomicU64 = AtomicU64::new(0);
/// The next number of a connection; each watch begins anywhere.
static NEXT_NUMBER: AtomicU32 = AtomicU32::new(1);

/// The log, if it has files.
fn files() -> Option<&'static Log> {
    LOG.get().filter(|log| log.writer.is_some())
}

/// Whether requests to the site are written down.
pub fn access_is_on() -> bool {
    files().is_some_and(|log| log.config.access)
}

/// A request to the site: how, for which of the site's own paths, and the answer.
pub fn access(method: &'static str, path: &'static str, status: u16) {
    if let Some(log) = files().filter(|log| log.config.access) {
        let values = vec![("path", path.into()), ("status", status.into())];
        log.write(Kind::Access, &Line::new(method, values), Level::INFO, "anoncam::access");
    }
}

/// Writes down what becomes of the connections that begin in this time, under throwaway numbers. Turns itself off.
pub fn watch(span: Duration) -> Result<(), &'static str> {
    let log = files().ok_or(
        "what is written about connections has to be deleted in time, which the server does in its own files; set log_dir",
    )?;
    let mut random = [0; 4];
    // Without randomness the numbers go on where they were.
    if getrandom::fill(&mut random).is_ok() {
        NEXT_NUMBER.store(u32::from_be_bytes(random), Relaxed);
    }
    WATCH_UNTIL_MS.store(now_ms(log).saturating_add(span.as_millis() as u64), Relaxed);
    tracing::info!(within_s = span.as_secs(), "connections are written down");
    Ok(())
}

/// Ends it before its time. Returns whether it was on.
pub fn unwatch() -> bool {
    let was_on = WATCH_UNTIL_MS.swap(0, Relaxed) != 0;
    if was_on {
        tracing::info!("connections are written down no more");
    }
    was_on
}

/// Whether connections are written down now.
pub fn watched() -> bool {
    let until_ms = WATCH_UNTIL_MS.load(Relaxed);
    if until_ms == 0 {
        return false;
    }
    let on = files().is_some_and(|log| now_ms(log) < until_ms);
    if !on {
        unwatch();
    }
    on
}

/// A number for a connection that begins now; 0 if nobody looks.
pub fn throwaway_number() -> u32 {
    if watched() { NEXT_NUMBER.fetch_add(1, Relaxed).max(1) } else { 0 }
}

/// Something happened to the connection of this number (0: to none yet); a code, if there is one.
pub fn connection(number: u32, what: &'static str, code: Option<u64>) {
    let Some(log) = files().filter(|_| watched()) else { return };
    let mut values = vec![("connection", number.into())];
    values.extend(code.map(|code| ("code", code.into())));
    log.write(Kind::Connections, &Line::new(what, values), Level::INFO, "anoncam::connections");
}

fn now_ms(log: &Log) -> u64 {
    log.started.elapsed().as_millis() as u64
}
