//! Themes of the integration tests: everything that needs nothing but this crate and loopback.

/// Rooms import downward, files stay small.
mod architecture;
/// Both manifests, the README and the table of settings say the same.
mod manifests;
