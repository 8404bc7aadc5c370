//! What people do to aliases.

use jiff::Timestamp;
use noctule_artifacts::{AliasName, ModelName, VersionNumber};
use noctule_registry::{Decision, Person, Promotion, Version};

use super::{Standing, expect_model, expect_version};
use crate::Store;
use crate::error::StoreError;
use crate::outbox::{self, Message};
use crate::session::Session;

/// A person's wish about an alias.
#[derive(Debug, Clone)]
pub struct ByHand {
    pub model: ModelName,
    pub alias: AliasName,
    pub person: Person,
    /// Where the person saw the alias, when the wish rests on that; `Some(None)`: pointing nowhere.
    pub seen: Option<Option<VersionNumber>>,
    pub at: Timestamp,
}

impl Store {
    /// Points an alias at any registered version. `announce` makes the messages that go with the row.
    pub async fn promote(
        &self,
        wish: ByHand,
        number: VersionNumber,
        announce: impl FnOnce(&Promotion, &Version) -> Vec<Message> + Send,
    ) -> Result<Decision, StoreError> {
        let mut session = self.database.write("promote a version").await?;
        let target = expect_version(&mut session, &wish.model, number).await?;
        let standing = Standing::of(&mut session, &wish.model, &wish.alias).await?;
        let decision = standing.place(wish.at).promote_by_person(&target, wish.person, wish.seen)?;
        obey(session, standing, decision, announce).await
    }

    /// Points an alias back at the previous version, or a named earlier one, and pins it there.
    pub async fn roll_back(
        &self,
        wish: ByHand,
        to: Option<VersionNumber>,
        announce: impl FnOnce(&Promotion, &Version) -> Vec<Message> + Send,
    ) -> Result<Decision, StoreError> {
        let mut session = self.database.write("roll back an alias").await?;
        expect_model(&mut session, &wish.model).await?;
        let standing = Standing::of(&mut session, &wish.model, &wish.alias).await?;
        let decision = standing.place(wish.at).roll_back(to, wish.person, wish.seen)?;
        obey(session, standing, decision, announce).await
    }

    /// Lets runs move an alias again.
    pub async fn unpin(
        &self,
        wish: ByHand,
        announce: impl FnOnce(&Promotion, &Version) -> Vec<Message> + Send,
    ) -> Result<Promotion, StoreError> {
        let mut session = self.database.write("unpin an alias").await?;
        expect_model(&mut session, &wish.model).await?;
        let standing = Standing::of(&mut session, &wish.model, &wish.alias).await?;
        let row = standing.place(wish.at).unpin(wish.person)?;
        obey(session, standing, Decision::Promoted(row.clone()), announce).await?;
        Ok(row)
    }
}

async fn obey(
    mut session: Session<'_>,
    standing: Standing,
    decision: Decision,
    announce: impl FnOnce(&Promotion, &Version) -> Vec<Message> + Send,
) -> Result<Decision, StoreError> {
    if let Decision::Promoted(row) = &decision {
        let version = expect_version(&mut session, &row.model, row.to).await?;
        standing.append(&mut session, row).await?;
        outbox::put(&mut session, &announce(row, &version)).await?;
        session.commit().await?;
    }
    Ok(decision)
}
