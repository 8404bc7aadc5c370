//! Real data that tests read where they are: they are not part of the project.

use std::path::{Path, PathBuf};

use super::note::note;

/// The MovieLens folder: `NOCTULE_MOVIELENS`, or `../shared/data` beside the project. Without it the test may be
/// skipped anywhere, and is listed.
pub fn movielens(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("NOCTULE_MOVIELENS")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    if folder.is_dir() {
        return Some(folder);
    }
    note(test, "put the MovieLens files where NOCTULE_MOVIELENS says");
    None
}
