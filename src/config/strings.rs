//! Where settings are looked up: the process's environment, or a map.

use std::collections::BTreeMap;

/// A value that is there but is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUtf8;

/// A lookup, so that tests and `demo` pass a map instead of changing the process's environment.
pub trait Strings {
    /// The value of a variable, `None` where there is none.
    ///
    /// # Errors
    /// When the value is not UTF-8.
    fn get(&self, name: &str) -> Result<Option<String>, NotUtf8>;

    /// The names of all variables, so that a misspelled one can be told; names that are not UTF-8 are left out.
    fn names(&self) -> Vec<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Environment;

impl Strings for Environment {
    fn get(&self, name: &str) -> Result<Option<String>, NotUtf8> {
        std::env::var_os(name).map(|value| value.into_string().map_err(|_| NotUtf8)).transpose()
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}

impl Strings for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Result<Option<String>, NotUtf8> {
        Ok(BTreeMap::get(self, name).cloned())
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}
