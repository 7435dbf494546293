//! A running server leaves its place to a newer process, or finds that it cannot.

use std::io;
use std::time::Duration;

use super::Server;
use crate::ops::Pausable;
use crate::upgrade::{Candidate, Estate, Program, Proposal};

/// A newer process that is being looked for, and this server's ends of the ways to it.
#[derive(Debug)]
pub struct Succession {
    own_ends: Vec<std::os::fd::OwnedFd>,
}

impl Server {
    /// Prepares to look for an heir. Nothing changes yet: [`Proposal::find_heir`] takes a while, and the server goes on.
    pub fn propose(&self, program: Program) -> io::Result<(Proposal, Succession)> {
        if std::process::id() == 1 {
            return Err(io::Error::other(
                "this process is the first of its container, which ends with it; start a new container instead",
            ));
        }
        let bequest = self.engine.bequest()?;
        let levers = self.counters.levers();
        let estate = Estate {
            generation: bequest.generation,
            keys: bequest.keys,
            groups: bequest.groups,
            sockets: bequest.sockets,
            elders: bequest.elders,
            tcp: self.listening.tcp_for_heir()?,
            control: self.listening.control_for_heir()?,
            certificates: self.operator.certificates.self_made_parts(),
            paused: Pausable::ALL.into_iter().filter(|what| levers.is_paused(*what)).collect(),
            message: levers.message().map(|message| message.to_string()),
        };
        Ok((Proposal { program, estate }, Succession { own_ends: bequest.own_ends }))
    }

    /// Leaves its sockets to the heir. If that does not serve after all, everything is as before. Blocks for seconds at most,
    /// usually for milliseconds.
    pub fn hand_over(&mut self, succession: Succession, heir: Candidate) -> Result<(), String> {
        let given = self.engine.hand_over(succession.own_ends).map_err(|error| error.to_string());
        if let Err(why) = given.and_then(|()| heir.go()) {
            self.engine.take_back();
            return Err(why);
        }
        self.listening = super::Listening::default();
        self.site.rest();
        Ok(())
    }

    /// After [`Server::hand_over`]: sends everybody to the heir, lets chats go on for `within` at most, and stops. Blocks the
    /// calling thread.
    pub fn move_out_and_stop(self, within: Duration) -> io::Result<()> {
        let result = self.engine.move_out_and_stop(within);
        self.site.finish();
        result
    }
}
