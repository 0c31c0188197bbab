//! Our own counters and logs. A leaf: it knows no other room.

pub mod exposition;
pub mod log;
