//! What of a source's address people and records may see.
//!
//! The query of an HTTP address may be what opens the door: presigned addresses of object stores carry their signature
//! there. It is needed to fetch, and stays out of messages, manifests, fingerprints and logs.

use crate::digest::Digest;
use crate::redact::Secrets;

/// What stands in the place of what is not shown.
const HIDDEN: char = '…';

/// Parameters of a query that say who may read and until when, and not what is read. The names are those of presigned
/// addresses of S3, Google Cloud Storage, CloudFront and Azure, and the usual ones of others.
const PERMITS: &[&str] = &[
    "signature",
    "sig",
    "expires",
    "expiry",
    "policy",
    "key-pair-id",
    "awsaccesskeyid",
    "googleaccessid",
    "ossaccesskeyid",
    "security-token",
    "token",
    "access_token",
    "auth",
    "authorization",
    "key",
    "api_key",
    "apikey",
    "api-key",
    "secret",
    "password",
    "hmac",
];
const PERMIT_PREFIXES: &[&str] = &["x-amz-", "x-goog-", "x-oss-", "x-ms-"];
/// Fields of a shared access signature of Azure, which are such only beside `sig`.
const AZURE_PERMITS: &[&str] =
    &["sv", "ss", "srt", "sp", "st", "se", "spr", "sr", "sip", "skoid", "sktid", "skt", "ske", "sks", "skv"];

/// The address without what may be a secret in it: the query of an HTTP address, and a name and a password.
pub fn shown(address: &str) -> String {
    let parts = Parts::of(address);
    match parts.query {
        Some(_) => format!("{}?{HIDDEN}", parts.open()),
        None => parts.open(),
    }
}

/// The address as a fingerprint has it: another signature is the same source, another question to the server is not.
pub fn identity(address: &str) -> String {
    let parts = Parts::of(address);
    let Some(query) = parts.query else { return parts.open() };
    let azure = query.split('&').any(|pair| name(pair) == "sig");
    let permit = |pair: &&str| {
        let name = name(pair);
        PERMITS.contains(&name.as_str())
            || PERMIT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || azure && AZURE_PERMITS.contains(&name.as_str())
    };
    let asks: Vec<&str> = query.split('&').filter(|pair| !permit(pair) && !pair.is_empty()).collect();
    match asks.is_empty() {
        true => parts.open(),
        false => format!("{}?{}", parts.open(), Digest::of(asks.join("&").as_bytes())),
    }
}

/// A text about an address, such as an error of a library, without what [`shown`] hides of any address in it, and
/// without the values of the query of this one.
pub fn scrubbed(text: &str, address: &str) -> String {
    /// Shorter values are no secrets, and would tear holes into words.
    const SHORTEST: usize = 6;
    let pairs = Parts::of(address).query.into_iter().flat_map(|query| query.split('&'));
    let values = pairs.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    let secrets = values.filter(|value| value.len() >= SHORTEST);
    let text = Secrets::new(secrets.flat_map(|value| [value.into(), decoded(value)])).hide(text);
    let mut rest = text.as_str();
    let mut out = String::with_capacity(text.len());
    while let Some(at) = rest.find("http") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let ends = |sign: char| sign.is_whitespace() || "\"'`<>()".contains(sign);
        let (word, more) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        out.push_str(&shown(word));
        rest = more;
    }
    out.push_str(rest);
    out
}

/// The bytes that a URL-encoded value stands for.
fn decoded(value: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, more @ ..] = rest {
        let pair = more.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.filter(|_| *first == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    bytes
}

fn name(pair: &str) -> String {
    pair.split('=').next().unwrap_or_default().to_ascii_lowercase()
}

/// An address in its pieces; all but the scheme may be missing.
struct Parts<'a> {
    /// With its `://`.
    scheme: &'a str,
    has_user: bool,
    host_and_path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(address: &'a str) -> Self {
        let at = address.find("://").map_or(0, |at| at + 3);
        let (scheme, rest) = address.split_at(at);
        let is_web = ["http://", "https://"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
        let (rest, query) = match rest.find(['?', '#']).filter(|_| is_web) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let authority = if at == 0 { "" } else { &rest[..rest.find('/').unwrap_or(rest.len())] };
        // Of Azure the container stands before the host; a secret only behind a colon.
        let user = authority.rfind('@').filter(|at| is_web || authority[..*at].contains(':'));
        let host_and_path = user.map_or(rest, |at| &rest[at + 1..]);
        Self { scheme, has_user: user.is_some(), host_and_path, query }
    }

    fn open(&self) -> String {
        let user = if self.has_user { format!("{HIDDEN}@") } else { String::new() };
        format!("{}{user}{}", self.scheme, self.host_and_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for (address, wanted) in [
            ("https://host/a/b.parquet?sig=abc&x=1", "https://host/a/b.parquet?…"),
            ("HTTP://u:p@host/a#frag", "HTTP://…@host/a?…"),
            ("https://host/a@b", "https://host/a@b"),
            ("s3://key:secret@bucket/x", "s3://…@bucket/x"),
            (
                "abfss://container@account.dfs.core.windows.net/x",
                "abfss://container@account.dfs.core.windows.net/x",
            ),
            ("demo://shop/events?users=3#2026-11-01", "demo://shop/events?users=3#2026-11-01"),
            ("file:///a/what%3F.csv", "file:///a/what%3F.csv"),
            ("logs/what?.csv", "logs/what?.csv"),
            ("", ""),
        ] {
            assert_eq!(shown(address), wanted);
        }
    }

    #[test]
    fn another_signature_is_the_same_source_and_another_question_is_not() {
        let bare = "https://host/a.csv";
        for signed in [
            "https://host/a.csv?X-Amz-Signature=1&X-Amz-Date=2",
            "https://host/a.csv?sv=2024&se=x&sig=1%2F",
            "https://host/a.csv?Expires=5&Signature=x&Key-Pair-Id=y",
            "https://host/a.csv?",
        ] {
            assert_eq!(identity(signed), bare, "{signed}");
        }
        let one = identity("https://host/a.csv?table=1&sig=x");
        assert_eq!(one, identity("https://host/a.csv?table=1&sig=y"));
        assert_ne!(one, identity("https://host/a.csv?table=2&sig=x"));
        // Without a signature `se` is a parameter as any other.
        assert_ne!(identity("https://host/a.csv?se=1"), identity("https://host/a.csv?se=2"));
        assert!(!one.contains("table"), "{one}");
        assert_eq!(identity("s3://bucket/a.csv"), "s3://bucket/a.csv");
    }

    #[test]
    fn texts_of_libraries_are_scrubbed() {
        let address = "https://host/a?sig=s3cr3t%2Fvalue&v=2";
        assert_eq!(
            scrubbed(
                "GET (https://other/b?token=zzz): <Provided>s3cr3t/value</Provided> s3cr3t%2Fvalue, https://x/y.",
                address
            ),
            "GET (https://other/b?…): <Provided>***</Provided> ***, https://x/y."
        );
        assert_eq!(scrubbed("nothing of http here", "s3://b/x"), "nothing of http here");
    }
}
