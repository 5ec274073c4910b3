//! Panics of the server, which runs in the test's own process.

use std::panic;
use std::sync::Mutex;
use std::thread;

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The threads of tests bear the tests' names: paths of modules. Those of the
/// server and of clients do not.
fn is_test(name: &str) -> bool {
    name.contains("::") || name == "main"
}

/// Notes every panic that is not a test's own.
pub(super) fn count() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let name = thread::current().name().unwrap_or("unnamed").to_owned();
        if !is_test(&name) {
            PANICS.lock().unwrap().push(format!("{name}: {info}"));
        }
        report(info);
    }));
}

/// Fails if any thread of a server has panicked since the first was started.
pub(crate) fn assert_no_panic() {
    let panics = PANICS.lock().unwrap();
    assert!(panics.is_empty(), "the server panicked: {panics:?}");
}
