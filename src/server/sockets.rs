//! The TCP sockets of the server: bound by itself, or opened for it by the service manager.
//!
//! In: listeners with names, and the addresses of the configuration. Out: the sockets of each part. What does not fit is an error,
//! so that nothing listens that the configuration does not name.

use std::net::{SocketAddr, TcpListener};

use super::StartError;
use crate::ops::activation;
use crate::site::SiteSockets;

/// Sockets that the server is given instead of opening them: each with the name of the setting that it is for.
#[derive(Debug, Default)]
pub struct Given(Vec<(String, TcpListener)>);

impl Given {
    /// What the service manager has opened for this process (systemd's socket units); nothing, if there is none. Call it once.
    pub fn by_service_manager() -> Result<Self, StartError> {
        activation::take().map(Self).map_err(StartError::Given)
    }

    /// The sockets of the page.
    pub(super) fn site(&mut self, address: SocketAddr) -> Result<SiteSockets, StartError> {
        match self.take("site", address)? {
            Some(sockets) => Ok(sockets),
            None => SiteSockets::bind(address).map_err(|error| StartError::site(address, error)),
        }
    }

    /// The sockets of the metrics.
    pub(super) fn metrics(&mut self, address: SocketAddr) -> Result<SiteSockets, StartError> {
        match self.take("metrics", address)? {
            Some(sockets) => Ok(sockets),
            None => SiteSockets::bind(address).map_err(|error| StartError::metrics(address, error)),
        }
    }

    /// Checks that there is nothing left that the server would not use.
    pub(super) fn all_taken(&self) -> Result<(), StartError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(StartError::Given(format!(
                "the service manager opened a socket named {name}, and no setting of that name is in use"
            ))),
        }
    }

    fn take(&mut self, name: &str, address: SocketAddr) -> Result<Option<SiteSockets>, StartError> {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(|(given, _)| given == name);
        self.0 = left;
        let taken: Vec<_> = taken.into_iter().map(|(_, listener): (String, TcpListener)| listener).collect();
        if taken.is_empty() {
            return Ok(None);
        }
        let told: Vec<_> =
            taken.iter().flat_map(TcpListener::local_addr).map(|one| one.to_string()).collect();
        match SiteSockets::given(address, taken) {
            Ok(Some(sockets)) => Ok(Some(sockets)),
            Ok(None) | Err(_) => Err(StartError::Given(format!(
                "the service manager opened {} as {name}, and the setting {name} says {address}",
                told.join(" and ")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str) -> (String, TcpListener) {
        ("site".to_owned(), TcpListener::bind(address).expect("a port"))
    }

    fn address_of(given: &Given) -> SocketAddr {
        given.0[0].1.local_addr().expect("an address")
    }

    #[test]
    fn a_socket_that_was_opened_is_used_and_no_other_is_bound() {
        let mut given = Given(vec![listener("127.0.0.1:0")]);
        let address = address_of(&given);
        let sockets = given.site(address).expect("it fits");
        assert_eq!(sockets.local_addr(), address);
        given.all_taken().expect("nothing is left");
    }

    #[test]
    fn a_socket_at_another_address_is_refused_in_words() {
        for (opened, configured) in [("127.0.0.1:0", "127.0.0.1:1"), ("[::1]:0", "127.0.0.1:0")] {
            let mut given = Given(vec![listener(opened)]);
            let told =
                given.site(configured.parse().expect("an address")).expect_err("another address").to_string();
            assert!(told.contains("opened ") && told.contains(configured), "{told}");
        }
    }

    #[test]
    fn a_socket_for_nothing_is_refused_in_words() {
        let (_, listener) = listener("127.0.0.1:0");
        let given = Given(vec![("smtp".to_owned(), listener)]);
        assert!(given.all_taken().expect_err("nothing is called so").to_string().contains("named smtp"));
    }
}
