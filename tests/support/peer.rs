//! Python programs that compute again what a test checks.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::python::with_packages;

/// The answer of a script in `tests/peers` to a question, both JSON; `None`, and a skip by name, when Python or a
/// package is missing.
#[track_caller]
pub fn ask(test: &str, script: &str, packages: &[&str], question: &Value) -> Option<Value> {
    let python = with_packages(test, packages)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers").join(script);
    let mut peer = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut stdin = peer.stdin.take().expect("it is piped");
    stdin.write_all(question.to_string().as_bytes()).expect("the peer reads its question");
    drop(stdin);
    let output = peer.wait_with_output().expect("the peer ends");
    assert!(output.status.success(), "the peer failed");
    Some(serde_json::from_slice(&output.stdout).expect("the peer answers in JSON"))
}
