//! Which texts may name a file in a store.

use noctule_artifacts::manifest::is_inside;

use crate::error::{Error, Result};

/// The longest name of one folder or file that every file system takes.
const MAX_PART: usize = 255;
/// The longest key that every object store takes, less room for the store's own prefix.
const MAX_PATH: usize = 900;

/// Refuses what would leave the store, what some store cannot keep, and the names that a depot keeps for itself.
pub(crate) fn check_path(path: &str) -> Result<()> {
    let refuse = |rule| Err(Error::BadName { name: path.chars().take(120).collect(), rule });
    if path.chars().any(char::is_control) {
        return refuse("control characters cannot be kept by every store");
    }
    if !is_inside(path) {
        return refuse("it has to stay below its folder: no `..`, no leading or double `/`, no `\\`");
    }
    if path.len() > MAX_PATH {
        return refuse("it is longer than 900 bytes");
    }
    if path.split('/').any(|part| part.len() > MAX_PART) {
        return refuse("one of its parts is longer than 255 bytes");
    }
    if path.starts_with('.') {
        return refuse("names that begin with a dot are the store's own at the top");
    }
    Ok(())
}

/// A prefix is a path that ends in `/`, or empty for the whole store.
pub(crate) fn check_prefix(prefix: &str) -> Result<()> {
    match prefix.strip_suffix('/') {
        Some(path) => check_path(path),
        None if prefix.is_empty() => Ok(()),
        None => Err(Error::BadName { name: prefix.to_owned(), rule: "a prefix ends in `/`" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        for good in
            ["a", "runs/r/x/1/main/date=2026-11-01.parquet", "a/é ü/日本", "a/.hidden", "a/x#1", "a/100%"]
        {
            check_path(good).unwrap();
        }
        let long = format!("a/{}", "x".repeat(256));
        let longer = "x/".repeat(600) + "x";
        for bad in [
            "",
            "..",
            "../x",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "a/",
            "a\\b",
            "a\0",
            "a/\n",
            ".lock",
            &long,
            &longer,
        ] {
            assert!(matches!(check_path(bad), Err(Error::BadName { .. })), "{bad:?}");
        }
        check_prefix("").unwrap();
        check_prefix("runs/").unwrap();
        for bad in ["runs", "/", "../", "runs//"] {
            assert!(check_prefix(bad).is_err(), "{bad:?}");
        }
    }
}
