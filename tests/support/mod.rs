//! Stand-ins for the other side of every connection, and what tests share.

pub(crate) mod certificates;
pub(crate) mod endpoint;
pub(crate) mod logs;
pub(crate) mod names;
pub(crate) mod program;
pub(crate) mod refused;
pub(crate) mod scripted;
pub(crate) mod tsdb;
pub(crate) mod wire;
