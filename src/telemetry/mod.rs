//! Our own counters and logs. A leaf: it knows no other room.

mod address;
pub mod exposition;
pub mod log;

pub use address::{Address, Serving};
