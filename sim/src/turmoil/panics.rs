//! Notices panics of simulated tasks.
//!
//! Tokio keeps a panic in the task that had it, and turmoil makes it end the simulation only in
//! builds with `--cfg tokio_unstable`. A server whose connection tasks die would look like one
//! whose clients are unlucky, so this counts panics by itself.
//!
//! Invariant: only panics of the thread that runs the simulation are counted; the hook that was
//! there before still runs.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// `None` while no simulation runs on this thread, else the first panic.
    static FIRST: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// A simulation that is being watched.
pub(super) struct Watch;

impl Watch {
    /// Starts to watch this thread.
    pub(super) fn begin() -> Self {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                // A thread that is ending has no such local any more, and no simulation either.
                let _ = FIRST.try_with(|first| {
                    if let Ok(mut first) = first.try_borrow_mut()
                        && let Some(first) = &mut *first
                    {
                        first.get_or_insert_with(|| info.to_string());
                    }
                });
                before(info);
            }));
        });
        FIRST.set(Some(None));
        Self
    }

    /// Ends the watch; the first panic that was seen.
    pub(super) fn end(self) -> Option<String> {
        FIRST.take().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_tokio_swallows_is_noticed() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let watch = Watch::begin();
        let outcome = runtime.block_on(async { tokio::spawn(async { panic!("ouch") }).await });
        assert!(outcome.is_err());
        assert!(watch.end().expect("it panicked").contains("ouch"));
        assert!(Watch::begin().end().is_none());
    }
}
