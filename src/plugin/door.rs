use std::io;
use std::time::Duration;

use rustix::process::{Uid, geteuid};
use tokio::net::unix::UCred;
use tokio::time::Instant;
use tracing::warn;

/// Whoever is refused can come again at once and as often as it likes; the log is for others.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Lets root and our own uid in, by what the kernel says of who connected: a mode of the socket may be changed by mistake.
#[derive(Debug)]
pub(super) struct Door {
    /// Of the socket, for messages.
    name: &'static str,
    us: Uid,
    said: Option<Instant>,
    /// Since the last line.
    refused: u64,
}

impl Door {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, us: geteuid(), said: None, refused: 0 }
    }

    /// Whether the peer is answered. A refusal is said at once, and then once a minute with its number.
    pub(super) fn lets_in(&mut self, peer: io::Result<UCred>) -> bool {
        let who = match peer {
            Ok(peer) if may_enter(Uid::from_raw(peer.uid()), self.us) => return true,
            Ok(peer) => format!("uid {}", peer.uid()),
            Err(error) => format!("unknown ({error})"),
        };
        self.refused += 1;
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            warn!(
                socket = self.name,
                who,
                connections = self.refused,
                "a connection was closed: only root is answered there"
            );
            self.said = Some(Instant::now());
            self.refused = 0;
        }
        false
    }
}

fn may_enter(peer: Uid, us: Uid) -> bool {
    peer.is_root() || peer == us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_ourselves_and_nobody_else() {
        let uid = Uid::from_raw;
        assert!(may_enter(uid(0), uid(0)) && may_enter(uid(0), uid(1000)) && may_enter(uid(1000), uid(1000)));
        assert!(!may_enter(uid(1000), uid(0)) && !may_enter(uid(1001), uid(1000)));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_said_once_a_minute() {
        let mut door = Door::new("api");
        let refuse = |door: &mut Door| door.lets_in(Err(io::ErrorKind::Other.into()));
        assert!(!refuse(&mut door) && !refuse(&mut door) && !refuse(&mut door));
        assert_eq!(door.refused, 2, "the first was said");
        tokio::time::advance(SAY_EVERY).await;
        assert!(!refuse(&mut door));
        assert_eq!(door.refused, 0);
    }
}
