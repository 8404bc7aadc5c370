//! The Python that tests call.

use std::process::Command;

use super::skip::skipped;

/// The interpreter, `NOCTULE_PYTHON` or `python3`, if it has these packages; otherwise the test is skipped by name.
#[track_caller]
pub fn with_packages(test: &str, packages: &[&str]) -> Option<String> {
    let python = std::env::var("NOCTULE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    // Looks for them only: to import them takes seconds.
    let look = "import sys, importlib.util as i; sys.exit(any(i.find_spec(p) is None for p in sys.argv[1:]))";
    let found = Command::new(&python).args(["-c", look]).args(packages).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let wanted = if packages.is_empty() { "Python 3".to_owned() } else { packages.join(", ") };
    skipped(test, &format!("install {wanted} for python3 or NOCTULE_PYTHON (tests/peers/requirements.txt)"));
    None
}
