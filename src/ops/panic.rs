//! What is said when the program has a bug.
//!
//! A panic's message may quote what came from the network, so only the place in the source is logged.

/// Replaces the default report of a panic, message and backtrace, by one line of the log that names the place.
pub fn report_place_only() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let thread = std::thread::current();
        tracing::error!(place, thread = thread.name().unwrap_or("unnamed"), "panic; its text is withheld");
    }));
}
