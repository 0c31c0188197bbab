//! Themes of the integration tests: everything that needs nothing but this crate and loopback.

/// Both manifests, the README and the table of settings say the same.
mod manifests;
