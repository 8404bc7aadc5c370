//! Tests that need what is not here say so by name, and fail where nothing may be skipped.

use std::ffi::OsStr;
use std::io::Write;

/// Says that a test was skipped and what would let it run. Under `NOCTULE_NO_SKIP=1` it fails instead.
#[track_caller]
pub fn skipped(test: &str, remedy: &str) {
    note(test, remedy);
    let forbidden = std::env::var_os("NOCTULE_NO_SKIP").is_some_and(|value| value == OsStr::new("1"));
    assert!(!forbidden, "{test} was skipped: {remedy}");
}

/// Says it on standard error, past the harness that would hide it, and in the list that `NOCTULE_SKIPS` names.
pub fn note(test: &str, remedy: &str) {
    let line = format!("SKIPPED {test}: {remedy}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("NOCTULE_SKIPS") {
        let list = std::fs::OpenOptions::new().append(true).create(true).open(path);
        list.and_then(|mut list| list.write_all(line.as_bytes()))
            .expect("the list of skipped tests takes a line");
    }
}
