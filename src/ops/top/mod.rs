//! `anoncam top`: a running server as a table that is drawn anew every second.
//!
//! In: snapshots over the control socket. Out: a screen of text; q, Esc or Ctrl-C leaves it as it was. Without a terminal, or with
//! `--once`, one table over one second is printed.

mod terminal;
mod view;

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::control::Order;
use super::control::client::Operator;
use super::snapshot::Snapshot;
use terminal::Terminal;
use view::{Frame, Size};

/// Time between two tables.
const SECOND: Duration = Duration::from_secs(1);
/// Where one table is printed, and nobody says how wide it may be.
const PRINTED: Size = Size { columns: 80, rows: u16::MAX };

/// How the table is shown.
#[derive(Clone, Copy, Debug, Args)]
pub struct Top {
    /// Print one table over one second, and end
    #[arg(long)]
    once: bool,
}

impl Top {
    /// Shows the server at the socket `path` until somebody has seen enough.
    pub fn run(self, path: &Path) -> io::Result<()> {
        let mut operator = Operator::connect(path)?;
        let mut before = snapshot(&mut operator)?;
        let terminal = if self.once { None } else { Terminal::take()? };
        let Some(mut terminal) = terminal else {
            std::thread::sleep(SECOND);
            let now = snapshot(&mut operator)?;
            return io::stdout().write_all(Frame::new(&before, &now).draw(PRINTED).as_bytes());
        };
        // The first table is there at once, without rates.
        let mut now = before.clone();
        loop {
            terminal.show(&Frame::new(&before, &now).draw(terminal.size()))?;
            if terminal.wait_for_end(SECOND)? {
                return Ok(());
            }
            before = now;
            now = if let Ok(now) = snapshot(&mut operator) {
                now
            } else {
                // After an upgrade another process answers at the same place.
                operator = Operator::connect(path)?;
                snapshot(&mut operator)?
            };
        }
    }
}

fn snapshot(operator: &mut Operator) -> io::Result<Snapshot> {
    let answer = operator.ask(&Order::Snapshot)?;
    let text = answer.map_err(io::Error::other)?;
    serde_json::from_str(&text).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, "the server is of another version; use its own program")
    })
}
