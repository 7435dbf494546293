//! The terminal while `anoncam top` runs: another screen, no cursor, keys without Enter; all as before at the end.

use std::io::{self, IsTerminal as _, Stdin, Stdout, Write as _};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

use super::view::Size;

/// The other screen, without cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
/// Back to how it was.
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";
/// From the upper left corner on; what is not overwritten is cleared line by line.
const HOME: &[u8] = b"\x1b[H";
/// Clears the rest of a line.
const CLEAR_LINE: &str = "\x1b[K\r\n";
/// Clears what is below.
const CLEAR_BELOW: &[u8] = b"\x1b[J";
/// Keys that end it: q, Q, Esc and Ctrl-C.
const ENDS: &[u8] = b"qQ\x1b\x03";

/// A terminal that is ours until it is dropped.
pub(super) struct Terminal {
    input: Stdin,
    output: Stdout,
    before: Termios,
}

impl Terminal {
    /// Takes the terminal; `None` if input or output is none.
    pub fn take() -> io::Result<Option<Self>> {
        let (input, output) = (io::stdin(), io::stdout());
        if !input.is_terminal() || !output.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&input)?;
        let mut raw = before.clone();
        // Keys come at once and are not shown; Ctrl-C is a key, so that the screen can be put back.
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&input, OptionalActions::Flush, &raw)?;
        let mut terminal = Self { input, output, before };
        terminal.output.write_all(ENTER)?;
        Ok(Some(terminal))
    }

    /// How much fits.
    pub fn size(&self) -> Size {
        let size = tcgetwinsize(&self.output).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or(Size { columns: 80, rows: 24 }, |size| Size { columns: size.ws_col, rows: size.ws_row })
    }

    /// Draws over what was there.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        let mut screen = Vec::with_capacity(2 * text.len());
        screen.extend_from_slice(HOME);
        screen.extend_from_slice(text.trim_end().replace('\n', CLEAR_LINE).as_bytes());
        screen.extend_from_slice(b"\x1b[K");
        screen.extend_from_slice(CLEAR_BELOW);
        self.output.write_all(&screen)?;
        self.output.flush()
    }

    /// Waits; `true` if somebody has pressed a key that ends it, or the terminal is gone.
    pub fn wait_for_end(&self, at_most: Duration) -> io::Result<bool> {
        let until = Instant::now() + at_most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.input, PollFlags::IN)], Some(&timeout)) {
                // A signal, such as that of a new size: draw at once.
                Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(false),
                Ok(_) => {
                    let mut keys = [0; 16];
                    let count = rustix::io::read(&self.input, &mut keys)?;
                    if count == 0 || keys[..count].iter().any(|key| ENDS.contains(key)) {
                        return Ok(true);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.output.write_all(LEAVE).and_then(|()| self.output.flush());
        let _ = tcsetattr(&self.input, OptionalActions::Flush, &self.before);
    }
}
