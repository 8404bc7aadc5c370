//! What may not enter the dependency tree.

use crate::read;

#[test]
fn ring_is_the_only_tls_provider() {
    let lock = read("Cargo.lock");
    for banned in ["aws-lc-sys", "aws-lc-rs", "openssl-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{banned}\"")), "{banned} has entered the tree");
    }
}

#[test]
fn there_is_one_arrow_family() {
    let lock = read("Cargo.lock");
    for single in ["arrow", "parquet", "object_store", "datafusion", "reqwest"] {
        let count = lock.matches(&format!("name = \"{single}\"\n")).count();
        assert_eq!(count, 1, "{single} stands {count} times in the tree");
    }
}
