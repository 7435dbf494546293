//! The side of the process that was started by an older one.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::channel::Channel;
use super::{Elder, Estate, FORMAT, HeirSays, VARIABLE};
use crate::limits::UPGRADE_READY_S;

/// The value of [`VARIABLE`] for the process in between, which starts the heir and ends.
pub(super) const BEGIN: &str = "begin";
/// The value for the heir.
const TAKE_OVER: &str = "take-over";

/// How a process begins.
#[derive(Debug)]
pub enum Beginning {
    /// By itself.
    First,
    /// In the place of an older one.
    Heir(Box<Heir>),
    /// It has started the heir, and is done.
    Between,
}

/// What an older process left, and the way to it.
#[derive(Debug)]
pub struct Heir {
    channel: Channel,
    /// What it left. Taken by whoever prepares the server.
    pub estate: Option<Estate>,
}

impl Beginning {
    /// Finds out. Call it before anything else is read from the standard input.
    pub fn of_this_process() -> io::Result<Self> {
        match std::env::var(VARIABLE).as_deref() {
            Err(_) => Ok(Self::First),
            Ok(BEGIN) => {
                let program = std::env::current_exe()?;
                let arguments = std::env::args_os().skip(1);
                Command::new(program)
                    .args(arguments)
                    .env(VARIABLE, TAKE_OVER)
                    .stdin(Stdio::inherit())
                    .spawn()?;
                Ok(Self::Between)
            }
            Ok(TAKE_OVER) => Ok(Self::Heir(Box::new(Heir::introduce(standard_input()?)?))),
            Ok(_) => {
                Err(io::Error::other(format!("{VARIABLE} is set, which only an upgrade does; unset it")))
            }
        }
    }
}

/// Takes the way to the elder from the standard input, which is empty afterwards.
fn standard_input() -> io::Result<Channel> {
    let end = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(Channel::over(end))
}

impl Heir {
    fn introduce(channel: Channel) -> io::Result<Self> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        channel.say(&HeirSays::Here { id: std::process::id(), format: FORMAT, version })?;
        let estate = Estate::take(&channel, Duration::from_secs(UPGRADE_READY_S))?;
        Ok(Self { channel, estate: Some(estate) })
    }

    /// Says that everything is prepared, and waits until the sockets are left to this process. An error means that they never
    /// will be: the elder has given up, or has ended.
    pub fn wait_for_go(&self) -> io::Result<()> {
        self.channel.say(&HeirSays::Ready)?;
        let Elder::Go = self.channel.hear(Duration::from_secs(UPGRADE_READY_S))?;
        Ok(())
    }

    /// Says that this process serves: the elder sends its people over.
    pub fn serves(self) -> io::Result<()> {
        self.channel.say(&HeirSays::Serving)
    }

    /// Says why this process cannot serve: the elder goes on.
    pub fn refuse(self, why: &str) {
        // Nobody there who could be told is nobody who waits.
        let _ = self.channel.say(&HeirSays::Refused { why: why.to_owned() });
    }
}
