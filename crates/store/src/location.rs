//! Where a database lies.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

use crate::error::StoreError;

/// A SQLite file or a Postgres database. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    File(PathBuf),
    Postgres(Url),
}

impl Location {
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }
}

impl FromStr for Location {
    type Err = StoreError;

    /// Reads `postgres://user@host/database`, `sqlite:PATH`, or a plain path of a file.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let refused = |rule| StoreError::Location { text: redacted(text), rule };
        if text.trim().is_empty() || text.contains('\0') {
            return Err(refused("give the path of a file, or `postgres://user@host/database`"));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let url = Url::parse(text).map_err(|_| {
                refused("a Postgres database is written `postgres://user@host:port/database`, with %-escapes for odd characters")
            })?;
            return Ok(Self::Postgres(url));
        }
        let path = match text.strip_prefix("sqlite:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None if text.contains("://") => {
                return Err(refused(
                    "noctule keeps its state in SQLite (a path) or Postgres (`postgres://…`)",
                ));
            }
            None => text,
        };
        if path.is_empty() || path == ":memory:" {
            return Err(refused("the state must outlive the process, so name a file"));
        }
        Ok(Self::File(PathBuf::from(path)))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_secrets(url)),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Passwords may stand before the host and, as libpq has it, among the parameters.
fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        let _ = url.set_password(Some("***"));
    }
    url.set_query(None);
    url.to_string()
}

fn redacted(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) => without_secrets(&url),
        Err(_) if text.contains('@') => "(an address that does not parse)".to_owned(),
        Err(_) => text.chars().take(200).collect(),
    }
}

/// The driver's address of a database file. Its path goes in %-escapes, so that `?` and `#` may stand in it.
pub(crate) fn file_url(path: &Path) -> Result<String, StoreError> {
    let refused = |rule| StoreError::Location { text: path.display().to_string(), rule };
    if path.to_str().is_none() {
        return Err(refused("SQLite takes only paths that are Unicode"));
    }
    let url = Url::from_file_path(path).map_err(|()| refused("its path cannot be made absolute"))?;
    Ok(format!("sqlite://{}?mode=rwc", url.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_shown_without_secrets() {
        let file = |text: &str| text.parse::<Location>().unwrap();
        assert_eq!(file("a/b.db"), Location::file("a/b.db"));
        assert_eq!(file("sqlite:a/b.db"), Location::file("a/b.db"));
        assert_eq!(file("sqlite:///a/b.db"), Location::file("/a/b.db"));
        let postgres = file("postgres://ada:hunter2@db.example/noctule?password=hunter2");
        assert_eq!(postgres.to_string(), "postgres://ada:***@db.example/noctule");
        assert_eq!(format!("{postgres:?}"), "postgres://ada:***@db.example/noctule");
    }

    #[test]
    fn what_is_no_database_is_refused_without_its_secrets() {
        for bad in
            ["", " ", "sqlite:", "sqlite::memory:", "mysql://ada:hunter2@x/y", "postgres://a:hunter2@[/y"]
        {
            let error = bad.parse::<Location>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn odd_characters_survive_the_address() {
        let url = file_url(Path::new("/a b/c?d#e%f.db")).unwrap();
        assert_eq!(url, "sqlite:///a%20b/c%3Fd%23e%25f.db?mode=rwc");
    }
}
