//! The side of the process that runs: starts a newer one, and leaves everything to it.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::{Elder, Estate, FORMAT, HeirSays, VARIABLE};
use crate::limits::UPGRADE_GO_S;

/// How this program was started, so that it can be started again.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// This one. Call it at the start: once its file has been replaced, the system does not know where it lay.
    pub fn of_this_process() -> io::Result<Self> {
        Ok(Self { path: std::env::current_exe()?, arguments: std::env::args_os().skip(1).collect() })
    }

    /// Starts it, with the other end of the way as its standard input.
    fn start(&self) -> io::Result<(Channel, Child)> {
        let (own, heirs) = Channel::pair()?;
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env(VARIABLE, super::heir::BEGIN).stdin(Stdio::from(heirs));
        // What a service manager meant for this process alone.
        for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
            command.env_remove(variable);
        }
        let child = command.spawn()?;
        Ok((own, child))
    }
}

/// What is needed to start a newer process; independent of the server, which goes on meanwhile.
#[derive(Debug)]
pub struct Proposal {
    /// What to start.
    pub program: Program,
    /// What it gets.
    pub estate: Estate,
}

/// A newer process that is ready to take over.
#[derive(Debug)]
pub struct Candidate {
    channel: Channel,
    /// Its process number.
    pub id: u32,
    /// Its version.
    pub version: String,
}

impl Proposal {
    /// Starts the newer process and waits until it is ready, [`crate::limits::UPGRADE_READY_S`] usually. Blocks. An error says, for the
    /// operator, why there is none.
    pub fn find_heir(self, within: Duration) -> Result<Candidate, String> {
        let deadline = Instant::now() + within;
        let path = self.program.path.display();
        let (channel, mut child) =
            self.program.start().map_err(|error| format!("{path} cannot be started: {error}"))?;
        let candidate = introduce(&channel, &self.estate, deadline);
        // It only starts the heir. One that still runs does not know what an upgrade is.
        if child.try_wait().is_ok_and(|ended| ended.is_none()) && candidate.is_err() {
            let _ = child.kill();
        }
        let _ = child.wait();
        let (id, version) = candidate?;
        Ok(Candidate { channel, id, version })
    }
}

fn introduce(channel: &Channel, estate: &Estate, deadline: Instant) -> Result<(u32, String), String> {
    let HeirSays::Here { id, format, version } = hear(channel, deadline)? else {
        return Err("the new program says what this one does not understand".to_owned());
    };
    if format != FORMAT {
        return Err(format!("version {version} cannot take over from this one; restart instead"));
    }
    estate
        .give(channel)
        .map_err(|error| format!("the new program could not be given the sockets: {error}"))?;
    match hear(channel, deadline)? {
        HeirSays::Ready => Ok((id, version)),
        HeirSays::Refused { why } => Err(format!("the new program cannot take over: {why}")),
        _ => Err("the new program says what this one does not understand".to_owned()),
    }
}

fn hear(channel: &Channel, deadline: Instant) -> Result<HeirSays, String> {
    let left = deadline.saturating_duration_since(Instant::now());
    channel.hear(left).map_err(|error| match error.kind() {
        ErrorKind::TimedOut => "the new program was not ready in time".to_owned(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
            "the new program ended before it was ready; the log says why".to_owned()
        }
        _ => format!("the new program cannot be heard: {error}"),
    })
}

impl Candidate {
    /// Lets it serve. The sockets must not be read here any more. An error means that it does not, and never will.
    pub fn go(self) -> Result<(), String> {
        let serving =
            self.channel.say(&Elder::Go).and_then(|()| self.channel.hear(Duration::from_secs(UPGRADE_GO_S)));
        match serving {
            Ok(HeirSays::Serving) => Ok(()),
            Ok(_) => Err("the new program says what this one does not understand".to_owned()),
            Err(error) => Err(format!("the new program did not begin to serve: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::keys::QuicKeys;

    fn no_heir(path: &str, arguments: &[&str], within: Duration) -> String {
        let estate = Estate {
            generation: crate::transport::cid::Generation(1),
            keys: QuicKeys::new().expect("random bytes"),
            groups: 1,
            sockets: Vec::new(),
            elders: Vec::new(),
            tcp: Vec::new(),
            control: None,
            certificates: Vec::new(),
            paused: Vec::new(),
            message: None,
        };
        let program = Program { path: path.into(), arguments: arguments.iter().map(Into::into).collect() };
        Proposal { program, estate }.find_heir(within).expect_err("that is no heir")
    }

    #[test]
    fn a_program_that_is_no_heir_is_found_out() {
        const LONG: Duration = Duration::from_secs(30);
        assert!(no_heir("/nowhere/anoncam", &[], LONG).contains("cannot be started"));
        assert!(no_heir("/bin/true", &[], LONG).contains("ended before it was ready"));
        let format = r#"printf '{"say":"here","id":1,"format":0,"version":"0"}' >&0"#;
        assert!(no_heir("/bin/sh", &["-c", format], LONG).contains("restart instead"));
        let begin = Instant::now();
        let told = no_heir("/bin/sleep", &["600"], Duration::from_millis(100));
        assert!(told.contains("not ready in time"), "{told}");
        assert!(begin.elapsed() < LONG, "it is not waited for");
    }
}
