//! A page for every failure class, and no page without one.

use std::collections::BTreeSet;

use crate::root;

#[test]
fn every_failure_class_has_its_page() {
    let pages: BTreeSet<String> = std::fs::read_dir(root().join("docs/failures"))
        .expect("docs/failures")
        .flatten()
        .map(|entry| entry.path().file_stem().expect("a page").to_string_lossy().into_owned())
        .collect();
    let classes: BTreeSet<String> =
        noctule_engine::failure::FailureClass::ALL.iter().map(ToString::to_string).collect();
    let stops = BTreeSet::from(["data-stop".to_owned(), "gate-rejected".to_owned()]);
    assert_eq!(pages, classes.union(&stops).cloned().collect());
}
