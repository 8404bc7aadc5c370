//! A test file that no one declares is a test that never runs.

use std::path::Path;

use crate::{read, rust_files};

#[test]
fn every_test_file_is_declared() {
    for file in rust_files("tests") {
        let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let folder = file.parent().expect("below tests");
        if name == "main" || name == "mod" || name == "lib" || folder.ends_with("src/bin") {
            continue;
        }
        if folder.ends_with("tests/support") {
            assert!(is_shared(&file, name), "{} is taken in by no suite", file.display());
            continue;
        }
        let parents = [
            folder.join("main.rs"),
            folder.join("mod.rs"),
            folder.join("lib.rs"),
            folder.with_extension("rs"),
        ];
        let declared = parents.iter().filter(|parent| crate::root().join(parent).exists()).any(|parent| {
            read(parent).lines().any(|line| {
                let line = line.trim();
                line == format!("mod {name};") || line == format!("pub mod {name};")
            })
        });
        assert!(declared, "{} is declared by nobody", file.display());
    }
}

/// Whether some suite takes in a file of `tests/support`, by its path.
fn is_shared(file: &Path, name: &str) -> bool {
    let mut suites = rust_files("tests");
    suites.extend(rust_files("crates"));
    suites.iter().filter(|suite| suite.as_path() != file).any(|suite| {
        let text = read(suite);
        let mut lines = text.lines().zip(text.lines().skip(1));
        lines.any(|(attribute, module)| {
            attribute.starts_with("#[path = ")
                && attribute.ends_with(&format!("{name}.rs\"]"))
                && module.starts_with("mod ")
        })
    })
}
