use std::fmt;
use std::path::PathBuf;

/// A value that is never printed: `Debug` shows `[redacted]`, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the value in.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Gives the value out, to the one place that needs it (a request header, a TLS key).
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Where a secret comes from: the setting itself, or the file that its `_FILE` twin names (read again when it changes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The value of the setting.
    Inline(Secret),
    /// A path; trailing line ends of the file's content are not part of the secret.
    File(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        let source = SecretSource::Inline(Secret::new("hunter2"));
        assert_eq!(format!("{source:?}"), "Inline([redacted])");
    }
}
