//! Our own counters and logs. A leaf: it knows no other room.

pub mod log;
pub mod exposition;
