//! README opens with two commands, and CI runs the second as it is written.

use crate::read;

fn commands() -> Vec<String> {
    let readme = read("README.md");
    let block = readme.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a sh block");
    block
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn readme_opens_with_the_run_and_the_tests() {
    assert_eq!(commands(), ["cargo run -- run dags/nightly.yaml", "cargo test --workspace"]);
}

#[test]
fn ci_runs_what_readme_says() {
    let ci = read(".ci/run");
    assert!(
        ci.lines()
            .any(|line| line.trim() == "cargo test --workspace" || line.contains("cargo test --workspace "))
    );
    assert!(ci.contains("cargo fmt --all --check") || ci.contains("cargo fmt --check"));
    assert!(ci.contains("cargo clippy --workspace --all-targets -- -D warnings"));
}
