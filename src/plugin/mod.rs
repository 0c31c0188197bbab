//! The socket that dockerd calls. Answers from memory, on a thread of its own.
