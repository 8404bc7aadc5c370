//! Each file in `tests/invalid` is refused with exactly what stands beside it, and each in `tests/valid` is read
//! without a warning. `UPDATE=1` writes the answers anew; the difference is to be reviewed.

use std::fs;
use std::path::{Path, PathBuf};

use noctule_artifacts::launch::Interval;
use noctule_spec::{Context, Diagnostics, SourceText, Style, load};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder is part of the source")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Lines such as `# --param window=28d` at the top of a file stand for the command line, and one such as `# pools: gpu`
/// for the pools of the configuration.
fn context(text: &str) -> Context {
    let overrides = text.lines().filter_map(|line| line.strip_prefix("# --param ")?.split_once('='));
    let pools = text.lines().find_map(|line| line.strip_prefix("# pools:"));
    Context {
        params: overrides.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        interval: Interval {
            start: "2026-11-23T00:00:00Z".parse().unwrap(),
            end: "2026-11-24T00:00:00Z".parse().unwrap(),
        },
        run: None,
        now: "2026-11-24T02:15:00Z".parse().unwrap(),
        pools: pools.map(|line| line.split_whitespace().map(str::to_owned).collect()),
    }
}

fn shown(path: &Path) -> (String, bool) {
    let bytes = fs::read(path).expect("it can be read");
    let context = context(&String::from_utf8_lossy(&bytes));
    let source = SourceText::new(path.file_name().unwrap().to_string_lossy(), bytes);
    match load(&source, &context) {
        Err(diagnostics) => (diagnostics.render(&source, Style::Plain), true),
        Ok(loaded) if loaded.warnings.is_empty() => (String::new(), false),
        Ok(loaded) => (Diagnostics::from(loaded.warnings).render(&source, Style::Plain), false),
    }
}

#[test]
fn what_is_invalid_is_refused_in_these_words() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let files = files("invalid");
    assert!(files.len() >= 40, "{} pairs", files.len());
    for path in files {
        let (shown, refused) = shown(&path);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let expects_warning = name.starts_with("warning-");
        assert!(!shown.is_empty(), "{name} is read without a word");
        assert_eq!(refused, !expects_warning, "{name}:\n{shown}");
        let answer = path.with_extension("stderr");
        if update {
            fs::write(&answer, &shown).expect("the folder can be written");
        } else if fs::read_to_string(&answer).unwrap_or_default() != shown {
            wrong.push(format!("{name} now says:\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nrun with UPDATE=1 and review the difference", wrong.join("\n"));
}

#[test]
fn what_is_valid_is_read_without_a_word() {
    for path in files("valid") {
        let (shown, _) = shown(&path);
        assert!(shown.is_empty(), "{}", shown);
    }
}

#[test]
fn no_answer_is_left_without_its_question() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.with_extension("yaml").exists(), "{} has no .yaml", path.display());
    }
}

/// The pipelines that users run and copy.
#[test]
fn the_pipelines_of_the_house_are_read_without_a_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dags");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder is part of the source") {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            let mut context = context(&text);
            if text.contains("source: {type: text}") {
                context.params.insert("source".to_owned(), "data/ratings.dat".to_owned());
            }
            let source = SourceText::new(path.display().to_string(), text);
            let loaded = load(&source, &context);
            let loaded = loaded.unwrap_or_else(|found| panic!("{}", found.render(&source, Style::Plain)));
            assert_eq!(loaded.warnings, [], "{}", path.display());
            count += 1;
        }
    }
    assert!(count > 0);
}
