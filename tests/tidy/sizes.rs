//! A file has one subject, a function fits in the head, a name says what it holds.

use crate::{read, rust_files};

/// Above this a file needs a reason, stated here.
const FILE_LINES_MAX: usize = 800;
const LONG_FILES: &[(&str, &str)] = &[];

/// Above this no function goes; short ones stay short because none may grow past it.
const FUNCTION_LINES_MAX: usize = 90;

fn sources() -> Vec<std::path::PathBuf> {
    rust_files("crates")
        .into_iter()
        .filter(|file| file.components().any(|part| part.as_os_str() == "src"))
        .collect()
}

/// The code of a file without its tests, which by custom stand at its end.
fn code(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default()
}

#[test]
fn files_are_short_or_say_why() {
    for file in sources() {
        let lines = code(&read(&file)).lines().count();
        let excused = LONG_FILES.iter().any(|(name, _)| file.ends_with(name));
        assert!(lines <= FILE_LINES_MAX || excused, "{} has {lines} lines: split it", file.display());
    }
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for file in sources() {
        let text = read(&file);
        let lines: Vec<&str> = code(&text).lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let trimmed = line.trim_start();
            let is_function = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "async fn ",
                "pub async fn ",
                "pub(crate) async fn ",
                "pub(super) async fn ",
                "unsafe fn ",
                "const fn ",
                "pub const fn ",
            ]
            .iter()
            .any(|head| trimmed.starts_with(head));
            if !is_function {
                continue;
            }
            let indent = &line[..line.len() - trimmed.len()];
            let close = format!("{indent}}}");
            let length = lines[start..].iter().position(|line| *line == close).map_or(1, |end| end + 1);
            if length > FUNCTION_LINES_MAX {
                long.push(format!("{}:{} has {length} lines", file.display(), start + 1));
            }
        }
    }
    assert!(long.is_empty(), "functions above {FUNCTION_LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn no_file_is_a_drawer() {
    for file in sources() {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        assert!(
            !["utils", "util", "helpers", "helper", "manager", "common", "misc", "imp"].contains(&stem),
            "{} has a name that says nothing",
            file.display()
        );
    }
}

#[test]
fn nothing_is_unfinished_or_silently_skipped() {
    let marks = [["to", "do!("], ["unimple", "mented!("], ["FIX", "ME"], ["#[ig", "nore"]]
        .map(|halves| halves.concat());
    for file in rust_files("crates").into_iter().chain(rust_files("tests")) {
        let text = read(&file);
        for mark in &marks {
            assert!(!text.contains(mark), "{} holds {mark}", file.display());
        }
    }
}
