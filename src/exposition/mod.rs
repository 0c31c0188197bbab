//! Bytes of an exposition to entries, zero-copy: text 0.0.4 with the semantics of Prometheus 3. Knows nothing of the target's labels.
