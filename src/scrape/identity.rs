//! What an engine's exposition says of the engine itself: its identifiers for the placeholders of labels, and its role in a swarm.
//!
//! Read from the unfiltered body, before any line is taken in: labels have to be known by then. Lines count only where they begin like the
//! engine writes them, without blanks before the name.

use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::template::Placeholder;
use crate::exposition::{Entry, Format, Parser, Series, protobuf_as_text};
use crate::relabel::SwarmRole;

const ENGINE: &str = "engine_daemon_engine_info{";
const NODE: &str = "swarm_node_info{";
const MANAGER: &str = "swarm_node_manager ";

/// How long bodies without `swarm_node_info` leave it open whether the node is outside a swarm, ms: an engine serves metrics before
/// its swarm node has started.
const SWARM_PATIENCE_MS: i64 = 60_000;

/// What is known of an engine. A text that is empty is known to be nothing: the label is then left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    daemon_id: Option<String>,
    engine_version: Option<String>,
    node_id: Option<String>,
    swarm_id: Option<String>,
}

impl Identity {
    /// What fills a placeholder; `None` while it is not known.
    #[must_use]
    pub fn get(&self, placeholder: Placeholder) -> Option<&str> {
        match placeholder {
            Placeholder::DaemonId => self.daemon_id.as_deref(),
            Placeholder::EngineVersion => self.engine_version.as_deref(),
            Placeholder::NodeId => self.node_id.as_deref(),
            Placeholder::SwarmId => self.swarm_id.as_deref(),
        }
    }

    /// Reads what [`Identity::note`] has written; damage means that nothing is known.
    #[must_use]
    pub fn parse(note: &str) -> Self {
        serde_json::from_str(note).unwrap_or_default()
    }

    /// For the next process.
    #[must_use]
    pub fn note(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn node(&self) -> Option<Node> {
        Some((self.node_id.clone()?, self.swarm_id.clone()?))
    }
}

/// Node and swarm.
type Node = (String, String);

/// Keeps an [`Identity`] up to date, body by body. While the lines of the engine stay the same nothing is parsed or allocated.
#[derive(Debug)]
pub struct Recognition {
    identity: Identity,
    asks_for_engine: bool,
    asks_for_node: bool,
    /// The lines in which it was found last.
    engine_line: Vec<u8>,
    node_lines: Vec<u8>,
    /// All nodes of the last body that had any.
    nodes: Vec<Node>,
    /// The first of the bodies that came without a node, ms since the epoch.
    alone_since: Option<i64>,
}

impl Recognition {
    /// Starts with what an earlier process has learned, and looks for what `placeholders` need.
    #[must_use]
    pub fn new(saved: Identity, placeholders: &[Placeholder]) -> Self {
        let of_engine = |placeholder: &Placeholder| match placeholder {
            Placeholder::DaemonId | Placeholder::EngineVersion => true,
            Placeholder::NodeId | Placeholder::SwarmId => false,
        };
        Self {
            identity: saved,
            asks_for_engine: placeholders.iter().any(of_engine),
            asks_for_node: !placeholders.iter().all(of_engine),
            engine_line: Vec::new(),
            node_lines: Vec::new(),
            nodes: Vec::new(),
            alone_since: None,
        }
    }

    /// What is known now.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Looks into the body of a scrape that began at `timestamp`, ms since the epoch; returns whether anything is known that was not
    /// known before, or is otherwise. What a body does not say stays as it was.
    pub fn look(&mut self, body: &[u8], timestamp: i64) -> bool {
        let engine = self.asks_for_engine && self.look_for_engine(body);
        let node = self.asks_for_node && self.look_for_node(body, timestamp);
        engine || node
    }

    fn look_for_engine(&mut self, body: &[u8]) -> bool {
        let Some(line) = lines(body, ENGINE).next() else { return false };
        if *line == *self.engine_line {
            return false;
        }
        let Some(read) = read(line, |series| {
            let exposed = series.exposed().ok()?;
            let label = |name| exposed.get(name).unwrap_or_default().to_owned();
            Some((label("daemon_id"), label("version")))
        }) else {
            return false;
        };
        line.clone_into(&mut self.engine_line);
        let (daemon_id, engine_version) = (Some(read.0), Some(read.1));
        self.replace(Identity { daemon_id, engine_version, ..self.identity.clone() })
    }

    fn look_for_node(&mut self, body: &[u8], timestamp: i64) -> bool {
        if lines(body, NODE).next().is_none() {
            return self.miss_node(timestamp);
        }
        self.alone_since = None;
        if lines(body, NODE).flatten().eq(&self.node_lines) {
            return false;
        }
        let nodes: Vec<Node> = lines(body, NODE).filter_map(node).collect();
        self.node_lines.clear();
        self.node_lines.extend(lines(body, NODE).flatten());
        let Some(node) = current_node(&nodes, &self.nodes, self.identity.node()) else { return false };
        self.nodes = nodes;
        let (node_id, swarm_id) = (Some(node.0), Some(node.1));
        self.replace(Identity { node_id, swarm_id, ..self.identity.clone() })
    }

    /// A body without a node: after a while there is none.
    fn miss_node(&mut self, timestamp: i64) -> bool {
        // The clock may be set back meanwhile.
        let since = self.alone_since.map_or(timestamp, |since| since.min(timestamp));
        self.alone_since = Some(since);
        let known = self.identity.node_id.as_deref() == Some("");
        if known || timestamp.saturating_sub(since) < SWARM_PATIENCE_MS {
            return false;
        }
        self.node_lines.clear();
        self.nodes.clear();
        let nothing = Some(String::new());
        self.replace(Identity { node_id: nothing.clone(), swarm_id: nothing, ..self.identity.clone() })
    }

    fn replace(&mut self, identity: Identity) -> bool {
        let changed = identity != self.identity;
        self.identity = identity;
        changed
    }
}

/// An engine goes on exposing the swarms that it has left, until it is started anew. So the node that came last counts; of those that were
/// there before, the one that counted until now.
fn current_node(nodes: &[Node], before: &[Node], current: Option<Node>) -> Option<Node> {
    let came = nodes.iter().find(|node| !before.contains(node)).filter(|_| !before.is_empty());
    let stayed = || nodes.iter().find(|node| Some(*node) == current.as_ref());
    came.or_else(stayed).or(nodes.first()).cloned()
}

fn node(line: &[u8]) -> Option<Node> {
    read(line, |series| {
        let exposed = series.exposed().ok()?;
        Some((exposed.get("node_id")?.to_owned(), exposed.get("swarm_id")?.to_owned()))
    })
}

/// What of a body is to be looked into: all of a text; of a protobuf the families in question, spelled as text into `room`.
#[must_use]
pub fn engine_lines<'b>(format: Format, body: &'b [u8], room: &'b mut Vec<u8>) -> &'b [u8] {
    match format {
        Format::Text | Format::OpenMetrics => body,
        Format::Protobuf => {
            room.clear();
            protobuf_as_text(body, &[ENGINE, NODE, MANAGER].map(family), room);
            room
        }
    }
}

/// Without the byte that ends a family's name in a line.
fn family(beginning: &'static str) -> &'static str {
    &beginning[..beginning.len() - 1]
}

/// The role that a body tells of.
pub(super) fn swarm_role(body: &[u8]) -> SwarmRole {
    match lines(body, MANAGER).next().and_then(|line| read(line, |series| Some(series.value))) {
        Some(value) if value.to_bits() == 1_f64.to_bits() => SwarmRole::Manager,
        Some(_) | None => SwarmRole::NoManager,
    }
}

/// The lines that begin so.
fn lines<'a>(body: &'a [u8], beginning: &'static str) -> impl Iterator<Item = &'a [u8]> {
    memmem::find_iter(body, beginning)
        .filter(|at| *at == 0 || body[*at - 1] == b'\n')
        .map(|at| &body[at..memchr::memchr(b'\n', &body[at..]).map_or(body.len(), |end| at + end)])
}

fn read<T>(line: &[u8], take: impl FnOnce(&Series<'_>) -> Option<T>) -> Option<T> {
    match Parser::new(line).next() {
        Some(Ok(Entry::Series(series))) => take(&series),
        Some(
            Ok(
                Entry::Histogram(_)
                | Entry::Type { .. }
                | Entry::Help { .. }
                | Entry::Unit { .. }
                | Entry::Comment,
            )
            | Err(_),
        )
        | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Placeholder; 2] = [Placeholder::EngineVersion, Placeholder::NodeId];
    const ENGINE_24: &str = "engine_daemon_engine_info{daemon_id=\"D\",version=\"24.0\"} 1\n";

    fn fresh() -> Recognition {
        Recognition::new(Identity::default(), &BOTH)
    }

    fn told(recognition: &Recognition) -> [Option<&str>; 4] {
        Placeholder::ALL.map(|placeholder| recognition.identity().get(placeholder))
    }

    fn node_line(node: &str) -> String {
        format!("swarm_node_info{{node_id=\"{node}\",swarm_id=\"S\"}} 1\n")
    }

    #[test]
    fn a_recorded_manager_tells_all_four_and_its_role() {
        let body = include_bytes!("../../tests/fixtures/captures/06-swarm-manager-after-3s.prom");
        let mut recognition = fresh();
        assert!(recognition.look(body, 0));
        let daemon = "EXAM:PLE0:0000:AAAA:BBBB:CCCC:DDDD:EEEE:FFFF:GGGG:HHHH:IIII";
        let (node, swarm) = ("example01xxxxxxxxxxxxxxxx", "example02xxxxxxxxxxxxxxxx");
        assert_eq!(told(&recognition), [daemon, "20.10.24+dfsg1", node, swarm].map(Some));
        assert!(!recognition.look(body, 1), "nothing is new");
        assert_eq!(swarm_role(body), SwarmRole::Manager);
        let idle = include_bytes!("../../tests/fixtures/captures/00-daemon-idle.prom");
        assert_eq!(swarm_role(idle), SwarmRole::NoManager);
    }

    #[test]
    fn the_role_is_that_of_a_line_with_the_value_one() {
        let manager = ["swarm_node_manager 1\n", "a 1\nswarm_node_manager 1.0", "swarm_node_manager 1e0 5\n"];
        for body in manager {
            assert_eq!(swarm_role(body.as_bytes()), SwarmRole::Manager, "{body:?}");
        }
        let none = ["", "swarm_node_manager 0\n", "x_swarm_node_manager 1\n", "# swarm_node_manager 1\n"];
        for body in none.into_iter().chain(["swarm_node_manager{a=\"1\"} 1\n", "swarm_node_manager x\n"]) {
            assert_eq!(swarm_role(body.as_bytes()), SwarmRole::NoManager, "{body:?}");
        }
    }

    #[test]
    fn what_is_not_exposed_yet_is_unknown_and_what_was_saved_stands_until_the_engine_says_otherwise() {
        let mut recognition = fresh();
        assert!(
            !recognition.look(b"# HELP engine_daemon_engine_info{x\nengine_daemon_engine_info{oops\n", 0)
        );
        assert_eq!(told(&recognition), [None; 4]);
        assert!(recognition.look(ENGINE_24.as_bytes(), 0));
        assert_eq!(told(&recognition), [Some("D"), Some("24.0"), None, None]);

        let saved = Identity::parse(&recognition.identity().note());
        let mut next = Recognition::new(saved, &BOTH);
        assert_eq!(told(&next), told(&recognition));
        assert!(!next.look(b"", 0) && !next.look(ENGINE_24.as_bytes(), 0));
        assert!(next.look(ENGINE_24.replace("24.0", "28.1").as_bytes(), 0));
        assert_eq!(told(&next)[1], Some("28.1"));
    }

    #[test]
    fn a_node_outside_a_swarm_is_known_as_that_after_a_minute() {
        let mut recognition = fresh();
        recognition.look(ENGINE_24.as_bytes(), 1_000);
        assert!(!recognition.look(ENGINE_24.as_bytes(), 60_999));
        assert!(recognition.look(ENGINE_24.as_bytes(), 61_000));
        assert_eq!(told(&recognition)[2..], [Some(""), Some("")]);
        let saved = Identity::parse(&recognition.identity().note());
        assert_eq!(saved, *recognition.identity(), "the next process need not wait");
    }

    #[test]
    fn a_swarm_node_that_starts_anew_keeps_its_identifiers_for_a_minute_and_one_that_left_loses_them() {
        let mut recognition = fresh();
        recognition.look(node_line("N").as_bytes(), 0);
        assert!(!recognition.look(b"", 1_000) && !recognition.look(b"", 31_000));
        assert!(!recognition.look(node_line("N").as_bytes(), 60_000), "it has only been starting");
        assert!(!recognition.look(b"", 70_000) && !recognition.look(b"", 129_999));
        assert!(recognition.look(b"", 130_000));
        assert_eq!(told(&recognition)[2..], [Some(""), Some("")]);
    }

    #[test]
    fn of_several_nodes_the_one_that_came_last_counts_for_an_engine_does_not_forget_a_swarm_it_left() {
        let mut recognition = fresh();
        recognition.look(node_line("M").as_bytes(), 0);
        let both = node_line("A") + &node_line("M");
        assert!(recognition.look(both.as_bytes(), 0));
        assert_eq!(told(&recognition)[2], Some("A"));
        assert!(!recognition.look(both.as_bytes(), 0));
        let other_order = node_line("M") + &node_line("A");
        assert!(!recognition.look(other_order.as_bytes(), 0));
        let three = node_line("Z") + &both;
        assert!(recognition.look(three.as_bytes(), 0));
        assert_eq!(told(&recognition)[2], Some("Z"));
        let mut next = Recognition::new(recognition.identity().clone(), &BOTH);
        assert!(!next.look(three.as_bytes(), 0), "a new process goes on with the one it knows");
        let mut new_here = fresh();
        assert!(new_here.look(both.as_bytes(), 0));
        assert_eq!(told(&new_here)[2], Some("A"), "without any knowledge the first one has to do");
    }

    #[test]
    fn only_what_is_asked_for_is_looked_for() {
        let body = ENGINE_24.to_owned() + &node_line("N");
        let mut engine = Recognition::new(Identity::default(), &[Placeholder::DaemonId]);
        engine.look(body.as_bytes(), 0);
        assert_eq!(told(&engine), [Some("D"), Some("24.0"), None, None]);
        let mut node = Recognition::new(Identity::default(), &[Placeholder::SwarmId]);
        node.look(body.as_bytes(), 0);
        assert_eq!(told(&node), [None, None, Some("N"), Some("S")]);
    }

    #[test]
    fn a_note_that_is_damaged_means_that_nothing_is_known() {
        for note in ["", "{", "[]", "{\"daemon_id\":1}", "\0\0"] {
            assert_eq!(Identity::parse(note), Identity::default(), "{note:?}");
        }
    }
}
