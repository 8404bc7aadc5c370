//! Users whose data are not to be read any more: the list that `extract` leaves out.

use jiff::Timestamp;

use crate::error::StoreError;
use crate::row::Fields;
use crate::{Store, shown};

/// The longest id of a user that the list takes, in bytes: what the key of a Postgres index holds with room to spare.
const LONGEST: usize = 1000;

/// A user on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedUser {
    /// As the pipelines' sources write it.
    pub user: String,
    pub at: Timestamp,
    pub by: String,
    pub why: Option<String>,
}

impl Store {
    /// Puts users on the list, all or none, and says how many of them are new there. First come is what is kept.
    pub async fn erase_users(
        &self,
        users: &[String],
        by: &str,
        why: Option<&str>,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut session = self.database.write("put users on the list of the erased").await?;
        let mut new = 0;
        for user in users {
            if user.is_empty() || user.len() > LONGEST || user.contains('\0') {
                let what = format!(
                    "`{}` is no id of a user: it must have 1 to {LONGEST} bytes and no NUL",
                    shown(user, 80)
                );
                return Err(StoreError::Refused { doing: session.doing, what });
            }
            new += session
                .execute(
                    sqlx::query(
                        "INSERT INTO erased_users (user_id, at, by_whom, why) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT DO NOTHING",
                    )
                    .bind(user.as_str())
                    .bind(at.as_microsecond())
                    .bind(shown(by, 200))
                    .bind(why.map(|why| shown(why, 2000))),
                )
                .await?;
        }
        session.commit().await?;
        Ok(new)
    }

    /// The list, in the order of the users' bytes.
    pub async fn erased_users(&self) -> Result<Vec<ErasedUser>, StoreError> {
        let mut session = self.database.read("read the list of erased users").await?;
        let rows = session.all(sqlx::query("SELECT user_id, at, by_whom, why FROM erased_users")).await?;
        let mut users = rows
            .iter()
            .map(|row| {
                let fields = Fields::of(row, session.place());
                Ok(ErasedUser {
                    user: fields.text("user_id")?,
                    at: fields.instant("at")?,
                    by: fields.text("by_whom")?,
                    why: fields.optional_text("why")?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        users.sort_by(|a, b| a.user.cmp(&b.user));
        Ok(users)
    }
}
