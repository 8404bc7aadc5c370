//! Users whose rows no extract takes in: a list in the store that launch documents name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Where a list lies, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedUsers {
    /// The list's path in the store.
    pub path: String,
    pub digest: Digest,
}

/// A list that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the list of erased users `{path}` is not the one that the launch document names")]
pub struct OtherList {
    pub path: String,
}

impl ErasedUsers {
    /// The list of these users, each as the sources write it, and its bytes. The same users give the same bytes.
    pub fn list<'a>(users: impl IntoIterator<Item = &'a str>) -> (Self, Vec<u8>) {
        let users: BTreeSet<&str> = users.into_iter().collect();
        let mut bytes = serde_json::to_vec(&users).expect("texts are JSON");
        bytes.push(b'\n');
        let digest = Digest::of(&bytes);
        (Self { path: crate::layout::erased_users(&digest), digest }, bytes)
    }

    /// The users of a list that was read.
    pub fn users(&self, bytes: &[u8]) -> Result<BTreeSet<String>, OtherList> {
        let other = || OtherList { path: self.path.clone() };
        if Digest::of(bytes) != self.digest {
            return Err(other());
        }
        serde_json::from_slice(bytes).map_err(|_| other())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_whatever_stands_in_it() {
        let users = ["7", "a\nb", "ü \"x\"", "42"];
        let (list, bytes) = ErasedUsers::list(users);
        assert_eq!(ErasedUsers::list(users.into_iter().rev()), (list.clone(), bytes.clone()));
        assert_eq!(list.users(&bytes).unwrap(), users.map(str::to_owned).into());
        assert!(list.path.starts_with("erased/") && !list.path.contains(':'), "{}", list.path);
        assert!(list.users(b"[]\n").is_err());
    }
}
