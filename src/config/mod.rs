//! The one settings table; environment to typed configuration, all problems at once, no secret printed.
