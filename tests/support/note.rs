use std::io::Write;

/// Says on standard error, past the harness that would hide it, and in the list that `NOCTULE_SKIPS` names, that a test
/// was skipped and what would let it run.
pub fn note(test: &str, remedy: &str) {
    let line = format!("SKIPPED {test}: {remedy}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("NOCTULE_SKIPS") {
        let list = std::fs::OpenOptions::new().append(true).create(true).open(path);
        list.and_then(|mut list| list.write_all(line.as_bytes()))
            .expect("the list of skipped tests takes a line");
    }
}
