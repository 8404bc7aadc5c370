//! Whether a text looks like a key that should not stand in a file.

use crate::diagnostic::{Code, Diagnostic};
use crate::words::quoted;

/// Parts of names that are given to secrets.
const NAMES: [&str; 9] =
    ["password", "passwd", "secret", "token", "api_key", "apikey", "access_key", "private_key", "credential"];

/// How known services' keys begin.
const PREFIXES: [&str; 12] = [
    "xoxb-",
    "xoxp-",
    "xapp-",
    "ghp_",
    "github_pat_",
    "glpat-",
    "AKIA",
    "ASIA",
    "sk-",
    "AIza",
    "eyJhbGci",
    "-----BEGIN",
];

/// A warning for a text that looks like a secret. The line is not shown: it may end in somebody's log.
pub(crate) fn warning(name: &str, text: &str) -> Option<Diagnostic> {
    let why = reason(name, text)?;
    Some(
        Diagnostic::warning(Code::LooksSecret, format!("{} looks like a secret: {why}", quoted(name)))
            .help("what stands in a pipeline is public; pass secrets by name, as `{secret: name}` in `env`")
            .hidden(),
    )
}

/// Whether a text of this name may be a secret, and is better not repeated.
pub(crate) fn looks_like_one(name: &str, text: &str) -> bool {
    reason(name, text).is_some()
}

fn reason(name: &str, text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        return None;
    }
    let lower = name.to_lowercase();
    if NAMES.iter().any(|part| lower.contains(part)) {
        return Some("that is what its name says");
    }
    if PREFIXES.iter().any(|prefix| text.starts_with(prefix) && text.len() >= prefix.len() + 10) {
        return Some("its value begins as a key does");
    }
    if has_password_in_url(text) {
        return Some("its URL carries a password");
    }
    looks_random(text).then_some("its value looks random")
}

fn has_password_in_url(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// Thirty-two or more characters of a key's alphabet, with letters and digits well mixed.
fn looks_random(text: &str) -> bool {
    let alphabet = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b));
    let bytes = text.as_bytes();
    let is_turn =
        |pair: &[u8]| pair.iter().all(u8::is_ascii_alphanumeric) && class(pair[0]) != class(pair[1]);
    let turns = bytes.windows(2).filter(|pair| is_turn(pair)).count();
    alphabet && text.len() >= 32 && turns * 3 > text.len()
}

fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_recognised_and_plain_texts_are_not() {
        for (name, text) in [
            ("slack_token", "x"),
            ("a", "xoxb-1234567890-abcdefghij"),
            ("a", "AKIAIOSFODNN7EXAMPLE"),
            ("a", "https://user:pass@host/x"),
            ("a", "9f8A7b6C5d4E3f2A1b0C9d8E7f6A5b4C"),
        ] {
            assert!(reason(name, text).is_some(), "{name} {text}");
        }
        for (name, text) in [
            ("token", ""),
            ("window", "28d"),
            ("source", "s3://bucket/a-long-path/with-many-parts/and-2-digits/2026"),
            ("source", "https://host:8080/x"),
            ("model", "a-rather-long-name-of-a-model-for-the-home-feed"),
        ] {
            assert_eq!(reason(name, text), None, "{name} {text}");
        }
    }
}
