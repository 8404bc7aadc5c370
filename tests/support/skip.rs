//! Tests that need what is not here say so by name, and fail where nothing may be skipped.

use std::ffi::OsStr;

use super::note::note;

/// Says that a test was skipped and what would let it run. Under `NOCTULE_NO_SKIP=1` it fails instead.
#[track_caller]
pub fn skipped(test: &str, remedy: &str) {
    note(test, remedy);
    let forbidden = std::env::var_os("NOCTULE_NO_SKIP").is_some_and(|value| value == OsStr::new("1"));
    assert!(!forbidden, "{test} was skipped: {remedy}");
}
