//! Bearer tokens. A token is shown once, when it is made; the store keeps its SHA-256, which is enough to know it again
//! and too little to use it. Its 256 random bits make guessing from the hash hopeless, so no slow hash is needed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::{Digest, ModelName};

use crate::error::StoreError;
use crate::row::Fields;
use crate::session::Session;
use crate::{Store, column, shown};

/// What every token begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "noctule_";

/// How exactly it is known when a token was last used: a write for each request would be a waste.
const USE_MEMORY: SignedDuration = SignedDuration::from_mins(1);

/// What the bearer of a token may do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenRole {
    Read,
    Operate,
    /// To promote versions of a model; of any model when `None`.
    Promote(Option<ModelName>),
}

/// A token as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    pub id: u64,
    /// Whose it is, for people; no two that are not revoked have the same.
    pub name: String,
    pub roles: BTreeSet<TokenRole>,
    pub created: Timestamp,
    pub created_by: String,
    pub revoked: Option<Timestamp>,
    /// To within a minute.
    pub last_used: Option<Timestamp>,
}

/// A new token in clear. It cannot be had again. Its text shows neither in `Debug` nor in an error.
pub struct ClearToken(String);

impl ClearToken {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClearToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearToken(…)")
    }
}

impl fmt::Display for TokenRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("read"),
            Self::Operate => f.write_str("operate"),
            Self::Promote(None) => f.write_str("promote:*"),
            Self::Promote(Some(model)) => write!(f, "promote:{model}"),
        }
    }
}

/// A text that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role: there are `read`, `operate`, `promote:MODEL` and `promote:*`")]
pub struct NoRole(String);

impl FromStr for TokenRole {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        match text {
            "read" => return Ok(Self::Read),
            "operate" => return Ok(Self::Operate),
            "promote:*" => return Ok(Self::Promote(None)),
            _ => {}
        }
        let model = text.strip_prefix("promote:").and_then(|name| name.parse().ok());
        model.map(|model| Self::Promote(Some(model))).ok_or_else(|| NoRole(shown(text, 80)))
    }
}

impl Store {
    /// Makes a token. Its clear text is the answer and is nowhere else.
    pub async fn create_token(
        &self,
        name: &str,
        roles: &BTreeSet<TokenRole>,
        by: &str,
        at: Timestamp,
    ) -> Result<(TokenRow, ClearToken), StoreError> {
        let mut session = self.database.write("make a token").await?;
        let refused = |what: &str| StoreError::Refused { doing: "make a token", what: what.to_owned() };
        if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(refused("its name must be 1 to 100 printable characters"));
        }
        if roles.is_empty() {
            return Err(refused("it would have no role: give it `read`, `operate` or `promote:MODEL`"));
        }
        if find_name(&mut session, name).await?.is_some() {
            return Err(StoreError::TokenNameTaken { name: name.to_owned() });
        }
        let clear = ClearToken(format!("{PREFIX}{}", base62(rand::random(), rand::random())));
        let id = session.next("token").await?;
        let words: Vec<String> = roles.iter().map(TokenRole::to_string).collect();
        session
            .execute(
                sqlx::query(
                    "INSERT INTO tokens (id, name, hash, roles, created, created_by) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(id)
                .bind(name)
                .bind(hash(clear.reveal()))
                .bind(words.join(" "))
                .bind(at.as_microsecond())
                .bind(shown(by, 200)),
            )
            .await?;
        let row = find_name(&mut session, name).await?.expect("it was entered just now");
        session.commit().await?;
        Ok((row, clear))
    }

    /// Revokes the token of this name. It is refused from the next request on.
    pub async fn revoke_token(&self, name: &str, at: Timestamp) -> Result<TokenRow, StoreError> {
        let mut session = self.database.write("revoke a token").await?;
        let Some(mut row) = find_name(&mut session, name).await? else {
            return Err(StoreError::NoSuchToken { name: shown(name, 100) });
        };
        session
            .execute(
                sqlx::query("UPDATE tokens SET revoked = $2 WHERE id = $1")
                    .bind(column(row.id))
                    .bind(at.as_microsecond()),
            )
            .await?;
        session.commit().await?;
        row.revoked = Some(at);
        Ok(row)
    }

    /// All tokens, revoked ones too, the oldest first.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let mut session = self.database.read("list the tokens").await?;
        let rows = session.all(sqlx::query(select_tokens!("ORDER BY id"))).await?;
        rows.iter().map(|row| read(&Fields::of(row, session.place()))).collect()
    }

    /// The token whose clear text this is; `None` when there is none or it was revoked.
    ///
    /// It is looked up by its hash, so that how long that takes tells nothing about tokens that there are.
    pub async fn find_token(&self, clear: &str, at: Timestamp) -> Result<Option<TokenRow>, StoreError> {
        if clear.len() > 200 {
            return Ok(None);
        }
        let mut session = self.database.read("look up a token").await?;
        let row = session
            .optional(sqlx::query(select_tokens!("WHERE hash = $1 AND revoked IS NULL")).bind(hash(clear)))
            .await?;
        let Some(row) = row else { return Ok(None) };
        let token = read(&Fields::of(&row, session.place()))?;
        drop(session);
        if token.last_used.is_none_or(|last| at.duration_since(last) >= USE_MEMORY) {
            match self.note_use(token.id, at).await {
                // Who may do what does not hang on a note about when.
                Err(error) if error.is_temporary() => {}
                done => done?,
            }
        }
        Ok(Some(token))
    }

    async fn note_use(&self, id: u64, at: Timestamp) -> Result<(), StoreError> {
        let mut session = self.database.write("note the use of a token").await?;
        session
            .execute(
                sqlx::query(
                    "UPDATE tokens SET last_used = $2 WHERE id = $1 AND (last_used IS NULL OR last_used < $2)",
                )
                .bind(column(id))
                .bind(at.as_microsecond()),
            )
            .await?;
        session.commit().await
    }
}

macro_rules! select_tokens {
    ($rest:expr) => {
        concat!("SELECT id, name, roles, created, created_by, revoked, last_used FROM tokens ", $rest)
    };
}
use select_tokens;

async fn find_name(session: &mut Session<'_>, name: &str) -> Result<Option<TokenRow>, StoreError> {
    let row = session
        .optional(sqlx::query(select_tokens!("WHERE name = $1 AND revoked IS NULL")).bind(shown(name, 200)))
        .await?;
    row.map(|row| read(&Fields::of(&row, session.place()))).transpose()
}

fn hash(clear: &str) -> String {
    Digest::of(clear.as_bytes()).to_string()
}

/// 256 bits as 43 letters and digits, which need no escape anywhere.
fn base62(mut high: u128, mut low: u128) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(43);
    for _ in 0..43 {
        // Long division of the 256-bit number by 62, in two halves whose remainders fit.
        let carry = high % 62;
        high /= 62;
        let (upper, lower) = (low >> 64, low & u128::from(u64::MAX));
        let upper = (carry << 64) | upper;
        let lower = ((upper % 62) << 64) | lower;
        low = ((upper / 62) << 64) | (lower / 62);
        text.push(char::from(DIGITS[(lower % 62) as usize]));
    }
    text
}

fn read(fields: &Fields<'_>) -> Result<TokenRow, StoreError> {
    let roles = fields.text("roles")?;
    Ok(TokenRow {
        id: fields.count("id")?,
        name: fields.text("name")?,
        roles: roles
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|error| fields.corrupt("roles", error))?,
        created: fields.instant("created")?,
        created_by: fields.text("created_by")?,
        revoked: fields.optional_instant("revoked")?,
        last_used: fields.optional_instant("last_used")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_as_they_are_written() {
        for text in ["read", "operate", "promote:*", "promote:home-feed"] {
            assert_eq!(text.parse::<TokenRole>().unwrap().to_string(), text);
        }
        for bad in ["", "Read", "promote", "promote:", "promote:A b", "admin", "promote:* "] {
            assert!(bad.parse::<TokenRole>().is_err(), "{bad}");
        }
    }

    #[test]
    fn all_256_bits_are_in_the_text() {
        // 62^43 > 2^256: the text can be turned back.
        let back = |text: &str| {
            let mut limbs = [0u64; 4];
            for digit in text.bytes().rev() {
                let value = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'A'..=b'Z' => digit - b'A' + 10,
                    _ => digit - b'a' + 36,
                };
                let mut carry = u128::from(value);
                for limb in &mut limbs {
                    let sum = u128::from(*limb) * 62 + carry;
                    *limb = sum as u64;
                    carry = sum >> 64;
                }
                assert_eq!(carry, 0);
            }
            let join = |high: u64, low: u64| (u128::from(high) << 64) | u128::from(low);
            (join(limbs[3], limbs[2]), join(limbs[1], limbs[0]))
        };
        for (high, low) in [(0, 0), (0, 1), (1, 0), (u128::MAX, u128::MAX), (3 << 77, 5 << 101)] {
            let text = base62(high, low);
            assert_eq!(text.len(), 43);
            assert_eq!(back(&text), (high, low), "{text}");
        }
    }
}
