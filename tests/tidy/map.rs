//! `ARCHITECTURE.md` against the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::{read, root};

type Edges = BTreeMap<String, BTreeSet<String>>;

/// Each crate's dependencies on crates of the workspace, without those of its tests.
fn real_edges() -> Edges {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo is what runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let short = |name: &str| name.strip_prefix("noctule-").unwrap_or(name).to_owned();
    let mut edges = Edges::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let targets = edges.entry(short(package["name"].as_str().expect("name"))).or_default();
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let name = dependency["name"].as_str().expect("name");
            if dependency["kind"].is_null() && name.starts_with("noctule-") {
                targets.insert(short(name));
            }
        }
    }
    edges
}

/// The arrows of the map, each crate with all that it may know.
fn allowed_edges() -> Edges {
    let text = read("ARCHITECTURE.md");
    let block =
        text.split("```arrows").nth(1).and_then(|rest| rest.split("```").next()).expect("an arrows block");
    let mut direct = Edges::new();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let chain: Vec<&str> = line.split("<-").map(str::trim).collect();
        for pair in chain.windows(2) {
            direct.entry(pair[1].to_owned()).or_default().insert(pair[0].to_owned());
        }
    }
    direct.keys().map(|name| (name.clone(), reachable(&direct, name))).collect()
}

fn reachable(direct: &Edges, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        for next in direct.get(&name).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    seen
}

#[test]
fn every_dependency_follows_an_arrow() {
    let allowed = allowed_edges();
    for (name, targets) in real_edges() {
        for target in targets {
            assert!(
                allowed.get(&name).is_some_and(|known| known.contains(&target)),
                "{name} depends on {target}, and no arrow of ARCHITECTURE.md allows it"
            );
        }
    }
}

#[test]
fn every_crate_has_a_section_and_every_section_a_crate() {
    let text = read("ARCHITECTURE.md");
    let crates =
        text.split("\n## Crates\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("## Crates");
    let sections: BTreeSet<String> =
        crates.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    let folders: BTreeSet<String> = real_edges().into_keys().collect();
    assert_eq!(sections, folders);
    for section in crates.split("\n### ").skip(1) {
        assert!(
            section.contains("*Invariant:*"),
            "no invariant in: {}",
            section.lines().next().unwrap_or("")
        );
    }
}

#[test]
fn the_pure_crates_stay_pure() {
    for name in ["artifacts", "spec", "gate", "registry", "engine", "recsys", "demo"] {
        for file in crate::rust_files(&format!("crates/{name}/src")) {
            let text = read(&file);
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for banned in [
                "std::fs",
                "std::env::var",
                "std::process",
                "SystemTime::now",
                "Instant::now",
                "Timestamp::now",
                "Zoned::now",
                "tokio::",
                "async fn",
                "std::net",
            ] {
                assert!(!code.contains(banned), "{} uses {banned}", file.display());
            }
        }
    }
}
