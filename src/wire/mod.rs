//! Remote-write messages: the 2.0 form in which scrapes are queued, the 1.0 form in which they are sent, snappy. Knows nothing of HTTP.
