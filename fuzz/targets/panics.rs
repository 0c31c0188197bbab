//! Panics of any thread: those of the product's own threads would otherwise be nothing but a line on standard error.

use std::cell::Cell;
use std::panic::{set_hook, take_hook};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

static SEEN: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Begins to watch; once is enough.
pub(crate) fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            let thread = thread::current().name().unwrap_or_default().to_owned();
            SEEN.lock().unwrap_or_else(PoisonError::into_inner).push((thread, panic.to_string()));
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
}

/// Whether panics of this thread are kept off standard error: a driver reports them itself.
pub(crate) fn quiet(quiet: bool) {
    QUIET.set(quiet);
}

/// Takes the panics of threads of this name.
pub(crate) fn take(thread: &str) -> Vec<String> {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.extract_if(.., |(name, _)| name == thread).map(|(_, message)| message).collect()
}

/// # Panics
/// If a thread of this name has panicked since the last look.
pub(crate) fn assert_none(thread: &str) {
    let panics = take(thread);
    assert!(panics.is_empty(), "the thread {thread} panicked: {panics:?}");
}
