//! What the demo shows while it runs: a few lines that are redrawn on a terminal, plain lines elsewhere.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Plain output says how it stands this often.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Scrapes that the engine answered.
    pub(super) scrapes: usize,
    /// Samples that the receiver stored.
    pub(super) arrived: u64,
    /// Requests that the receiver stored.
    pub(super) stored: u64,
    /// Requests that it sent away.
    pub(super) refused: u64,
    /// Samples in the queue.
    pub(super) waiting: u64,
    /// What the receiver does at the moment.
    pub(super) receiver: &'static str,
}

/// Where lines go. A failure to write (`| head`) ends the showing, not the demo.
pub(super) struct View<W> {
    out: W,
    terminal: bool,
    start: Instant,
    /// Lines of the block that is on the terminal now.
    drawn: usize,
    last_plain: Option<Instant>,
}

impl<W: Write> View<W> {
    pub(super) fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal, start: Instant::now(), drawn: 0, last_plain: None }
    }

    /// A new phase begins: one line that stays.
    pub(super) fn phase(&mut self, what: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        self.lines(&format!("{seconds:5.1} s  {what}\n"));
        self.last_plain = Some(Instant::now());
    }

    /// Lines that stay.
    pub(super) fn lines(&mut self, text: &str) {
        let result = self.erase().and_then(|()| self.out.write_all(text.as_bytes()));
        self.flush(result);
    }

    /// How it stands: redrawn on a terminal, said now and then elsewhere.
    pub(super) fn progress(&mut self, progress: &Progress) {
        if self.terminal {
            let text = block(progress);
            let result = self.erase().and_then(|()| {
                // Without wrapping a line stays a line, however narrow the terminal is.
                write!(self.out, "\x1b[?7l{text}\x1b[?7h")
            });
            self.drawn = text.lines().count();
            self.flush(result);
        } else if self.last_plain.is_none_or(|last| last.elapsed() >= PLAIN_EVERY) {
            self.phase(&sentence(progress));
        }
    }

    /// Takes the redrawn lines away.
    fn erase(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.drawn) {
            0 => Ok(()),
            lines => write!(self.out, "\r\x1b[{lines}A\x1b[0J"),
        }
    }

    fn flush(&mut self, written: io::Result<()>) {
        // Nobody watches any more; the exit code still tells.
        let _ = written.and_then(|()| self.out.flush());
    }
}

fn block(progress: &Progress) -> String {
    format!(
        "\n         engine    {} scrapes answered\n         queue     {} samples waiting\n         receiver  {} samples \
         in {} requests, {} requests sent away; it {}\n",
        progress.scrapes,
        progress.waiting,
        progress.arrived,
        progress.stored,
        progress.refused,
        progress.receiver
    )
}

fn sentence(progress: &Progress) -> String {
    format!(
        "  {} scrapes answered, {} samples waiting, {} arrived in {} requests, {} requests sent away",
        progress.scrapes, progress.waiting, progress.arrived, progress.stored, progress.refused
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(terminal: bool) -> String {
        let mut page = Vec::new();
        let mut view = View::new(&mut page, terminal);
        view.phase("one");
        view.progress(&Progress { scrapes: 3, receiver: "takes everything", ..Progress::default() });
        view.progress(&Progress { scrapes: 4, receiver: "takes everything", ..Progress::default() });
        view.phase("two");
        String::from_utf8(page).unwrap()
    }

    #[test]
    fn plain_output_has_one_line_for_a_phase_and_no_escapes() {
        let text = shown(false);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains(" s  one\n") && text.contains(" s  two\n") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn a_terminal_sees_the_block_redrawn_and_taken_away() {
        let text = shown(true);
        assert_eq!(text.matches("\x1b[4A\x1b[0J").count(), 2, "{text:?}");
        assert!(text.contains("4 scrapes answered") && text.ends_with(" s  two\n"), "{text:?}");
        assert_eq!(text.matches("\x1b[?7l").count(), text.matches("\x1b[?7h").count());
    }

    #[test]
    fn a_closed_output_is_no_failure() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut view = View::new(Closed, true);
        view.phase("one");
        view.progress(&Progress::default());
        view.lines("x\n");
    }
}
