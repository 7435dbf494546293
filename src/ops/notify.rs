//! Around the six steps: what the service manager is told (`sd_notify(3)`).
//!
//! In: what has become of the server. Out: a datagram to the socket that `NOTIFY_SOCKET` names; without that variable
//! nothing. A manager that cannot be reached is no reason to stop, so errors are not told.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that the server is alive.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// From the variables that systemd sets for a service of `Type=notify`.
    pub fn from_environment() -> Self {
        Self::new(|name| std::env::var_os(name), std::process::id())
    }

    fn new(variable: impl Fn(&str) -> Option<OsString>, own_id: u32) -> Self {
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let manager = variable("NOTIFY_SOCKET").as_deref().and_then(address);
        let manager = manager.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        // Set for one process: a parent's dog is not ours to feed.
        let is_ours = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(own_id));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        Self { watchdog: manager.is_some().then_some(watchdog).flatten().map(Duration::from_micros), manager }
    }

    /// How often the manager wants to hear from [`Notifier::alive`], if at all.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The server serves; this process is the service's main one.
    pub fn ready(&self) {
        self.succeeded_by(std::process::id());
    }

    /// A newer process serves, and is the service's main one from now on: it is not listened to before this one says so.
    pub fn succeeded_by(&self, id: u32) {
        self.tell(&format!("READY=1\nMAINPID={id}\nSTATUS=serving"));
    }

    /// A reload or an upgrade has begun; [`Notifier::ready`] or [`Notifier::succeeded_by`] ends it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The server drains and will stop.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=draining");
    }

    /// The server is alive.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.manager {
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

/// `/path`, or `@name` in Linux's abstract namespace.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        #[cfg(target_os = "linux")]
        [b'@', rest @ ..] => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(rest).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifier(variables: &[(&str, &str)]) -> Notifier {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Notifier::new(find, 7)
    }

    #[test]
    fn the_manager_hears_each_state_as_one_datagram() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        let notifier = notifier(&[("NOTIFY_SOCKET", path.to_str().expect("UTF-8"))]);
        let hear = || {
            let mut bytes = [0; 256];
            let length = manager.recv(&mut bytes).expect("a datagram");
            String::from_utf8(bytes[..length].to_vec()).expect("UTF-8")
        };
        notifier.ready();
        assert_eq!(hear(), format!("READY=1\nMAINPID={}\nSTATUS=serving", std::process::id()));
        notifier.succeeded_by(4_711);
        assert_eq!(hear(), "READY=1\nMAINPID=4711\nSTATUS=serving");
        notifier.reloading();
        assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        notifier.stopping();
        assert_eq!(hear(), "STOPPING=1\nSTATUS=draining");
        notifier.alive();
        assert_eq!(hear(), "WATCHDOG=1");
        drop(manager);
        notifier.alive();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_socket_is_reached_too() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("anoncam-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name"));
        notifier(&[("NOTIFY_SOCKET", &format!("@{name}"))]).alive();
        let mut bytes = [0; 32];
        assert_eq!(manager.expect("a socket").recv(&mut bytes).expect("a datagram"), 10);
    }

    #[test]
    fn only_the_own_watchdog_counts_and_only_with_a_manager() {
        let socket = ("NOTIFY_SOCKET", "/run/nowhere");
        let dog = ("WATCHDOG_USEC", "30000000");
        assert_eq!(notifier(&[socket, dog]).watchdog(), Some(Duration::from_secs(30)));
        assert_eq!(notifier(&[socket, dog, ("WATCHDOG_PID", "7")]).watchdog(), Some(Duration::from_secs(30)));
        assert_eq!(notifier(&[socket, dog, ("WATCHDOG_PID", "8")]).watchdog(), None);
        assert_eq!(notifier(&[dog]).watchdog(), None);
        assert_eq!(notifier(&[socket, ("WATCHDOG_USEC", "soon")]).watchdog(), None);
    }

    #[test]
    fn without_a_manager_nothing_is_told() {
        notifier(&[]).ready();
        notifier(&[("NOTIFY_SOCKET", "vsock:2:1")]).ready();
    }
}
